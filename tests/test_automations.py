"""Tests of docs/automations.md and of the examples in it and in the README."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
import re
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import async_mock_service
import yaml

from custom_components.ochno.condition import CONDITIONS
from custom_components.ochno.trigger import TRIGGERS
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util

from .automation import SlowAction, add_rooms, move_all_areas_to_floor
from .home import POLL_INTERVAL, Home
from .simulator import SimHub

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "automations.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES: list[dict[str, Any]] = [
    example
    for text in re.findall(r"```yaml\n(.*?)```", README + DOCUMENT, flags=re.DOTALL)
    if "triggers" in (example := yaml.safe_load(text))
]


ROOMS = 40


def find_example(trigger: str) -> dict[str, Any]:
    """Return the only example with this trigger."""
    [example] = [each for each in EXAMPLES if each["triggers"][0]["trigger"] == trigger]
    return example


async def set_up_floor(home: Home, example: dict[str, Any]) -> list[SimHub]:
    """Set up an example in a building with 40 rooms and return the hubs."""
    hubs = add_rooms(home, ROOMS)
    await home.link_account()
    move_all_areas_to_floor(home)
    assert await async_setup_component(home.hass, "automation", {"automation": [example]})
    await home.wait_until_idle()
    return hubs


def test_document_lists_all_triggers_and_conditions() -> None:
    listed = re.findall(r"^\| `ochno\.(\w+)`", DOCUMENT, flags=re.MULTILINE)
    assert sorted(listed) == sorted([*TRIGGERS, *CONDITIONS])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["alias"])
async def test_example_automation_can_be_set_up(
    home: Home, entry: ConfigEntry, example: dict[str, Any]
) -> None:
    assert await async_setup_component(home.hass, "automation", {"automation": [example]})
    await home.wait_until_idle()
    [entity_id] = home.hass.states.async_entity_ids("automation")
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.state == "on"
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": entity_id}, blocking=True
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example["alias"])
def test_example_automation_sets_mode(example: dict[str, Any]) -> None:
    assert example["mode"] in ("parallel", "single")
    if example["mode"] == "parallel":
        assert example["max"] == 1000


async def test_example_of_readme_40_laptops_in_one_poll_turns_on_lights_of_all_rooms(
    home: Home,
) -> None:
    action = SlowAction(home, "light", "turn_on")
    hubs = await set_up_floor(home, find_example("ochno.laptop_plugged_in"))
    for hub in hubs:
        hub.plug(2)
    home.fire_time_changed(POLL_INTERVAL + 1)
    calls = await action.async_wait_for_calls(ROOMS)
    assert sorted(call.data["area_id"] for call in calls) == sorted(
        f"room_{number:02}" for number in range(1, ROOMS + 1)
    )
    await action.async_finish()


async def test_example_of_free_rooms_40_rooms_free_in_one_poll_notifies_about_all_rooms(
    home: Home,
) -> None:
    action = SlowAction(home, "notify", "persistent_notification")
    hubs = await set_up_floor(home, find_example("ochno.room_free"))
    for hub in hubs:
        hub.plug(2)
    await home.poll()
    for hub in hubs:
        hub.unplug(2)
    await home.poll()
    home.fire_time_changed(600)
    calls = await action.async_wait_for_calls(ROOMS)
    assert sorted(call.data["message"] for call in calls) == [
        f"{hub.name} has been free for ten minutes." for hub in hubs
    ]
    await action.async_finish()


async def plug_in_laptop(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()


async def stop_reporting_laptops(home: Home, hub: SimHub) -> None:
    hub.state["connected"] = [1, None, None, None]
    await home.poll()


async def add_offline_hub_to_room(home: Home, hub: SimHub) -> None:
    device = home.device("Focus room")
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, area_id="boardroom")
    home.simulator.hub("Focus room").online = False
    await home.poll()


@pytest.mark.parametrize(
    ("happen", "expected_calls"),
    [
        (None, 1),
        (plug_in_laptop, 0),
        (stop_reporting_laptops, 0),
        (add_offline_hub_to_room, 0),
    ],
    ids=["free", "in use", "unknown", "another hub offline"],
)
async def test_example_of_screen_off_turns_off_only_if_room_is_known_to_be_free(
    home: Home,
    entry: ConfigEntry,
    happen: Callable[[Home, SimHub], Awaitable[None]] | None,
    expected_calls: int,
) -> None:
    calls = async_mock_service(home.hass, "switch", "turn_off")
    now = dt_util.now()
    at_19 = now.replace(hour=19, minute=0, second=0, microsecond=0)
    await home.advance_time(((at_19 - now) % timedelta(days=1)).total_seconds() - 300)
    example = find_example("time")
    assert await async_setup_component(home.hass, "automation", {"automation": [example]})
    if happen is not None:
        await happen(home, home.simulator.hub("Boardroom"))
    await home.advance_time(300)
    assert len(calls) == expected_calls
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": "all"}, blocking=True
    )
