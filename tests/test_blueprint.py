"""Blueprints: each is loaded from its file, and then things happen in the rooms."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
import re
import shutil
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import async_mock_service
from pytest_homeassistant_custom_component.typing import WebSocketGenerator
from yarl import URL

from homeassistant.components.blueprint import Blueprint
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
    """Link the first account with control, to a cloud that switches at once."""
    home.simulator.settings.command_delay = 0
    assert await async_setup_component(home.hass, "persistent_notification", {})
    yield await home.link_account(access="control")
    # It would wait for the next evening.
    await home.hass.services.async_call(
        "automation", "turn_off", {"entity_id": "automation.test"}, blocking=True
    )


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom, where the room system is at port 1, which is active."""
    hub = home.simulator.hub("Boardroom")
    assert (hub.active, hub.state["mtrport"], hub.config["defaultport"]) == (1, 1, 1)
    return hub


@pytest.fixture
def did(hass: HomeAssistant) -> list[ServiceCall]:
    """Collect what automations do."""
    return async_mock_service(hass, "test", "do")


def do(**data: str) -> list[Config]:
    """Return what a user could want done."""
    return [{"action": "test.do", "data": data}]


def done(did: list[ServiceCall]) -> list[Config]:
    """Return what was done since the last look."""
    data = [dict(call.data) for call in did]
    did.clear()
    return data


async def automate(home: Home, blueprint: str, **inputs: Any) -> None:
    """Import a blueprint, and make an automation of it."""
    shutil.copytree(FOLDER, home.hass.config.path("blueprints", "automation", "ochno"))
    use = {"path": f"ochno/{blueprint}.yaml", "input": inputs}
    automation = {"id": "test", "alias": "Test", "use_blueprint": use}
    assert await async_setup_component(home.hass, "automation", {"automation": automation})
    await home.wait_until_idle()
    state = home.hass.states.get("automation.test")
    assert state is not None
    assert state.state == "on"


def device_id(home: Home, hub: str = "Boardroom") -> str:
    device = home.device(hub)
    assert device is not None
    return device.id


def rename(home: Home) -> None:
    """Give all entities of the account other entity ids, as another language would."""
    registry = er.async_get(home.hass)
    for number, entity in enumerate(
        er.async_entries_for_config_entry(registry, home.entry.entry_id)
    ):
        entity_id = f"{entity.domain}.salle_{number}"
        registry.async_update_entity(entity.entity_id, new_entity_id=entity_id)


async def notifications(
    home: Home, hass_ws_client: WebSocketGenerator
) -> list[tuple[str, str, str]]:
    """Return the notifications that the user sees."""
    websocket = await hass_ws_client(home.hass)
    await websocket.send_json_auto_id({"type": "persistent_notification/get"})
    shown = (await websocket.receive_json())["result"]
    await websocket.close()
    return [(one["notification_id"], one["title"], one["message"]) for one in shown]


async def until(home: Home, hour: int) -> None:
    """Let the day pass until this hour."""
    now = dt_util.now()
    then = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    await home.advance_time(((then - now) % timedelta(days=1)).total_seconds())


# The files


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.stem)
def test_blueprint_can_be_imported_and_explains_itself(path: Path) -> None:
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
            selector(field["selector"])(field["default"])
    [chosen] = [field["selector"] for field in blueprint.inputs.values() if "default" not in field]
    assert re.search(r"'integration': \[?'ochno'", str(chosen)), chosen


@pytest.mark.parametrize("document", ["README.md", "docs/automations.md"])
def test_every_blueprint_has_its_button(document: str) -> None:
    links = re.findall(
        r"https://my\.home-assistant\.io/redirect/blueprint_import/\?[^\s)]+",
        (ROOT / document).read_text(),
    )
    assert sorted(URL(link).query["blueprint_url"] for link in links) == [
        f"{REPOSITORY}/{path.relative_to(ROOT)}" for path in BLUEPRINTS
    ]


# Laptop plugged in


async def test_laptop_plugged_in_and_everyone_gone_each_have_their_actions(
    home: Home, hub: SimHub, did: list[ServiceCall]
) -> None:
    told = {"area": "{{ trigger.area_id }}", "hub": "{{ trigger.hub }}"}
    await automate(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        plugged_in=do(port="{{ trigger.port }}", **told),
        gone=do(**told),
        gone_for={"minutes": 10},
    )
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert done(did) == []
    for port in (2, 3):
        hub.plug(port)
        await home.poll()
        assert done(did) == [{"port": port, "area": "boardroom", "hub": "Boardroom"}]
    for port in (2, 3):
        hub.unplug(port)
        await home.poll()
    await home.advance_time(500)
    assert done(did) == []
    await home.advance_time(100)
    assert done(did) == [{"area": "boardroom", "hub": "Boardroom"}]


async def test_room_of_two_hubs_is_left_when_both_are_free(
    home: Home, hub: SimHub, did: list[ServiceCall]
) -> None:
    other = home.simulator.hub(FOCUS)
    dr.async_get(home.hass).async_update_device(device_id(home, FOCUS), area_id="boardroom")
    await automate(
        home,
        "laptop_plugged_in",
        rooms=area_target_config(home, "Boardroom"),
        gone=do(hub="{{ trigger.hub }}"),
        gone_for={"minutes": 2},
    )
    for one in (hub, other):
        one.plug(2)
    await home.poll()
    for one, gone in ((hub, []), (other, [{"hub": FOCUS}])):
        one.unplug(2)
        await home.poll()
        await home.advance_time(150)
        assert done(did) == gone


async def test_hub_without_an_area_is_left_like_any(
    home: Home, hub: SimHub, did: list[ServiceCall]
) -> None:
    dr.async_get(home.hass).async_update_device(device_id(home), area_id=None)
    rooms = {"device_id": device_id(home)}
    await automate(home, "laptop_plugged_in", rooms=rooms, gone=do())
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert done(did) == [{}]


async def test_nothing_is_done_that_nobody_asked_for(
    home: Home, hub: SimHub, did: list[ServiceCall]
) -> None:
    await automate(
        home, "laptop_plugged_in", rooms=area_target_config(home, "Boardroom"), gone=do()
    )
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(240)
    hub.plug(2)
    await home.poll()
    await home.advance_time(600)
    assert done(did) == []
    hub.unplug(2)
    await home.poll()
    await home.advance_time(300)
    assert done(did) == [{}]


# Hub offline, hub too hot


async def test_hub_that_stays_offline_is_told_of(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await automate(home, "hub_offline", hubs={"device_id": device_id(home)})
    home.simulator.hub(FOCUS).online = False
    for offline in (500, 601):
        assert await notifications(home, hass_ws_client) == []
        hub.online = False
        await home.poll()
        await home.advance_time(offline)
        told = await notifications(home, hass_ws_client)
        hub.online = True
        await home.poll()
    notification_id = f"ochno_offline_{device_id(home)}"
    assert told == [(notification_id, "Hub offline", "Boardroom is offline.")]


async def test_hub_offline_is_told_as_the_user_likes(
    home: Home, hub: SimHub, did: list[ServiceCall], hass_ws_client: WebSocketGenerator
) -> None:
    await automate(
        home,
        "hub_offline",
        hubs=area_target_config(home, "Boardroom", FOCUS),
        offline_for={"minutes": 2},
        notify=do(message="{{ trigger.hub }} in {{ trigger.area }}"),
    )
    hub.online = False
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    await home.advance_time(100)
    assert done(did) == []
    await home.advance_time(30)
    messages = sorted(call["message"] for call in done(did))
    assert messages == ["Boardroom in Boardroom", "Focus room in Focus room"]
    assert await notifications(home, hass_ws_client) == []


async def test_hub_that_is_too_hot_is_told_of(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await automate(home, "overheating", hubs=area_target_config(home, "Boardroom"))
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.poll()
    assert await notifications(home, hass_ws_client) == []
    hub.set_overheated(True)
    await home.poll()
    assert await notifications(home, hass_ws_client) == [
        (
            f"ochno_too_hot_{device_id(home)}",
            "Hub too hot",
            "Boardroom is too hot. Make sure that air can reach it.",
        )
    ]


async def test_hub_too_hot_is_told_as_the_user_likes(
    home: Home, hub: SimHub, did: list[ServiceCall]
) -> None:
    await automate(
        home,
        "overheating",
        hubs=area_target_config(home, "Boardroom"),
        notify=do(hub="{{ trigger.hub }}"),
    )
    hub.set_overheated(True)
    await home.poll(2)
    assert done(did) == [{"hub": "Boardroom"}]


# Room system takes over


async def leave_another_port_active(home: Home, hub: SimHub) -> None:
    """Plug in, show something, and pull the cable of a hub that then stays where it is."""
    hub.change_config(autoswitchdisconnect="disabled")
    hub.plug(2)
    hub.set_active(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    assert hub.active == 2


async def test_room_system_takes_over_when_the_last_laptop_has_left(
    home: Home, hub: SimHub
) -> None:
    rename(home)
    await automate(
        home,
        "room_system_takes_over",
        rooms=area_target_config(home, "Boardroom"),
        free_for={"minutes": 2},
    )
    hub.plug(3)
    await leave_another_port_active(home, hub)
    await home.advance_time(180)
    assert hub.active == 2
    hub.unplug(3)
    await home.poll()
    await home.advance_time(80)
    assert hub.active == 2
    await home.advance_time(40)
    assert hub.active == 1
    assert home.state("select", "Boardroom", "active_port") == "1"


async def test_room_system_takes_over_at_the_port_that_the_user_chose(
    home: Home, hub: SimHub
) -> None:
    await automate(
        home, "room_system_takes_over", rooms=area_target_config(home, "Boardroom"), port="4"
    )
    focus = home.simulator.hub(FOCUS)
    await leave_another_port_active(home, focus)
    await leave_another_port_active(home, hub)
    await home.advance_time(30)
    assert hub.active == 4
    assert focus.active == 2


async def test_room_without_a_room_system_stays_as_it_is(home: Home, entry: ConfigEntry) -> None:
    await automate(home, "room_system_takes_over", rooms=area_target_config(home, FOCUS))
    hub = home.simulator.hub(FOCUS)
    await leave_another_port_active(home, hub)
    await home.advance_time(30)
    assert hub.active == 2


async def test_room_system_does_not_take_over_when_somebody_runs_it_by_hand(
    home: Home, hub: SimHub, caplog: pytest.LogCaptureFixture
) -> None:
    await automate(home, "room_system_takes_over", rooms=area_target_config(home, "Boardroom"))
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


async def test_hubs_go_back_to_their_default_ports_after_hours(home: Home, hub: SimHub) -> None:
    focus, workshop = home.simulator.hub(FOCUS), home.simulator.hub("Workshop")
    hub.config["defaultport"] = 3
    rename(home)
    await until(home, 12)
    hubs = [device_id(home), device_id(home, FOCUS)]
    await automate(home, "default_port_after_hours", hubs=hubs)
    for one in (hub, focus, workshop):
        one.set_active(2)
    await home.poll()
    await until(home, 19)
    assert [hub.active, focus.active] == [2, 2]
    await until(home, 20)
    assert [hub.active, focus.active, workshop.active] == [3, 0, 2]


async def test_hub_in_use_goes_back_to_its_default_port_when_everyone_has_gone(
    home: Home, hub: SimHub
) -> None:
    await until(home, 12)
    await automate(
        home,
        "default_port_after_hours",
        hubs=[device_id(home)],
        after="18:00:00",
        before="05:00:00",
        free_for={"minutes": 10},
        port="4",
    )
    for hour, active in ((17, 2), (4, 4), (5, 2)):
        hub.plug(2)
        await leave_another_port_active(home, hub)
        await home.advance_time(900)
        hub.plug(2)
        await home.poll()
        await until(home, hour)
        hub.unplug(2)
        await home.poll()
        await home.advance_time(500)
        assert hub.active == 2
        await home.advance_time(100)
        assert hub.active == active


async def test_no_port_is_active_after_hours_if_that_is_chosen(home: Home, hub: SimHub) -> None:
    await until(home, 12)
    await automate(home, "default_port_after_hours", hubs=[device_id(home)], port="none")
    await until(home, 20)
    assert hub.active == 0


async def test_hub_that_does_not_say_its_default_port_is_left_alone(
    home: Home, hub: SimHub
) -> None:
    del hub.config["defaultport"]
    await until(home, 12)
    await automate(home, "default_port_after_hours", hubs=[device_id(home)])
    hub.set_active(2)
    await home.poll()
    await until(home, 20)
    assert hub.active == 2


@pytest.mark.parametrize("reason", ["disabled", "unknown"])
async def test_hub_that_may_be_in_use_is_left_alone_after_hours(
    home: Home, hub: SimHub, reason: str
) -> None:
    if reason == "disabled":
        entity_id = home.entity_id("binary_sensor", "Boardroom", "in_use") or ""
        disabled = er.RegistryEntryDisabler.USER
        er.async_get(home.hass).async_update_entity(entity_id, disabled_by=disabled)
    else:
        hub.state["connected"] = [1, None, None, None]
    await until(home, 12)
    await automate(home, "default_port_after_hours", hubs=[device_id(home)], port="4")
    hub.set_active(2)
    await home.poll()
    state = home.state("binary_sensor", "Boardroom", "in_use")
    assert state == (None if reason == "disabled" else "unknown")
    await until(home, 20)
    assert hub.active == 2
