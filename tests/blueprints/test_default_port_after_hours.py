"""Tests of the blueprint *Default port after hours*."""

import pytest

from homeassistant.helpers import entity_registry as er

from ..automation import area_target_config, target_config
from ..home import Home
from ..simulator import SimHub
from .blueprint import (
    FOCUS,
    account_device_id,
    advance_time_to,
    create_blueprint_automation,
    device_id,
    leave_port_2_active,
    put_in_boardroom,
    rename_entities,
)


async def test_default_port_after_hours_selects_default_port_of_each_hub(
    home: Home, hub: SimHub
) -> None:
    focus, workshop = home.simulator.hub(FOCUS), home.simulator.hub("Workshop")
    hub.config["defaultport"] = 3
    rename_entities(home)
    await advance_time_to(home, 12)
    hubs = {"device_id": [device_id(home), device_id(home, FOCUS)]}
    await create_blueprint_automation(home, "default_port_after_hours", hubs=hubs)
    for each_hub in (hub, focus, workshop):
        each_hub.set_active(2)
    await home.poll()
    await advance_time_to(home, 19)
    assert [hub.active, focus.active] == [2, 2]
    await advance_time_to(home, 20)
    assert [hub.active, focus.active, workshop.active] == [3, 0, 2]


@pytest.mark.parametrize("kind", ["area", "floor", "label of the area", "device", "entity"])
async def test_default_port_after_hours_accepts_targets(home: Home, hub: SimHub, kind: str) -> None:
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home,
        "default_port_after_hours",
        hubs=target_config(home, kind, "select", "Boardroom", "active_port"),
        port="4",
    )
    await advance_time_to(home, 20)
    assert hub.active == 4
    assert home.simulator.hub(FOCUS).active == 0


async def test_default_port_after_hours_accepts_device_of_account(home: Home, hub: SimHub) -> None:
    await advance_time_to(home, 12)
    target = {"device_id": account_device_id(home)}
    await create_blueprint_automation(home, "default_port_after_hours", hubs=target, port="4")
    await advance_time_to(home, 20)
    assert [hub.active, home.simulator.hub(FOCUS).active] == [4, 4]


async def test_default_port_after_hours_room_with_two_hubs_resets_both_when_free(
    home: Home, hub: SimHub
) -> None:
    focus, workshop = put_in_boardroom(home, FOCUS), home.simulator.hub("Workshop")
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home,
        "default_port_after_hours",
        hubs=area_target_config(home, "Boardroom", "Workshop"),
        port="4",
    )
    await advance_time_to(home, 20)
    for each_hub in (hub, focus, workshop):
        each_hub.plug(2)
        each_hub.set_active(2)
    await home.poll()
    for each_hub in (focus, hub):
        await leave_port_2_active(home, each_hub)
    await home.advance_time(300)
    assert [hub.active, focus.active, workshop.active] == [4, 4, 2]


async def test_default_port_after_hours_hub_in_use_waits_until_room_is_free(
    home: Home, hub: SimHub
) -> None:
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home,
        "default_port_after_hours",
        hubs={"device_id": device_id(home)},
        after="18:00:00",
        before="05:00:00",
        free_for={"minutes": 10},
        port="4",
    )
    for hour, expected_port in ((17, 2), (4, 4), (5, 2)):
        hub.plug(2)
        await leave_port_2_active(home, hub)
        await home.advance_time(900)
        hub.plug(2)
        await home.poll()
        await advance_time_to(home, hour)
        hub.unplug(2)
        await home.poll()
        await home.advance_time(500)
        assert hub.active == 2
        await home.advance_time(100)
        assert hub.active == expected_port


async def test_default_port_after_hours_target_with_occupancy_of_one_hub_switches_it_when_free(
    home: Home, hub: SimHub
) -> None:
    focus = put_in_boardroom(home, FOCUS)
    await advance_time_to(home, 21)
    occupancy = target_config(home, "entity", "binary_sensor", "Boardroom", "in_use")
    await create_blueprint_automation(home, "default_port_after_hours", hubs=occupancy, port="4")
    for each_hub in (focus, hub):
        await leave_port_2_active(home, each_hub)
    await home.advance_time(300)
    assert [hub.active, focus.active] == [4, 2]


async def test_default_port_after_hours_with_port_none_selects_no_port(
    home: Home, hub: SimHub
) -> None:
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home, "default_port_after_hours", hubs={"device_id": device_id(home)}, port="none"
    )
    await advance_time_to(home, 20)
    assert hub.active == 0


async def test_default_port_after_hours_default_port_unknown_keeps_port(
    home: Home, hub: SimHub
) -> None:
    del hub.config["defaultport"]
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home, "default_port_after_hours", hubs={"device_id": device_id(home)}
    )
    hub.set_active(2)
    await home.poll()
    await advance_time_to(home, 20)
    assert hub.active == 2


@pytest.mark.parametrize("reason", ["disabled", "unknown"])
async def test_default_port_after_hours_in_use_disabled_or_unknown_keeps_port(
    home: Home, hub: SimHub, reason: str
) -> None:
    if reason == "disabled":
        entity_id = home.entity_id("binary_sensor", "Boardroom", "in_use") or ""
        disabled = er.RegistryEntryDisabler.USER
        er.async_get(home.hass).async_update_entity(entity_id, disabled_by=disabled)
    else:
        hub.state["connected"] = [1, None, None, None]
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home, "default_port_after_hours", hubs={"device_id": device_id(home)}, port="4"
    )
    hub.set_active(2)
    await home.poll()
    state = home.state("binary_sensor", "Boardroom", "in_use")
    assert state == (None if reason == "disabled" else "unknown")
    await advance_time_to(home, 20)
    assert hub.active == 2
