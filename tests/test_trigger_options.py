"""Tests of the triggers: targets that change during `for`, contexts, and traces."""

from collections.abc import Callable
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockUser
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Context
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
)

from .automation import (
    Automation,
    Config,
    area_target_config,
    create_automation,
    target_config,
)
from .home import Home

BOARDROOM = "Boardroom"
FOCUS = "Focus room"
WORKSHOP = "Workshop"
IN_USE = ("binary_sensor", FOCUS, "in_use")
FOR_5_MINUTES = {"for": {"minutes": 5}}


async def get_traces(home: Home, hass_ws_client: WebSocketGenerator) -> list[Config]:
    """Return why the trigger did not fire, each time that it was recorded."""
    client = await hass_ws_client(home.hass)
    key = {"domain": "automation", "item_id": "test"}
    await client.send_json_auto_id({"type": "trace/list", **key})
    runs = [
        run["run_id"] for run in (await client.receive_json())["result"] if run.get("not_triggered")
    ]
    reasons = []
    for run_id in runs:
        await client.send_json_auto_id({"type": "trace/get", "run_id": run_id, **key})
        trace = (await client.receive_json())["result"]["trace"]
        reasons.append(trace["trigger/0"][0]["result"])
    return reasons


# Targets that change during `for`


def move_hub(home: Home) -> None:
    device = home.device(FOCUS)
    assert device is not None
    area_id = ar.async_get(home.hass).async_create("Elsewhere").id
    dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)


def remove_area_from_floor(home: Home) -> None:
    ar.async_get(home.hass).async_update("focus_room", floor_id=None)


def remove_label_of_device(home: Home) -> None:
    device = home.device(FOCUS)
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, labels=set())


def remove_label_of_entities(home: Home) -> None:
    registry = er.async_get(home.hass)
    for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id):
        registry.async_update_entity(entity.entity_id, labels=set())


def remove_label_of_area(home: Home) -> None:
    ar.async_get(home.hass).async_update("focus_room", labels=set())


@pytest.mark.parametrize(
    ("kind", "leave"),
    [
        ("area", move_hub),
        ("floor", remove_area_from_floor),
        ("label", remove_label_of_area),
        ("label of the device", remove_label_of_device),
        ("label of the entity", remove_label_of_entities),
    ],
)
@pytest.mark.parametrize("behavior", ["each", "first", "all"])
@pytest.mark.parametrize(
    ("trigger", "key"), [("room_in_use", "in_use"), ("hub_too_hot", "overheating")]
)
async def test_hub_that_leaves_target_during_for_does_not_fire(
    home: Home,
    entry: ConfigEntry,
    hass_ws_client: WebSocketGenerator,
    trigger: str,
    key: str,
    behavior: str,
    kind: str,
    leave: Callable[[Home], None],
) -> None:
    target = target_config(home, kind, "binary_sensor", FOCUS, key)
    automation = await create_automation(home, trigger, target, behavior=behavior, **FOR_5_MINUTES)
    hub = home.simulator.hub(FOCUS)
    hub.plug(2)
    hub.set_overheated(True)
    await home.poll()
    leave(home)
    await home.advance_time(400)
    assert automation.pop_hubs() == []
    assert [trace["reason"] for trace in await get_traces(home, hass_ws_client)] == ["left_target"]


async def test_hub_moved_during_for_with_device_target_reports_new_area(
    home: Home, entry: ConfigEntry
) -> None:
    target = target_config(home, "device", *IN_USE)
    automation = await create_automation(home, "hub_went_offline", target, **FOR_5_MINUTES)
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    move_hub(home)
    await home.advance_time(310)
    [variables] = automation.pop_trigger_variables()
    assert variables["area"] == "Elsewhere"


async def test_hub_that_became_free_in_outage_and_left_target_does_not_replace_other_room(
    home: Home, entry: ConfigEntry, room: Config
) -> None:
    boardroom = home.simulator.hub(BOARDROOM)
    target = {"area_id": [*room["area_id"], "boardroom"]}
    automation = await create_automation(
        home, "room_free", target, behavior="first", **FOR_5_MINUTES
    )
    home.simulator.hub(WORKSHOP).online = False
    for hub in (BOARDROOM, FOCUS):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    boardroom.unplug(2)
    await home.poll()
    boardroom.online = False
    await home.poll()
    # The room may be in use, because its other hub is offline.
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    move_hub(home)
    boardroom.online = True
    await home.poll()
    await home.advance_time(310)
    assert automation.pop_hubs() == [BOARDROOM]


async def test_room_with_hub_in_use_that_joins_during_for_does_not_become_free(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    focus, workshop = home.device(FOCUS), home.device(WORKSHOP)
    assert focus is not None
    assert workshop is not None
    for hub in (FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    automation = await create_automation(
        home, "room_free", area_target_config(home, FOCUS), **FOR_5_MINUTES
    )
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    dr.async_get(home.hass).async_update_device(workshop.id, area_id=focus.area_id)
    await home.advance_time(400)
    assert automation.pop_hubs() == []
    [trace] = await get_traces(home, hass_ws_client)
    assert trace["reason"] == "changed"
    home.simulator.hub(WORKSHOP).unplug(2)
    await home.poll()
    await home.advance_time(310)
    assert automation.pop_hubs() == [WORKSHOP]


async def test_registry_change_of_other_hub_during_for_does_not_cancel(
    home: Home, entry: ConfigEntry
) -> None:
    target = area_target_config(home, FOCUS, WORKSHOP)
    automation = await create_automation(home, "room_free", target, **FOR_5_MINUTES)
    for hub in (FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    workshop = home.device(WORKSHOP)
    assert workshop is not None
    dr.async_get(home.hass).async_update_device(workshop.id, name_by_user="Den")
    await home.advance_time(310)
    assert automation.pop_hubs() == [FOCUS]


async def test_trigger_in_editor_is_shown_when_it_fires(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    trigger = {
        "trigger": "ochno.active_port_changed",
        "target": area_target_config(home, FOCUS),
        "options": {"port": 2},
    }
    client = await hass_ws_client(home.hass)
    await client.send_json_auto_id({"type": "subscribe_trigger", "trigger": trigger})
    assert (await client.receive_json())["success"]
    for port in (3, 2):
        home.simulator.hub(FOCUS).set_active(port)
        await home.poll()
    variables = (await client.receive_json())["event"]["variables"]["trigger"]
    assert (variables["from_port"], variables["to_state"]["state"]) == (3, "2")


async def test_hub_removed_during_for_does_not_fire(home: Home, entry: ConfigEntry) -> None:
    target = target_config(home, "area", *IN_USE)
    automation = await create_automation(home, "hub_too_hot", target, **FOR_5_MINUTES)
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.poll()
    assert await home.hass.config_entries.async_remove(entry.entry_id)
    await home.advance_time(400)
    assert automation.pop_hubs() == []


@pytest.mark.parametrize(
    ("trigger", "behavior", "expected"),
    [
        ("hub_went_offline", "first", [FOCUS]),
        ("hub_went_offline", "all", [WORKSHOP]),
        ("hub_too_hot", "first", [FOCUS]),
        ("hub_too_hot", "all", [WORKSHOP]),
    ],
)
async def test_hub_trigger_behavior_with_for_fires_for_first_or_last_hub(
    home: Home, entry: ConfigEntry, trigger: str, behavior: str, expected: list[str]
) -> None:
    target = area_target_config(home, FOCUS, WORKSHOP)
    automation = await create_automation(home, trigger, target, behavior=behavior, **FOR_5_MINUTES)
    for hub in (FOCUS, WORKSHOP):
        if trigger == "hub_too_hot":
            home.simulator.hub(hub).set_overheated(True)
        else:
            home.simulator.hub(hub).online = False
        await home.poll()
    await home.advance_time(310)
    assert automation.pop_hubs() == expected


# Contexts and states


def trigger_context(automation: Automation) -> str | None:
    """Return the id of the context because of which the automation ran."""
    [call] = automation.calls
    parent_id: str | None = call.context.parent_id
    return parent_id


@pytest.mark.parametrize(
    ("platform", "key", "action", "data"),
    [
        ("select", "active_port", "select_option", {"option": "2"}),
        ("switch", "port_2", "turn_on", {}),
    ],
)
async def test_active_port_changed_by_user_runs_with_context_of_user(
    home: Home, hass_admin_user: MockUser, platform: str, key: str, action: str, data: Config
) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    automation = await create_automation(
        home, "active_port_changed", area_target_config(home, FOCUS)
    )
    context = Context(user_id=hass_admin_user.id)
    target = {"entity_id": home.entity_id(platform, FOCUS, key)}
    await home.hass.services.async_call(
        platform, action, data, blocking=True, context=context, target=target
    )
    await home.wait_until_idle()
    assert trigger_context(automation) == context.id
    for entity in (("select", "active_port"), ("switch", "port_2")):
        state = home.hass.states.get(home.entity_id(entity[0], FOCUS, entity[1]) or "")
        assert state is not None
        assert state.context is context


async def test_active_port_changed_in_room_runs_with_context_of_state(home: Home) -> None:
    await home.link_account(access="control")
    automation = await create_automation(
        home, "active_port_changed", area_target_config(home, FOCUS)
    )
    home.simulator.hub(FOCUS).set_active(2)
    await home.poll()
    state = home.hass.states.get(home.entity_id("select", FOCUS, "active_port") or "")
    assert state is not None
    assert state.context.user_id is None
    assert trigger_context(automation) == state.context.id


async def test_laptop_plugged_in_during_command_of_user_has_no_context_of_user(
    home: Home, hass_admin_user: MockUser
) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    automation = await create_automation(home, "laptop_plugged_in", area_target_config(home, FOCUS))
    home.simulator.hub(FOCUS).plug(3)
    context = Context(user_id=hass_admin_user.id)
    target = {"entity_id": home.entity_id("switch", FOCUS, "port_2")}
    await home.hass.services.async_call(
        "switch", "turn_on", blocking=True, context=context, target=target
    )
    await home.wait_until_idle()
    assert trigger_context(automation) not in (None, context.id)


async def test_room_in_use_by_laptop_plugged_in_during_command_fires(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    automation = await create_automation(home, "room_in_use", area_target_config(home, FOCUS))
    home.simulator.hub(FOCUS).plug(3)
    await home.call_action("switch", "turn_on", FOCUS, "port_2")
    await home.wait_until_idle()
    assert automation.pop_hubs() == [FOCUS]


async def test_states_of_disabled_entity_are_those_of_hub(home: Home, entry: ConfigEntry) -> None:
    entity_id = home.entity_id(*IN_USE)
    assert entity_id is not None
    er.async_get(home.hass).async_update_entity(
        entity_id, disabled_by=er.RegistryEntryDisabler.USER
    )
    await home.poll()
    automation = await create_automation(home, "room_in_use", area_target_config(home, FOCUS))
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    [variables] = automation.pop_trigger_variables()
    assert variables["entity_id"] == entity_id
    assert (variables["from_state"], variables["to_state"]) == ("off", "on")


# Why a trigger did not fire


async def test_trace_tells_that_other_port_became_active(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    await create_automation(home, "active_port_changed", area_target_config(home, FOCUS), port=2)
    home.simulator.hub(FOCUS).set_active(3)
    await home.poll()
    assert await get_traces(home, hass_ws_client) == [
        {"reason": "other_port", "data": {"hub": FOCUS, "port": 3}}
    ]


@pytest.fixture
def room(home: Home, entry: ConfigEntry) -> dict[str, Any]:
    """Put two hubs in one area, and return it as a target."""
    workshop = home.device(WORKSHOP)
    assert workshop is not None
    target = area_target_config(home, FOCUS)
    dr.async_get(home.hass).async_update_device(workshop.id, area_id=target["area_id"][0])
    return target


async def test_trace_tells_that_hub_of_room_is_offline(
    home: Home, room: Config, hass_ws_client: WebSocketGenerator
) -> None:
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(WORKSHOP).online = False
    await home.poll()
    await create_automation(home, "room_free", room)
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    assert await get_traces(home, hass_ws_client) == [
        {"reason": "unknown", "data": {"hub": FOCUS, "others": [WORKSHOP]}}
    ]


@pytest.mark.parametrize(
    ("trigger", "reason"), [("room_in_use", "not_first"), ("room_free", "not_all")]
)
async def test_trace_tells_that_other_hub_of_room_is_in_use(
    home: Home, room: Config, hass_ws_client: WebSocketGenerator, trigger: str, reason: str
) -> None:
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    await create_automation(home, trigger, room)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    assert await get_traces(home, hass_ws_client) == [
        {"reason": reason, "data": {"hub": FOCUS, "others": [WORKSHOP]}}
    ]
