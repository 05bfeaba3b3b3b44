"""What the recorder keeps of a room: for how long it was in use, and with which port."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
import re
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
    do_adhoc_statistics,
)
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components.recorder import Recorder, get_instance
from homeassistant.components.recorder.history import get_significant_states
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util
from homeassistant.util.yaml import parse_yaml

from .home import HUBS_PATH, Home
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
    """Begin in the morning, with a database: it must be there before Home Assistant is."""
    freezer.move_to(datetime(2030, 5, 7, 8, tzinfo=dt_util.get_time_zone("US/Pacific")))


@pytest.fixture(autouse=True)
def _recorded(recorder_mock: Recorder, home: Home) -> Iterator[None]:
    """Record all, and let Home Assistant stop without faults."""
    yield
    home.simulator.clear_faults()


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom: nobody is plugged in but the room system, at port 1."""
    hub = home.simulator.hub("Boardroom")
    assert home.state("binary_sensor", "Boardroom", "in_use") == "off"
    return hub


async def add_helper(
    home: Home, name: str, platform: str, key: str, state: str, **options: str
) -> str:
    """Make a helper of a fact of the boardroom's hub, as a user does; return its entity."""
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


async def hours(home: Home, platform: str, key: str, state: str, **period: str) -> float:
    """Return what a new helper makes of what was recorded until now."""
    await async_wait_recording_done(home.hass)
    helper = await add_helper(home, f"Hours {state}", platform, key, state, **(period or TODAY))
    shown = home.hass.states.get(helper)
    assert shown is not None
    entity = er.async_get(home.hass).async_get(helper)
    assert entity is not None
    await home.hass.config_entries.async_remove(entity.config_entry_id or "")
    return float(shown.state)


def about(value: float) -> Any:
    """Expect so many hours; each change is seen by the next poll only."""
    return pytest.approx(value, abs=0.02)


async def test_time_in_use_today_is_the_sum_of_all_that_were_plugged_in(
    home: Home, hub: SimHub
) -> None:
    for port, stayed in ((2, 2 * HOUR), (3, HOUR / 2)):
        hub.plug(port)
        await home.poll()
        await home.advance_time(stayed)
        hub.unplug(port)
        await home.poll()
        await home.advance_time(HOUR)
    assert await hours(home, "binary_sensor", "in_use", "on") == about(2.5)
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    assert await hours(home, "binary_sensor", "in_use", "on") == about(3.5)


async def test_each_day_has_its_own_time_in_use(home: Home, hub: SimHub) -> None:
    hub.plug(2)
    await home.poll()
    # From eight in the morning till four at night.
    await home.advance_time(20 * HOUR)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(HOUR)
    assert await hours(home, "binary_sensor", "in_use", "on", **YESTERDAY) == about(16)
    assert await hours(home, "binary_sensor", "in_use", "on") == about(4)


@pytest.mark.parametrize("reason", ["offline", "no answer"])
async def test_time_in_which_nobody_knows_does_not_count(
    home: Home, hub: SimHub, reason: str
) -> None:
    hub.plug(2)
    await home.poll()
    await home.advance_time(HOUR)
    if reason == "offline":
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
    assert await hours(home, "binary_sensor", "in_use", "on") == about(2)
    assert await hours(home, "sensor", "active_port", "2") == about(2)


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_time_of_each_port_is_told(home: Home, access: str, platform: str) -> None:
    await home.link_account(access=access)
    hub = home.simulator.hub("Boardroom")
    for port, stayed in ((2, 1), (3, 2), (0, 3), (2, 4)):
        hub.set_active(port)
        await home.poll()
        await home.advance_time(stayed * HOUR)
    told = {state: await hours(home, platform, "active_port", state) for state in ("2", "3", "4")}
    assert told == {"2": about(5), "3": about(2), "4": 0}
    assert await hours(home, platform, "active_port", "none") == about(3)


@pytest.mark.parametrize(("access", "platform"), [("read", "sensor"), ("control", "select")])
async def test_ports_that_automations_go_back_to_are_not_kept(
    hass: HomeAssistant, home: Home, access: str, platform: str
) -> None:
    await home.link_account(access=access)
    entity_id = home.entity_id(platform, "Boardroom", "active_port") or ""
    await async_wait_recording_done(hass)
    day = dt_util.start_of_local_day()
    kept = await get_instance(hass).async_add_executor_job(
        partial(get_significant_states, hass, day, entity_ids=[entity_id])
    )
    [state] = kept[entity_id]
    assert isinstance(state, State)
    assert state.state == "1"
    assert not {"default_port", "room_system_port"} & state.attributes.keys()


async def test_card_to_copy_shows_the_hours_of_each_day(
    hass: HomeAssistant, home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await home.link_account(access="control")
    options = {**TODAY, "state_class": "total_increasing"}
    helpers = [
        await add_helper(home, "In use today", "binary_sensor", "in_use", "on", **options),
        await add_helper(home, "Port 2 today", "select", "active_port", "2", **options),
    ]
    [text] = re.findall(r"```yaml\n(type: vertical-stack.*?)```", DOCUMENT.read_text(), re.DOTALL)
    card = parse_yaml(text)
    assert isinstance(card, dict)
    tile, graph = card["cards"]
    assert [item["entity"] for item in graph["entities"]] == helpers
    assert tile["entity"] == helpers[0]
    hub = home.simulator.hub("Boardroom")
    begin = dt_util.utcnow()
    for port, stayed in ((2, 3), (3, 5)):
        while dt_util.now().hour != 8:
            await home.advance_time(HOUR)
        hub.plug(port)
        await home.poll()
        await home.advance_time(stayed * HOUR)
        hub.unplug(port)
        await home.poll()
    await home.advance_time(HOUR)
    for number in range(30 * 12):
        do_adhoc_statistics(hass, start=begin + timedelta(minutes=5 * number))
    await async_wait_recording_done(hass)
    websocket = await hass_ws_client(hass)
    await websocket.send_json_auto_id(
        {
            "type": "recorder/statistics_during_period",
            "start_time": dt_util.start_of_local_day(begin).isoformat(),
            "statistic_ids": helpers,
            "period": graph["period"],
            "types": graph["stat_types"],
        }
    )
    days = (await websocket.receive_json())["result"]
    in_use, port_2 = ([day["change"] for day in days[helper]] for helper in helpers)
    assert in_use == [about(3), about(5)]
    assert port_2 == [about(3), 0]
