"""Sensors as the facts change at the hub, and those of the account."""

from collections.abc import Callable
from typing import Any

import pytest

from homeassistant.const import EntityCategory
from homeassistant.helpers import entity_registry as er

from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub
from .test_binary_sensor import enable_all, everything

__all__ = ["everything"]

BOARDROOM = "Boardroom"
KEYS = ["active_port", "room_system_port", "default_port", "ip_address"]
ACCOUNT_KEYS = ["hubs_online", "hubs_offline"]


def entity(home: Home, key: str, hub: str = BOARDROOM) -> er.RegistryEntry | None:
    """Find a sensor in the registry, of a hub or else of the account."""
    registry = er.async_get(home.hass)
    owner = home.entry.unique_id if key in ACCOUNT_KEYS else home.simulator.hub(hub).id
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{owner}_{key}")
    return registry.async_get(entity_id) if entity_id else None


def state(home: Home, key: str, hub: str = BOARDROOM) -> str | None:
    entry = entity(home, key, hub)
    found = home.hass.states.get(entry.entity_id) if entry else None
    return found.state if found else None


def attributes(home: Home, key: str, hub: str = BOARDROOM) -> Any:
    entry = entity(home, key, hub)
    assert entry is not None
    found = home.hass.states.get(entry.entity_id)
    assert found is not None
    return found.attributes


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
async def test_how_a_sensor_is_shown(
    home: Home, key: str, name: str, category: EntityCategory | None, enabled: bool
) -> None:
    found = entity(home, key)
    assert found is not None
    assert found.original_name == name
    assert found.has_entity_name
    assert found.entity_category is category
    assert (found.disabled_by is None) == enabled
    assert (state(home, key) is not None) == enabled
    assert found.original_device_class == ("enum" if key == "active_port" else None)


def _state(**changes: Any) -> Callable[[SimHub], None]:
    return lambda hub: hub.change_state(**changes)


def _config(**changes: Any) -> Callable[[SimHub], None]:
    return lambda hub: hub.change_config(**changes)


@pytest.mark.usefixtures("everything")
@pytest.mark.parametrize(
    ("key", "before", "change", "after"),
    [
        pytest.param("active_port", "1", lambda hub: hub.press(3), "3", id="button"),
        pytest.param("active_port", "1", lambda hub: hub.press(1), "none", id="button off"),
        pytest.param("active_port", "1", lambda hub: hub.state.pop("active"), "none", id="none"),
        pytest.param("active_port", "1", _state(active=5), "unknown", id="beyond the ports"),
        pytest.param("active_port", "1", _state(active="x"), "unknown", id="odd"),
        pytest.param("active_port", "1", _state(active=-1), "unknown", id="negative"),
        pytest.param("active_port", "1", _state(connected=[]), "unknown", id="no ports"),
        pytest.param(
            *("active_port", "1", lambda hub: hub.omit.add("data.state"), "unknown"), id="no state"
        ),
        pytest.param("room_system_port", "1", _state(mtrport=2), "2", id="room system moved"),
        pytest.param("room_system_port", "1", _state(mtrport=None), "unknown", id="room system"),
        pytest.param("default_port", "1", _config(defaultport=4), "4", id="default"),
        pytest.param("default_port", "1", _config(defaultport=[]), "unknown", id="no default"),
        pytest.param(
            *("ip_address", "10.20.0.6", lambda hub: setattr(hub, "ip", "10.0.0.1"), "10.0.0.1"),
            id="address",
        ),
        pytest.param(
            *("ip_address", "10.20.0.6", lambda hub: setattr(hub, "ip", None), "unknown"),
            id="no address",
        ),
    ],
)
async def test_state_follows_the_hub(
    home: Home, key: str, before: str, change: Callable[[SimHub], None], after: str
) -> None:
    assert state(home, key) == before
    change(home.simulator.hub(BOARDROOM))
    await home.poll()
    assert state(home, key) == after


@pytest.mark.usefixtures("entry")
async def test_active_port_offers_the_ports_that_there_are(home: Home) -> None:
    assert attributes(home, "active_port")["options"] == ["none", "1", "2", "3", "4"]
    workshop = attributes(home, "active_port", "Workshop")["options"]
    assert workshop == ["none", *(str(port) for port in range(1, 11))]
    focus = home.simulator.hub("Focus room")
    focus.state |= {"connected": [0, 0, 0, 0, 1, 1], "active": 6}
    await home.poll()
    assert state(home, "active_port", "Focus room") == "6"
    assert attributes(home, "active_port", "Focus room")["options"][-1] == "6"


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_active_port_tells_which_ports_automations_can_go_back_to(
    home: Home, access: str, platform: str
) -> None:
    await home.link_account(access=access)
    hub = home.simulator.hub(BOARDROOM)

    def told() -> tuple[int | None, int | None]:
        shown = home.hass.states.get(home.entity_id(platform, BOARDROOM, "active_port") or "")
        assert shown is not None
        return shown.attributes["default_port"], shown.attributes["room_system_port"]

    assert told() == (1, 1)
    hub.config["defaultport"] = 0
    hub.state["mtrport"] = 2
    await home.poll()
    assert told() == (0, 2)
    del hub.config["defaultport"]
    hub.state["mtrmode"] = False
    await home.poll()
    assert told() == (None, None)


@pytest.mark.usefixtures("entry")
async def test_active_port_of_the_tenth_port(home: Home) -> None:
    home.simulator.hub("Workshop").press(10)
    await home.poll()
    assert state(home, "active_port", "Workshop") == "10"


@pytest.mark.usefixtures("everything")
async def test_offline_hub_shows_nothing(home: Home) -> None:
    for key in KEYS:
        assert state(home, key, "Reception") == "unavailable"
    home.simulator.hub("Reception").online = True
    await home.poll()
    assert [state(home, key, "Reception") for key in KEYS[:3]] == ["none", "0", "0"]
    home.simulator.hub("Reception").online = False
    await home.poll()
    assert state(home, "active_port", "Reception") == "unavailable"


@pytest.mark.usefixtures("everything")
async def test_hub_that_left_shows_nothing(home: Home) -> None:
    entities = {key: entity(home, key) for key in KEYS}
    home.simulator.remove_hub(BOARDROOM)
    await home.poll()
    for found in entities.values():
        assert found is not None
        shown = home.hass.states.get(found.entity_id)
        assert shown is not None
        assert shown.state == "unavailable"


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
async def test_what_a_hub_reports_later_comes_later(
    home: Home, path: str, missing: set[str]
) -> None:
    board = home.simulator.hub(BOARDROOM)
    board.omit.add(path)
    await home.link_account()
    assert {key for key in KEYS if entity(home, key) is None} == missing
    board.omit.clear()
    await home.poll()
    assert [key for key in KEYS if entity(home, key) is None] == []
    await enable_all(home)
    board.omit.add(path)
    await home.poll()
    assert {key for key in KEYS if state(home, key) == "unknown"} == missing


@pytest.mark.usefixtures("entry")
async def test_account_counts_its_hubs(home: Home) -> None:
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["3", "1"]
    assert attributes(home, "hubs_online")["state_class"] == "measurement"
    assert attributes(home, "hubs_offline")["state_class"] == "measurement"
    home.simulator.hub("Workshop").online = False
    home.simulator.add_hub("Library")
    home.simulator.hub("Focus room").omit.add("data.presence")  # neither
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["2", "2"]


async def test_account_counts_while_it_has_no_hubs(home: Home) -> None:
    await home.link_account("Second Organisation")
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["1", "0"]
    home.simulator.remove_hub("Elsewhere")
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["0", "0"]


@pytest.mark.usefixtures("entry")
async def test_account_that_can_not_be_asked_does_not_count(home: Home) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500))
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["unavailable"] * 2
    await home.poll()
    assert [state(home, key) for key in ACCOUNT_KEYS] == ["3", "1"]
