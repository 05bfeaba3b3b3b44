"""Tests of which entity states a poll or delivery writes."""

from datetime import datetime
import json

import pytest

from homeassistant.helpers import device_registry as dr, entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault

type WriteTimes = dict[str, datetime]


def write_times(home: Home) -> WriteTimes:
    """Return when the state of each entity of a hub was last written, even if unchanged."""
    entities = er.async_get(home.hass).entities.get_entries_for_config_entry_id(home.entry.entry_id)
    return {
        entity.entity_id: state.last_reported
        for entity in entities
        if not entity.unique_id.startswith(f"{home.entry.unique_id}_")
        and (state := home.hass.states.get(entity.entity_id))
    }


def hubs_written_since(home: Home, before: WriteTimes) -> set[str]:
    """Return the names of the hubs with an entity that was written since then."""
    now = write_times(home)
    assert now.keys() == before.keys()
    registry, devices = er.async_get(home.hass), dr.async_get(home.hass)
    names = set()
    for entity_id in {entity_id for entity_id in now if now[entity_id] != before[entity_id]}:
        entity = registry.async_get(entity_id)
        assert entity
        device = devices.async_get(entity.device_id or "")
        assert device
        names.add(str(device.name))
    return names


def pop_list_statuses(home: Home) -> list[int | None]:
    """Return the response statuses of the list requests since the last call."""
    statuses = [request.status for request in home.simulator.requests if request.path == HUBS_PATH]
    home.simulator.requests.clear()
    return statuses


@pytest.mark.parametrize(("etags", "status"), [(True, 304), (False, 200)])
async def test_poll_with_unchanged_list_writes_no_state(
    home: Home, etags: bool, status: int
) -> None:
    home.simulator.settings.etags = etags
    await home.link_account()
    pop_list_statuses(home)
    before = write_times(home)
    assert len(before) > 40
    await home.poll(3)
    assert pop_list_statuses(home) == [status] * 3
    assert hubs_written_since(home, before) == set()


async def test_poll_with_unchanged_list_and_changed_etag_sends_new_etag(home: Home) -> None:
    await home.link_account()
    body = json.dumps([{"id": "1", "data": {"state": {"active": 1, "connected": [1]}}}])
    for etag in ('"a"', '"b"', '"c"'):
        fault = Fault.status(200, {"ETag": etag, "Content-Type": "application/json"}, body)
        home.simulator.add_fault("GET", HUBS_PATH, fault)
    await home.poll(3)
    requests = [request for request in home.simulator.requests if request.path == HUBS_PATH]
    assert [request.headers.get("If-None-Match") for request in requests[-2:]] == ['"a"', '"b"']


async def test_poll_with_unchanged_list_after_outage_writes_no_state(home: Home) -> None:
    await home.link_account()
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    before = write_times(home)
    await home.poll(2)
    assert hubs_written_since(home, before) == set()


async def test_poll_once_an_hour_requests_full_list_and_writes_no_state(home: Home) -> None:
    await home.link_account()
    pop_list_statuses(home)
    before = write_times(home)
    for _ in range(3):
        await home.advance_time(1201)
    assert pop_list_statuses(home) == [304, 304, 200]
    assert hubs_written_since(home, before) == set()


@pytest.mark.parametrize("etags", [True, False])
async def test_poll_with_changed_hub_writes_states_of_this_hub_only(
    home: Home, etags: bool
) -> None:
    home.simulator.settings.etags = etags
    await home.link_account()
    pop_list_statuses(home)
    before = write_times(home)
    home.simulator.hub("Focus room").plug(2)
    await home.poll()
    assert pop_list_statuses(home) == [200]
    assert hubs_written_since(home, before) == {"Focus room"}
    assert home.state("binary_sensor", "Focus room", "port_2_connected") == "on"


async def test_poll_with_removed_hub_writes_states_of_this_hub_only(home: Home) -> None:
    await home.link_account()
    before = write_times(home)
    hub = home.simulator.hub("Focus room")
    home.simulator.remove_hub(hub.id)
    await home.poll()
    assert hubs_written_since(home, before) == {"Focus room"}


async def test_failed_poll_and_next_poll_write_states_of_all_hubs(home: Home) -> None:
    await home.link_account()
    before = write_times(home)
    all_hubs = {
        hub.name
        for hub in home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    }
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500))
    await home.poll()
    assert hubs_written_since(home, before) == all_hubs
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    before = write_times(home)
    await home.poll()
    assert pop_list_statuses(home)[-1] == 304
    assert hubs_written_since(home, before) == all_hubs
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_poll_with_unchanged_list_replaces_state_of_earlier_delivery(home: Home) -> None:
    await home.set_external_url()
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(500), times=None)
    await home.simulator.deliver(hub, "hub:state:change", {"newState": {"active": 3}})
    assert home.state("sensor", "Boardroom", "active_port") == "3"
    home.simulator.requests.clear()
    await home.advance_time(121)
    assert 304 in pop_list_statuses(home)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_late_space_names_set_areas_of_unchanged_hubs(home: Home) -> None:
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(500))
    await home.link_account()
    device = home.device("Boardroom")
    assert device
    assert device.area_id is None
    await home.advance_time(301)
    device = home.device("Boardroom")
    assert device
    assert device.area_id == "boardroom"


async def test_account_sensors_count_presence_from_delivery_and_from_poll(home: Home) -> None:
    def counts() -> list[str]:
        registry = er.async_get(home.hass)
        states = []
        for key in ("hubs_online", "hubs_offline"):
            entity_id = registry.async_get_entity_id("sensor", "ochno", f"{account_id}_{key}")
            state = home.hass.states.get(entity_id or "")
            assert state
            states.append(state.state)
        return states

    await home.set_external_url()
    account_id = (await home.link_account()).unique_id
    assert counts() == ["3", "1"]
    boardroom, focus_room = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    boardroom.online = False
    await home.simulator.deliver(boardroom, "hub:con:change", {})
    home.simulator.requests.clear()
    await home.advance_time(2)
    assert pop_list_statuses(home) == []
    assert counts() == ["2", "2"]
    boardroom.online = True
    await home.advance_time(121)
    assert counts() == ["3", "1"]
    focus_room.online = False
    await home.advance_time(121)
    assert counts() == ["2", "2"]
