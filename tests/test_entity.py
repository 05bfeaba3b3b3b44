"""Tests of the entities of a hub: which exist, which are enabled, and unusual responses."""

import asyncio

import orjson
import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from custom_components.ochno.entity import MANY_HUBS
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity_platform import MAX_ENABLED_ENTITIES_PER_CONFIG_ENTRY

from .home import HUBS_PATH, Home
from .simulator import Fault

UNKNOWN_STATES = (STATE_UNAVAILABLE, STATE_UNKNOWN)
# A response with the state of a hub that lacks most keys.
DETAIL = '{"data": {"state": {"active": 2}}}'


@pytest.mark.parametrize("access", ["read", "control"])
async def test_account_with_many_hubs_enables_only_main_entities(
    home: Home, monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 3)
    await home.link_account(access=access)
    hub_id = home.simulator.hub("Boardroom").id
    registry = er.async_get(home.hass)
    enabled = {
        entity.unique_id.removeprefix(f"{hub_id}_")
        for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id)
        if entity.unique_id.startswith(hub_id) and not entity.disabled_by
    }
    connected = {f"port_{port}_connected" for port in (1, 2, 3, 4)}
    assert enabled == {
        *("active_port", "in_use", "time_in_use", "connectivity", "overheating"),
        *connected,
    }
    # The other entities are registered, but disabled.
    assert home.entity_id("binary_sensor", "Boardroom", "admin_mode")


async def test_account_without_many_hubs_enables_more_than_main_entities(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 4)
    await home.link_account(access="control")
    assert home.state("switch", "Boardroom", "port_1") == "on"
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "off"


@pytest.mark.parametrize(("many", "hubs"), [(False, MANY_HUBS), (True, 1110)])
@pytest.mark.parametrize("access", ["read", "control"])
async def test_enabled_entities_of_hubs_with_four_ports_do_not_exceed_limit_of_home_assistant(
    home: Home, monkeypatch: pytest.MonkeyPatch, access: str, many: bool, hubs: int
) -> None:
    if many:
        monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 3)
    entry = await home.link_account(access=access)
    hub_id = home.simulator.hub("Boardroom").id
    enabled = [
        entity.unique_id
        for entity in er.async_entries_for_config_entry(er.async_get(home.hass), entry.entry_id)
        if not entity.disabled_by
    ]
    of_hub = sum(unique_id.startswith(hub_id) for unique_id in enabled)
    of_account = sum(unique_id.startswith(f"{entry.unique_id}_") for unique_id in enabled)
    assert hubs * of_hub + of_account <= MAX_ENABLED_ENTITIES_PER_CONFIG_ENTRY


@pytest.mark.parametrize("access", ["read", "control"])
async def test_entity_of_value_that_is_not_reported_after_restart_is_unknown(
    home: Home, caplog: pytest.LogCaptureFixture, access: str
) -> None:
    entry = await home.link_account(access=access)
    registry = er.async_get(home.hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        registry.async_update_entity(entity.entity_id, disabled_by=None)
    await home.hass.config_entries.async_reload(entry.entry_id)
    hub = home.simulator.hub("Boardroom")
    entity_ids = {
        entity.unique_id.removeprefix(f"{hub.id}_"): entity.entity_id
        for entity in er.async_entries_for_config_entry(registry, entry.entry_id)
        if entity.unique_id.startswith(hub.id)
    }
    assert all(
        (state := home.hass.states.get(entity_id)) and state.state not in UNKNOWN_STATES
        for entity_id in entity_ids.values()
    )
    await home.hass.config_entries.async_unload(entry.entry_id)
    hub.omit = {
        "data.presence",
        "data.ip",
        "data.connections",
        "data.config.defaultport",
        *(f"data.state.{key}" for key in hub.state if key != "mtrdisable"),
    }
    await home.hass.config_entries.async_setup(entry.entry_id)
    states = {
        key: state.state if (state := home.hass.states.get(entity_id)) else None
        for key, entity_id in entity_ids.items()
    }
    # Without `active`, no port is active.
    assert states.pop("active_port") == "none"
    # The time that was counted stays known.
    assert {states.pop(key) for key in ("time_in_use", "time_on_screen")} == {"0.0"}
    assert states == dict.fromkeys(states, "unknown")
    assert len(states) > 15
    await home.poll(6)
    assert {
        entity.entity_id
        for entity in er.async_entries_for_config_entry(registry, entry.entry_id)
        if entity.unique_id.startswith(hub.id)
    } == set(entity_ids.values())
    hub.omit = set()
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "overheating") == "off"
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    ("key", "path"), [("overheating", "data.state.otp"), ("room_system", "data.state.mtrmode")]
)
async def test_entity_of_single_value_that_is_not_reported_after_restart_is_unknown(
    home: Home, entry: ConfigEntry, key: str, path: str
) -> None:
    assert home.state("binary_sensor", "Boardroom", key) not in UNKNOWN_STATES
    home.simulator.hub("Boardroom").omit = {path}
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert home.state("binary_sensor", "Boardroom", key) == "unknown"
    assert home.state("binary_sensor", "Boardroom", "in_use") == (
        "on" if key == "room_system" else "off"
    )


async def test_entity_of_value_that_was_never_reported_does_not_exist(home: Home) -> None:
    home.simulator.hub("Boardroom").omit = {"data.state.otp"}
    entry = await home.link_account()
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert home.entity_id("binary_sensor", "Boardroom", "overheating") is None


async def test_deleted_entity_is_added_again_when_its_hub_changes(
    home: Home, entry: ConfigEntry
) -> None:
    entity_id = home.entity_id("binary_sensor", "Boardroom", "overheating")
    assert entity_id is not None
    er.async_get(home.hass).async_remove(entity_id)
    await home.wait_until_idle()
    assert home.state("binary_sensor", "Boardroom", "overheating") is None
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "overheating") == "off"
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


async def test_partial_details_of_poll_keep_the_other_values(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.body(DETAIL), times=None)
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "2"
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "port_2_active") == "on"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "off"


async def test_partial_details_after_delivery_keep_the_other_values(home: Home) -> None:
    await home.set_external_url()
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.body(DETAIL), times=None)
    await home.simulator.deliver(hub, "hub:state:change", {"newState": {"adminmode": True}})
    await home.advance_time(2)
    assert home.state("sensor", "Boardroom", "active_port") == "2"
    assert home.state("binary_sensor", "Boardroom", "port_1_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "on"
    assert home.state("binary_sensor", "Boardroom", "overheating") == "off"


def hub_list_body(home: Home) -> str:
    """Return the hub list of the first account as JSON."""
    simulator = home.simulator
    hubs = simulator.database.hubs_in_account(simulator.database.account().id)
    return orjson.dumps([hub.as_json(simulator.settings) for hub in hubs]).decode()


async def test_response_with_byte_order_mark_is_read(home: Home) -> None:
    accounts = orjson.dumps(home.simulator.database.account().as_json()).decode()
    for path, body in ((HUBS_PATH, hub_list_body(home)), ("/api/accounts/v1", accounts)):
        home.simulator.add_fault("GET", path, Fault.body(f"\ufeff{body}"), times=None)
    entry = await home.link_account()
    assert entry.title == "Example Organisation"
    assert home.state("sensor", "Boardroom", "active_port") == "1"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("prefix", ["", "\ufeff"])
async def test_hub_with_number_that_is_not_json_has_unknown_value(
    home: Home, number: str, prefix: str
) -> None:
    hub = home.simulator.hub("Boardroom")
    hub.state["mtrport"] = "NUMBER"
    hub.state["otp"] = None
    hub.state["adminmode"] = "NUMBER"
    body = prefix + hub_list_body(home).replace('"NUMBER"', number)
    await home.link_account()
    assert home.entity_id("binary_sensor", "Boardroom", "admin_mode") is None
    hub.state["adminmode"] = False
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "off"
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(body), times=None)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "unknown"
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.state("sensor", "Workshop", "active_port") == "none"


@pytest.mark.parametrize(
    ("empty_objects", "reason"),
    [
        pytest.param(10_300_000, "response too long", id="31 MB"),
        pytest.param(20_000, "expected up to 10000 hubs, got 20001", id="20,000 items"),
    ],
)
async def test_hub_list_of_many_empty_objects_is_rejected(
    home: Home, entry: ConfigEntry, empty_objects: int, reason: str
) -> None:
    hub_id = home.simulator.hub("Boardroom").id
    body = "[" + "{}," * empty_objects + f'{{"id": "{hub_id}"}}]'
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    error = entry.runtime_data.coordinator.last_exception
    assert str(error.__cause__) == reason
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


@pytest.mark.parametrize(
    ("parts", "same_name", "other_name"),
    [
        (None, "select.workshop_workshop_active_port", "select.boardroom_table_hub_active_port"),
        (["device", "entity"], "select.workshop_active_port", "select.table_hub_active_port"),
    ],
    ids=["default", "without area"],
)
async def test_entity_ids_have_the_format_that_the_user_selected(
    home: Home,
    hass_ws_client: WebSocketGenerator,
    parts: list[str] | None,
    same_name: str,
    other_name: str,
) -> None:
    client = await hass_ws_client(home.hass)
    command = {"type": "config/entity_registry/settings/update", "entity_id_parts": parts}
    await client.send_json_auto_id(command)
    assert (await client.receive_json())["success"]
    home.simulator.hub("Boardroom").name = "Table hub"
    entry = await home.link_account(access="control")
    # The area of both hubs has the name of their space.
    assert home.entity_id("select", "Workshop", "active_port") == same_name
    assert home.entity_id("select", "Table hub", "active_port") == other_name
    # Another format or another name changes no entity id.
    await client.send_json_auto_id({**command, "entity_id_parts": ["entity", "device"]})
    assert (await client.receive_json())["success"]
    home.simulator.hub("Table hub").name = "Wall hub"
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert home.entity_id("select", "Workshop", "active_port") == same_name
    assert home.entity_id("select", "Wall hub", "active_port") == other_name


async def test_setup_of_many_hubs_does_not_block_other_tasks(home: Home) -> None:
    for number in range(60):
        home.simulator.add_hub(f"Room {number}")
    registry = er.async_get(home.hass)
    most = 0

    async def count_entities_added_at_once() -> None:
        nonlocal most
        before = len(registry.entities)
        while True:
            await asyncio.sleep(0)
            most = max(most, len(registry.entities) - before)
            before = len(registry.entities)

    counting = asyncio.create_task(count_entities_added_at_once())
    await home.link_account()
    counting.cancel()
    assert len(registry.entities) > 60 * 20
    # The entities of five hubs, and those of the account.
    assert most < 150
