"""Building of the demo: floors, lights, a dashboard, and simulated usage of two weeks."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
import random

from .frontend import Frontend

FLOORS = {
    "First floor": ("Library", "Reception", "Workshop"),
    "Second floor": ("Boardroom", "Focus room", "Studio", "Training room"),
}
DASHBOARD_PATH = "meeting-rooms"
DASHBOARD_TITLE = "Meeting rooms"
IMPORT_COMMAND = "recorder/import_statistics"
USAGE_DAYS = 14
OFFICE_HOURS = range(8, 18)
# Limits of the probability that a hub is used in an office hour.
MIN_OCCUPANCY, MAX_OCCUPANCY = 0.2, 0.7
UNUSED_HUB = "Library"

_AUTOMATION = """\
automation demo:
  - id: laptop_in_the_boardroom
    alias: Laptop plugged in in the boardroom
    triggers:
      - trigger: ochno.laptop_plugged_in
        target:
          area_id: boardroom
    actions:
      - action: persistent_notification.create
        data:
          message: A laptop was plugged in to port {{ trigger.port }} in the boardroom.
template:
  light:
"""
# The light has no state of its own. It is on after it was turned on.
_LIGHT = """\
    - name: {room}
      unique_id: {room}
      turn_on: []
      turn_off: []
"""
CONFIGURATION = _AUTOMATION + "".join(
    _LIGHT.format(room=room) for rooms in FLOORS.values() for room in rooms
)


async def add_floors(frontend: Frontend) -> None:
    """Add the floors with their areas and lights. The integration uses these areas."""
    # Most hubs have the name of their area, which the entity ids would repeat.
    await frontend.command(
        "config/entity_registry/settings/update", entity_id_parts=["device", "entity"]
    )
    lights = {
        entity["unique_id"]: entity["entity_id"]
        for entity in await frontend.command("config/entity_registry/list")
        if entity["platform"] == "template"
    }
    for level, (name, rooms) in enumerate(FLOORS.items(), start=1):
        floor = await frontend.command("config/floor_registry/create", name=name, level=level)
        for room in rooms:
            area = await frontend.command(
                "config/area_registry/create", name=room, floor_id=floor["floor_id"]
            )
            await frontend.command(
                "config/entity_registry/update", entity_id=lights[room], area_id=area["area_id"]
            )
    # Until then, their state is unknown.
    await frontend.command(
        "call_service", domain="light", service="turn_off", target={"entity_id": "all"}
    )


async def add_dashboard(frontend: Frontend) -> None:
    """Add a dashboard with a text, because the strategy is only there with the integration."""
    await frontend.command(
        "lovelace/dashboards/create",
        url_path=DASHBOARD_PATH,
        title=DASHBOARD_TITLE,
        icon="mdi:google-classroom",
    )
    text = (
        "No account is linked yet. Choose "
        "[Add integration](/config/integrations/dashboard/add?domain=ochno), and enter:\n\n"
        "- OAuth client ID: `home-assistant`\n"
        "- OAuth client secret: `home-assistant-secret`\n"
        f"- Server: `{frontend.environment.simulator_url}`\n\n"
        "Then reload this page in the browser to see the rooms."
    )
    cards = [{"type": "markdown", "content": text}]
    await _save_dashboard(frontend, {"views": [{"title": DASHBOARD_TITLE, "cards": cards}]})


async def show_rooms(frontend: Frontend) -> None:
    """Wait until an account is linked, and generate the dashboard and the usage."""
    while not any(
        entry["state"] == "loaded"
        for entry in await frontend.command("config_entries/get", domain="ochno")
    ):
        await asyncio.sleep(1)
    await _import_usage(frontend)
    await _save_dashboard(frontend, {"strategy": {"type": "custom:ochno"}})


async def _save_dashboard(frontend: Frontend, config: dict[str, object]) -> None:
    await frontend.command("lovelace/config/save", url_path=DASHBOARD_PATH, config=config)


async def _import_usage(frontend: Frontend) -> None:
    """Import the usage as statistics of *Time in use* of each hub, and of *Rooms in use*."""
    devices = {
        device["id"]: device for device in await frontend.command("config/device_registry/list")
    }
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    hubs = defaultdict[str, list[str]](list)
    entities = await frontend.command("config/entity_registry/list")
    for entity in entities:
        if entity["translation_key"] == "time_in_use":
            device = devices[entity["device_id"]]
            hubs[device["area_id"]].append(device["name"])
            usage = usage_import(entity["entity_id"], device["name"], now)
            await frontend.command(IMPORT_COMMAND, **usage)
    for entity in entities:
        if entity["translation_key"] == "rooms_in_use":
            rooms = rooms_import(entity["entity_id"], list(hubs.values()), now)
            await frontend.command(IMPORT_COMMAND, **rooms)


def rooms_import(entity_id: str, rooms: list[list[str]], now: datetime) -> dict[str, object]:
    """Return the arguments of the command that imports how many rooms were in use.

    Each room is the list of its hubs.
    """
    hours = defaultdict[datetime, int](int)
    for hubs in rooms:
        for same_hour in zip(*(simulated_hours(hub, now) for hub in hubs), strict=True):
            hours[same_hour[0][0]] += any(used for _, used in same_hour)
    return {
        "metadata": {
            "statistic_id": entity_id,
            "source": "recorder",
            "name": None,
            "has_sum": False,
            "mean_type": 1,
            "unit_class": None,
            "unit_of_measurement": None,
        },
        "stats": [
            {"start": start.isoformat(), "mean": count, "min": 0, "max": count}
            for start, count in hours.items()
        ],
    }


def usage_import(entity_id: str, hub: str, now: datetime) -> dict[str, object]:
    """Return the arguments of the command that imports the usage of a hub until now."""
    return {
        "metadata": {
            "statistic_id": entity_id,
            "source": "recorder",
            "name": None,
            "has_sum": True,
            "mean_type": 0,
            "unit_class": "duration",
            "unit_of_measurement": "h",
        },
        "stats": list(simulated_usage(hub, now)),
    }


def simulated_hours(hub: str, now: datetime) -> list[tuple[datetime, float]]:
    """Return each hour until now, and for how much of it a hub was used."""
    rng = random.Random(hub)
    occupancy = 0 if hub == UNUSED_HUB else rng.uniform(MIN_OCCUPANCY, MAX_OCCUPANCY)
    first = now - timedelta(days=USAGE_DAYS)
    hours = []
    for number in range(USAGE_DAYS * 24):
        start = first + timedelta(hours=number)
        open_ = start.weekday() < 5 and start.hour in OFFICE_HOURS
        used = rng.choice((0.25, 0.5, 0.75, 1.0)) if open_ and rng.random() < occupancy else 0.0
        hours.append((start, used))
    return hours


def simulated_usage(hub: str, now: datetime) -> Iterator[dict[str, str | float]]:
    """Return the statistics of a hub for each hour until now."""
    hours = simulated_hours(hub, now)
    total = sum(used for _, used in hours)
    # The recorder continues with a sum of 0, so the sum of the simulated hours ends with 0.
    # The start of the sum counts as a change, and is long before what the dashboard shows.
    state = 0.0
    for start, used in [(hours[0][0] - timedelta(days=365), 0.0), *hours]:
        state += used
        yield {"start": start.isoformat(), "state": state, "sum": state - total}
