"""Tests of the blueprints: their files, and automations that use them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
import re
import shutil
from typing import Any

import probatio
import pytest
from pytest_homeassistant_custom_component.common import async_mock_service
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from yarl import URL

from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.selector import selector
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml_dict

from .automation import Config, area_target_config
from .home import Home
from .simulator import SimHub

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "blueprints" / "automation" / "ochno"
REPOSITORY = "https://github.com/ha-ochno/ha-ochno/blob/main"
BLUEPRINTS = sorted(FOLDER.iterdir())
FOCUS = "Focus room"


@pytest.fixture
async def entry(home: Home) -> AsyncIterator[ConfigEntry]:
    """Link the first account with access to control; the simulator executes commands at once."""
    home.simulator.settings.command_delay = 0
    assert await async_setup_component(home.hass, "persistent_notification", {})
    yield await home.link_account(access="control")
    # The automation has a timer for the next evening.
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.test"}, blocking=True
    )


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom. Port 1 is active and has the room system."""
    hub = home.simulator.hub("Boardroom")
    assert (hub.active, hub.state["mtrport"], hub.config["defaultport"]) == (1, 1, 1)
    return hub


@pytest.fixture
def calls(hass: HomeAssistant) -> list[ServiceCall]:
    """Return the calls of the action `test.record`, which the mock records."""
    calls: list[ServiceCall] = async_mock_service(hass, "test", "record")
    return calls


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
    device = home.device(hub)
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


async def advance_time_to(home: Home, hour: int) -> None:
    """Advance time to the next time that a clock shows this hour."""
    now = dt_util.now()
    on_the_hour = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    await home.advance_time(((on_the_hour - now) % timedelta(days=1)).total_seconds())


# Files


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprint_file_is_valid_and_has_metadata(path: Path) -> None:
    blueprint = Blueprint(
        load_yaml_dict(path), expected_domain="automation", schema=BLUEPRINT_SCHEMA
    )
    assert blueprint.validate() is None
    assert blueprint.name.startswith("Ochno: ")
    assert blueprint.metadata["homeassistant"] == {"min_version": "2026.10.0"}
    assert blueprint.metadata["source_url"] == f"{REPOSITORY}/{path.relative_to(ROOT)}"
    assert blueprint.metadata["description"].endswith(".")
    for key, field in blueprint.inputs.items():
        assert field["name"], key
        if "default" in field:
            probatio.Schema(selector(field["selector"]))(field["default"])
    [required] = [field for field in blueprint.inputs.values() if "default" not in field]
    assert re.search(r"'integration': \[?'ochno'", str(required["selector"])), required


@pytest.mark.parametrize("document", ["README.md", "docs/automations.md"])
def test_document_has_import_link_for_each_blueprint(document: str) -> None:
    links = re.findall(
        r"https://my\.home-assistant\.io/redirect/blueprint_import/\?[^\s)]+",
        (ROOT / document).read_text(),
    )
    assert sorted(URL(link).query["blueprint_url"] for link in links) == [
        f"{REPOSITORY}/{path.relative_to(ROOT)}" for path in BLUEPRINTS
    ]


# Laptop plugged in


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
    other_hub = home.simulator.hub(FOCUS)
    dr.async_get(home.hass).async_update_device(device_id(home, FOCUS), area_id="boardroom")
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


# Hub offline, hub too hot


async def test_hub_offline_for_default_time_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(home, "hub_offline", hubs={"device_id": device_id(home)})
    home.simulator.hub(FOCUS).online = False
    for seconds in (500, 601):
        assert await get_notifications(home, hass_ws_client) == []
        hub.online = False
        await home.poll()
        await home.advance_time(seconds)
        notifications = await get_notifications(home, hass_ws_client)
        hub.online = True
        await home.poll()
    notification_id = f"ochno_offline_{device_id(home)}"
    assert notifications == [(notification_id, "Hub offline", "Boardroom is offline.")]


async def test_hub_offline_with_custom_time_and_actions_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall], hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(
        home,
        "hub_offline",
        hubs=area_target_config(home, "Boardroom", FOCUS),
        offline_for={"minutes": 2},
        notify=recorded_action(message="{{ trigger.hub }} in {{ trigger.area }}"),
    )
    hub.online = False
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    await home.advance_time(100)
    assert pop_call_data(calls) == []
    await home.advance_time(30)
    messages = sorted(call["message"] for call in pop_call_data(calls))
    assert messages == ["Boardroom in Boardroom", "Focus room in Focus room"]
    assert await get_notifications(home, hass_ws_client) == []


async def test_overheating_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(
        home, "overheating", hubs=area_target_config(home, "Boardroom")
    )
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []
    hub.set_overheated(True)
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == [
        (
            f"ochno_too_hot_{device_id(home)}",
            "Hub too hot",
            "Boardroom is too hot. Make sure that air can reach it.",
        )
    ]


async def test_overheating_with_custom_actions_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "overheating",
        hubs=area_target_config(home, "Boardroom"),
        notify=recorded_action(hub="{{ trigger.hub }}"),
    )
    hub.set_overheated(True)
    await home.poll(2)
    assert pop_call_data(calls) == [{"hub": "Boardroom"}]


# Room system takes over


async def leave_port_2_active(home: Home, hub: SimHub) -> None:
    """Plug in and unplug a laptop at port 2, and leave that port active."""
    hub.change_config(autoswitchdisconnect="disabled")
    hub.plug(2)
    hub.set_active(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    assert hub.active == 2


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
    await home.hass.services.async_call(
        "automation", "trigger", {"entity_id": "automation.test"}, blocking=True
    )
    await home.wait_until_idle()
    assert hub.active == 2
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


# Default port after hours


async def test_default_port_after_hours_selects_default_port_of_each_hub(
    home: Home, hub: SimHub
) -> None:
    focus, workshop = home.simulator.hub(FOCUS), home.simulator.hub("Workshop")
    hub.config["defaultport"] = 3
    rename_entities(home)
    await advance_time_to(home, 12)
    hubs = [device_id(home), device_id(home, FOCUS)]
    await create_blueprint_automation(home, "default_port_after_hours", hubs=hubs)
    for each_hub in (hub, focus, workshop):
        each_hub.set_active(2)
    await home.poll()
    await advance_time_to(home, 19)
    assert [hub.active, focus.active] == [2, 2]
    await advance_time_to(home, 20)
    assert [hub.active, focus.active, workshop.active] == [3, 0, 2]


async def test_default_port_after_hours_hub_in_use_waits_until_room_is_free(
    home: Home, hub: SimHub
) -> None:
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home,
        "default_port_after_hours",
        hubs=[device_id(home)],
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


async def test_default_port_after_hours_with_port_none_selects_no_port(
    home: Home, hub: SimHub
) -> None:
    await advance_time_to(home, 12)
    await create_blueprint_automation(
        home, "default_port_after_hours", hubs=[device_id(home)], port="none"
    )
    await advance_time_to(home, 20)
    assert hub.active == 0


async def test_default_port_after_hours_default_port_unknown_keeps_port(
    home: Home, hub: SimHub
) -> None:
    del hub.config["defaultport"]
    await advance_time_to(home, 12)
    await create_blueprint_automation(home, "default_port_after_hours", hubs=[device_id(home)])
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
        home, "default_port_after_hours", hubs=[device_id(home)], port="4"
    )
    hub.set_active(2)
    await home.poll()
    state = home.state("binary_sensor", "Boardroom", "in_use")
    assert state == (None if reason == "disabled" else "unknown")
    await advance_time_to(home, 20)
    assert hub.active == 2
