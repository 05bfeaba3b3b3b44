"""Property-based test of commands in a random order with button presses, polls and delays."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
import json
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings, strategies as st
import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Event, EventStateChangedData, HomeAssistant, callback
from homeassistant.exceptions import HomeAssistantError

from .home import Home

PACKAGE = "custom_components.ochno"
COMMAND_TIMEOUT = 0.5
# Seconds until the hub switches in the mode `late`: more than the timeout.
LATE_DELAY = 0.7

PORTS = st.integers(1, 4)
STEPS = st.lists(
    st.one_of(
        # Twice, because commands are the subject.
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
    """Do not freeze time, because commands depend on the event loop's clock."""


@pytest.fixture(autouse=True)
def _short_intervals() -> Iterator[None]:
    with (
        patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(seconds=1)),
        patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", COMMAND_TIMEOUT),
        patch(f"{PACKAGE}.control.CONFIRM_INTERVALS", (0.04,)),
    ):
        yield


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with access to control, and return its config entry."""
    return await home.link_account(access="control")


@given(steps=STEPS)
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
async def test_random_commands_end_with_same_active_port_in_home_assistant_and_cloud(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, steps: list[tuple[str, int | str]]
) -> None:
    simulator, hub = home.simulator, home.simulator.hub("Boardroom")
    simulator.settings.command_mode = "apply"
    simulator.settings.command_delay = 0.1
    simulator.settings.late_delay = LATE_DELAY
    await entry.runtime_data.coordinator.async_refresh()
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    assert entity_id is not None
    # Ports that a command requested or that were active.
    possible_ports = {hub.active}
    simulator.database.listeners.append(lambda *_: possible_ports.add(hub.active))
    impossible_states: list[str] = []

    @callback
    def check_state(event: Event[EventStateChangedData]) -> None:
        state = event.data["new_state"]
        if event.data["entity_id"] == entity_id and state is not None:
            port = 0 if state.state == "none" else int(state.state)
            if port not in possible_ports:
                impossible_states.append(state.state)

    unsubscribe = hass.bus.async_listen(EVENT_STATE_CHANGED, check_state)
    request_count = len(simulator.requests)
    commanded_ports: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def send_command(port: int) -> None:
        option = str(port or "none")
        with suppress(HomeAssistantError):
            await home.call_action(
                "select", "select_option", "Boardroom", "active_port", option=option
            )

    for step in steps:
        match step:
            case "command", int(port):
                possible_ports.add(port)
                commanded_ports.append(port)
                tasks.append(asyncio.create_task(send_command(port)))
                await asyncio.sleep(0)
            case "press", int(port):
                hub.press(port)
            case "poll", _:
                tasks.append(asyncio.create_task(entry.runtime_data.coordinator.async_refresh()))
            case "pause", int(milliseconds):
                await asyncio.sleep(milliseconds / 1000)
            case "delay", int(milliseconds):
                simulator.settings.command_delay = milliseconds / 1000
            case "mode", str(mode):
                simulator.settings.update({"command_mode": mode})
    await asyncio.gather(*tasks)
    await asyncio.sleep(LATE_DELAY + 0.1)
    await entry.runtime_data.coordinator.async_refresh()
    unsubscribe()

    assert home.state("select", "Boardroom", "active_port") == str(hub.active or "none")
    for port in range(1, 5):
        expected = "on" if hub.active == port else "off"
        assert home.state("switch", "Boardroom", f"port_{port}") == expected
    assert impossible_states == []
    sent_ports = [
        json.loads(request.body)["activeport"]
        for request in simulator.requests[request_count:]
        if request.method == "PUT"
    ]
    # `in` consumes the iterator: each command was sent at most once, and in order.
    remaining_ports = iter(commanded_ports)
    assert all(port in remaining_ports for port in sent_ports)
