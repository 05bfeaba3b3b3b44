"""Tests of a config entry: set up, unload, reload, remove, and deletion of its devices."""

from pytest_homeassistant_custom_component.common import async_capture_events
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.helpers import entity_registry as er

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault
from .test_devices import delete_device, device_ids


async def test_plugged_laptop_is_shown_after_next_poll(home: Home, entry: ConfigEntry) -> None:
    assert entry.state is ConfigEntryState.LOADED
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "off"
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "in_use") == "on"


async def test_unloaded_entry_ignores_refresh_of_its_coordinator(
    home: Home, entry: ConfigEntry
) -> None:
    coordinator = entry.runtime_data.coordinator
    assert await home.hass.config_entries.async_unload(entry.entry_id)
    home.simulator.requests.clear()
    await coordinator.async_request_refresh()
    await home.advance_time(600)
    assert home.simulator.requests == []


async def test_unloaded_entry_sends_no_requests_until_it_is_set_up_again(
    home: Home, entry: ConfigEntry
) -> None:
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


async def test_reloaded_entry_keeps_devices_and_entities_and_polls_once(
    home: Home, entry: ConfigEntry
) -> None:
    def entity_ids() -> list[str]:
        entities = er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id)
        return [entity.entity_id for entity in entities]

    entities_before, devices_before = entity_ids(), device_ids(home, entry)
    assert await home.hass.config_entries.async_reload(entry.entry_id)
    assert entity_ids() == entities_before
    assert device_ids(home, entry) == devices_before
    home.simulator.requests.clear()
    await home.poll()
    assert len(home.simulator.requests) == 1


async def test_removed_entry_leaves_no_devices_entities_or_requests(
    home: Home, entry: ConfigEntry
) -> None:
    assert len(device_ids(home, entry)) == 5
    await home.hass.config_entries.async_remove(entry.entry_id)
    await home.wait_until_idle()
    assert device_ids(home, entry) == {}
    assert er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id) == []
    assert home.hass.states.async_entity_ids(["sensor", "binary_sensor"]) == []
    home.simulator.requests.clear()
    await home.poll()
    assert home.simulator.requests == []


async def test_token_refresh_changes_no_state_and_reloads_no_entry(
    home: Home, entry: ConfigEntry
) -> None:
    assert entry.update_listeners == []
    access_token = entry.data["token"]["access_token"]
    before = home.hass.states.get("sensor.boardroom_boardroom_active_port")
    assert before is not None
    events = async_capture_events(home.hass, EVENT_STATE_CHANGED)
    for _ in range(3):
        await home.advance_time(3601)
    assert entry.data["token"]["access_token"] != access_token
    assert home.count_requests(TOKEN_PATH, "POST") == 4
    assert events == []
    after = home.hass.states.get(before.entity_id)
    assert after is not None
    assert after.last_changed == before.last_changed
    # Only the hourly requests. A reload would send more.
    assert home.count_requests("/api/spaces/v1") == 4


async def test_two_accounts_are_independent(home: Home, entry: ConfigEntry) -> None:
    step = await home.run_user_flow("Second Organisation")
    assert step["type"] == "create_entry"
    entries = home.hass.config_entries.async_entries("ochno")
    [second] = [other for other in entries if other is not entry]
    assert device_ids(home, second).keys() == {"Second Organisation", "Elsewhere"}
    assert len(device_ids(home, entry)) == 5
    await home.hass.config_entries.async_remove(entry.entry_id)
    home.simulator.hub("Elsewhere").plug(1)
    await home.poll()
    assert home.state("binary_sensor", "Elsewhere", "port_1_connected") == "on"


async def test_device_can_be_deleted_only_if_its_hub_is_missing(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    ids = device_ids(home, entry)
    for name in ("Boardroom", "Reception", "Example Organisation"):
        assert not (await delete_device(home, hass_ws_client, ids[name]))["success"]
    home.simulator.remove_hub("Focus room")
    await home.poll()
    assert (await delete_device(home, hass_ws_client, ids["Focus room"]))["success"]
    assert device_ids(home, entry).keys() == {
        "Example Organisation",
        "Boardroom",
        "Workshop",
        "Reception",
    }


async def test_device_cannot_be_deleted_while_entry_is_not_loaded(
    home: Home, entry: ConfigEntry, hass_ws_client: WebSocketGenerator
) -> None:
    ids = device_ids(home, entry)
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.hass.config_entries.async_setup(entry.entry_id)
    response = await delete_device(home, hass_ws_client, ids["Focus room"])
    assert not response["success"]
    assert response["error"]["code"] != "unknown_error"
