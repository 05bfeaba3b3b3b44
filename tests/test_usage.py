"""Tests of the usage sensors: time in use, time on screen, and rooms in use."""

from datetime import datetime, timedelta
from itertools import pairwise
import time
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import (
    async_capture_events,
    mock_restore_cache_with_extra_data,
)

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, State
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.restore_state import async_get as async_get_restore_data

from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub

BOARDROOM = "Boardroom"
TIME_IN_USE = ("sensor", BOARDROOM, "time_in_use")
HOUR = 3600


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the boardroom's hub, where only the room system is connected, to port 1."""
    hub = home.simulator.hub(BOARDROOM)
    assert (hub.plugged, hub.active) == ([1], 1)
    return hub


def hours(home: Home, key: str = "time_in_use") -> float:
    """Return the hours of a sensor of the boardroom."""
    state = home.state("sensor", BOARDROOM, key)
    assert state is not None
    return float(state)


async def use(home: Home, hub: SimHub, seconds: float) -> None:
    """Plug in a laptop, and unplug it after some seconds."""
    hub.plug(2)
    await home.poll()
    await home.advance_time(seconds)
    hub.unplug(2)
    await home.poll()


def used(*seconds: float) -> Any:
    """Return the hours of one or more uses; each ends with a poll, 31 seconds later."""
    return pytest.approx(sum(second + 31 for second in seconds) / HOUR, abs=0.0002)


def values(
    home: Home, events: list[Event[EventStateChangedData]], entity_id: str | None
) -> list[str]:
    """Return the states of an entity in these events, in order."""
    states = [event.data["new_state"] for event in events if event.data["entity_id"] == entity_id]
    return [state.state for state in states if state is not None]


@pytest.mark.parametrize(
    ("key", "name", "enabled"),
    [("time_in_use", "Time in use", True), ("time_on_screen", "Time on screen", False)],
)
async def test_time_sensor_is_duration_in_hours_that_increases(
    home: Home, entry: ConfigEntry, key: str, name: str, enabled: bool
) -> None:
    registry = er.async_get(home.hass)
    entity_id = home.entity_id("sensor", BOARDROOM, key)
    assert entity_id is not None
    entity = registry.async_get(entity_id)
    assert entity is not None
    assert (entity.original_name, entity.entity_category) == (name, None)
    assert (entity.disabled_by is None) == enabled
    registry.async_update_entity(entity_id, disabled_by=None)
    await home.poll()
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.state == "0.0"
    assert state.attributes["device_class"] == "duration"
    assert state.attributes["state_class"] == "total_increasing"
    assert state.attributes["unit_of_measurement"] == "h"


async def test_time_in_use_is_sum_of_all_uses(home: Home, hub: SimHub) -> None:
    await home.advance_time(HOUR)
    assert hours(home) == 0
    await use(home, hub, HOUR)
    assert hours(home) == used(HOUR)
    await home.advance_time(5 * HOUR)
    await use(home, hub, 100)
    assert hours(home) == used(HOUR, 100)


async def test_time_in_use_of_hub_in_use_at_setup_counts_from_setup(home: Home) -> None:
    hub = home.simulator.hub(BOARDROOM)
    hub.plug(2)
    await home.link_account()
    assert hours(home) == 0
    await home.advance_time(HOUR)
    assert hours(home) == pytest.approx(1, abs=0.001)


async def test_time_in_use_without_port_states_stands_still(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()
    hub.change_state(connected=[])
    await home.poll()
    await home.advance_time(5 * HOUR)
    assert home.state("binary_sensor", BOARDROOM, "in_use") == "unknown"
    assert hours(home) == used(0)


async def test_time_on_screen_counts_only_laptop_on_active_port(home: Home, hub: SimHub) -> None:
    entity_id = home.entity_id("sensor", BOARDROOM, "time_on_screen")
    er.async_get(home.hass).async_update_entity(entity_id or "", disabled_by=None)
    hub.config |= {"autoswitchconnect": "disabled", "autoswitchdisconnect": "disabled"}
    await home.poll()
    hub.plug(2)
    # The room system's port, a port without a laptop, and none.
    for port in (1, 3, 0):
        hub.set_active(port)
        await home.poll()
        await home.advance_time(HOUR)
    assert hours(home, "time_on_screen") == 0
    hub.set_active(2)
    await home.poll()
    await home.advance_time(HOUR)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(HOUR)
    assert hours(home, "time_on_screen") == used(HOUR)


@pytest.mark.parametrize("reason", ["hub offline", "server error", "unloaded"])
async def test_time_while_use_is_unknown_does_not_count(
    home: Home, hub: SimHub, entry: ConfigEntry, reason: str
) -> None:
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    match reason:
        case "hub offline":
            hub.online = False
        case "server error":
            home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
        case _:
            await home.advance_time(31)
            await home.hass.config_entries.async_unload(entry.entry_id)
    await home.poll()
    assert home.state(*TIME_IN_USE) == "unavailable"
    await home.advance_time(5 * HOUR)
    home.simulator.clear_faults()
    hub.online = True
    if reason == "unloaded":
        await home.hass.config_entries.async_setup(entry.entry_id)
    await home.poll(2)
    assert hours(home) == pytest.approx((HOUR + 31) / HOUR, abs=0.02)
    hub.unplug(2)
    await home.poll()
    # From the poll or the setup that ended the outage.
    assert hours(home) == pytest.approx((HOUR + 31 + 2 * 31) / HOUR, abs=0.01)


async def test_time_of_use_that_goes_on_is_stored_when_home_assistant_stops(
    home: Home, hub: SimHub
) -> None:
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    await home.advance_time(200)
    assert hours(home) == pytest.approx(1, abs=0.001)
    entity_id = home.entity_id(*TIME_IN_USE)
    [stored] = [
        stored
        for stored in async_get_restore_data(home.hass).async_get_stored_states()
        if stored.state.entity_id == entity_id
    ]
    assert stored.extra_data is not None
    data = stored.extra_data.as_dict()
    assert data["native_value"] == pytest.approx((HOUR + 200) / HOUR, abs=0.0001)


@pytest.mark.parametrize(
    ("stored", "expected"), [(12.5, "12.5"), (3, "3.0"), (None, "0.0"), ("a", "0.0")]
)
async def test_time_in_use_after_restart_is_stored_time(
    home: Home, stored: object, expected: str
) -> None:
    entity_id = "sensor.boardroom_boardroom_time_in_use"
    extra = {"native_value": stored, "native_unit_of_measurement": "h"}
    mock_restore_cache_with_extra_data(home.hass, [(State(entity_id, "12.4"), extra)])
    await home.link_account()
    assert home.entity_id(*TIME_IN_USE) == entity_id
    assert home.state(*TIME_IN_USE) == expected


async def test_time_in_use_after_reload_and_new_entity_id_goes_on(
    home: Home, hub: SimHub, entry: ConfigEntry
) -> None:
    hub.plug(2)
    await home.poll()
    await home.advance_time(100)
    await home.hass.config_entries.async_reload(entry.entry_id)
    await home.advance_time(100)
    entity_id = home.entity_id(*TIME_IN_USE)
    er.async_get(home.hass).async_update_entity(entity_id or "", new_entity_id="sensor.other")
    await home.wait_until_idle()
    await home.advance_time(100)
    hub.unplug(2)
    await home.poll()
    state = home.hass.states.get("sensor.other")
    assert state is not None
    assert float(state.state) == pytest.approx((300 + 31) / HOUR, abs=0.0002)


async def test_time_in_use_after_entity_was_disabled_goes_on_without_that_time(
    home: Home, hub: SimHub
) -> None:
    await use(home, hub, HOUR)
    registry = er.async_get(home.hass)
    entity_id = home.entity_id(*TIME_IN_USE)
    assert entity_id is not None
    registry.async_update_entity(entity_id, disabled_by=er.RegistryEntryDisabler.USER)
    await home.wait_until_idle()
    assert home.state(*TIME_IN_USE) is None
    await use(home, hub, HOUR)
    registry.async_update_entity(entity_id, disabled_by=None)
    await home.poll()
    assert hours(home) == used(HOUR)


async def test_time_in_use_of_hub_that_moves_to_another_account_goes_on(
    home: Home, hub: SimHub
) -> None:
    await use(home, hub, HOUR)
    await home.run_user_flow("Second Organisation")
    hub.account_id = home.simulator.database.account("Second Organisation").id
    home.simulator.database.version += 1
    await home.poll(3)
    second = home.hass.config_entries.async_entries("ochno")[1]
    entity_id = home.entity_id(*TIME_IN_USE)
    entity = er.async_get(home.hass).async_get(entity_id or "")
    assert entity is not None
    assert entity.config_entry_id == second.entry_id
    assert hours(home) == used(HOUR)


@pytest.mark.parametrize("days", [-1, 400])
async def test_changed_clock_adds_no_time(home: Home, hub: SimHub, days: int) -> None:
    hub.plug(2)
    await home.poll()
    # The frozen clock of the tests would also move the monotonic clock.
    with patch("time.monotonic", return_value=time.monotonic()):
        await home.advance_time(HOUR * 24 * days)
        hub.unplug(2)
        await home.entry.runtime_data.coordinator.async_refresh()
    assert home.state("binary_sensor", BOARDROOM, "in_use") == "off"
    assert hours(home) == 0


async def test_use_reported_by_delivery_counts_at_once(home: Home) -> None:
    await home.set_external_url()
    await home.link_account()
    hub = home.simulator.hub(BOARDROOM)
    hub.plug(2)
    await home.wait_for_deliveries()
    await home.advance_time(100)
    hub.unplug(2)
    await home.wait_for_deliveries()
    await home.wait_until_idle()
    assert hours(home) == pytest.approx(100 / HOUR, abs=0.0002)


async def test_time_in_use_is_written_every_five_minutes_while_in_use(
    home: Home, hub: SimHub
) -> None:
    entity_id = home.entity_id(*TIME_IN_USE)
    events: list[Event[EventStateChangedData]] = async_capture_events(
        home.hass, EVENT_STATE_CHANGED
    )

    async def poll_for_an_hour() -> list[datetime]:
        """Change the hub in each poll; return when the sensor got new states."""
        events.clear()
        for number in range(120):
            hub.change_state(adminmode=number % 2 == 0)
            await home.advance_time(30)
        return [event.time_fired for event in events if event.data["entity_id"] == entity_id]

    hub.plug(2)
    times = await poll_for_an_hour()
    intervals = [(after - before) / timedelta(minutes=1) for before, after in pairwise(times)]
    assert intervals == [pytest.approx(5, abs=0.6)] * 11
    hub.unplug(2)
    assert len(await poll_for_an_hour()) == 1
    assert await poll_for_an_hour() == []


def room_states(home: Home) -> list[str | None]:
    """Return the states of *Rooms in use* and *Rooms free*."""
    states = [home.hass.states.get(entity_id) for entity_id in room_entity_ids(home)]
    return [state.state if state else None for state in states]


def room_entity_ids(home: Home) -> list[str]:
    """Return the entity ids of *Rooms in use* and *Rooms free*."""
    registry = er.async_get(home.hass)
    ids = [
        registry.async_get_entity_id("sensor", "ochno", f"{home.entry.unique_id}_{key}")
        for key in ("rooms_in_use", "rooms_free")
    ]
    return [entity_id for entity_id in ids if entity_id is not None]


def move(home: Home, area: str | None, hub: str = "Focus room") -> None:
    """Move the device of a hub to the area of another room, or to none."""
    device = home.device(hub)
    assert device is not None
    area_id = None if area is None else ar.async_get(home.hass).async_get_or_create(area).id
    dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)


async def test_rooms_sensors_are_measurements(home: Home, entry: ConfigEntry) -> None:
    # The hub of the reception is offline.
    assert room_states(home) == ["0", "3"]
    registry = er.async_get(home.hass)
    entities = [registry.async_get(entity_id) for entity_id in room_entity_ids(home)]
    assert [entity.original_name for entity in entities if entity] == ["Rooms in use", "Rooms free"]
    assert {entity.entity_category for entity in entities if entity} == {None}
    for entity_id in room_entity_ids(home):
        state = home.hass.states.get(entity_id)
        assert state is not None
        assert state.attributes["state_class"] == "measurement"


async def test_rooms_sensors_count_rooms_in_use_and_free(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()
    assert room_states(home) == ["1", "2"]
    home.simulator.hub("Reception").online = True
    await home.poll()
    assert room_states(home) == ["1", "3"]
    hub.online = False
    await home.poll()
    assert room_states(home) == ["0", "3"]
    hub.online = True
    await home.poll()
    assert room_states(home) == ["1", "3"]
    home.simulator.add_hub("Library")
    await home.poll()
    assert room_states(home) == ["1", "4"]
    home.simulator.remove_hub("Library")
    await home.poll()
    assert room_states(home) == ["1", "3"]


async def test_rooms_sensors_follow_areas_of_devices(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()
    assert room_states(home) == ["1", "2"]
    move(home, BOARDROOM)
    await home.wait_until_idle()
    assert room_states(home) == ["1", "1"]
    # Without an area, a hub is a room of its own.
    move(home, None)
    await home.wait_until_idle()
    assert room_states(home) == ["1", "2"]
    move(home, "Reception")
    await home.wait_until_idle()
    assert room_states(home) == ["1", "1"]
    ar.async_get(home.hass).async_delete("reception")
    await home.wait_until_idle()
    assert room_states(home) == ["1", "2"]


async def test_rooms_sensors_change_once_when_several_devices_move(
    home: Home, entry: ConfigEntry
) -> None:
    events: list[Event[EventStateChangedData]] = async_capture_events(
        home.hass, EVENT_STATE_CHANGED
    )
    move(home, BOARDROOM, "Focus room")
    move(home, BOARDROOM, "Workshop")
    await home.wait_until_idle()
    assert [values(home, events, entity_id) for entity_id in room_entity_ids(home)] == [[], ["1"]]


async def test_rooms_sensors_do_not_count_disabled_and_deleted_devices(
    home: Home, entry: ConfigEntry
) -> None:
    devices = dr.async_get(home.hass)
    device = home.device("Focus room")
    assert device is not None
    devices.async_update_device(device.id, disabled_by=dr.DeviceEntryDisabler.USER)
    await home.wait_until_idle()
    assert room_states(home) == ["0", "2"]
    devices.async_update_device(device.id, disabled_by=None)
    await home.wait_until_idle()
    assert room_states(home) == ["0", "3"]
    move(home, BOARDROOM)
    home.simulator.remove_hub("Focus room")
    await home.poll()
    # The room may be in use, until the device is removed after five lists without the hub.
    assert room_states(home) == ["0", "1"]
    await home.poll(4)
    assert room_states(home) == ["0", "2"]


async def test_rooms_sensors_with_hub_that_returns_offline_count_its_room_as_unknown(
    home: Home, entry: ConfigEntry
) -> None:
    hub = home.simulator.hub("Focus room")
    move(home, BOARDROOM)
    hub.online = False
    await home.poll()
    assert room_states(home) == ["0", "1"]
    home.simulator.remove_hub("Focus room")
    await home.poll(5)
    assert room_states(home) == ["0", "2"]
    home.simulator.database.hubs[hub.id] = hub
    home.simulator.database.version += 1
    await home.poll()
    assert room_states(home) == ["0", "1"]


@pytest.mark.parametrize("reason", ["outage", "reload"])
async def test_rooms_sensors_do_not_count_while_hubs_are_unknown(
    home: Home, hub: SimHub, reason: str
) -> None:
    hub.plug(2)
    await home.poll()
    events: list[Event[EventStateChangedData]] = async_capture_events(
        home.hass, EVENT_STATE_CHANGED
    )
    if reason == "outage":
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
        await home.poll(2)
    else:
        await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until(lambda: room_states(home) == ["1", "2"])
    for entity_id, after in zip(room_entity_ids(home), "12", strict=True):
        states = values(home, events, entity_id)
        assert states[0] == "unavailable"
        assert set(states[:-1]) == {"unavailable"}
        assert states[-1] == after


async def test_rooms_sensors_of_second_account_do_not_change_those_of_first(
    home: Home, hub: SimHub, entry: ConfigEntry
) -> None:
    before = room_entity_ids(home)
    await home.run_user_flow("Second Organisation")
    home.simulator.hub("Elsewhere").plug(2)
    await home.poll()
    states = [home.hass.states.get(entity_id) for entity_id in before]
    assert [state.state for state in states if state] == ["0", "3"]
    hub.plug(2)
    await home.poll()
    states = [home.hass.states.get(entity_id) for entity_id in before]
    assert [state.state for state in states if state] == ["1", "2"]


async def test_rooms_sensors_offline_hub_that_moves_to_another_account_leaves_its_room(
    home: Home, hub: SimHub
) -> None:
    rooms_free = room_entity_ids(home)[1]
    move(home, BOARDROOM)
    focus = home.simulator.hub("Focus room")
    focus.online = False
    await home.poll()
    # Only the workshop. The hub that is offline may be in use.
    state = home.hass.states.get(rooms_free)
    assert state is not None
    assert state.state == "1"
    await home.run_user_flow("Second Organisation")
    focus.account_id = home.simulator.database.account("Second Organisation").id
    home.simulator.database.version += 1
    await home.poll(3)
    state = home.hass.states.get(rooms_free)
    assert state is not None
    assert state.state == "2"


async def test_rooms_sensors_without_hubs_are_zero(home: Home) -> None:
    home.simulator.remove_hub("Elsewhere")
    await home.link_account("Second Organisation")
    assert room_states(home) == ["0", "0"]


def offline_hubs(home: Home) -> list[str]:
    """Return the names of the hubs in the attribute of *Hubs offline*."""
    registry = er.async_get(home.hass)
    unique_id = f"{home.entry.unique_id}_hubs_offline"
    state = home.hass.states.get(registry.async_get_entity_id("sensor", "ochno", unique_id) or "")
    assert state is not None
    names: list[str] = state.attributes["hubs"]
    return names


async def test_hubs_offline_has_names_of_offline_hubs(home: Home, hub: SimHub) -> None:
    assert offline_hubs(home) == ["Reception"]
    hub.online = False
    home.simulator.hub("Workshop").online = False
    device = home.device("Workshop")
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, name_by_user="atelier")
    await home.poll()
    assert offline_hubs(home) == ["atelier", "Boardroom", "Reception"]
    dr.async_get(home.hass).async_update_device(device.id, disabled_by=dr.DeviceEntryDisabler.USER)
    await home.wait_until_idle()
    assert offline_hubs(home) == ["Boardroom", "Reception"]


async def test_hubs_offline_has_at_most_a_hundred_names(home: Home) -> None:
    for number in range(110):
        home.simulator.add_hub(f"Hub {number:03}").online = False
    await home.link_account()
    names = offline_hubs(home)
    assert names == [f"Hub {number:03}" for number in range(100)]
