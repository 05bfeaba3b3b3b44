"""Tests of hubs that move to another account, or get another id."""

from datetime import timedelta
import logging
from unittest.mock import patch

from aiohttp import web
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from homeassistant.config_entries import ConfigEntry, ConfigEntryDisabler, ConfigEntryState
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import area_registry as ar, device_registry as dr, entity_registry as er

from .automation import create_automation
from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub
from .simulator.faults import Wait
from .simulator.responses import Handler
from .simulator.simulator import RecordedRequest
from .test_devices import log_messages

FIRST, SECOND = "Example Organisation", "Second Organisation"


async def link_second_account(home: Home, **user_input: str) -> ConfigEntry:
    """Link the second account and return its config entry."""
    step = await home.run_user_flow(SECOND, **user_input)
    entry: ConfigEntry | None = home.hass.config_entries.async_get_entry(step["result"]["entry_id"])
    assert entry is not None
    return entry


@pytest.fixture
async def second_entry(home: Home, entry: ConfigEntry) -> ConfigEntry:
    """Link both accounts and return the config entry of the second one."""
    return await link_second_account(home)


def only_device(home: Home, hub: SimHub) -> dr.DeviceEntry:
    """Return the device of a hub, which must exist once."""
    [device] = dr.async_get(home.hass).async_get_devices(identifiers={("ochno", hub.id)})
    return device


def registered_entities(home: Home, device: dr.DeviceEntry) -> dict[str, er.RegistryEntry]:
    """Return the entities of a device, including disabled ones, by entity id."""
    registry = er.async_get(home.hass)
    entities = er.async_entries_for_device(registry, device.id, include_disabled_entities=True)
    return {entity.entity_id: entity for entity in entities}


def customise(home: Home, hub: SimHub) -> dr.DeviceEntry:
    """Change the names, the area and the entities of a hub as a user does."""
    area = ar.async_get(home.hass).async_create("Attic")
    device = dr.async_get(home.hass).async_update_device(
        only_device(home, hub).id, area_id=area.id, name_by_user="My hub", labels={"important"}
    )
    assert device is not None
    registry = er.async_get(home.hass)
    entity_id = home.entity_id("binary_sensor", hub.id, "port_2_connected")
    assert entity_id is not None
    registry.async_update_entity(
        entity_id, new_entity_id="binary_sensor.my_port", name="My port", labels={"important"}
    )
    entity_id = home.entity_id("binary_sensor", hub.id, "admin_mode")
    assert entity_id is not None
    registry.async_update_entity(entity_id, disabled_by=er.RegistryEntryDisabler.USER)
    return device


def assert_moved(
    home: Home,
    hub: SimHub,
    customised: dr.DeviceEntry,
    entity_ids: set[str],
    entry: ConfigEntry,
) -> None:
    """Check the owner, the names, the area and the states of a hub that the user customised."""
    device = only_device(home, hub)
    assert device.config_entry_id == entry.entry_id
    assert (device.id, device.name_by_user, device.area_id, device.labels) == (
        customised.id,
        "My hub",
        "attic",
        {"important"},
    )
    account = dr.async_get(home.hass).async_get_device_by_identifier(
        ("ochno", entry.entry_id), entry.entry_id
    )
    assert account is not None
    assert device.via_device_id == account.id
    entities = registered_entities(home, device)
    assert entities.keys() == entity_ids
    for entity in entities.values():
        assert entity.config_entry_id == entry.entry_id
        assert entity.unique_id.startswith(hub.id)
        state = home.hass.states.get(entity.entity_id)
        if entity.disabled:
            assert state is None
        else:
            assert state is not None
            assert state.state != "unavailable"
            assert "restored" not in state.attributes
    port = entities["binary_sensor.my_port"]
    assert (port.name, port.labels) == ("My port", {"important"})
    admin_mode = home.entity_id("binary_sensor", hub.id, "admin_mode")
    assert entities[admin_mode or ""].disabled_by is er.RegistryEntryDisabler.USER


def assert_no_problem_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Check that the log has no errors and warnings."""
    assert log_messages(caplog, logging.ERROR) == []
    # Home Assistant warns about each custom integration.
    warnings = log_messages(caplog, logging.WARNING)
    assert [warning for warning in warnings if "not been tested by Home" not in warning] == []


def fault_of_entry(entry: ConfigEntry, fault: Fault) -> Fault:
    """Return a fault that only applies to the requests of one config entry."""

    async def handle(request: web.Request, handler: Handler, wait: Wait) -> web.StreamResponse:
        if request.headers["Authorization"] == authorization(entry):
            return await fault.handle(request, handler, wait)
        return await handler(request)

    return Fault(fault.kind, handle)


def authorization(entry: ConfigEntry) -> str:
    """Return the header of the requests of a config entry."""
    return f"Bearer {entry.data['token']['access_token']}"


def list_requests(home: Home, entry: ConfigEntry) -> list[RecordedRequest]:
    """Return the requests for the hub list that a config entry sent."""
    return [
        request
        for request in home.simulator.requests
        if request.path == HUBS_PATH and request.headers["Authorization"] == authorization(entry)
    ]


def account_state(home: Home, entry: ConfigEntry, key: str) -> str | None:
    """Return the state of a sensor of an account."""
    registry = er.async_get(home.hass)
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{entry.unique_id}_{key}")
    state = home.hass.states.get(entity_id or "")
    return None if state is None else state.state


# Moves between accounts


@pytest.mark.parametrize("access", ["read", "control"])
async def test_hub_that_moves_has_states_names_and_area_after_two_polls(
    home: Home, caplog: pytest.LogCaptureFixture, access: str
) -> None:
    await home.link_account(access=access)
    second_entry = await link_second_account(home, access=access)
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)
    hub.plug(2)
    await home.poll()
    assert home.state("binary_sensor", hub.id, "port_2_connected") == "on"
    await home.poll(10)
    assert_moved(home, hub, device, entity_ids, second_entry)
    assert_no_problem_logged(caplog)


async def test_hub_that_moves_back_has_states_names_and_area(
    home: Home,
    entry: ConfigEntry,
    second_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    for account, owner in ((SECOND, second_entry), (FIRST, entry)) * 2:
        home.simulator.move_hub("Boardroom", account)
        await home.poll(2)
        assert_moved(home, hub, device, entity_ids, owner)
    assert_no_problem_logged(caplog)


async def test_hub_that_moves_back_before_any_poll_stays(
    home: Home,
    entry: ConfigEntry,
    second_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    home.simulator.move_hub("Boardroom", SECOND)
    home.simulator.move_hub("Boardroom", FIRST)
    await home.poll(3)
    assert_moved(home, hub, device, entity_ids, entry)
    assert_no_problem_logged(caplog)


async def test_hub_that_moves_while_first_account_needs_sign_in_has_states(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    home.simulator.revoke_access()
    await home.poll()
    assert home.flow_sources == ["reauth"]
    second_entry = await link_second_account(home)
    caplog.clear()
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)
    assert home.flow_sources == ["reauth"]
    assert_no_problem_logged(caplog)


@pytest.mark.parametrize("disabled_before_move", [True, False])
async def test_hub_that_moves_from_disabled_account_has_states(
    home: Home,
    entry: ConfigEntry,
    second_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
    disabled_before_move: bool,
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    if not disabled_before_move:
        home.simulator.move_hub("Boardroom", SECOND)
    await home.hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    if disabled_before_move:
        home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)
    await home.hass.config_entries.async_set_disabled_by(entry.entry_id, None)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)
    assert_no_problem_logged(caplog)


async def test_hub_that_moved_before_second_account_is_linked_has_states(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    home.simulator.move_hub("Boardroom", SECOND)
    second_entry = await link_second_account(home)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)
    assert_no_problem_logged(caplog)


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.status(429, {"Retry-After": "900"}), id="rate limit"),
        pytest.param(Fault.status(503), id="outage"),
    ],
)
async def test_hub_that_moves_to_unavailable_account_keeps_device_until_it_recovers(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry, fault: Fault
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    home.simulator.add_fault("GET", HUBS_PATH, fault_of_entry(second_entry, fault), times=None)
    await home.poll()
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(20)
    assert only_device(home, hub).id == device.id
    home.simulator.clear_faults()
    await home.poll(20)
    assert_moved(home, hub, device, entity_ids, second_entry)


async def test_hub_that_moves_to_rate_limited_account_causes_no_early_request(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    fault = fault_of_entry(second_entry, Fault.status(429, {"Retry-After": "900"}))
    # Both accounts poll once.
    home.simulator.add_fault("GET", HUBS_PATH, fault, times=2)
    await home.poll()
    home.simulator.move_hub("Boardroom", SECOND)
    home.simulator.requests.clear()
    await home.poll(10)
    assert len(list_requests(home, entry)) == 10
    assert list_requests(home, second_entry) == []


async def test_hub_that_is_listed_late_in_other_account_keeps_device(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    second_entry.runtime_data.coordinator.async_set_poll_interval(timedelta(hours=1))
    del home.simulator.database.hubs[hub.id]
    await home.poll(3)
    assert only_device(home, hub).id == device.id
    home.simulator.database.hubs[hub.id] = hub
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll()
    assert_moved(home, hub, device, entity_ids, second_entry)


async def test_hub_of_control_access_that_moves_to_read_access_gets_its_entities(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    await home.link_account(access="control")
    second_entry = await link_second_account(home, access="read")
    hub = home.simulator.hub("Boardroom")
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert home.state("sensor", hub.id, "active_port") == "1"
    assert home.state("binary_sensor", hub.id, "port_1_active") == "on"
    entities = registered_entities(home, only_device(home, hub)).values()
    assert {entity.domain for entity in entities} == {"binary_sensor", "sensor"}
    assert {entity.config_entry_id for entity in entities} == {second_entry.entry_id}
    assert_no_problem_logged(caplog)


async def test_hub_with_disabled_device_that_moves_stays_disabled(
    home: Home,
    entry: ConfigEntry,
    second_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = home.simulator.hub("Boardroom")
    dr.async_get(home.hass).async_update_device(
        only_device(home, hub).id, disabled_by=dr.DeviceEntryDisabler.USER
    )
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    device = only_device(home, hub)
    assert device.config_entry_id == second_entry.entry_id
    assert device.disabled_by is dr.DeviceEntryDisabler.USER
    assert all(entity.disabled for entity in registered_entities(home, device).values())
    assert account_state(home, second_entry, "hubs_online") == "1"
    assert_no_problem_logged(caplog)


async def test_hub_that_moves_during_command_logs_no_error(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    await home.link_account(access="control")
    second_entry = await link_second_account(home, access="control")
    hub = home.simulator.hub("Boardroom")
    home.simulator.settings.command_mode = "lose"
    command = home.hass.async_create_task(
        home.call_action("select", "select_option", hub.id, "active_port", option="3")
    )
    await home.wait_until(lambda: home.count_requests(f"{HUBS_PATH}/{hub.id}/state", "PUT"))
    home.simulator.move_hub("Boardroom", SECOND)
    await home.advance_time(31)
    with pytest.raises(HomeAssistantError):
        await command
    await home.poll(2)
    assert only_device(home, hub).config_entry_id == second_entry.entry_id
    assert home.state("select", hub.id, "active_port") == "1"
    assert_no_problem_logged(caplog)


async def test_trigger_for_device_of_hub_that_moves_fires_afterwards(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    target = {"device_id": only_device(home, hub).id}
    automation = await create_automation(home, "laptop_plugged_in", target)
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert automation.pop_ports() == []
    hub.plug(3)
    await home.poll()
    assert automation.pop_ports() == [3]


@pytest.mark.parametrize("departure", ["moved", "registered again", "fewer ports"])
async def test_entity_of_helper_on_device_of_hub_stays(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry, departure: str
) -> None:
    helper_entry = MockConfigEntry(domain="other")
    helper_entry.add_to_hass(home.hass)
    hub = home.simulator.hub("Workshop")
    device = only_device(home, hub)
    registry = er.async_get(home.hass)
    helper = registry.async_get_or_create(
        "sensor", "other", "port_12", config_entry=helper_entry, device_id=device.id
    )
    match departure:
        case "moved":
            home.simulator.move_hub("Workshop", SECOND)
        case "registered again":
            register_again(home, "Workshop")
        case _:
            hub.ports = 4
            hub.state["connected"] = [0, 0, 0, 0]
    await home.poll(6)
    assert only_device(home, hub).id == device.id
    assert registry.async_get(helper.entity_id) == helper
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert home.entity_id("binary_sensor", hub.id, "port_12_connected") is None


# Hubs that are listed in both accounts


async def test_hub_listed_in_both_accounts_stays_and_causes_one_extra_request(
    home: Home,
    entry: ConfigEntry,
    second_entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    hub.shared_with.add(home.simulator.database.account(SECOND).id)
    home.simulator.requests.clear()
    await home.poll(10)
    assert_moved(home, hub, device, entity_ids, entry)
    assert len(list_requests(home, entry)) <= 11
    assert len(list_requests(home, second_entry)) == 10
    assert account_state(home, second_entry, "hubs_online") == "1"
    assert_no_problem_logged(caplog)


async def test_hub_listed_in_both_accounts_moves_when_its_account_loses_it(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    hub.shared_with.add(home.simulator.database.account(SECOND).id)
    await home.poll(3)
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)


@pytest.mark.parametrize("outage", [False, True])
async def test_hub_listed_in_both_accounts_stays_while_its_account_is_set_up(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry, outage: bool
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    hub.shared_with.add(home.simulator.database.account(SECOND).id)
    await home.poll()
    await home.hass.config_entries.async_unload(entry.entry_id)
    await home.poll()
    if outage:
        fault = fault_of_entry(entry, Fault.status(503))
        home.simulator.add_fault("GET", HUBS_PATH, fault, times=1)
    await home.hass.config_entries.async_setup(entry.entry_id)
    assert (entry.state is ConfigEntryState.SETUP_RETRY) is outage
    await home.poll(3)
    assert_moved(home, hub, device, entity_ids, entry)
    assert account_state(home, second_entry, "hubs_online") == "1"


async def test_hub_listed_in_both_accounts_moves_when_its_account_is_removed(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    hub.shared_with.add(home.simulator.database.account(SECOND).id)
    await home.poll()
    await home.hass.config_entries.async_remove(entry.entry_id)
    await home.poll(2)
    new_device = only_device(home, hub)
    assert new_device.config_entry_id == second_entry.entry_id
    assert (new_device.name_by_user, new_device.area_id) == ("My hub", device.area_id)
    assert home.state("sensor", hub.id, "active_port") == "1"


async def test_hub_with_device_of_other_integration_is_added(home: Home) -> None:
    other_entry = MockConfigEntry(domain="other")
    other_entry.add_to_hass(home.hass)
    hub = home.simulator.hub("Boardroom")
    dr.async_get(home.hass).async_get_or_create(
        config_entry_id=other_entry.entry_id, identifiers={("ochno", hub.id)}
    )
    await home.link_account()
    assert home.device("Boardroom") is not None
    assert home.state("sensor", hub.id, "active_port") == "1"


async def test_hub_moves_from_account_whose_setup_fails(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    await home.hass.config_entries.async_unload(entry.entry_id)
    with patch("custom_components.ochno.OchnoSession.async_create", side_effect=ValueError):
        await home.hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_ERROR
    home.simulator.move_hub("Boardroom", SECOND)
    await home.poll(2)
    assert_moved(home, hub, device, entity_ids, second_entry)


async def test_missing_hub_loses_device_while_disabled_account_exists(
    home: Home, entry: ConfigEntry, second_entry: ConfigEntry
) -> None:
    await home.hass.config_entries.async_set_disabled_by(
        second_entry.entry_id, ConfigEntryDisabler.USER
    )
    hub = home.simulator.hub("Boardroom")
    home.simulator.remove_hub("Boardroom")
    await home.poll(5)
    assert not dr.async_get(home.hass).async_get_devices(identifiers={("ochno", hub.id)})


# Hubs that are registered again


def register_again(home: Home, name: str) -> SimHub:
    """Replace the id of a hub of the simulator."""
    hub = home.simulator.hub(name)
    del home.simulator.database.hubs[hub.id]
    hub.id = hub.id[:-1] + "z"
    home.simulator.database.hubs[hub.id] = hub
    return hub


@pytest.mark.parametrize("occasion", ["poll", "setup"])
async def test_hub_registered_again_keeps_device_entities_names_and_area(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, occasion: str
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    if occasion == "poll":
        register_again(home, "Boardroom")
        await home.poll()
    else:
        await home.hass.config_entries.async_unload(entry.entry_id)
        register_again(home, "Boardroom")
        await home.hass.config_entries.async_setup(entry.entry_id)
    assert_moved(home, hub, device, entity_ids, entry)
    hub.plug(2)
    await home.poll(10)
    assert home.state("binary_sensor", hub.id, "port_2_connected") == "on"
    assert_moved(home, hub, device, entity_ids, entry)
    assert_no_problem_logged(caplog)


async def test_hub_registered_again_after_it_was_missing_keeps_device(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = customise(home, hub)
    entity_ids = set(registered_entities(home, device))
    register_again(home, "Boardroom")
    del home.simulator.database.hubs[hub.id]
    await home.poll(4)
    home.simulator.database.hubs[hub.id] = hub
    await home.poll(10)
    assert_moved(home, hub, device, entity_ids, entry)
    assert_no_problem_logged(caplog)


async def test_new_hub_with_serial_number_of_listed_hub_gets_own_device(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Boardroom")
    device = only_device(home, hub)
    new_hub = home.simulator.add_hub("Library")
    new_hub.serial = hub.serial
    await home.poll()
    assert only_device(home, hub).id == device.id
    assert only_device(home, new_hub).id != device.id


@pytest.mark.parametrize("gone", [1, 2])
async def test_new_hub_with_common_serial_number_gets_own_device(home: Home, gone: int) -> None:
    for name in ("Boardroom", "Focus room", "Workshop"):
        home.simulator.hub(name).serial = "0000"
    entry = await home.link_account()
    device_ids = {only_device(home, home.simulator.hub(name)).id for name in ("Boardroom",)}
    for name in ("Boardroom", "Focus room")[:gone]:
        home.simulator.remove_hub(name)
    if gone == 2:
        home.simulator.remove_hub("Workshop")
    new_hub = home.simulator.add_hub("Library")
    new_hub.serial = "0000"
    await home.poll()
    assert only_device(home, new_hub).id not in device_ids
    assert only_device(home, new_hub).config_entry_id == entry.entry_id


async def test_new_hub_without_serial_number_gets_own_device(home: Home) -> None:
    boardroom = home.simulator.hub("Boardroom")
    boardroom.omit = {"serialNumber", "data.serial"}
    await home.link_account()
    device = only_device(home, boardroom)
    home.simulator.remove_hub("Boardroom")
    new_hub = home.simulator.add_hub("Library")
    new_hub.omit = {"serialNumber", "data.serial"}
    await home.poll()
    assert only_device(home, new_hub).id != device.id


async def test_new_hub_in_list_with_malformed_hub_gets_own_device(
    home: Home, entry: ConfigEntry
) -> None:
    boardroom = home.simulator.hub("Boardroom")
    device = only_device(home, boardroom)
    boardroom.json_override = "malformed"
    new_hub = home.simulator.add_hub("Library")
    new_hub.serial = boardroom.serial
    await home.poll()
    assert only_device(home, boardroom).id == device.id
    assert only_device(home, new_hub).id != device.id
