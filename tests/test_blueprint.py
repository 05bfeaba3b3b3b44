"""Tests of the blueprints: their files, and automations that use them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
import re
import shutil
import textwrap
from typing import Any, override

import probatio
import pytest
from pytest_homeassistant_custom_component.common import async_mock_service
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from yarl import URL

from custom_components.ochno.history import async_remove_history
from homeassistant.components import persistent_notification
from homeassistant.components.blueprint.models import Blueprint
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.components.calendar import CalendarEntity, CalendarEvent
from homeassistant.components.calendar.const import DATA_COMPONENT
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_HOMEASSISTANT_STARTED
from homeassistant.core import CoreState, HomeAssistant, ServiceCall
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.selector import selector
from homeassistant.helpers.template import Template
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import load_yaml_dict

from .automation import (
    Config,
    SlowAction,
    add_rooms,
    area_target_config,
    move_all_areas_to_floor,
    target_config,
)
from .home import HUBS_PATH, POLL_INTERVAL, Home
from .simulator import Fault, SimHub

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "blueprints" / "automation" / "ochno"
REPOSITORY = "https://github.com/ha-ochno/ha-ochno/blob/main"
BLUEPRINTS = sorted(FOLDER.iterdir())
FOCUS = "Focus room"


@pytest.fixture(autouse=True)
async def _set_up_calendar(hass: HomeAssistant) -> None:
    """Set up the calendar integration. This must be done before the HTTP server starts."""
    assert await async_setup_component(hass, "calendar", {})


@pytest.fixture
async def entry(home: Home) -> AsyncIterator[ConfigEntry]:
    """Link the first account with access to control; the simulator executes commands at once."""
    home.simulator.settings.command_delay = 0
    assert await async_setup_component(home.hass, "persistent_notification", {})
    yield await home.link_account(access="control")
    await turn_off_automation(home)


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
    assert re.search(r"'integration': \[?'ochno'|'domain': \['calendar'", str(required["selector"]))
    mode = load_yaml_dict(path)
    assert (mode["mode"], mode.get("max")) in (("parallel", 1000), ("restart", None))


@pytest.mark.parametrize("document", ["README.md", "docs/automations.md"])
def test_document_has_import_link_for_each_blueprint(document: str) -> None:
    links = re.findall(
        r"https://my\.home-assistant\.io/redirect/blueprint_import/\?[^\s)]+",
        (ROOT / document).read_text(),
    )
    assert sorted(URL(link).query["blueprint_url"] for link in links) == [
        f"{REPOSITORY}/{path.relative_to(ROOT)}" for path in BLUEPRINTS
    ]


TARGET_TEMPLATES = [
    text
    for path in BLUEPRINTS
    for text in re.findall(
        r"^ +hubs: >-\n((?: +\{.*found.*\n)(?: .*\n)*?.*unique \| list \}\}\n)",
        path.read_text(encoding="utf-8"),
        flags=re.MULTILINE,
    )
]


@pytest.mark.parametrize(
    "kind",
    [
        "area",
        "floor",
        "label of the area",
        "label of the device",
        "label of the entity",
        "device",
        "entity",
    ],
)
async def test_target_templates_of_blueprints_are_the_same_and_resolve_include_and_exclude(
    home: Home, kind: str
) -> None:
    """Home Assistant accepts `exclude` since 2026.11."""
    await home.link_account()
    assert len(TARGET_TEMPLATES) == 3
    [text] = {textwrap.dedent(text) for text in TARGET_TEMPLATES}
    boardroom = target_config(home, kind, "binary_sensor", "Boardroom", "in_use")
    all_hubs = [device_id(home, name) for name in ("Boardroom", FOCUS, "Workshop")]

    def resolve(target: Config) -> object:
        template = Template(text, home.hass)
        return template.async_render({"target": target, "all_hubs": all_hubs})

    both = {"device_id": all_hubs[:2]}
    assert resolve(boardroom) == all_hubs[:1]
    assert resolve(both) == all_hubs[:2]
    assert resolve(both | {"exclude": boardroom}) == all_hubs[1:2]
    assert resolve({"device_id": device_id(home, "Reception")}) == []


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


async def test_hub_offline_hub_comes_back_dismisses_its_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    focus = home.simulator.hub(FOCUS)
    await create_blueprint_automation(
        home, "hub_offline", hubs=area_target_config(home, "Boardroom", FOCUS)
    )
    for each_hub in (hub, focus):
        each_hub.online = False
    await home.poll()
    await home.advance_time(600)
    assert len(await get_notifications(home, hass_ws_client)) == 2
    hub.online = True
    await home.poll()
    notifications = await get_notifications(home, hass_ws_client)
    assert [message for _, _, message in notifications] == ["Focus room is offline."]
    focus.online = True
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []


async def test_hub_offline_hub_comes_back_runs_custom_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "hub_offline",
        hubs=area_target_config(home, "Boardroom"),
        back=recorded_action(hub="{{ trigger.hub }}"),
    )
    hub.online = False
    await home.poll()
    assert pop_call_data(calls) == []
    hub.online = True
    await home.poll()
    assert pop_call_data(calls) == [{"hub": "Boardroom"}]


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
    await trigger_manually(home)
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


# No-show release


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


async def create_no_show_automation(home: Home, calendar: RoomCalendar, **inputs: Any) -> None:
    """Set up an automation for a calendar that records the events of no-shows."""
    await create_blueprint_automation(
        home,
        "no_show_release",
        calendars={"entity_id": calendar.entity_id},
        no_show=recorded_action(
            event="{{ trigger.calendar_event.summary }}", area_id="{{ area_id }}", area="{{ area }}"
        ),
        **inputs,
    )


BOARDROOM_NO_SHOW = [{"event": "Review", "area_id": "boardroom", "area": "Boardroom"}]


async def test_no_show_nobody_plugged_in_runs_actions_after_the_time(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    home.simulator.hub(FOCUS).plug(2)
    await create_no_show_automation(home, calendar, after={"minutes": 15})
    await home.advance_time(5 * 60)
    await home.advance_time(14 * 60)
    assert pop_call_data(calls) == []
    await home.advance_time(61)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW
    await home.advance_time(3600)
    assert pop_call_data(calls) == []


async def test_no_show_default_action_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    floor = target_config(home, "floor", "binary_sensor", "Boardroom", "in_use")
    await create_blueprint_automation(home, "no_show_release", calendars=floor)
    await home.advance_time(15 * 60 + 1)
    assert await get_notifications(home, hass_ws_client) == [
        ("ochno_no_show_boardroom", "Nobody came", "Nobody plugged in for Review in Boardroom.")
    ]


async def test_no_show_laptop_of_meeting_before_left_in_time_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(15 * 60)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW


async def test_no_show_back_to_back_events_each_count_from_their_own_start(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book(minutes=30)
    [first] = calendar.events
    end = first.end_datetime_local + timedelta(minutes=30)
    calendar.events.append(CalendarEvent(start=first.end, end=end, summary="Retrospective"))
    await create_no_show_automation(home, calendar)
    await home.advance_time(5 * 60)
    hub.plug(2)
    await home.poll()
    await home.advance_time(20 * 60)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(18 * 60)
    assert pop_call_data(calls) == []
    await home.advance_time(60)
    assert [call["event"] for call in pop_call_data(calls)] == ["Retrospective"]


async def came(home: Home, hub: SimHub) -> None:
    """Plug in a laptop."""
    hub.plug(2)
    await home.poll()


async def came_and_left(home: Home, hub: SimHub) -> None:
    """Plug in a laptop and unplug it."""
    await came(home, hub)
    hub.unplug(2)
    await home.poll()


async def came_to_another_hub(home: Home, hub: SimHub) -> None:
    """Plug in a laptop at another hub in the room."""
    put_in_boardroom(home, FOCUS).plug(2)
    await home.poll()


async def went_offline(home: Home, hub: SimHub) -> None:
    """Let the hub go offline."""
    hub.online = False
    await home.poll()


async def was_offline(home: Home, hub: SimHub) -> None:
    """Let the hub go offline and come back."""
    await went_offline(home, hub)
    hub.online = True
    await home.poll()


async def other_hub_is_offline(home: Home, hub: SimHub) -> None:
    """Let another hub in the room be offline."""
    await went_offline(home, put_in_boardroom(home, FOCUS))


async def became_unknown(home: Home, hub: SimHub) -> None:
    """Let the hub not report whether a laptop is plugged in."""
    hub.state["connected"] = [1, None, None, None]
    await home.poll()


async def other_in_use_is_disabled(home: Home, hub: SimHub) -> None:
    """Disable In use of another hub in the room."""
    put_in_boardroom(home, FOCUS)
    er.async_get(home.hass).async_update_entity(
        home.entity_id("binary_sensor", FOCUS, "in_use") or "",
        disabled_by=er.RegistryEntryDisabler.USER,
    )
    await home.poll()


async def home_assistant_restarted(home: Home, hub: SimHub) -> None:
    """Restart Home Assistant."""
    await restart(home)


async def room_lost_its_hub(home: Home, hub: SimHub) -> None:
    """Move the hub to another area, and the account to this one."""
    registry = dr.async_get(home.hass)
    device = registry.async_update_device(device_id(home), area_id=None)
    assert device is not None
    assert device.via_device_id is not None
    registry.async_update_device(device.via_device_id, area_id="boardroom")


async def calendar_lost_its_area(home: Home, hub: SimHub) -> None:
    """Remove the area of the calendar."""
    er.async_get(home.hass).async_update_entity("calendar.boardroom", area_id=None)


@pytest.mark.parametrize(
    "happen",
    [
        came,
        came_and_left,
        came_to_another_hub,
        went_offline,
        was_offline,
        other_hub_is_offline,
        became_unknown,
        other_in_use_is_disabled,
        home_assistant_restarted,
        room_lost_its_hub,
        calendar_lost_its_area,
    ],
)
async def test_no_show_somebody_came_or_unknown_since_start_runs_no_actions(
    home: Home,
    hub: SimHub,
    calls: list[ServiceCall],
    happen: Callable[[Home, SimHub], Awaitable[None]],
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    await home.advance_time(5 * 60 + 1)
    await happen(home, hub)
    await home.advance_time(15 * 60)
    assert pop_call_data(calls) == []


async def test_no_show_restart_before_start_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    await restart(home)
    await home.advance_time(5 * 60)
    await home.advance_time(10 * 60 + 1)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW


async def test_no_show_event_that_ended_before_the_time_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book(minutes=10)
    await create_no_show_automation(home, calendar)
    await home.advance_time(15 * 60 + 1)
    assert pop_call_data(calls) == []


async def test_no_show_all_day_event_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await advance_time_to(home, 23)
    [calendar] = await add_calendars(home, "Boardroom")
    today = dt_util.now().date()
    day = timedelta(days=1)
    calendar.events.append(CalendarEvent(start=today + day, end=today + 2 * day, summary="Holiday"))
    await create_no_show_automation(home, calendar)
    await home.advance_time(50 * 60)
    await home.advance_time(21 * 60)
    assert home.hass.states.get("automation.test").attributes["last_triggered"]  # type: ignore[union-attr]
    assert pop_call_data(calls) == []


async def test_no_show_triggered_manually_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall], caplog: pytest.LogCaptureFixture
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    await create_no_show_automation(home, calendar)
    caplog.clear()
    await trigger_manually(home)
    assert calls == []
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


# Offline digest


async def create_digest(home: Home, *hubs: str, **inputs: Any) -> None:
    """Set up the digest for the areas of hubs. The automation waits from then on."""
    target = area_target_config(home, *hubs)
    await create_blueprint_automation(home, "offline_digest", hubs=target, **inputs)
    home.automations_wait = True


def digest(*hubs: str) -> list[tuple[str, str, str]]:
    """Return the notifications if these hubs are listed."""
    return [("ochno_offline_digest", "Hubs offline", ", ".join(hubs))] if hubs else []


async def test_digest_lists_hubs_offline_for_the_time_and_clears_itself(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    focus, workshop = home.simulator.hub(FOCUS), home.simulator.hub("Workshop")
    await create_digest(home, "Boardroom", FOCUS)
    for offline_hub in (focus, workshop):
        offline_hub.online = False
    await home.poll()
    await home.advance_time(560)
    hub.online = False
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []
    await home.advance_time(20)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest(FOCUS)
    await home.advance_time(580)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom", FOCUS)
    focus.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    hub.online = True
    await home.poll()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_hub_back_before_the_time_creates_no_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    home.simulator.hub(FOCUS).online = False
    hub.online = False
    await home.poll()
    hub.online = True
    await home.poll()
    await home.advance_time(300)
    assert await get_notifications(home, hass_ws_client) == []


async def test_digest_lists_offline_hubs_again_after_restart(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    hub.online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")
    await restart(home)
    await home.advance_time(3)
    await home.advance_time(590)
    assert await get_notifications(home, hass_ws_client) == []
    await home.advance_time(15)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")


async def test_digest_account_unreachable_at_start_lists_hub_when_it_is_known(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom")
    hub.online = False
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await restart(home)
    await home.advance_time(900)
    home.simulator.clear_faults()
    await home.poll(10)
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "off"
    await home.advance_time(605)
    await home.advance_time(605)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom")


async def test_digest_removed_hub_is_no_longer_listed(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    for name in ("Boardroom", FOCUS):
        home.simulator.hub(name).online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest("Boardroom", FOCUS)
    dr.async_get(home.hass).async_remove_device(device_id(home))
    await home.wait_until_idle()
    await home.advance_time(3)
    assert await get_notifications(home, hass_ws_client) == digest(FOCUS)


async def test_digest_dismissed_notification_stays_dismissed_until_the_list_changes(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_digest(home, "Boardroom", FOCUS)
    hub.online = False
    await home.poll()
    await home.advance_time(610)
    await home.advance_time(3)
    persistent_notification.async_dismiss(home.hass, "ochno_offline_digest")
    for _ in range(3):
        await home.advance_time(610)
    assert await get_notifications(home, hass_ws_client) == []


# Many rooms

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
