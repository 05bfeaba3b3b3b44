"""Tests of hubs that have fewer or more ports than before."""

import logging

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub
from .test_devices import log_messages
from .test_moves import SECOND, link_second_account, only_device, registered_entities


def set_ports(hub: SimHub, count: int) -> None:
    """Change the number of ports of a hub, as an update of its firmware can do."""
    hub.ports = count
    hub.state["connected"] = [0] * count
    hub.config["inactivedisabled"] = [0] * count


def port_numbers(home: Home, hub: SimHub) -> set[int]:
    """Return the numbers of the ports that have registered entities."""
    keys = [
        entity.unique_id.removeprefix(f"{hub.id}_")
        for entity in registered_entities(home, only_device(home, hub)).values()
    ]
    return {int(key.split("_")[1]) for key in keys if key.startswith("port_")}


@pytest.mark.parametrize("access", ["read", "control"])
async def test_port_entities_hub_with_fewer_ports_after_restart_are_removed(
    home: Home, caplog: pytest.LogCaptureFixture, access: str
) -> None:
    entry = await home.link_account(access=access)
    hub = home.simulator.hub("Workshop")
    assert port_numbers(home, hub) == set(range(1, 11))
    await home.hass.config_entries.async_unload(entry.entry_id)
    set_ports(hub, 4)
    await home.hass.config_entries.async_setup(entry.entry_id)
    # The setup fetched the first list.
    await home.poll(3)
    assert port_numbers(home, hub) == set(range(1, 11))
    assert home.state("binary_sensor", hub.id, "port_10_connected") == "unknown"
    await home.poll()
    assert port_numbers(home, hub) == {1, 2, 3, 4}
    assert home.hass.states.get("binary_sensor.workshop_workshop_port_10_connected") is None
    assert home.state("binary_sensor", hub.id, "port_4_connected") == "off"
    await home.hass.config_entries.async_reload(entry.entry_id)
    await home.poll(6)
    assert port_numbers(home, hub) == {1, 2, 3, 4}
    assert log_messages(caplog, logging.ERROR) == []


async def test_port_entities_hub_with_more_ports_again_are_added(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    hub = home.simulator.hub("Workshop")
    set_ports(hub, 4)
    await home.poll(5)
    assert port_numbers(home, hub) == {1, 2, 3, 4}
    set_ports(hub, 10)
    await home.poll()
    assert port_numbers(home, hub) == set(range(1, 11))
    hub.plug(9)
    await home.poll(6)
    assert home.state("binary_sensor", hub.id, "port_9_connected") == "on"
    assert log_messages(caplog, logging.ERROR) == []


async def test_port_entities_hub_with_fewer_ports_for_short_time_stay(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Workshop")
    for _ in range(2):
        set_ports(hub, 4)
        await home.poll(4)
        set_ports(hub, 10)
        await home.poll()
    assert port_numbers(home, hub) == set(range(1, 11))
    assert home.state("binary_sensor", hub.id, "port_10_connected") == "off"


@pytest.mark.parametrize("cause", ["offline", "no ports", "missing", "malformed hub", "outage"])
async def test_port_entities_hub_or_list_incomplete_stay(
    home: Home, entry: ConfigEntry, cause: str
) -> None:
    hub = home.simulator.hub("Workshop")
    set_ports(hub, 4)
    await home.poll(3)
    database = home.simulator.database
    match cause:
        case "offline":
            hub.online = False
        case "no ports":
            hub.omit = {"data.state.connected"}
        case "missing":
            del database.hubs[hub.id]
        case "malformed hub":
            home.simulator.hub("Boardroom").json_override = "malformed"
        case _:
            home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll(4)
    assert port_numbers(home, hub) == set(range(1, 11))


async def test_port_entities_hub_offline_meanwhile_restarts_the_count(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Workshop")
    set_ports(hub, 4)
    await home.poll(4)
    hub.online = False
    await home.poll(10)
    hub.online = True
    await home.poll(4)
    assert port_numbers(home, hub) == set(range(1, 11))
    await home.poll()
    assert port_numbers(home, hub) == {1, 2, 3, 4}


async def test_port_entities_hub_with_fewer_ports_in_other_account_are_removed(
    home: Home, entry: ConfigEntry
) -> None:
    await link_second_account(home)
    hub = home.simulator.hub("Workshop")
    home.simulator.move_hub("Workshop", SECOND)
    set_ports(hub, 4)
    await home.poll(2)
    assert port_numbers(home, hub) == set(range(1, 11))
    await home.poll(4)
    assert port_numbers(home, hub) == {1, 2, 3, 4}


async def test_disabled_port_entity_hub_with_fewer_ports_is_removed(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Workshop")
    entity_id = home.entity_id("binary_sensor", hub.id, "port_10_connected")
    assert entity_id is not None
    registry = er.async_get(home.hass)
    registry.async_update_entity(entity_id, disabled_by=er.RegistryEntryDisabler.USER)
    set_ports(hub, 4)
    await home.poll(5)
    assert registry.async_get(entity_id) is None
