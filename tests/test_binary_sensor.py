"""Binary sensors as the facts change at the hub."""

from collections.abc import Callable
from typing import Any

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EntityCategory
from homeassistant.helpers import entity_registry as er

from .home import Home
from .simulator import SimHub

BOARDROOM = "Boardroom"
PORTS = [f"port_{port}_{what}" for port in (1, 2, 3, 4) for what in ("connected", "active")]
DISABLED = ["external_room_system", "room_system_sync"] + [
    f"connection_usb{port}" for port in (1, 2, 3, 4)
]
KEYS = ["in_use", "connectivity", "room_system", "admin_mode", "overheating", *PORTS, *DISABLED]


def registered(home: Home, hub: str) -> dict[str, er.RegistryEntry]:
    """Return a hub's entities in the registry by key."""
    hub_id = home.simulator.hub(hub).id
    return {
        entry.unique_id.removeprefix(f"{hub_id}_"): entry
        for entry in er.async_entries_for_config_entry(er.async_get(home.hass), home.entry.entry_id)
        if entry.domain == "binary_sensor" and entry.unique_id.startswith(f"{hub_id}_")
    }


def states(home: Home, hub: str, *keys: str) -> list[str | None]:
    return [home.state("binary_sensor", hub, key) for key in keys]


async def enable_all(home: Home) -> None:
    """Enable what is disabled by default; Home Assistant reloads half a minute later."""
    registry = er.async_get(home.hass)
    for entry in er.async_entries_for_config_entry(registry, home.entry.entry_id):
        if entry.disabled_by:
            registry.async_update_entity(entry.entity_id, disabled_by=None)
    await home.poll()


@pytest.fixture
async def everything(home: Home, entry: ConfigEntry) -> None:
    await enable_all(home)


async def test_hub_has_a_binary_sensor_for_every_fact(home: Home, entry: ConfigEntry) -> None:
    entities = registered(home, BOARDROOM)
    assert sorted(entities) == sorted(KEYS)
    assert len(registered(home, "Workshop")) == 7 + 3 * 10
    for key in KEYS:
        disabled = entities[key].disabled_by is er.RegistryEntryDisabler.INTEGRATION
        assert disabled == (key in DISABLED), key
        assert (home.state("binary_sensor", BOARDROOM, key) is None) == disabled


@pytest.mark.parametrize(
    ("key", "name", "device_class", "category"),
    [
        ("in_use", "In use", "occupancy", None),
        ("connectivity", None, "connectivity", EntityCategory.DIAGNOSTIC),
        ("room_system", "Room system", None, None),
        ("admin_mode", "Admin mode", None, None),
        ("overheating", "Overheating", "problem", None),
        ("port_3_connected", "Port 3 connected", "plug", None),
        ("port_3_active", "Port 3 active", None, None),
        ("external_room_system", "External room system", None, EntityCategory.DIAGNOSTIC),
        ("room_system_sync", "Room system sync", None, EntityCategory.DIAGNOSTIC),
        ("connection_usb1", "USB connection USB1", "plug", EntityCategory.DIAGNOSTIC),
    ],
)
@pytest.mark.usefixtures("entry")
async def test_how_a_binary_sensor_is_shown(
    home: Home, key: str, name: str | None, device_class: str | None, category: Any
) -> None:
    entity = registered(home, BOARDROOM)[key]
    assert entity.original_device_class == device_class
    assert entity.entity_category is category
    assert entity.has_entity_name
    # Connectivity goes by the name of its device class.
    assert entity.original_name == (name or "Connectivity")


def _plug(port: int) -> Callable[[SimHub], None]:
    return lambda hub: hub.plug(port)


def _change(**changes: Any) -> Callable[[SimHub], None]:
    return lambda hub: hub.change_state(**changes)


def _connection(json: Any) -> Callable[[SimHub], None]:
    return lambda hub: hub.connections.update(usb1=json)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("key", "before", "change", "after"),
    [
        pytest.param("in_use", "off", _plug(2), "on", id="laptop plugged in"),
        pytest.param("in_use", "off", _change(mtrmode=False), "on", id="no room system"),
        pytest.param("in_use", "off", _change(connected=[]), "unknown", id="no ports"),
        pytest.param("port_2_connected", "off", _plug(2), "on", id="plugged in"),
        pytest.param("port_1_connected", "on", lambda hub: hub.unplug(1), "off", id="unplugged"),
        pytest.param("port_4_connected", "off", _change(connected=[1]), "unknown", id="lost"),
        pytest.param("port_1_active", "on", lambda hub: hub.press(1), "off", id="button off"),
        pytest.param("port_2_active", "off", lambda hub: hub.press(2), "on", id="button on"),
        pytest.param("port_1_active", "on", _change(active="x"), "unknown", id="active odd"),
        pytest.param("port_1_active", "on", _change(active=9), "off", id="active elsewhere"),
        pytest.param("port_4_active", "off", _change(connected=[1]), "unknown", id="port lost"),
        pytest.param("overheating", "off", lambda hub: hub.set_overheated(True), "on", id="hot"),
        pytest.param("overheating", "off", _change(otp="new word"), "on", id="new word"),
        pytest.param("overheating", "off", _change(otp=None), "unknown", id="no temperature"),
        pytest.param("admin_mode", "off", _change(adminmode=True), "on", id="admin"),
        pytest.param("admin_mode", "off", _change(adminmode=None), "unknown", id="admin lost"),
        pytest.param("room_system", "on", _change(mtrmode=0), "off", id="room system off"),
        pytest.param("room_system", "on", _change(mtrmode="x"), "unknown", id="room system odd"),
        pytest.param("room_system_sync", "on", _change(mtrsync=False), "off", id="sync off"),
        pytest.param("room_system_sync", "on", _change(mtrsync=None), "unknown", id="sync lost"),
        pytest.param("external_room_system", "on", _change(externalmtr=0), "off", id="external"),
        pytest.param("external_room_system", "on", _change(externalmtr=""), "unknown", id="ext."),
        pytest.param("connection_usb1", "on", _connection(None), "off", id="USB gone"),
        pytest.param("connection_usb1", "on", _connection({"connected": 0}), "off", id="USB off"),
        pytest.param("connection_usb1", "on", _connection({"type": "x"}), "unknown", id="USB odd"),
        pytest.param("connection_usb1", "on", _connection(5), "unknown", id="USB no object"),
        pytest.param("connection_usb2", "off", _plug(2), "on", id="USB on"),
        pytest.param(
            *("connectivity", "on", lambda hub: setattr(hub, "online", False), "off"), id="offline"
        ),
        pytest.param(
            *("connectivity", "on", lambda hub: hub.omit.add("data.presence"), "unknown"),
            id="presence lost",
        ),
    ],
)
async def test_state_follows_the_hub(
    home: Home, key: str, before: str, change: Callable[[SimHub], None], after: str
) -> None:
    assert states(home, BOARDROOM, key) == [before]
    change(home.simulator.hub(BOARDROOM))
    await home.poll()
    assert states(home, BOARDROOM, key) == [after]


@pytest.mark.usefixtures("everything")
async def test_offline_hub_shows_connectivity_only(home: Home) -> None:
    workshop = ["connectivity", "in_use", "port_1_connected", "connection_usb1"]
    assert states(home, "Reception", *KEYS) == [
        "off" if key == "connectivity" else "unavailable" for key in KEYS
    ]
    home.simulator.hub("Reception").online = True
    home.simulator.hub("Workshop").online = False
    await home.poll()
    assert set(states(home, "Reception", *KEYS)) == {"on", "off"}
    assert states(home, "Reception", "connectivity") == ["on"]
    assert states(home, "Workshop", *workshop) == ["off", *["unavailable"] * 3]


async def test_hub_of_unknown_presence_is_not_taken_for_offline(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.hub(BOARDROOM).omit.add("data.presence")
    await home.poll()
    assert states(home, BOARDROOM, "in_use") == ["off"]
    assert states(home, BOARDROOM, "port_1_connected") == ["on"]


async def test_workshop_has_ten_ports(home: Home, entry: ConfigEntry) -> None:
    home.simulator.hub("Workshop").plug(10)
    await home.poll()
    assert states(home, "Workshop", "port_9_connected", "port_10_connected") == ["off", "on"]
    assert states(home, "Workshop", "port_10_active", "port_11_connected") == ["on", None]


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("data.presence", {"connectivity"}),
        ("data.state.mtrmode", {"room_system"}),
        ("data.state.mtrsync", {"room_system_sync"}),
        ("data.state.externalmtr", {"external_room_system"}),
        ("data.state.adminmode", {"admin_mode"}),
        ("data.state.otp", {"overheating"}),
        ("data.state.connected", {"in_use", *PORTS}),
        ("data.connections", {f"connection_usb{port}" for port in (1, 2, 3, 4)}),
        ("data", set(KEYS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_a_hub_reports_later_comes_later(
    home: Home, path: str, missing: set[str]
) -> None:
    board = home.simulator.hub(BOARDROOM)
    board.omit.add(path)
    await home.link_account()
    assert set(registered(home, BOARDROOM)) == set(KEYS) - missing
    board.omit.clear()
    await home.poll()
    assert set(registered(home, BOARDROOM)) == set(KEYS)
    await enable_all(home)
    board.omit.add(path)
    await home.poll()
    # What was there once stays and says that it does not know.
    assert {key for key in KEYS if states(home, BOARDROOM, key) == ["unknown"]} == missing


async def test_hub_without_room_system_has_its_entities_off(home: Home, entry: ConfigEntry) -> None:
    assert states(home, "Focus room", "room_system", "in_use") == ["off", "off"]
    home.simulator.hub("Focus room").plug(1)
    await home.poll()
    assert states(home, "Focus room", "in_use") == ["on"]


async def test_hub_that_grows_gets_more_ports(home: Home, entry: ConfigEntry) -> None:
    home.simulator.hub("Focus room").state["connected"] = [0, 0, 0, 0, 1]
    await home.poll()
    assert states(home, "Focus room", "port_5_connected", "port_5_active") == ["on", "off"]
    assert len(registered(home, "Focus room")) == len(KEYS) + 2


async def test_account_that_is_not_mine_is_not_shown(home: Home, entry: ConfigEntry) -> None:
    assert registered(home, "Elsewhere") == {}
