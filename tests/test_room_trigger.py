"""Tests of the triggers for rooms: several hubs in one area."""

from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    floor_registry as fr,
)

from .automation import Config, create_automation
from .home import HUBS_PATH, Home
from .simulator import Fault

BOARDROOM = "Boardroom"
FOCUS = "Focus room"
WORKSHOP = "Workshop"


def device_id(home: Home, hub: str) -> str:
    """Return the id of the device of a hub."""
    device = home.device(hub)
    assert device is not None
    return device.id


def move(home: Home, hub: str, area_id: str | None) -> None:
    """Move the device of a hub to another area."""
    dr.async_get(home.hass).async_update_device(device_id(home, hub), area_id=area_id)


def create_room(home: Home, *hubs: str) -> str:
    """Put hubs in a new area and return its id."""
    area_id = ar.async_get(home.hass).async_create("Conference").id
    for hub in hubs:
        move(home, hub, area_id)
    return area_id


@pytest.fixture
def room(home: Home, entry: ConfigEntry) -> str:
    """Put two hubs in one area."""
    return create_room(home, FOCUS, WORKSHOP)


async def plug(home: Home, hub: str, port: int = 2) -> None:
    """Plug in a laptop and poll."""
    home.simulator.hub(hub).plug(port)
    await home.poll()


async def unplug(home: Home, hub: str, port: int = 2) -> None:
    """Unplug a laptop and poll."""
    home.simulator.hub(hub).unplug(port)
    await home.poll()


async def set_online(home: Home, hub: str, online: bool) -> None:
    """Connect or disconnect a hub and poll."""
    home.simulator.hub(hub).online = online
    await home.poll()


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [("room_in_use", [[FOCUS], [], [], []]), ("room_free", [[], [], [], [WORKSHOP]])],
)
async def test_room_with_two_hubs_fires_for_first_or_last_laptop(
    home: Home, room: str, trigger: str, expected: list[list[str]]
) -> None:
    automation = await create_automation(home, trigger, {"area_id": room})
    fired = []
    for change, hub in ((plug, FOCUS), (plug, WORKSHOP), (unplug, FOCUS), (unplug, WORKSHOP)):
        await change(home, hub)
        fired.append(automation.pop_hubs())
    assert fired == expected


async def test_room_variables_have_area_hubs_and_hub_that_changed(home: Home, room: str) -> None:
    automation = await create_automation(home, "room_in_use", {"area_id": room})
    await plug(home, WORKSHOP)
    assert automation.descriptions == ["Room came into use: Conference"]
    [variables] = automation.pop_trigger_variables()
    assert variables == {
        "hub": WORKSHOP,
        "device_id": device_id(home, WORKSHOP),
        "area_id": room,
        "area": "Conference",
        "hubs": [FOCUS, WORKSHOP],
        "device_ids": [device_id(home, FOCUS), device_id(home, WORKSHOP)],
        "entity_id": home.entity_id("binary_sensor", WORKSHOP, "in_use"),
        "from_state": "off",
        "to_state": "on",
        "for": None,
    }


@pytest.mark.parametrize("reload", [False, True], ids=["cloud_unreachable", "reload"])
@pytest.mark.parametrize("options", [{}, {"for": {"minutes": 5}}], ids=["", "for"])
async def test_room_in_use_before_outage_with_other_laptop_after_it_fires_once(
    home: Home, room: str, options: Config, reload: bool
) -> None:
    automation = await create_automation(home, "room_in_use", {"area_id": room}, **options)
    await plug(home, FOCUS)
    if reload:
        await home.hass.config_entries.async_unload(home.entry.entry_id)
    else:
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
        await home.poll()
    home.simulator.hub(WORKSHOP).plug(2)
    if reload:
        await home.hass.config_entries.async_setup(home.entry.entry_id)
    home.simulator.clear_faults()
    await home.poll(2)
    await home.advance_time(310)
    assert automation.pop_hubs() == [FOCUS]


async def test_hub_without_area_is_room_of_its_own(home: Home, entry: ConfigEntry) -> None:
    for hub in (FOCUS, WORKSHOP):
        move(home, hub, None)
    devices = {"device_id": [device_id(home, FOCUS), device_id(home, WORKSHOP)]}
    automation = await create_automation(home, "room_in_use", devices)
    await plug(home, FOCUS)
    await plug(home, WORKSHOP)
    assert automation.descriptions == [
        f"Room came into use: {FOCUS}",
        f"Room came into use: {WORKSHOP}",
    ]
    assert [
        (variables["area"], variables["area_id"], variables["hubs"])
        for variables in automation.pop_trigger_variables()
    ] == [(None, None, [FOCUS]), (None, None, [WORKSHOP])]


async def test_room_with_device_that_has_identifier_of_three_parts_fires(
    home: Home, room: str
) -> None:
    bridge_entry = MockConfigEntry(domain="other")
    bridge_entry.add_to_hass(home.hass)
    registry = dr.async_get(home.hass)
    # The core integration HomeKit Bridge registers such a device.
    bridge = registry.async_get_or_create(
        config_entry_id=bridge_entry.entry_id,
        identifiers={("other", "1", "bridge")},  # type: ignore[arg-type]
    )
    registry.async_update_device(bridge.id, area_id=room)
    automation = await create_automation(home, "room_in_use", {"area_id": room})
    await plug(home, FOCUS)
    assert automation.pop_hubs() == [FOCUS]


async def test_floor_fires_for_each_room_that_changed_in_one_poll(home: Home, room: str) -> None:
    floor = fr.async_get(home.hass).async_create("Second floor").floor_id
    board = home.device(BOARDROOM)
    assert board is not None
    assert board.area_id is not None
    for area_id in (room, board.area_id):
        ar.async_get(home.hass).async_update(area_id, floor_id=floor)
    automation = await create_automation(home, "room_in_use", {"floor_id": floor})
    for hub in (BOARDROOM, FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    areas = [variables["area"] for variables in automation.pop_trigger_variables()]
    assert sorted(areas) == [BOARDROOM, "Conference"]


async def test_room_with_offline_hub_becomes_free_when_it_returns_empty(
    home: Home, room: str
) -> None:
    automation = await create_automation(home, "room_free", {"area_id": room})
    await plug(home, FOCUS)
    await set_online(home, WORKSHOP, False)
    await unplug(home, FOCUS)
    assert automation.pop_hubs() == []
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == [FOCUS]
    await set_online(home, WORKSHOP, False)
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == []


async def test_room_with_offline_hub_that_returns_in_use_does_not_become_free(
    home: Home, room: str
) -> None:
    automation = await create_automation(home, "room_free", {"area_id": room})
    await plug(home, FOCUS)
    await set_online(home, WORKSHOP, False)
    home.simulator.hub(WORKSHOP).plug(2)
    await unplug(home, FOCUS)
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == []
    await unplug(home, WORKSHOP)
    assert automation.pop_hubs() == [WORKSHOP]


async def test_room_whose_hub_in_use_goes_offline_does_not_become_free(
    home: Home, room: str
) -> None:
    automation = await create_automation(home, "room_free", {"area_id": room})
    await plug(home, FOCUS)
    await set_online(home, FOCUS, False)
    assert automation.pop_hubs() == []
    home.simulator.hub(FOCUS).unplug(2)
    await set_online(home, FOCUS, True)
    assert automation.pop_hubs() == [FOCUS]


async def test_room_with_hub_that_stays_offline_comes_into_use_each_time(
    home: Home, room: str
) -> None:
    automation = await create_automation(home, "room_in_use", {"area_id": room})
    await set_online(home, WORKSHOP, False)
    for _ in range(2):
        await plug(home, FOCUS)
        await unplug(home, FOCUS)
    assert automation.pop_hubs() == [FOCUS, FOCUS]


@pytest.mark.parametrize("trigger", ["room_in_use", "room_free"])
async def test_hub_in_use_that_leaves_or_joins_room_does_not_fire(
    home: Home, room: str, trigger: str
) -> None:
    automation = await create_automation(home, trigger, {"area_id": room})
    await plug(home, FOCUS)
    automation.pop_hubs()
    move(home, FOCUS, None)
    home.simulator.hub(WORKSHOP).set_overheated(True)
    await home.poll()
    assert automation.pop_hubs() == []
    await plug(home, WORKSHOP)
    await unplug(home, WORKSHOP)
    assert automation.pop_hubs() == [WORKSHOP]
    move(home, FOCUS, room)
    await plug(home, WORKSHOP)
    await unplug(home, WORKSHOP)
    assert automation.pop_hubs() == []


@pytest.mark.parametrize(
    ("trigger", "expected"), [("room_in_use", [[FOCUS], []]), ("room_free", [[], [FOCUS]])]
)
async def test_room_after_hub_changed_elsewhere_and_returned_fires_for_next_change(
    home: Home, room: str, trigger: str, expected: list[list[str]]
) -> None:
    automation = await create_automation(home, trigger, {"area_id": room})
    for before, after in ((plug, unplug), (unplug, plug)):
        await before(home, FOCUS)
        move(home, FOCUS, None)
        await after(home, FOCUS)
        move(home, FOCUS, room)
        automation.pop_hubs()
        await before(home, FOCUS)
        fired = automation.pop_hubs()
        assert fired == expected.pop(0)


@pytest.mark.parametrize("kind", ["device", "entity"])
async def test_target_with_one_hub_of_room_ignores_its_other_hubs(
    home: Home, room: str, kind: str
) -> None:
    targets: dict[str, Config] = {
        "device": {"device_id": device_id(home, FOCUS)},
        "entity": {"entity_id": home.entity_id("binary_sensor", FOCUS, "in_use")},
    }
    automation = await create_automation(home, "room_free", targets[kind])
    await plug(home, WORKSHOP)
    await plug(home, FOCUS)
    await unplug(home, FOCUS)
    [variables] = automation.pop_trigger_variables()
    assert (variables["area"], variables["hubs"]) == ("Conference", [FOCUS])


async def test_room_free_for_is_interrupted_by_other_hub_of_room(home: Home, room: str) -> None:
    automation = await create_automation(
        home, "room_free", {"area_id": room}, **{"for": {"minutes": 5}}
    )
    await plug(home, FOCUS)
    await unplug(home, FOCUS)
    await home.advance_time(200)
    await plug(home, WORKSHOP)
    await home.advance_time(300)
    assert automation.pop_hubs() == []
    await unplug(home, WORKSHOP)
    await home.advance_time(310)
    [variables] = automation.pop_trigger_variables()
    assert (variables["hub"], variables["for"]) == (WORKSHOP, 300)


async def test_room_free_for_starts_again_when_offline_hub_of_room_returns(
    home: Home, room: str
) -> None:
    automation = await create_automation(
        home, "room_free", {"area_id": room}, **{"for": {"minutes": 5}}
    )
    await plug(home, FOCUS)
    await unplug(home, FOCUS)
    await set_online(home, WORKSHOP, False)
    await home.advance_time(600)
    await set_online(home, WORKSHOP, True)
    await home.advance_time(200)
    assert automation.pop_hubs() == []
    await home.advance_time(110)
    assert automation.pop_hubs() == [FOCUS]


async def test_room_in_use_for_and_other_laptop_after_outage_ends_when_room_is_free(
    home: Home, room: str
) -> None:
    automation = await create_automation(
        home, "room_in_use", {"area_id": room}, **{"for": {"minutes": 5}}
    )
    await plug(home, FOCUS)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll(2)
    home.simulator.clear_faults()
    await plug(home, WORKSHOP)
    for hub in (FOCUS, WORKSHOP):
        await unplug(home, hub)
    await home.advance_time(600)
    assert automation.pop_hubs() == []


async def test_room_in_use_for_and_hub_offline_ends_when_other_laptop_is_unplugged(
    home: Home, room: str
) -> None:
    automation = await create_automation(
        home, "room_in_use", {"area_id": room}, **{"for": {"minutes": 5}}
    )
    await plug(home, FOCUS)
    await set_online(home, FOCUS, False)
    await plug(home, WORKSHOP)
    await unplug(home, WORKSHOP)
    await home.advance_time(600)
    assert automation.pop_hubs() == []


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [
        ("each", [[BOARDROOM], [WORKSHOP], [BOARDROOM], [WORKSHOP]]),
        ("first", [[BOARDROOM], [], [], [WORKSHOP]]),
        ("all", [[], [WORKSHOP], [BOARDROOM], []]),
    ],
)
async def test_room_in_use_behavior_with_two_rooms(
    home: Home, room: str, behavior: str, expected: list[list[str]]
) -> None:
    target = {"device_id": device_id(home, BOARDROOM), "area_id": room}
    automation = await create_automation(home, "room_in_use", target, behavior=behavior)
    fired = []
    steps: list[tuple[Any, ...]] = [
        ((plug, BOARDROOM),),
        ((plug, WORKSHOP),),
        ((unplug, BOARDROOM), (plug, BOARDROOM)),
        ((unplug, BOARDROOM), (unplug, WORKSHOP), (plug, WORKSHOP)),
    ]
    for step in steps:
        for change, hub in step:
            await change(home, hub)
        fired.append(automation.pop_hubs())
    assert fired == expected


@pytest.mark.parametrize("behavior", ["first", "all"])
async def test_behavior_with_all_rooms_in_one_poll_fires_once(
    home: Home, room: str, behavior: str
) -> None:
    target = {"device_id": device_id(home, BOARDROOM), "area_id": room}
    automation = await create_automation(home, "room_in_use", target, behavior=behavior)
    for hub in (BOARDROOM, FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    assert len(automation.pop_hubs()) == 1


async def test_room_free_all_waits_for_room_with_offline_hub(home: Home, room: str) -> None:
    target = {"device_id": device_id(home, BOARDROOM), "area_id": room}
    automation = await create_automation(home, "room_free", target, behavior="all")
    await plug(home, BOARDROOM)
    await set_online(home, WORKSHOP, False)
    await unplug(home, BOARDROOM)
    assert automation.pop_hubs() == []
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == [BOARDROOM]


async def test_room_in_use_all_ignores_room_with_offline_hub(home: Home, room: str) -> None:
    target = {"device_id": [device_id(home, BOARDROOM), device_id(home, "Reception")]}
    automation = await create_automation(home, "room_in_use", target, behavior="all")
    await plug(home, BOARDROOM)
    assert automation.pop_hubs() == [BOARDROOM]
    home.simulator.hub("Reception").unplug(1)
    await set_online(home, "Reception", True)
    await plug(home, "Reception")
    assert automation.pop_hubs() == ["Reception"]


@pytest.mark.parametrize("port", [2, None], ids=["plugged_in", "unchanged"])
async def test_room_in_use_all_with_last_room_offline_fires_if_laptop_is_plugged_in_meanwhile(
    home: Home, room: str, port: int | None
) -> None:
    target = {"device_id": device_id(home, BOARDROOM), "area_id": room}
    automation = await create_automation(home, "room_in_use", target, behavior="all")
    await plug(home, BOARDROOM)
    await set_online(home, WORKSHOP, False)
    assert automation.pop_hubs() == []
    if port is not None:
        home.simulator.hub(WORKSHOP).plug(port)
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == ([WORKSHOP] if port else [])


@pytest.mark.parametrize("rename", [False, True], ids=["", "renamed"])
async def test_room_in_use_all_fired_without_offline_room_does_not_fire_again_when_it_returns(
    home: Home, room: str, rename: bool
) -> None:
    target = {"device_id": [device_id(home, BOARDROOM), device_id(home, WORKSHOP)]}
    automation = await create_automation(home, "room_in_use", target, behavior="all")
    await set_online(home, WORKSHOP, False)
    await plug(home, BOARDROOM)
    assert automation.pop_hubs() == [BOARDROOM]
    if rename:
        registry = dr.async_get(home.hass)
        registry.async_update_device(device_id(home, FOCUS), name_by_user="Den")
    home.simulator.hub(WORKSHOP).plug(2)
    await set_online(home, WORKSHOP, True)
    assert automation.pop_hubs() == []


async def test_account_unreachable_all_rooms_unknown_does_not_fire(home: Home, room: str) -> None:
    target = {"device_id": device_id(home, BOARDROOM), "area_id": room}
    automation = await create_automation(home, "room_free", target, behavior="all")
    await plug(home, FOCUS)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll(2)
    home.simulator.clear_faults()
    await home.poll(2)
    assert automation.pop_hubs() == []
    await unplug(home, FOCUS)
    assert automation.pop_hubs() == [FOCUS]
