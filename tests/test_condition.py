"""Tests of the conditions: states of hubs, targets and options."""

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.ochno.history import SIGNAL_HUBS_UPDATED
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import DATA_DISPATCHER
from homeassistant.setup import async_setup_component

from .automation import (
    Config,
    area_target_config,
    condition_config,
    create_condition_automations,
    target_config,
)
from .home import HUBS_PATH, Home
from .simulator import Fault

FOCUS = "Focus room"
WORKSHOP = "Workshop"
IN_USE = ("binary_sensor", FOCUS, "in_use")
PORT_2 = ("binary_sensor", FOCUS, "port_2_connected")
CONDITIONS = (
    "hub_offline",
    "hub_online",
    "laptop_connected",
    "port_active",
    "room_free",
    "room_in_use",
)


async def test_conditions_follow_state_of_hub(home: Home, entry: ConfigEntry) -> None:
    hub = home.simulator.hub(FOCUS)
    hub.config["autoswitchconnect"] = hub.config["autoswitchdisconnect"] = "disabled"
    room = area_target_config(home, FOCUS)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", room),
        condition_config("laptop_connected", room),
        condition_config("laptop_connected", room, port=2),
        condition_config("laptop_connected", room, port=3),
        condition_config("port_active", room),
        condition_config("port_active", room, port="2"),
        condition_config("port_active", room, port="none"),
        condition_config("hub_online", room),
        condition_config("laptop_connected", room, behavior="all"),
        condition_config("port_active", room, behavior="all"),
    )
    assert await check_conditions() == [*[False] * 6, True, True, False, False]
    hub.plug(2)
    await home.poll()
    assert await check_conditions() == [True, True, True, *[False] * 3, True, True, True, False]
    hub.set_active(2)
    await home.poll()
    assert await check_conditions() == [*[True] * 3, False, True, True, False, True, True, True]
    hub.set_active(3)
    hub.unplug(2)
    await home.poll()
    assert await check_conditions() == [*[False] * 4, True, False, False, True, False, True]
    hub.online = False
    await home.poll()
    assert await check_conditions() == [False] * 10


@pytest.mark.parametrize(
    "kind",
    ["entity", "device", "area", "floor", "label", "label of the device", "label of the entity"],
)
async def test_target_of_each_kind_selects_hub(home: Home, entry: ConfigEntry, kind: str) -> None:
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    check_conditions = await create_condition_automations(
        home, condition_config("laptop_connected", target_config(home, kind, *PORT_2))
    )
    assert await check_conditions() == [False]
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert await check_conditions() == [True]


async def test_behavior_with_several_hubs_passes_for_any_or_all(
    home: Home, entry: ConfigEntry
) -> None:
    both = area_target_config(home, FOCUS, WORKSHOP)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", both),
        condition_config("room_in_use", both, behavior="any"),
        condition_config("room_in_use", both, behavior="all"),
    )
    assert await check_conditions() == [False, False, False]
    home.simulator.hub(FOCUS).plug(1)
    await home.poll()
    assert await check_conditions() == [True, True, False]
    home.simulator.hub(WORKSHOP).plug(1)
    await home.poll()
    assert await check_conditions() == [True, True, True]


async def test_hub_with_unknown_values_is_ignored(home: Home, entry: ConfigEntry) -> None:
    home.simulator.hub(FOCUS).plug(1)
    home.simulator.hub(WORKSHOP).online = False
    await home.poll()
    both, offline = area_target_config(home, FOCUS, WORKSHOP), area_target_config(home, WORKSHOP)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", both, behavior="all"),
        condition_config("room_in_use", offline, behavior="all"),
        condition_config("hub_online", both, behavior="all"),
        condition_config("hub_online", both, behavior="any"),
    )
    assert await check_conditions() == [True, False, False, True]
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll()
    assert await check_conditions() == [False] * 4
    home.simulator.clear_faults()
    await home.poll()
    assert await check_conditions() == [True, False, False, True]
    await home.hass.config_entries.async_unload(home.entry.entry_id)
    assert await check_conditions() == [False] * 4


@pytest.mark.parametrize(
    ("access", "port"),
    [("read", ("binary_sensor", "port_2_active")), ("control", ("switch", "port_2"))],
)
async def test_target_port_entity_checks_that_port_only(
    home: Home, access: str, port: tuple[str, str]
) -> None:
    platform, key = port
    await home.link_account(access=access)
    connected = {"entity_id": home.entity_id(*PORT_2)}
    active = {"entity_id": home.entity_id(platform, FOCUS, key)}
    check_conditions = await create_condition_automations(
        home,
        condition_config("laptop_connected", connected),
        condition_config("laptop_connected", connected, port=3),
        condition_config("port_active", active),
        condition_config("port_active", active, port=3),
        condition_config("room_in_use", active),
    )
    for number, expected in ((3, [False] * 5), (2, [True, False, True, False, False])):
        home.simulator.hub(FOCUS).plug(number)
        home.simulator.hub(FOCUS).set_active(number)
        await home.poll()
        assert await check_conditions() == expected


@pytest.mark.parametrize(
    ("access", "port"),
    [("read", ("binary_sensor", "port_2_active")), ("control", ("switch", "port_2"))],
)
async def test_port_active_none_with_entity_of_any_port_passes_without_active_port(
    home: Home, access: str, port: tuple[str, str]
) -> None:
    platform, key = port
    await home.link_account(access=access)
    entity = {"entity_id": home.entity_id(platform, FOCUS, key)}
    check_conditions = await create_condition_automations(
        home,
        condition_config("port_active", entity, port="none"),
        condition_config("port_active", entity, port="none", behavior="all"),
        condition_config("port_active", {"entity_id": home.entity_id(*PORT_2)}, port="none"),
    )
    for active, expected in ((2, False), (3, False), (0, True)):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
        assert await check_conditions() == [expected, expected, False]


async def test_laptop_connected_port_of_room_system_counts_only_as_target_entity(
    home: Home, entry: ConfigEntry
) -> None:
    room = area_target_config(home, "Boardroom")
    port = {"entity_id": home.entity_id("binary_sensor", "Boardroom", "port_1_connected")}
    check_conditions = await create_condition_automations(
        home,
        condition_config("laptop_connected", room),
        condition_config("laptop_connected", room, port=1),
        condition_config("laptop_connected", port),
    )
    assert await check_conditions() == [False, False, True]


async def test_condition_without_account_does_not_pass(home: Home) -> None:
    check_conditions = await create_condition_automations(
        home, *(condition_config(key, {"area_id": "x"}, behavior="all") for key in CONDITIONS)
    )
    assert await check_conditions() == [False] * len(CONDITIONS)


# Rooms with several hubs


def move_to_focus_room(home: Home, *hubs: str) -> None:
    """Move hubs to the area of the focus room."""
    focus = home.device(FOCUS)
    assert focus is not None
    for hub in hubs:
        device = home.device(hub)
        assert device is not None
        dr.async_get(home.hass).async_update_device(device.id, area_id=focus.area_id)


async def test_room_conditions_combine_hubs_of_room(home: Home, entry: ConfigEntry) -> None:
    move_to_focus_room(home, WORKSHOP)
    room = area_target_config(home, FOCUS)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_free", room),
        condition_config("room_in_use", room),
        condition_config("room_in_use", room, behavior="all"),
    )
    assert await check_conditions() == [True, False, False]
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert await check_conditions() == [False, True, True]
    home.simulator.hub(WORKSHOP).online = False
    await home.poll()
    assert await check_conditions() == [False, True, True]
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    assert await check_conditions() == [False, False, False]
    home.simulator.hub(WORKSHOP).online = True
    await home.poll()
    assert await check_conditions() == [True, False, False]


async def test_room_free_all_with_unknown_room_does_not_pass(
    home: Home, entry: ConfigEntry
) -> None:
    rooms = area_target_config(home, FOCUS, "Reception")
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_free", rooms),
        condition_config("room_free", rooms, behavior="all"),
    )
    assert await check_conditions() == [True, False]


async def test_hub_offline_passes_only_for_hub_that_is_known_to_be_offline(
    home: Home, entry: ConfigEntry
) -> None:
    offline, both = (
        area_target_config(home, "Reception"),
        area_target_config(home, FOCUS, "Reception"),
    )
    check_conditions = await create_condition_automations(
        home,
        condition_config("hub_offline", offline),
        condition_config("hub_offline", both),
        condition_config("hub_offline", both, behavior="all"),
    )
    assert await check_conditions() == [True, True, False]
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    assert await check_conditions() == [True, True, True]
    home.simulator.hub(FOCUS).omit.add("data.presence")
    await home.poll()
    assert await check_conditions() == [True, True, False]
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll()
    assert await check_conditions() == [False] * 3


# Option `for`


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("room_in_use", {}),
        ("laptop_connected", {}),
        ("laptop_connected", {"port": 2}),
        ("port_active", {}),
        ("port_active", {"port": 2}),
        ("room_free", {}),
        ("port_active", {"port": "none"}),
        ("hub_online", {}),
        ("hub_offline", {}),
    ],
)
async def test_condition_with_for_passes_after_duration(
    home: Home, entry: ConfigEntry, key: str, options: Config
) -> None:
    hub = home.simulator.hub(FOCUS)
    hub.config["autoswitchconnect"] = hub.config["autoswitchdisconnect"] = "disabled"
    becomes_free = key == "room_free" or options.get("port") == "none"

    def set_state(*, matched: bool) -> None:
        hub.online = matched if key == "hub_online" else not (key == "hub_offline" and matched)
        in_use = matched is not becomes_free
        (hub.plug if in_use else hub.unplug)(2)
        hub.set_active(2 if in_use else 0)

    set_state(matched=False)
    await home.poll()
    check_conditions = await create_condition_automations(
        home,
        condition_config(key, area_target_config(home, FOCUS), **options),
        condition_config(
            key, area_target_config(home, FOCUS), **options, **{"for": {"minutes": 5}}
        ),
    )
    assert await check_conditions() == [False, False]
    set_state(matched=True)
    await home.poll()
    await home.advance_time(200)
    assert await check_conditions() == [True, False]
    await home.advance_time(110)
    assert await check_conditions() == [True, True]
    set_state(matched=False)
    await home.poll()
    set_state(matched=True)
    await home.poll()
    await home.advance_time(200)
    assert await check_conditions() == [True, False]


async def test_condition_with_for_counts_time_before_automation_was_loaded(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    await home.advance_time(310)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", area_target_config(home, FOCUS), **{"for": 300}),
        condition_config("room_in_use", area_target_config(home, FOCUS), **{"for": 600}),
    )
    assert await check_conditions() == [True, False]


async def test_condition_with_for_counts_time_of_laptop_that_stayed(
    home: Home, entry: ConfigEntry
) -> None:
    move_to_focus_room(home, WORKSHOP)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    await home.advance_time(310)
    for hub, port in ((FOCUS, 3), (WORKSHOP, 2)):
        home.simulator.hub(hub).plug(port)
        await home.poll()
        home.simulator.hub(hub).unplug(port)
        await home.poll()
    room = area_target_config(home, FOCUS)
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", room, **{"for": 300}),
        condition_config("laptop_connected", room, **{"for": 300}),
        condition_config("room_in_use", room, **{"for": 600}),
        condition_config("laptop_connected", room, **{"for": 600}),
    )
    assert await check_conditions() == [True, True, False, False]


async def test_condition_with_for_in_editor_is_tested_and_released(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    await home.advance_time(310)
    await async_setup_component(home.hass, "automation", {})
    client = await hass_ws_client(home.hass)
    listeners = len(home.hass.data[DATA_DISPATCHER][SIGNAL_HUBS_UPDATED])
    for seconds, expected in ((300, True), (600, False)):
        config = condition_config("room_free", area_target_config(home, FOCUS), **{"for": seconds})
        await client.send_json_auto_id({"type": "test_condition", "condition": config})
        assert (await client.receive_json())["result"] == {"result": expected}
    assert len(home.hass.data[DATA_DISPATCHER][SIGNAL_HUBS_UPDATED]) == listeners


async def test_room_in_use_with_for_continues_when_other_hub_takes_over(
    home: Home, entry: ConfigEntry
) -> None:
    move_to_focus_room(home, WORKSHOP)
    room = area_target_config(home, FOCUS)
    check_conditions = await create_condition_automations(
        home, condition_config("room_in_use", room, **{"for": {"minutes": 5}})
    )
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    await home.advance_time(200)
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    assert await check_conditions() == [False]
    await home.advance_time(60)
    assert await check_conditions() == [True]


async def test_condition_with_for_after_outage_restarts_duration(
    home: Home, entry: ConfigEntry
) -> None:
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_free", area_target_config(home, FOCUS), **{"for": {"minutes": 5}}),
    )
    await home.advance_time(310)
    assert await check_conditions() == [True]
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    home.simulator.hub(FOCUS).online = True
    await home.poll()
    assert await check_conditions() == [False]
    await home.advance_time(310)
    assert await check_conditions() == [True]


async def test_condition_with_for_and_hub_that_moves_to_room_restarts_duration(
    home: Home, entry: ConfigEntry
) -> None:
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_free", area_target_config(home, FOCUS), **{"for": {"minutes": 5}}),
    )
    await home.advance_time(200)
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    home.simulator.hub(WORKSHOP).unplug(2)
    await home.poll()
    move_to_focus_room(home, WORKSHOP)
    await home.advance_time(120)
    assert await check_conditions() == [False]
    await home.advance_time(200)
    assert await check_conditions() == [True]


@pytest.mark.parametrize("access", ["read", "control"])
async def test_automation_editor_offers_conditions_for_hub(
    home: Home, hass_ws_client: WebSocketGenerator, access: str
) -> None:
    await home.link_account(access=access)
    await create_condition_automations(home, condition_config("hub_online", {"area_id": "x"}))
    client = await hass_ws_client(home.hass)
    await client.send_json_auto_id(
        {"type": "get_conditions_for_target", "target": target_config(home, "floor", *IN_USE)}
    )
    conditions = (await client.receive_json())["result"]
    assert {condition for condition in conditions if condition.startswith("ochno")} == {
        f"ochno.{key}" for key in CONDITIONS
    }


@pytest.mark.parametrize(
    ("key", "target", "options", "error"),
    [
        ("laptop_connected", {"area_id": "x"}, {"port": "none"}, "'options.port'"),
        ("port_active", {"area_id": "x"}, {"port": 0}, "'options.port'"),
        ("room_in_use", {"area_id": "x"}, {"behavior": "most"}, "'options.behavior'"),
        ("room_in_use", {"area_id": "x"}, {"port": 1}, "'options.port'"),
        ("hub_online", {}, {}, "['entity_id', 'device_id', "),
        ("door_open", {"area_id": "x"}, {}, "Invalid condition 'ochno.door_open' specified"),
    ],
    ids=[
        "port_none_not_supported",
        "port_zero",
        "behavior_unknown",
        "port_not_supported",
        "target_missing",
        "condition_unknown",
    ],
)
async def test_condition_invalid_config_makes_automation_unavailable(
    home: Home,
    caplog: pytest.LogCaptureFixture,
    key: str,
    target: Config,
    options: Config,
    error: str,
) -> None:
    await create_condition_automations(home, condition_config(key, target, **options))
    state = home.hass.states.get("automation.test_0")
    assert state is not None
    assert state.state == "unavailable"
    assert error in caplog.text
