"""Helpers that set up automations with the blueprints."""

from datetime import datetime, timedelta
from pathlib import Path
import shutil
from typing import Any, override

from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.ochno.history import async_remove_history
from homeassistant.components import persistent_notification
from homeassistant.components.calendar import CalendarEntity, CalendarEvent
from homeassistant.components.calendar.const import DATA_COMPONENT
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import CoreState, HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util

from ..automation import Config
from ..home import Home
from ..simulator import SimHub

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "blueprints" / "automation" / "ochno"
REPOSITORY = "https://github.com/ha-ochno/ha-ochno/blob/main"
BLUEPRINTS = sorted(FOLDER.iterdir())
FOCUS = "Focus room"


def recorded_action(**data: str) -> list[Config]:
    """Return actions that the fixture `calls` records."""
    return [{"action": "test.record", "data": data}]


def pop_call_data(calls: list[ServiceCall]) -> list[Config]:
    """Return the data of each recorded call since the last time."""
    data = [dict(call.data) for call in calls]
    calls.clear()
    return data


async def create_blueprint_automation(home: Home, blueprint: str, **inputs: Any) -> None:
    """Copy the blueprints to Home Assistant and set up an automation that uses one."""
    shutil.copytree(FOLDER, home.hass.config.path("blueprints", "automation", "ochno"))
    use_blueprint = {"path": f"ochno/{blueprint}.yaml", "input": inputs}
    automation = {"id": "test", "alias": "Test", "use_blueprint": use_blueprint}
    assert await async_setup_component(home.hass, "automation", {"automation": automation})
    await home.wait_until_idle()
    state = home.hass.states.get("automation.test")
    assert state is not None
    assert state.state == "on"


def device_id(home: Home, hub: str = "Boardroom") -> str:
    """Return the id of a hub's device."""
    device = home.device(hub)
    assert device is not None
    return device.id


def account_device_id(home: Home) -> str:
    """Return the id of the account's device."""
    entry_id = home.entry.entry_id
    device = dr.async_get(home.hass).async_get_device_by_identifier(("ochno", entry_id), entry_id)
    assert device is not None
    return device.id


def rename_entities(home: Home) -> None:
    """Give all entities of the account entity ids as in another language."""
    registry = er.async_get(home.hass)
    for number, entity in enumerate(
        er.async_entries_for_config_entry(registry, home.entry.entry_id)
    ):
        entity_id = f"{entity.domain}.salle_{number}"
        registry.async_update_entity(entity.entity_id, new_entity_id=entity_id)


async def get_notifications(
    home: Home, hass_ws_client: WebSocketGenerator
) -> list[tuple[str, str, str]]:
    """Return id, title and message of each notification."""
    websocket = await hass_ws_client(home.hass)
    await websocket.send_json_auto_id({"type": "persistent_notification/get"})
    notifications = (await websocket.receive_json())["result"]
    await websocket.close()
    return [
        (notification["notification_id"], notification["title"], notification["message"])
        for notification in notifications
    ]


async def restart(home: Home, hub: SimHub | None = None) -> None:
    """Restart Home Assistant as far as the automation and the account notice it.

    Then the automation waits.

    If a hub is given, its laptop at port 2 is unplugged while Home Assistant is stopped.
    """
    home.automations_wait = True
    automation = {"entity_id": "automation.test"}
    await home.hass.services.async_call("automation", "turn_off", automation, blocking=True)
    await home.hass.config_entries.async_unload(home.entry.entry_id)
    async_remove_history(home.hass, home.entry.entry_id)
    persistent_notification.async_dismiss_all(home.hass)
    if hub is not None:
        hub.unplug(2)
    home.hass.set_state(CoreState.starting)
    await home.hass.services.async_call("automation", "turn_on", automation, blocking=True)
    await home.hass.config_entries.async_setup(home.entry.entry_id)
    home.hass.set_state(CoreState.running)
    home.hass.bus.async_fire(EVENT_HOMEASSISTANT_STARTED)
    await home.wait_until_idle()


def put_in_boardroom(home: Home, hub: str) -> SimHub:
    """Put a hub into the area of the boardroom and return it."""
    dr.async_get(home.hass).async_update_device(device_id(home, hub), area_id="boardroom")
    return home.simulator.hub(hub)


async def turn_off_automation(home: Home) -> None:
    """Turn off the automation, because its timers must not outlive the test."""
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.test"}, blocking=True
    )


async def trigger_manually(home: Home) -> None:
    """Run the actions of the automation as from its menu."""
    await home.hass.services.async_call(
        "automation", "trigger", {"entity_id": "automation.test"}, blocking=True
    )
    await home.wait_until_idle()


async def advance_time_to(home: Home, hour: int) -> None:
    """Advance time to the next time that a clock shows this hour."""
    now = dt_util.now()
    on_the_hour = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    await home.advance_time(((on_the_hour - now) % timedelta(days=1)).total_seconds())


async def leave_port_2_active(home: Home, hub: SimHub) -> None:
    """Plug in and unplug a laptop at port 2, and leave that port active."""
    hub.change_config(autoswitchdisconnect="disabled")
    hub.plug(2)
    hub.set_active(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    assert hub.active == 2


class RoomCalendar(CalendarEntity):
    """Calendar of a room."""

    _attr_should_poll = False

    def __init__(self, name: str) -> None:
        self._attr_name = self._attr_unique_id = name
        self.events: list[CalendarEvent] = []

    @property
    @override
    def event(self) -> CalendarEvent | None:
        return None

    @override
    async def async_get_events(
        self, hass: HomeAssistant, start_date: datetime, end_date: datetime
    ) -> list[CalendarEvent]:
        return [
            event
            for event in self.events
            if event.start_datetime_local < end_date and event.end_datetime_local > start_date
        ]

    def book(self, *, minutes: int = 60) -> None:
        """Add an event that starts in five minutes."""
        start = dt_util.now() + timedelta(minutes=5)
        end = start + timedelta(minutes=minutes)
        self.events.append(CalendarEvent(start=start, end=end, summary="Review"))


async def add_calendars(home: Home, *rooms: str) -> list[RoomCalendar]:
    """Add a calendar for each room, in the area of the room."""
    calendars = [RoomCalendar(room) for room in rooms]
    await home.hass.data[DATA_COMPONENT].async_add_entities(calendars)
    for calendar in calendars:
        device = home.device(str(calendar.name))
        assert device is not None
        er.async_get(home.hass).async_update_entity(calendar.entity_id, area_id=device.area_id)
    return calendars
