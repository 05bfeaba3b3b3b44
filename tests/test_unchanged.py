"""Polls that bring little or nothing new: what they ask for, and which entities they touch."""

from datetime import datetime

import pytest

from homeassistant.helpers import device_registry as dr, entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault

type Written = dict[str, datetime]


def written(home: Home) -> Written:
    """Return when each entity of a hub was written last, whether its state changed or not."""
    entities = er.async_get(home.hass).entities.get_entries_for_config_entry_id(home.entry.entry_id)
    return {
        entity.entity_id: state.last_reported
        for entity in entities
        if "hubs_o" not in entity.unique_id and (state := home.hass.states.get(entity.entity_id))
    }


def touched(home: Home, before: Written) -> set[str]:
    """Return the names of the hubs whose entities were written since."""
    now = written(home)
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


def statuses(home: Home) -> list[int | None]:
    """Return how the requests for the list were answered since the last time."""
    found = [request.status for request in home.simulator.requests if request.path == HUBS_PATH]
    home.simulator.requests.clear()
    return found


@pytest.mark.parametrize(("etags", "status"), [(True, 304), (False, 200)])
async def test_list_that_did_not_change_touches_no_entity(
    home: Home, etags: bool, status: int
) -> None:
    home.simulator.settings.etags = etags
    await home.link_account()
    statuses(home)
    before = written(home)
    assert len(before) > 40
    await home.poll(3)
    assert statuses(home) == [status] * 3
    assert touched(home, before) == set()


async def test_after_an_outage_what_did_not_change_is_left_alone_as_before(home: Home) -> None:
    await home.link_account()
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    before = written(home)
    await home.poll(2)
    assert touched(home, before) == set()


async def test_list_is_sent_as_a_whole_once_an_hour(home: Home) -> None:
    """In case that what the server calls unchanged is not."""
    await home.link_account()
    statuses(home)
    before = written(home)
    for _ in range(3):
        await home.advance_time(1201)
    assert statuses(home) == [304, 304, 200]
    assert touched(home, before) == set()


@pytest.mark.parametrize("etags", [True, False])
async def test_hub_that_changed_is_the_only_one_touched(home: Home, etags: bool) -> None:
    home.simulator.settings.etags = etags
    await home.link_account()
    statuses(home)
    before = written(home)
    home.simulator.hub("Focus room").plug(2)
    await home.poll()
    assert statuses(home) == [200]
    assert touched(home, before) == {"Focus room"}
    assert home.state("binary_sensor", "Focus room", "port_2_connected") == "on"


async def test_hub_that_comes_or_goes_leaves_the_others_alone(home: Home) -> None:
    await home.link_account()
    before = written(home)
    hub = home.simulator.hub("Focus room")
    home.simulator.remove_hub(hub.id)
    await home.poll()
    assert touched(home, before) == {"Focus room"}


async def test_failed_poll_touches_all_and_so_does_the_next(home: Home) -> None:
    await home.link_account()
    before = written(home)
    everyone = {
        hub.name
        for hub in home.simulator.database.hubs_in_account(home.simulator.database.account().id)
    }
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500))
    await home.poll()
    assert touched(home, before) == everyone
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    before = written(home)
    await home.poll()
    assert statuses(home)[-1] == 304
    assert touched(home, before) == everyone
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_list_that_says_what_it_said_before_overrules_a_delivery_since(home: Home) -> None:
    await home.set_external_url()
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(500), times=None)
    await home.simulator.deliver(hub, "hub:state:change", {"newState": {"active": 3}})
    assert home.state("sensor", "Boardroom", "active_port") == "3"
    home.simulator.requests.clear()
    await home.advance_time(121)
    assert 304 in statuses(home)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_names_of_spaces_that_come_late_reach_hubs_that_did_not_change(home: Home) -> None:
    home.simulator.add_fault("GET", "/api/spaces/v1", Fault.status(500))
    await home.link_account()
    device = home.device("Boardroom")
    assert device
    assert device.area_id is None
    await home.advance_time(301)
    device = home.device("Boardroom")
    assert device
    assert device.area_id == "boardroom"


async def test_account_counts_hubs_however_their_presence_is_learned(home: Home) -> None:
    def counted() -> list[str]:
        registry = er.async_get(home.hass)
        found = []
        for key in ("hubs_online", "hubs_offline"):
            entity_id = registry.async_get_entity_id("sensor", "ochno", f"{account}_{key}")
            state = home.hass.states.get(entity_id or "")
            assert state
            found.append(state.state)
        return found

    await home.set_external_url()
    account = (await home.link_account()).unique_id
    assert counted() == ["3", "1"]
    board, focus = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    board.online = False
    await home.simulator.deliver(board, "hub:con:change", {})
    home.simulator.requests.clear()
    await home.advance_time(2)
    assert statuses(home) == []
    assert counted() == ["2", "2"]
    board.online = True
    await home.advance_time(121)
    assert counted() == ["3", "1"]
    focus.online = False
    await home.advance_time(121)
    assert counted() == ["2", "2"]
