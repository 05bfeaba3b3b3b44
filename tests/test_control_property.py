"""Whatever the order of commands, buttons, polls, delays and losses: all agree when it is quiet."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
import json
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .home import Home

PACKAGE = "custom_components.ochno"
COMMAND_TIMEOUT = 0.5
LATE = 0.7

PORTS = st.integers(1, 4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("command"), st.integers(0, 4)),
        st.tuples(st.just("command"), st.integers(0, 4)),
        st.tuples(st.just("press"), PORTS),
        st.tuples(st.just("poll"), st.just(0)),
        st.tuples(st.just("pause"), st.integers(0, 150)),
        st.tuples(st.just("delay"), st.integers(0, 300)),
        st.tuples(st.just("mode"), st.sampled_from(["apply", "lose", "late", "refuse"])),
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def freezer() -> None:
    """Let time run."""


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    with (
        patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(seconds=1)),
        patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", COMMAND_TIMEOUT),
        patch(f"{PACKAGE}.control.CONFIRM_INTERVALS", (0.04,)),
    ):
        yield


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with control."""
    return await home.link_account(access="control")


@given(steps=STEPS)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_home_assistant_and_the_cloud_agree_when_all_is_quiet(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, steps: list[tuple[str, int | str]]
) -> None:
    simulator, hub = home.simulator, home.simulator.hub("Boardroom")
    simulator.settings.command_mode = "apply"
    simulator.settings.command_delay = 0.1
    simulator.settings.late_delay = LATE
    await entry.runtime_data.coordinator.async_refresh()
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    assert entity_id is not None
    known = {hub.active}
    simulator.database.listeners.append(lambda *_: known.add(hub.active))
    strange: list[str] = []

    @callback
    def check(event: Event[EventStateChangedData]) -> None:
        state = event.data["new_state"]
        if event.data["entity_id"] == entity_id and state is not None:
            shown = 0 if state.state == "none" else int(state.state)
            if shown not in known:
                strange.append(state.state)

    unsubscribe = hass.bus.async_listen("state_changed", check)
    before = len(simulator.requests)
    commanded: list[int] = []
    running: list[asyncio.Task[None]] = []

    async def command(port: int) -> None:
        option = str(port or "none")
        with suppress(HomeAssistantError):
            await home.call_action(
                "select", "select_option", "Boardroom", "active_port", option=option
            )

    for what, value in steps:
        match what, value:
            case "command", int(port):
                known.add(port)
                commanded.append(port)
                running.append(asyncio.create_task(command(port)))
                await asyncio.sleep(0)
            case "press", int(port):
                hub.press(port)
            case "poll", _:
                running.append(asyncio.create_task(entry.runtime_data.coordinator.async_refresh()))
            case "pause", int(milliseconds):
                await asyncio.sleep(milliseconds / 1000)
            case "delay", int(milliseconds):
                simulator.settings.command_delay = milliseconds / 1000
            case "mode", str():
                simulator.settings.update({"command_mode": value})
    await asyncio.gather(*running)
    await asyncio.sleep(LATE + 0.1)
    await entry.runtime_data.coordinator.async_refresh()
    unsubscribe()

    assert home.state("select", "Boardroom", "active_port") == str(hub.active or "none")
    for number in range(1, 5):
        expected = "on" if hub.active == number else "off"
        assert home.state("switch", "Boardroom", f"port_{number}") == expected
    assert strange == []
    sent = [
        json.loads(request.body)["activeport"]
        for request in simulator.requests[before:]
        if request.method == "PUT"
    ]
    # Each at most once, none out of order.
    issued = iter(commanded)
    assert all(port in issued for port in sent)
