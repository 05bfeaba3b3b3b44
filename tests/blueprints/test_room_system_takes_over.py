"""Tests of the blueprint *Room system takes over*."""

import pytest

from homeassistant.config_entries import ConfigEntry

from ..automation import area_target_config
from ..home import HUBS_PATH, Home
from ..simulator import Fault, SimHub
from .blueprint import (
    FOCUS,
    create_blueprint_automation,
    leave_port_2_active,
    put_in_boardroom,
    rename_entities,
    trigger_manually,
)


async def leave_two_hubs_in_boardroom(home: Home, hub: SimHub) -> SimHub:
    """Create the automation for two hubs with port 2 active and no laptop; return the second."""
    focus = put_in_boardroom(home, FOCUS)
    await create_blueprint_automation(
        home,
        "room_system_takes_over",
        rooms=area_target_config(home, "Boardroom"),
        free_for={"minutes": 5},
        port="4",
    )
    for each_hub in (hub, focus):
        await leave_port_2_active(home, each_hub)
    return focus


async def test_room_system_takes_over_after_last_laptop_left(home: Home, hub: SimHub) -> None:
    rename_entities(home)
    await create_blueprint_automation(
        home,
        "room_system_takes_over",
        rooms=area_target_config(home, "Boardroom"),
        free_for={"minutes": 2},
    )
    hub.plug(3)
    await leave_port_2_active(home, hub)
    await home.advance_time(180)
    assert hub.active == 2
    hub.unplug(3)
    await home.poll()
    await home.advance_time(80)
    assert hub.active == 2
    await home.advance_time(40)
    assert hub.active == 1
    assert home.state("select", "Boardroom", "active_port") == "1"


async def test_room_system_takes_over_with_port_input_selects_that_port(
    home: Home, hub: SimHub
) -> None:
    await create_blueprint_automation(
        home, "room_system_takes_over", rooms=area_target_config(home, "Boardroom"), port="4"
    )
    focus = home.simulator.hub(FOCUS)
    await leave_port_2_active(home, focus)
    await leave_port_2_active(home, hub)
    await home.advance_time(30)
    assert hub.active == 4
    assert focus.active == 2


async def test_room_system_takes_over_room_with_two_hubs_switches_both_when_free(
    home: Home, hub: SimHub
) -> None:
    focus = put_in_boardroom(home, FOCUS)
    await create_blueprint_automation(
        home, "room_system_takes_over", rooms=area_target_config(home, "Boardroom"), port="4"
    )
    hub.plug(3)
    await leave_port_2_active(home, focus)
    await home.advance_time(60)
    assert focus.active == 2
    await leave_port_2_active(home, hub)
    await home.advance_time(60)
    assert [hub.active, focus.active] == [2, 2]
    hub.unplug(3)
    await home.poll()
    await home.advance_time(30)
    assert [hub.active, focus.active] == [4, 4]


async def test_room_system_takes_over_hub_that_rejects_command_does_not_stop_the_others(
    home: Home, hub: SimHub
) -> None:
    focus = await leave_two_hubs_in_boardroom(home, hub)
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.status(409))
    await home.advance_time(300)
    assert [hub.active, focus.active] == [2, 4]


async def test_room_system_takes_over_laptop_plugged_in_during_the_run_keeps_its_port(
    home: Home, hub: SimHub
) -> None:
    await home.set_external_url()
    await home.poll()
    focus = await leave_two_hubs_in_boardroom(home, hub)
    await home.poll()
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/*/state", Fault.delay(5))
    home.automations_wait = True

    def command_sent(each_hub: SimHub) -> bool:
        return home.count_requests(f"{HUBS_PATH}/{each_hub.id}/state", "PUT") > 0

    home.fire_time_changed(300)
    await home.wait_until(lambda: command_sent(hub) or command_sent(focus))
    first, second = (hub, focus) if command_sent(hub) else (focus, hub)
    second.plug(3)
    second.set_active(3)
    await home.wait_until(lambda: home.state("select", second.name, "active_port") == "3")
    home.simulator.clear_faults()
    home.automations_wait = False
    await home.wait_until_idle()
    assert [first.active, second.active] == [4, 3]


async def test_room_system_takes_over_without_room_system_keeps_port(
    home: Home, entry: ConfigEntry
) -> None:
    await create_blueprint_automation(
        home, "room_system_takes_over", rooms=area_target_config(home, FOCUS)
    )
    hub = home.simulator.hub(FOCUS)
    await leave_port_2_active(home, hub)
    await home.advance_time(30)
    assert hub.active == 2


async def test_room_system_takes_over_triggered_manually_keeps_port(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    await create_blueprint_automation(
        home, "room_system_takes_over", rooms=area_target_config(home, "Boardroom")
    )
    hub.set_active(2)
    await home.poll()
    caplog.clear()
    await trigger_manually(home)
    assert hub.active == 2
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
