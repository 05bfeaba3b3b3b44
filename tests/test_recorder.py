"""Tests of recorded states: how long a room was in use, and how long each port was active."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
import re
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components.recorder.core import Recorder
from homeassistant.components.recorder.history import get_significant_states
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import get_instance
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import parse_yaml

from .home import HUBS_PATH, Home
from .live.building import IMPORT_COMMAND, USAGE_DAYS, usage_import
from .simulator import Fault, SimHub

DOCUMENT = Path(__file__).parent.parent / "docs" / "automations.md"
HOUR = 3600
TODAY = {"start": "{{ today_at() }}", "end": "{{ now() }}"}
YESTERDAY = {
    "start": "{{ today_at() - timedelta(days=1) }}",
    "end": "{{ today_at() }}",
}


@pytest.fixture
def mock_recorder_before_hass(async_test_recorder: object, freezer: FrozenDateTimeFactory) -> None:
    """Create the database before Home Assistant starts, at eight in the morning."""
    freezer.move_to(datetime(2030, 5, 7, 8, tzinfo=dt_util.get_time_zone("US/Pacific")))


@pytest.fixture(autouse=True)
def _recorder(recorder_mock: Recorder, home: Home) -> Iterator[None]:
    """Record all states, and clear faults before Home Assistant stops."""
    yield
    home.simulator.clear_faults()


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the boardroom's hub, where only the room system is connected, to port 1."""
    hub = home.simulator.hub("Boardroom")
    assert home.state("binary_sensor", "Boardroom", "in_use") == "off"
    return hub


async def add_history_stats(
    home: Home, name: str, platform: str, key: str, state: str, **options: str
) -> str:
    """Add a *History stats* helper for the boardroom, as a user does; return its entity id."""
    step = await home.start_flow(handler="history_stats")
    entity_id = home.entity_id(platform, "Boardroom", key)
    step = await home.submit_form(step, name=name, entity_id=entity_id, type="time")
    step = await home.submit_form(step, state=[state])
    step = await home.submit_form(step, **options)
    assert step["type"] == "create_entry", step
    await home.wait_until_idle()
    registry = er.async_get(home.hass)
    [entity] = er.async_entries_for_config_entry(registry, step["result"]["entry_id"])
    return entity.entity_id


async def recorded_hours(
    home: Home, platform: str, key: str, state: str, period: dict[str, str] = TODAY
) -> float:
    """Return how long an entity had a state, as a new *History stats* helper shows it."""
    await async_wait_recording_done(home.hass)
    helper = await add_history_stats(home, f"Hours {state}", platform, key, state, **period)
    helper_state = home.hass.states.get(helper)
    assert helper_state is not None
    entity = er.async_get(home.hass).async_get(helper)
    assert entity is not None
    await home.hass.config_entries.async_remove(entity.config_entry_id or "")
    return float(helper_state.state)


def approx_hours(value: float) -> Any:
    """Compare hours with a tolerance, because a change is recorded at the next poll."""
    return pytest.approx(value, abs=0.02)


async def test_hours_in_use_today_are_sum_of_all_connections(home: Home, hub: SimHub) -> None:
    for port, duration in ((2, 2 * HOUR), (3, HOUR / 2)):
        hub.plug(port)
        await home.poll()
        await home.advance_time(duration)
        hub.unplug(port)
        await home.poll()
        await home.advance_time(HOUR)
    assert await recorded_hours(home, "binary_sensor", "in_use", "on") == approx_hours(2.5)
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    assert await recorded_hours(home, "binary_sensor", "in_use", "on") == approx_hours(3.5)


async def test_hours_in_use_over_midnight_are_split_between_days(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()
    # From eight in the morning to four at night.
    await home.advance_time(20 * HOUR)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(HOUR)
    yesterday = await recorded_hours(home, "binary_sensor", "in_use", "on", YESTERDAY)
    assert yesterday == approx_hours(16)
    assert await recorded_hours(home, "binary_sensor", "in_use", "on") == approx_hours(4)


@pytest.mark.parametrize("reason", ["hub offline", "server error"])
async def test_hours_while_unavailable_are_not_counted(
    home: Home, hub: SimHub, reason: str
) -> None:
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    if reason == "hub offline":
        hub.online = False
    else:
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "in_use") == "unavailable"
    await home.advance_time(5 * HOUR)
    home.simulator.clear_faults()
    hub.online = True
    await home.poll()
    await home.advance_time(HOUR)
    assert await recorded_hours(home, "binary_sensor", "in_use", "on") == approx_hours(2)
    assert await recorded_hours(home, "sensor", "active_port", "2") == approx_hours(2)


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_hours_of_each_active_port_are_counted(
    home: Home, access: str, platform: str
) -> None:
    await home.link_account(access=access)
    hub = home.simulator.hub("Boardroom")
    for port, duration in ((2, 1), (3, 2), (0, 3), (2, 4)):
        hub.set_active(port)
        await home.poll()
        await home.advance_time(duration * HOUR)
    hours = {
        state: await recorded_hours(home, platform, "active_port", state)
        for state in ("2", "3", "4")
    }
    assert hours == {"2": approx_hours(5), "3": approx_hours(2), "4": 0}
    assert await recorded_hours(home, platform, "active_port", "none") == approx_hours(3)


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_active_port_attributes_are_not_recorded(
    hass: HomeAssistant, home: Home, access: str, platform: str
) -> None:
    await home.link_account(access=access)
    entity_id = home.entity_id(platform, "Boardroom", "active_port") or ""
    await async_wait_recording_done(hass)
    today = dt_util.start_of_local_day()
    recorded = await get_instance(hass).async_add_executor_job(
        partial(get_significant_states, hass, today, entity_ids=[entity_id])
    )
    [state] = recorded[entity_id]
    assert isinstance(state, State)
    assert state.state == "1"
    assert not {"default_port", "room_system_port"} & state.attributes.keys()


def random_changes(home: Home, hub: SimHub, random: Random) -> Callable[[], None]:
    """Return a function that makes a random change of the hub or of the connection to it."""

    def fail() -> None:
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)

    def reload() -> None:
        home.hass.config_entries.async_schedule_reload(home.entry.entry_id)

    changes: list[Callable[[], object]] = [
        *(partial(hub.plug, port) for port in (2, 3, 4)),
        *(partial(hub.unplug, port) for port in (2, 3, 4)),
        lambda: setattr(hub, "online", False),
        fail,
        reload,
    ]

    def change() -> None:
        home.simulator.clear_faults()
        hub.online = True
        random.choice(changes)()

    return change


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.thorough)])
async def test_time_in_use_of_random_week_equals_history_stats(
    home: Home, hub: SimHub, seed: int
) -> None:
    start = dt_util.utcnow()
    random = Random(seed)
    change = random_changes(home, hub, random)
    while dt_util.utcnow() < start + timedelta(days=7):
        change()
        await home.poll()
        await home.advance_time(random.choice([100, HOUR / 2, 3 * HOUR, 9 * HOUR]))
    home.simulator.clear_faults()
    hub.online = True
    for port in (2, 3, 4):
        hub.unplug(port)
    await home.poll(2)
    period = {"start": f"{{{{ {start.timestamp()} }}}}", "end": "{{ now() }}"}
    expected = await recorded_hours(home, "binary_sensor", "in_use", "on", period)
    assert expected > 10
    time_in_use = home.state("sensor", "Boardroom", "time_in_use")
    assert time_in_use is not None
    assert float(time_in_use) == approx_hours(expected)


async def test_names_of_offline_hubs_are_not_recorded(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    registry = er.async_get(hass)
    entity_id = registry.async_get_entity_id("sensor", "ochno", f"{entry.unique_id}_hubs_offline")
    assert entity_id is not None
    await async_wait_recording_done(hass)
    recorded = await get_instance(hass).async_add_executor_job(
        partial(get_significant_states, hass, dt_util.start_of_local_day(), entity_ids=[entity_id])
    )
    [state] = recorded[entity_id]
    assert isinstance(state, State)
    assert state.state == "1"
    assert "hubs" not in state.attributes


async def test_time_of_last_delivery_is_not_recorded(hass: HomeAssistant, home: Home) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    entry = await home.link_account()
    home.simulator.hub("Boardroom").plug(2)
    await home.wait_for_deliveries()
    registry = er.async_get(hass)
    unique_id = f"{entry.unique_id}_instant_updates"
    entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id) or ""
    state = hass.states.get(entity_id)
    assert state is not None
    assert state.attributes["last_delivery"] is not None
    await async_wait_recording_done(hass)
    recorded = await get_instance(hass).async_add_executor_job(
        partial(get_significant_states, hass, dt_util.start_of_local_day(), entity_ids=[entity_id])
    )
    attributes = [state.attributes for state in recorded[entity_id] if isinstance(state, State)]
    assert attributes
    assert not [names for names in attributes if "last_delivery" in names]


async def test_documented_card_and_time_in_use_show_hours_of_each_day(
    hass: HomeAssistant, home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await home.link_account(access="control")
    options = {**TODAY, "state_class": "total_increasing"}
    helpers = [
        await add_history_stats(home, "In use today", "binary_sensor", "in_use", "on", **options),
        await add_history_stats(home, "Port 2 today", "select", "active_port", "2", **options),
    ]
    [text] = re.findall(r"```yaml\n(type: vertical-stack.*?)```", DOCUMENT.read_text(), re.DOTALL)
    card = parse_yaml(text)
    assert isinstance(card, dict)
    tile, graph = card["cards"]
    assert [item["entity"] for item in graph["entities"]] == helpers
    assert tile["entity"] == helpers[0]
    time_in_use = home.entity_id("sensor", "Boardroom", "time_in_use") or ""
    hub = home.simulator.hub("Boardroom")
    start = dt_util.utcnow()
    for port, duration in ((2, 3), (3, 5)):
        while dt_util.now().hour != 8:
            await home.advance_time(HOUR)
        hub.plug(port)
        await home.poll()
        await home.advance_time(duration * HOUR)
        hub.unplug(port)
        await home.poll()
    await home.advance_time(HOUR)
    for number in range(30 * 12):
        do_adhoc_statistics(hass, start=start + timedelta(minutes=5 * number))
    await async_wait_recording_done(hass)
    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id(
        {
            "type": "recorder/statistics_during_period",
            "start_time": dt_util.start_of_local_day(start).isoformat(),
            "statistic_ids": [*helpers, time_in_use],
            "period": graph["period"],
            "types": graph["stat_types"],
        }
    )
    days = (await websocket.receive_json())["result"]
    in_use, port_2, counted = (
        [day["change"] for day in days[statistic_id]] for statistic_id in (*helpers, time_in_use)
    )
    assert in_use == [approx_hours(3), approx_hours(5)]
    assert counted == [approx_hours(3), approx_hours(5)]
    assert port_2 == [approx_hours(3), 0]


async def test_simulated_usage_of_demo_continues_with_hours_of_sensor(
    hass: HomeAssistant, home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await home.link_account()
    start = dt_util.utcnow()
    time_in_use = home.entity_id("sensor", "Boardroom", "time_in_use") or ""
    websocket = await hass_ws_client(hass)
    usage = usage_import(time_in_use, "Boardroom", start)
    await websocket.send_json_auto_id({"type": IMPORT_COMMAND, **usage})
    assert (await websocket.receive_json())["success"]
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    await home.advance_time(2 * HOUR)
    for number in range(3 * 12):
        do_adhoc_statistics(hass, start=start + timedelta(minutes=5 * number))
    await async_wait_recording_done(hass)
    await websocket.send_json_auto_id(
        {
            "type": "recorder/statistics_during_period",
            "start_time": (start - timedelta(hours=USAGE_DAYS * 24)).isoformat(),
            "statistic_ids": [time_in_use],
            "period": "hour",
            "types": ["change"],
        }
    )
    rows = (await websocket.receive_json())["result"][time_in_use]
    changes = [row["change"] for row in rows]
    assert min(changes) >= 0
    assert sum(changes[: USAGE_DAYS * 24]) > USAGE_DAYS
    assert sum(changes[USAGE_DAYS * 24 :]) == approx_hours(2)
