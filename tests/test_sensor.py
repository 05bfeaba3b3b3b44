"""Tests of the sensors of hubs and of the account."""

from collections.abc import Mapping
from typing import Any

import pytest

from homeassistant.const import EntityCategory
from homeassistant.helpers import entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub
from .test_binary_sensor import HubChange, all_entities_enabled, enable_all_entities

__all__ = ["all_entities_enabled"]

BOARDROOM = "Boardroom"
KEYS = ["active_port", "room_system_port", "default_port", "ip_address"]
ACCOUNT_KEYS = ["hubs_online", "hubs_offline"]


def registry_entry(home: Home, key: str, hub: str = BOARDROOM) -> er.RegistryEntry | None:
    """Return the registry entry of a sensor of a hub, or of the account for an account key."""
    registry = er.async_get(home.hass)
    owner = home.entry.unique_id if key in ACCOUNT_KEYS else home.simulator.hub(hub).id
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{owner}_{key}")
    return registry.async_get(entity_id) if entity_id else None


def state(home: Home, key: str, hub: str = BOARDROOM) -> str | None:
    """Return the state of a sensor, or None if it has no state."""
    entry = registry_entry(home, key, hub)
    sensor_state = home.hass.states.get(entry.entity_id) if entry else None
    return sensor_state.state if sensor_state else None


def attributes(home: Home, key: str, hub: str = BOARDROOM) -> Mapping[str, Any]:
    """Return the state attributes of a sensor."""
    entry = registry_entry(home, key, hub)
    assert entry is not None
    sensor_state = home.hass.states.get(entry.entity_id)
    assert sensor_state is not None
    return sensor_state.attributes


@pytest.mark.parametrize(
    ("key", "name", "category", "enabled"),
    [
        ("active_port", "Active port", None, True),
        ("room_system_port", "Room system port", EntityCategory.DIAGNOSTIC, False),
        ("default_port", "Default port", EntityCategory.DIAGNOSTIC, False),
        ("ip_address", "IP address", EntityCategory.DIAGNOSTIC, False),
        ("hubs_online", "Hubs online", EntityCategory.DIAGNOSTIC, True),
        ("hubs_offline", "Hubs offline", EntityCategory.DIAGNOSTIC, True),
    ],
)
@pytest.mark.usefixtures("entry")
async def test_sensor_has_name_category_device_class_and_default(
    home: Home, key: str, name: str, category: EntityCategory | None, enabled: bool
) -> None:
    entry = registry_entry(home, key)
    assert entry is not None
    assert entry.original_name == name
    assert entry.has_entity_name
    assert entry.entity_category is category
    assert (entry.disabled_by is None) == enabled
    assert (state(home, key) is not None) == enabled
    assert entry.original_device_class == ("enum" if key == "active_port" else None)


def _press(port: int) -> HubChange:
    return lambda hub: hub.press(port)


def _change(**changes: Any) -> HubChange:
    return lambda hub: hub.change_state(**changes)


def _change_config(**changes: Any) -> HubChange:
    return lambda hub: hub.change_config(**changes)


def _remove_active(hub: SimHub) -> None:
    del hub.state["active"]


def _omit_state(hub: SimHub) -> None:
    hub.omit.add("data.state")


def _change_ip(hub: SimHub) -> None:
    hub.ip = "10.0.0.1"


def _set_ip_to_null(hub: SimHub) -> None:
    hub.extra = {"data": {"ip": None}}


@pytest.mark.usefixtures("all_entities_enabled")
@pytest.mark.parametrize(
    ("key", "before", "change", "after"),
    [
        pytest.param("active_port", "1", _press(3), "3", id="other port active"),
        pytest.param("active_port", "1", _press(1), "none", id="no port active"),
        pytest.param("active_port", "1", _remove_active, "none", id="active missing"),
        pytest.param("active_port", "1", _change(active=5), "unknown", id="active beyond ports"),
        pytest.param("active_port", "1", _change(active="x"), "unknown", id="active invalid"),
        pytest.param("active_port", "1", _change(active=-1), "unknown", id="active negative"),
        pytest.param("active_port", "1", _change(connected=[]), "unknown", id="no ports"),
        pytest.param("active_port", "1", _omit_state, "unknown", id="state missing"),
        pytest.param("room_system_port", "1", _change(mtrport=2), "2", id="mtrport changed"),
        pytest.param("room_system_port", "1", _change(mtrport=None), "unknown", id="mtrport null"),
        pytest.param("default_port", "1", _change_config(defaultport=4), "4", id="default changed"),
        pytest.param(
            *("default_port", "1", _change_config(defaultport=[]), "unknown"), id="default invalid"
        ),
        pytest.param("ip_address", "10.20.0.6", _change_ip, "10.0.0.1", id="IP changed"),
        pytest.param("ip_address", "10.20.0.6", _set_ip_to_null, "unknown", id="IP null"),
    ],
)
async def test_sensor_state_changes_when_hub_changes(
    home: Home, key: str, before: str, change: HubChange, after: str
) -> None:
    assert state(home, key) == before
    change(home.simulator.hub(BOARDROOM))
    await home.poll()
    assert state(home, key) == after


@pytest.mark.usefixtures("entry")
async def test_active_port_has_an_option_for_each_port(home: Home) -> None:
    assert attributes(home, "active_port")["options"] == ["none", "1", "2", "3", "4"]
    workshop_options = attributes(home, "active_port", "Workshop")["options"]
    assert workshop_options == ["none", *(str(port) for port in range(1, 11))]
    hub = home.simulator.hub("Focus room")
    hub.state |= {"connected": [0, 0, 0, 0, 1, 1], "active": 6}
    await home.poll()
    assert state(home, "active_port", "Focus room") == "6"
    assert attributes(home, "active_port", "Focus room")["options"][-1] == "6"


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_active_port_has_attributes_for_default_port_and_room_system_port(
    home: Home, access: str, platform: str
) -> None:
    await home.link_account(access=access)
    hub = home.simulator.hub(BOARDROOM)

    def port_attributes() -> tuple[int | None, int | None]:
        entity_id = home.entity_id(platform, BOARDROOM, "active_port")
        assert entity_id is not None
        active_port = home.hass.states.get(entity_id)
        assert active_port is not None
        return active_port.attributes["default_port"], active_port.attributes["room_system_port"]

    assert port_attributes() == (1, 1)
    hub.config["defaultport"] = 0
    hub.state["mtrport"] = 2
    await home.poll()
    assert port_attributes() == (0, 2)
    del hub.config["defaultport"]
    hub.state["mtrmode"] = False
    await home.poll()
    assert port_attributes() == (None, None)


@pytest.mark.usefixtures("entry")
async def test_active_port_of_hub_with_ten_ports_can_be_the_tenth(home: Home) -> None:
    home.simulator.hub("Workshop").press(10)
    await home.poll()
    assert state(home, "active_port", "Workshop") == "10"


@pytest.mark.usefixtures("all_entities_enabled")
async def test_offline_hub_has_unavailable_sensors(home: Home) -> None:
    for key in KEYS:
        assert state(home, key, "Reception") == "unavailable"
    home.simulator.hub("Reception").online = True
    await home.poll()
    assert [state(home, key, "Reception") for key in KEYS[:3]] == ["none", "0", "0"]
    home.simulator.hub("Reception").online = False
    await home.poll()
    assert state(home, "active_port", "Reception") == "unavailable"


@pytest.mark.usefixtures("all_entities_enabled")
async def test_removed_hub_has_unavailable_sensors(home: Home) -> None:
    entries = [registry_entry(home, key) for key in KEYS]
    home.simulator.remove_hub(BOARDROOM)
    await home.poll()
    for entry in entries:
        assert entry is not None
        sensor_state = home.hass.states.get(entry.entity_id)
        assert sensor_state is not None
        assert sensor_state.state == "unavailable"


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("data.state", {"active_port", "room_system_port"}),
        ("data.state.mtrport", {"room_system_port"}),
        ("data.config", {"default_port"}),
        ("data.ip", {"ip_address"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_sensor_is_added_with_first_value_and_unknown_without_value(
    home: Home, path: str, missing: set[str]
) -> None:
    hub = home.simulator.hub(BOARDROOM)
    hub.omit.add(path)
    await home.link_account()
    assert {key for key in KEYS if registry_entry(home, key) is None} == missing
    hub.omit.clear()
    await home.poll()
    assert [key for key in KEYS if registry_entry(home, key) is None] == []
    await enable_all_entities(home)
    hub.omit.add(path)
    await home.poll()
    assert {key for key in KEYS if state(home, key) == "unknown"} == missing


@pytest.mark.usefixtures("entry")
async def test_account_sensors_count_online_and_offline_hubs(home: Home) -> None:
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["3", "1"]
    assert attributes(home, "hubs_online")["state_class"] == "measurement"
    assert attributes(home, "hubs_offline")["state_class"] == "measurement"
    home.simulator.hub("Workshop").online = False
    home.simulator.add_hub("Library")
    home.simulator.hub("Focus room").omit.add("data.presence")
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["2", "2"]


async def test_account_sensors_without_hubs_are_zero(home: Home) -> None:
    await home.link_account("Second Organisation")
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["1", "0"]
    home.simulator.remove_hub("Elsewhere")
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["0", "0"]


@pytest.mark.usefixtures("entry")
async def test_account_sensors_after_failed_poll_are_unavailable_until_next_poll(
    home: Home,
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500))
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["unavailable"] * 2
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["3", "1"]
