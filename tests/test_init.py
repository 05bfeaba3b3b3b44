"""The main job: an account is linked, its hubs are there as devices, and go with it."""

from dataclasses import dataclass
import logging
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import async_capture_events
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.ochno.devices import GONE_AFTER
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault, SimHub


def device(home: Home, hub: SimHub) -> dr.DeviceEntry | None:
    """Find the device of a hub that may have left."""
    registry = dr.async_get(home.hass)
    return registry.async_get_device_by_identifier(("ochno", hub.id), home.entry.entry_id)


def area(home: Home, name: str) -> str | None:
    """Return the name of the area that a hub's device is in."""
    found = device(home, home.simulator.hub(name))
    assert found is not None
    if found.area_id is None:
        return None
    entry = ar.async_get(home.hass).async_get_area(found.area_id)
    return None if entry is None else entry.name


def active_port(home: Home, hub: SimHub) -> str | None:
    """Return the state of the sensor of a hub that may have left."""
    registry = er.async_get(home.hass)
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{hub.id}_active_port")
    state = home.hass.states.get(entity_id) if entity_id else None
    return state.state if state else None


def leave(home: Home, name: str) -> SimHub:
    """Remove a hub from the account."""
    hub = home.simulator.hub(name)
    home.simulator.remove_hub(name)
    return hub


def come_back(home: Home, hub: SimHub) -> None:
    """Put a hub back that was removed."""
    home.simulator.database.hubs[hub.id] = hub


@dataclass
class Log:
    """What the integration and Home Assistant wrote."""

    caplog: pytest.LogCaptureFixture

    def __call__(self, level: int, text: str = "") -> list[str]:
        return [
            record.getMessage()
            for record in self.caplog.records
            if record.levelno == level
            and record.name.startswith(("custom_components.ochno", "homeassistant"))
            and text in record.getMessage()
        ]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Log:
    return Log(caplog)


def devices(home: Home, entry: ConfigEntry) -> dict[str | None, str]:
    """Return the ids of the entry's devices by name."""
    registry = dr.async_get(home.hass)
    found = dr.async_entries_for_config_entry(registry, entry.entry_id)
    return {device.name: device.id for device in found}


async def delete(home: Home, ws: WebSocketGenerator, device_id: str) -> dict[str, Any]:
    """Press Delete on the page of a device."""
    client = await ws(home.hass)
    await client.send_json_auto_id(
        {"type": "config/device_registry/remove", "device_id": device_id}
    )
    answer: dict[str, Any] = await client.receive_json()
    return answer


async def test_plugged_laptop_shows_within_one_poll(home: Home, entry: ConfigEntry) -> None:
    assert entry.state is ConfigEntryState.LOADED
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "off"
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "in_use") == "on"


async def test_unloaded_entry_asks_nothing_for_those_who_come_late(
    home: Home, entry: ConfigEntry
) -> None:
    coordinator = entry.runtime_data.coordinator
    assert await home.hass.config_entries.async_unload(entry.entry_id)
    home.simulator.requests.clear()
    await coordinator.async_request_refresh()
    await home.advance_time(600)
    assert home.simulator.requests == []


async def test_unloaded_entry_asks_nothing_and_comes_back(home: Home, entry: ConfigEntry) -> None:
    assert await home.hass.config_entries.async_unload(entry.entry_id)
    assert entry.state is ConfigEntryState.NOT_LOADED
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    home.simulator.requests.clear()
    await home.poll(3)
    assert home.simulator.requests == []
    home.simulator.hub("Boardroom").set_active(2)
    assert await home.hass.config_entries.async_setup(entry.entry_id)
    assert home.state("sensor", "Boardroom", "active_port") == "2"
    await home.poll()
    assert home.count_requests(HUBS_PATH) == 2


async def test_reload_keeps_devices_and_entities(home: Home, entry: ConfigEntry) -> None:
    registry = er.async_get(home.hass)
    before = er.async_entries_for_config_entry(registry, entry.entry_id), devices(home, entry)
    assert await home.hass.config_entries.async_reload(entry.entry_id)
    after = er.async_entries_for_config_entry(registry, entry.entry_id), devices(home, entry)
    assert [one.entity_id for one in after[0]] == [one.entity_id for one in before[0]]
    assert after[1] == before[1]
    home.simulator.requests.clear()
    await home.poll()
    assert len(home.simulator.requests) == 1  # and no second poll runs


async def test_removed_entry_leaves_nothing(home: Home, entry: ConfigEntry) -> None:
    assert len(devices(home, entry)) == 5
    await home.hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    assert devices(home, entry) == {}
    assert er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id) == []
    assert home.hass.states.async_entity_ids(["sensor", "binary_sensor"]) == []
    home.simulator.requests.clear()
    await home.poll()
    assert home.simulator.requests == []


async def test_only_a_hub_that_is_gone_can_be_deleted(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    ids = devices(home, entry)
    for name in ("Boardroom", "Reception", "Example Organisation"):
        assert not (await delete(home, hass_ws_client, ids[name]))["success"]
    home.simulator.remove_hub("Focus room")
    await home.poll()
    assert (await delete(home, hass_ws_client, ids["Focus room"]))["success"]
    assert devices(home, entry).keys() == {
        "Example Organisation",
        "Boardroom",
        "Workshop",
        "Reception",
    }


async def test_renewed_token_is_not_noticed(home: Home, entry: ConfigEntry) -> None:
    assert entry.update_listeners == []
    token = entry.data["token"]["access_token"]
    state = home.hass.states.get("sensor.boardroom_boardroom_active_port")
    assert state is not None
    events = async_capture_events(home.hass, EVENT_STATE_CHANGED)
    for _ in range(3):
        await home.advance_time(3601)
    assert entry.data["token"]["access_token"] != token
    assert home.count_requests(TOKEN_PATH, "POST") == 4
    assert events == []
    later = home.hass.states.get(state.entity_id)
    assert later is not None
    assert later.last_changed == state.last_changed
    assert home.count_requests("/api/spaces/v1") == 4  # hourly, so the entry was not set up anew


async def test_two_accounts_side_by_side(home: Home, entry: ConfigEntry) -> None:
    step = await home.run_user_flow("Second Organisation")
    assert step["type"] == "create_entry"
    [second] = [one for one in home.hass.config_entries.async_entries("ochno") if one is not entry]
    assert devices(home, second).keys() == {"Second Organisation", "Elsewhere"}
    assert len(devices(home, entry)) == 5
    await home.hass.config_entries.async_remove(entry.entry_id)
    home.simulator.hub("Elsewhere").plug(1)
    await home.poll()
    assert home.state("binary_sensor", "Elsewhere", "port_1_connected") == "on"


# Devices


async def test_hub_is_a_device_with_all_that_is_known(home: Home, entry: ConfigEntry) -> None:
    board = home.simulator.hub("Boardroom")
    found = device(home, board)
    account = dr.async_get(home.hass).async_get_device_by_identifier(
        ("ochno", entry.entry_id), entry.entry_id
    )
    assert found is not None
    assert account is not None
    assert (found.manufacturer, found.model, found.model_id, found.name) == (
        "Ochno",
        "Power Conference 4",
        "O-PC-4",
        "Boardroom",
    )
    assert (found.serial_number, found.sw_version, found.hw_version) == (
        board.serial,
        "4.2.1",
        "1.3",
    )
    assert found.configuration_url == home.simulator.url
    assert found.via_device_id == account.id
    assert (account.manufacturer, account.model, account.name) == (
        "Ochno",
        "Ochno Operated",
        "Example Organisation",
    )
    assert account.entry_type is dr.DeviceEntryType.SERVICE
    assert account.configuration_url == home.simulator.url


async def test_product_without_a_known_name_goes_by_its_code(
    home: Home, entry: ConfigEntry
) -> None:
    found = device(home, home.simulator.hub("Focus room"))
    assert found is not None
    assert (found.model, found.model_id) == ("O-PC-3", None)


async def test_area_is_suggested_by_the_space(home: Home, entry: ConfigEntry) -> None:
    assert area(home, "Boardroom") == "Boardroom"
    home.simulator.hub("Boardroom").space_ids = home.simulator.hub("Workshop").space_ids
    await home.poll()
    assert area(home, "Boardroom") == "Boardroom"  # only at first


async def test_changes_in_the_cloud_reach_the_device_but_spare_what_the_user_gave(
    home: Home, entry: ConfigEntry
) -> None:
    board = home.simulator.hub("Boardroom")
    attic = ar.async_get(home.hass).async_create("Attic")
    found = device(home, board)
    assert found is not None
    dr.async_get(home.hass).async_update_device(found.id, area_id=attic.id, name_by_user="Mine")
    board.name, board.firmware, board.hardware_version = "Big room", "5.0", "2.0"
    board.serial, board.product = "O999", "O-PC-5"
    await home.poll()
    found = device(home, board)
    assert found is not None
    assert (found.name, found.sw_version, found.hw_version) == ("Big room", "5.0", "2.0")
    assert (found.serial_number, found.model, found.model_id) == ("O999", "O-PC-5", None)
    assert (found.name_by_user, found.area_id) == ("Mine", attic.id)


async def test_new_hub_appears(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_hub("Library", connected=[2], active=2)
    await home.poll()
    assert device(home, home.simulator.hub("Library")) is not None
    assert home.state("sensor", "Library", "active_port") == "2"


async def test_hub_that_leaves_is_unavailable_at_once_and_removed_later(
    home: Home, entry: ConfigEntry
) -> None:
    hub = leave(home, "Focus room")
    await home.poll()
    for _ in range(GONE_AFTER - 2):
        assert active_port(home, hub) == "unavailable"
        await home.poll()
    assert device(home, hub) is not None
    await home.poll()
    assert device(home, hub) is None
    assert active_port(home, hub) is None
    assert device(home, home.simulator.hub("Boardroom")) is not None
    assert GONE_AFTER >= 3


async def test_hub_that_left_while_home_assistant_was_down(home: Home, entry: ConfigEntry) -> None:
    await home.hass.config_entries.async_unload(entry.entry_id)
    hub = leave(home, "Focus room")
    await home.hass.config_entries.async_setup(entry.entry_id)
    assert device(home, hub) is not None
    await home.poll(GONE_AFTER - 1)
    assert device(home, hub) is None


async def test_empty_answers_remove_nothing(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    await home.poll(GONE_AFTER * 2)
    assert device(home, home.simulator.hub("Boardroom")) is not None
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_nothing_is_removed_while_a_hub_is_malformed(home: Home, entry: ConfigEntry) -> None:
    hub = leave(home, "Focus room")
    home.simulator.hub("Workshop").json_override = "nonsense"
    await home.poll(GONE_AFTER * 2)
    assert device(home, hub) is not None
    assert device(home, home.simulator.hub("Workshop")) is not None
    home.simulator.hub("Workshop").extra = {"id": "elsewhere"}
    home.simulator.hub("Workshop").json_override = {"id": home.simulator.hub("Workshop").id}
    await home.poll(GONE_AFTER - 1)
    assert device(home, hub) is not None
    await home.poll()
    assert device(home, hub) is None


async def test_hub_that_comes_back_in_time_starts_anew(home: Home, entry: ConfigEntry) -> None:
    hub = leave(home, "Focus room")
    await home.poll(GONE_AFTER - 1)
    come_back(home, hub)
    await home.poll()
    assert active_port(home, hub) == "none"
    leave(home, "Focus room")
    await home.poll(GONE_AFTER - 1)
    assert device(home, hub) is not None
    await home.poll()
    assert device(home, hub) is None


@pytest.mark.parametrize("polls", [1, GONE_AFTER, GONE_AFTER + 3])
async def test_hub_that_comes_back_has_its_entities_again(
    home: Home, entry: ConfigEntry, log: Log, polls: int
) -> None:
    hub = leave(home, "Focus room")
    await home.poll(polls)
    hub.set_active(3)
    come_back(home, hub)
    await home.poll()
    assert active_port(home, hub) == "3"
    found = device(home, hub)
    assert found is not None
    assert (found.name, found.model) == ("Focus room", "O-PC-3")
    hub.set_active(4)
    await home.poll()
    assert active_port(home, hub) == "4"
    assert log(logging.ERROR) == []


async def test_hub_that_comes_back_after_the_user_deleted_its_device(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator, log: Log
) -> None:
    ids = devices(home, entry)
    hub = leave(home, "Focus room")
    await home.poll()
    assert (await delete(home, hass_ws_client, ids["Focus room"]))["success"]
    assert active_port(home, hub) is None
    come_back(home, hub)
    await home.poll()
    found = device(home, hub)
    assert found is not None
    assert active_port(home, hub) == "none"
    assert (found.name, found.model, found.sw_version) == ("Focus room", "O-PC-3", "4.2.1")
    assert log(logging.ERROR) == []


async def test_device_can_not_be_deleted_while_nothing_is_known_of_its_hub(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    ids = devices(home, entry)
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.hass.config_entries.async_setup(entry.entry_id)
    answer = await delete(home, hass_ws_client, ids["Focus room"])
    assert not answer["success"]
    assert answer["error"]["code"] != "unknown_error"
