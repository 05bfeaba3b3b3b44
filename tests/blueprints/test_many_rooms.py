"""Tests of the blueprints with 40 rooms."""

from collections.abc import Callable

import pytest

from homeassistant.core import ServiceCall
from homeassistant.setup import async_setup_component

from ..automation import Config, SlowAction, add_rooms, move_all_areas_to_floor
from ..home import POLL_INTERVAL, Home
from ..simulator import SimHub
from .blueprint import (
    add_calendars,
    advance_time_to,
    create_blueprint_automation,
    pop_call_data,
    recorded_action,
    turn_off_automation,
)

ROOMS = 40


async def link_rooms(home: Home) -> tuple[list[SimHub], Config]:
    """Link an account with 40 rooms on one floor; return the hubs and the floor as target."""
    assert await async_setup_component(home.hass, "persistent_notification", {})
    hubs = add_rooms(home, ROOMS)
    await home.link_account(access="control")
    move_all_areas_to_floor(home)
    return hubs, {"floor_id": "second_floor"}


async def plug_and_unplug(home: Home, hubs: list[SimHub]) -> None:
    """Plug in a laptop in all rooms in one poll, and unplug all in another."""
    for hub in hubs:
        hub.plug(2)
    await home.poll()
    for hub in hubs:
        hub.unplug(2)
    await home.poll()


async def run_slow_actions(home: Home, action: SlowAction) -> list[str]:
    """Wait until the action runs for all rooms at the same time; return the rooms."""
    calls = await action.async_wait_for_calls(ROOMS)
    await action.async_finish()
    await turn_off_automation(home)
    return sorted(call.data["room"] for call in calls)


@pytest.mark.parametrize(
    ("blueprint", "target", "change"),
    [
        ("laptop_plugged_in", "rooms", lambda hub: hub.plug(2)),
        ("overheating", "hubs", lambda hub: hub.set_overheated(True)),
    ],
)
async def test_blueprint_with_change_of_40_rooms_in_one_poll_runs_slow_actions_for_all(
    home: Home, blueprint: str, target: str, change: Callable[[SimHub], None]
) -> None:
    hubs, floor = await link_rooms(home)
    action = SlowAction(home, "test", "slow")
    slow = [{"action": "test.slow", "data": {"room": "{{ trigger.hub }}"}}]
    actions = {"plugged_in" if target == "rooms" else "notify": slow}
    await create_blueprint_automation(home, blueprint, **{target: floor}, **actions)
    for hub in hubs:
        change(hub)
    home.fire_time_changed(POLL_INTERVAL + 1)
    assert await run_slow_actions(home, action) == [hub.name for hub in hubs]


async def test_laptop_plugged_in_40_rooms_free_in_one_poll_runs_slow_actions_for_all(
    home: Home,
) -> None:
    hubs, floor = await link_rooms(home)
    action = SlowAction(home, "test", "slow")
    slow = [{"action": "test.slow", "data": {"room": "{{ trigger.hub }}"}}]
    await create_blueprint_automation(home, "laptop_plugged_in", rooms=floor, gone=slow)
    await plug_and_unplug(home, hubs)
    home.fire_time_changed(300)
    assert await run_slow_actions(home, action) == [hub.name for hub in hubs]


async def test_hub_offline_40_hubs_in_one_poll_runs_slow_actions_for_all(home: Home) -> None:
    hubs, floor = await link_rooms(home)
    action = SlowAction(home, "test", "slow")
    slow = [{"action": "test.slow", "data": {"room": "{{ trigger.hub }}"}}]
    await create_blueprint_automation(home, "hub_offline", hubs=floor, notify=slow)
    for hub in hubs:
        hub.online = False
    await home.poll()
    home.fire_time_changed(600)
    assert await run_slow_actions(home, action) == [hub.name for hub in hubs]


@pytest.mark.parametrize("blueprint", ["room_system_takes_over", "default_port_after_hours"])
async def test_blueprint_with_40_rooms_free_in_one_poll_switches_all_hubs(
    home: Home, blueprint: str
) -> None:
    home.simulator.settings.command_delay = 0
    # With states in the list, the confirmation of many commands waits for the next list.
    home.simulator.settings.list_state = False
    hubs, floor = await link_rooms(home)
    await advance_time_to(home, 21)
    target = "rooms" if blueprint == "room_system_takes_over" else "hubs"
    await create_blueprint_automation(home, blueprint, **{target: floor, "port": "4"})
    await plug_and_unplug(home, hubs)
    await home.advance_time(301)
    assert {hub.active for hub in hubs} == {4}
    await turn_off_automation(home)


async def test_no_show_with_40_events_at_the_same_time_runs_slow_actions_for_all_rooms(
    home: Home,
) -> None:
    hubs, floor = await link_rooms(home)
    action = SlowAction(home, "test", "slow")
    for calendar in await add_calendars(home, *(hub.name for hub in hubs)):
        calendar.book()
    slow = [{"action": "test.slow", "data": {"room": "{{ area }}"}}]
    await create_blueprint_automation(home, "no_show_release", calendars=floor, no_show=slow)
    await home.advance_time(5 * 60)
    home.fire_time_changed(10 * 60 + 1)
    assert await run_slow_actions(home, action) == [hub.name for hub in hubs]


async def test_digest_with_40_hubs_offline_in_one_poll_notifies_once(
    home: Home, calls: list[ServiceCall]
) -> None:
    hubs, floor = await link_rooms(home)
    action = recorded_action(count="{{ offline | count }}")
    await create_blueprint_automation(home, "offline_digest", hubs=floor, notify=action)
    home.automations_wait = True
    for hub in hubs:
        hub.online = False
    await home.poll()
    await home.advance_time(601)
    await home.advance_time(3)
    # The hub Reception of the demo data is always offline.
    assert pop_call_data(calls) == [{"count": ROOMS + 1}]
    await turn_off_automation(home)
