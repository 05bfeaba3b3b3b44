"""Tests of the blueprint *Laptop plugged in*."""

import pytest
from pytest_homeassistant_custom_component.common import async_mock_service

from homeassistant.core import ServiceCall
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er

from ..automation import area_target_config, target_config
from ..home import HUBS_PATH, Home
from ..simulator import Fault, SimHub
from .blueprint import (
    FOCUS,
    create_blueprint_automation,
    device_id,
    pop_call_data,
    put_in_boardroom,
    recorded_action,
    restart,
    trigger_manually,
)


async def test_laptop_plugged_in_runs_actions_for_plugged_in_and_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    data = {"area": "{{ trigger.area_id }}", "hub": "{{ trigger.hub }}"}
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        plugged_in=recorded_action(port="{{ trigger.port }}", **data),
        gone=recorded_action(**data),
        gone_for={"minutes": 10},
    )
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert pop_call_data(calls) == []
    for port in (2, 3):
        hub.plug(port)
        await home.poll()
        assert pop_call_data(calls) == [{"port": port, "area": "boardroom", "hub": "Boardroom"}]
    for port in (2, 3):
        hub.unplug(port)
        await home.poll()
    await home.advance_time(500)
    assert pop_call_data(calls) == []
    await home.advance_time(100)
    assert pop_call_data(calls) == [{"area": "boardroom", "hub": "Boardroom"}]


async def test_laptop_plugged_in_two_hubs_in_room_runs_gone_when_both_are_free(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    other_hub = put_in_boardroom(home, FOCUS)
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        gone=recorded_action(hub="{{ trigger.hub }}"),
        gone_for={"minutes": 2},
    )
    hub.plug(2)
    other_hub.plug(2)
    await home.poll()
    for unplugged_hub, expected in ((hub, []), (other_hub, [{"hub": FOCUS}])):
        unplugged_hub.unplug(2)
        await home.poll()
        await home.advance_time(150)
        assert pop_call_data(calls) == expected


async def test_laptop_plugged_in_hub_without_area_runs_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    dr.async_get(home.hass).async_update_device(device_id(home), area_id=None)
    rooms = {"device_id": device_id(home)}
    await create_blueprint_automation(
        home, "laptop_plugged_in", rooms=rooms, gone=recorded_action()
    )
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert pop_call_data(calls) == [{}]


async def test_laptop_plugged_in_gone_actions_only_run_after_default_time(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        gone=recorded_action(),
    )
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(240)
    hub.plug(2)
    await home.poll()
    await home.advance_time(600)
    assert pop_call_data(calls) == []
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert pop_call_data(calls) == [{}]


async def test_laptop_plugged_in_another_hub_offline_does_not_run_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    other_hub = put_in_boardroom(home, FOCUS)
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        gone=recorded_action(hub="{{ trigger.hub }}"),
    )
    hub.plug(2)
    other_hub.plug(2)
    await home.poll()
    other_hub.online = False
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert pop_call_data(calls) == []
    other_hub.unplug(2)
    other_hub.online = True
    await home.poll()
    await home.advance_time(300)
    assert pop_call_data(calls) == [{"hub": FOCUS}]


async def test_laptop_plugged_in_in_use_of_another_hub_disabled_does_not_run_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    put_in_boardroom(home, FOCUS)
    er.async_get(home.hass).async_update_entity(
        home.entity_id("binary_sensor", FOCUS, "in_use") or "",
        disabled_by=er.RegistryEntryDisabler.USER,
    )
    await home.poll()
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        gone=recorded_action(),
    )
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert pop_call_data(calls) == []


@pytest.mark.parametrize("kind", ["area", "floor", "label of the device", "device", "entity"])
@pytest.mark.parametrize("stopped", [False, True], ids=["before restart", "during restart"])
async def test_laptop_plugged_in_room_left_before_or_during_restart_runs_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall], kind: str, stopped: bool
) -> None:
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=target_config(home, kind, "binary_sensor", "Boardroom", "in_use"),
        gone=recorded_action(
            area_id="{{ trigger.area_id }}",
            area="{{ trigger.area }}",
            hub="{{ trigger.hub }}",
            device="{{ trigger.device_id }}",
        ),
    )
    hub.plug(2)
    await home.poll()
    if not stopped:
        hub.unplug(2)
        await home.poll()
        await home.advance_time(240)
    await restart(home, hub)
    await home.advance_time(290)
    assert pop_call_data(calls) == []
    await home.advance_time(15)
    assert pop_call_data(calls) == [
        {
            "area_id": "boardroom",
            "area": "Boardroom",
            "hub": "Boardroom",
            "device": device_id(home),
        }
    ]


async def test_laptop_plugged_in_rooms_not_known_to_be_empty_after_restart_do_not_run_gone(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    """One is in use, one offline, one was used after the restart, and one is no target."""
    hubs = [home.simulator.hub(name) for name in (FOCUS, "Workshop")]
    home.simulator.add_hub("Outside")
    await home.poll()
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom", FOCUS, "Workshop", "Reception"),
        gone=recorded_action(hub="{{ trigger.hub }}"),
    )
    hubs[0].plug(2)
    await restart(home)
    hubs[1].plug(2)
    await home.poll()
    hubs[1].unplug(2)
    await home.poll()
    await home.advance_time(240)
    assert pop_call_data(calls) == [{"hub": "Boardroom"}]
    await home.advance_time(100)
    assert pop_call_data(calls) == [{"hub": "Workshop"}]


async def test_laptop_plugged_in_account_unreachable_after_restart_waits_for_it(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom", FOCUS),
        gone=recorded_action(hub="{{ trigger.hub }}"),
    )
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await restart(home)
    await home.advance_time(900)
    home.simulator.clear_faults()
    await home.poll(10)
    assert home.state("binary_sensor", "Boardroom", "in_use") == "off"
    await home.advance_time(310)
    assert pop_call_data(calls) == [{"hub": "Boardroom"}, {"hub": FOCUS}]


async def test_laptop_plugged_in_failing_actions_of_a_room_after_restart_run_for_the_next_room(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom", FOCUS),
        gone=[*recorded_action(hub="{{ trigger.hub }}"), {"action": "test.fail"}],
    )
    async_mock_service(home.hass, "test", "fail", raise_exception=HomeAssistantError())
    await restart(home)
    await home.advance_time(305)
    assert pop_call_data(calls) == [{"hub": "Boardroom"}, {"hub": FOCUS}]


async def test_laptop_plugged_in_triggered_manually_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall], caplog: pytest.LogCaptureFixture
) -> None:
    await create_blueprint_automation(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        plugged_in=recorded_action(),
        gone=recorded_action(),
    )
    caplog.clear()
    await trigger_manually(home)
    assert calls == []
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
