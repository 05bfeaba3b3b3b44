"""Tests of the binary sensors."""

from collections.abc import Callable
from typing import Any

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EntityCategory
from homeassistant.helpers import entity_registry as er

from .home import Home
from .simulator import SimHub

type HubChange = Callable[[SimHub], None]

BOARDROOM = "Boardroom"
CONNECTION_KEYS = [f"connection_usb{port}" for port in (1, 2, 3, 4)]
PORT_KEYS = [f"port_{port}_{suffix}" for port in (1, 2, 3, 4) for suffix in ("connected", "active")]
DISABLED_KEYS = ["external_room_system", "room_system_sync", *CONNECTION_KEYS]
KEYS = [
    *("in_use", "connectivity", "room_system", "admin_mode", "overheating"),
    *(*PORT_KEYS, *DISABLED_KEYS),
]


def registry_entries(home: Home, hub: str) -> dict[str, er.RegistryEntry]:
    """Return the registry entries of a hub's binary sensors by key."""
    hub_id = home.simulator.hub(hub).id
    return {
        entry.unique_id.removeprefix(f"{hub_id}_"): entry
        for entry in er.async_entries_for_config_entry(er.async_get(home.hass), home.entry.entry_id)
        if entry.domain == "binary_sensor" and entry.unique_id.startswith(f"{hub_id}_")
    }


def states(home: Home, hub: str, *keys: str) -> list[str | None]:
    """Return the states of a hub's binary sensors."""
    return [home.state("binary_sensor", hub, key) for key in keys]


async def enable_all_entities(home: Home) -> None:
    """Enable the disabled entities and wait for the reload, half a minute later."""
    registry = er.async_get(home.hass)
    for entry in er.async_entries_for_config_entry(registry, home.entry.entry_id):
        if entry.disabled_by:
            registry.async_update_entity(entry.entity_id, disabled_by=None)
    await home.poll()


@pytest.fixture
async def all_entities_enabled(home: Home, entry: ConfigEntry) -> None:
    """Link the first account and enable all entities."""
    await enable_all_entities(home)


async def test_hub_has_binary_sensors_for_all_reported_values(
    home: Home, entry: ConfigEntry
) -> None:
    entities = registry_entries(home, BOARDROOM)
    assert sorted(entities) == sorted(KEYS)
    assert len(registry_entries(home, "Workshop")) == 7 + 3 * 10
    for key in KEYS:
        disabled = entities[key].disabled_by is er.RegistryEntryDisabler.INTEGRATION
        assert disabled == (key in DISABLED_KEYS), key
        assert (home.state("binary_sensor", BOARDROOM, key) is None) == disabled


@pytest.mark.parametrize(
    ("key", "name", "device_class", "category"),
    [
        ("in_use", "Occupancy", "occupancy", None),
        ("connectivity", None, "connectivity", EntityCategory.DIAGNOSTIC),
        ("room_system", "Room system", None, EntityCategory.DIAGNOSTIC),
        ("admin_mode", "Admin mode", None, EntityCategory.DIAGNOSTIC),
        ("overheating", "Overheating", "problem", EntityCategory.DIAGNOSTIC),
        ("port_3_connected", "Port 3 connected", "plug", None),
        ("port_3_active", "Port 3 active", None, None),
        ("external_room_system", "External room system", None, EntityCategory.DIAGNOSTIC),
        ("room_system_sync", "Room system sync", None, EntityCategory.DIAGNOSTIC),
        ("connection_usb1", "USB connection USB1", "plug", EntityCategory.DIAGNOSTIC),
    ],
)
@pytest.mark.usefixtures("entry")
async def test_binary_sensor_has_name_device_class_and_category(
    home: Home,
    key: str,
    name: str | None,
    device_class: str | None,
    category: EntityCategory | None,
) -> None:
    entity = registry_entries(home, BOARDROOM)[key]
    assert entity.original_device_class == device_class
    assert entity.entity_category is category
    assert entity.has_entity_name
    # The name of the connectivity sensor is that of its device class.
    assert entity.original_name == (name or "Connectivity")


def _plug(port: int) -> HubChange:
    return lambda hub: hub.plug(port)


def _press(port: int) -> HubChange:
    return lambda hub: hub.press(port)


def _change(**changes: Any) -> HubChange:
    return lambda hub: hub.change_state(**changes)


def _connection(value: Any) -> HubChange:
    return lambda hub: hub.connections.update(usb1=value)


def _go_offline(hub: SimHub) -> None:
    hub.online = False


def _omit_presence(hub: SimHub) -> None:
    hub.omit.add("data.presence")


@pytest.mark.usefixtures("all_entities_enabled")
@pytest.mark.parametrize(
    ("key", "before", "change", "after"),
    [
        pytest.param("in_use", "off", _plug(2), "on", id="laptop plugged in"),
        pytest.param("in_use", "off", _change(mtrmode=False), "on", id="room system disabled"),
        pytest.param("in_use", "off", _change(connected=[]), "unknown", id="no ports"),
        pytest.param("port_2_connected", "off", _plug(2), "on", id="port plugged"),
        pytest.param("port_1_connected", "on", lambda hub: hub.unplug(1), "off", id="unplugged"),
        pytest.param(
            *("port_4_connected", "off", _change(connected=[1]), "unknown"),
            id="connected port missing",
        ),
        pytest.param("port_1_active", "on", _press(1), "off", id="active port released"),
        pytest.param("port_2_active", "off", _press(2), "on", id="port activated"),
        pytest.param("port_1_active", "on", _change(active="x"), "unknown", id="active invalid"),
        pytest.param("port_1_active", "on", _change(active=9), "off", id="active beyond the ports"),
        pytest.param(
            *("port_4_active", "off", _change(connected=[1]), "unknown"), id="active port missing"
        ),
        pytest.param(
            "overheating", "off", lambda hub: hub.set_overheated(True), "on", id="overheated"
        ),
        pytest.param("overheating", "off", _change(otp="new word"), "on", id="otp unknown word"),
        pytest.param("overheating", "off", _change(otp=None), "unknown", id="otp null"),
        pytest.param("admin_mode", "off", _change(adminmode=True), "on", id="adminmode on"),
        pytest.param("admin_mode", "off", _change(adminmode=None), "unknown", id="adminmode null"),
        pytest.param("room_system", "on", _change(mtrmode=0), "off", id="mtrmode 0"),
        pytest.param("room_system", "on", _change(mtrmode="x"), "unknown", id="mtrmode invalid"),
        pytest.param("room_system_sync", "on", _change(mtrsync=False), "off", id="mtrsync off"),
        pytest.param("room_system_sync", "on", _change(mtrsync=None), "unknown", id="mtrsync null"),
        pytest.param(
            *("external_room_system", "on", _change(externalmtr=0), "off"), id="externalmtr 0"
        ),
        pytest.param(
            *("external_room_system", "on", _change(externalmtr=""), "unknown"),
            id="externalmtr empty",
        ),
        pytest.param("connection_usb1", "on", _connection(None), "off", id="connection null"),
        pytest.param(
            *("connection_usb1", "on", _connection({"connected": 0}), "off"), id="connection 0"
        ),
        pytest.param(
            *("connection_usb1", "on", _connection({"type": "x"}), "unknown"),
            id="connection without connected",
        ),
        pytest.param("connection_usb1", "on", _connection(5), "unknown", id="connection number"),
        pytest.param("connection_usb2", "off", _plug(2), "on", id="connection plugged"),
        pytest.param("connectivity", "on", _go_offline, "off", id="offline"),
        pytest.param("connectivity", "on", _omit_presence, "unknown", id="presence missing"),
    ],
)
async def test_binary_sensor_state_changes_when_hub_changes(
    home: Home, key: str, before: str, change: HubChange, after: str
) -> None:
    assert states(home, BOARDROOM, key) == [before]
    change(home.simulator.hub(BOARDROOM))
    await home.poll()
    assert states(home, BOARDROOM, key) == [after]


@pytest.mark.usefixtures("all_entities_enabled")
async def test_offline_hub_has_only_connectivity_available(home: Home) -> None:
    workshop_keys = ["connectivity", "in_use", "port_1_connected", "connection_usb1"]
    assert states(home, "Reception", *KEYS) == [
        "off" if key == "connectivity" else "unavailable" for key in KEYS
    ]
    home.simulator.hub("Reception").online = True
    home.simulator.hub("Workshop").online = False
    await home.poll()
    assert set(states(home, "Reception", *KEYS)) == {"on", "off"}
    assert states(home, "Reception", "connectivity") == ["on"]
    assert states(home, "Workshop", *workshop_keys) == ["off", *["unavailable"] * 3]


async def test_hub_with_unknown_presence_stays_available(home: Home, entry: ConfigEntry) -> None:
    home.simulator.hub(BOARDROOM).omit.add("data.presence")
    await home.poll()
    assert states(home, BOARDROOM, "in_use") == ["off"]
    assert states(home, BOARDROOM, "port_1_connected") == ["on"]


async def test_hub_with_ten_ports_has_binary_sensors_for_ten_ports(
    home: Home, entry: ConfigEntry
) -> None:
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
        ("data.state.connected", {"in_use", *PORT_KEYS}),
        ("data.connections", set(CONNECTION_KEYS)),
        ("data", set(KEYS)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_binary_sensor_is_added_with_first_value_and_unknown_without_value(
    home: Home, path: str, missing: set[str]
) -> None:
    hub = home.simulator.hub(BOARDROOM)
    hub.omit.add(path)
    await home.link_account()
    assert set(registry_entries(home, BOARDROOM)) == set(KEYS) - missing
    hub.omit.clear()
    await home.poll()
    assert set(registry_entries(home, BOARDROOM)) == set(KEYS)
    await enable_all_entities(home)
    hub.omit.add(path)
    await home.poll()
    assert {key for key in KEYS if states(home, BOARDROOM, key) == ["unknown"]} == missing


async def test_hub_without_room_system_has_room_system_and_in_use_off(
    home: Home, entry: ConfigEntry
) -> None:
    assert states(home, "Focus room", "room_system", "in_use") == ["off", "off"]
    home.simulator.hub("Focus room").plug(1)
    await home.poll()
    assert states(home, "Focus room", "in_use") == ["on"]


async def test_hub_with_additional_port_gets_its_binary_sensors(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.hub("Focus room").state["connected"] = [0, 0, 0, 0, 1]
    await home.poll()
    assert states(home, "Focus room", "port_5_connected", "port_5_active") == ["on", "off"]
    assert len(registry_entries(home, "Focus room")) == len(KEYS) + 2


async def test_hub_of_other_account_has_no_entities(home: Home, entry: ConfigEntry) -> None:
    assert registry_entries(home, "Elsewhere") == {}
