"""Property-based test of the budget: random events, faults and commands, while time passes."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
import time

from aiohttp import web
from hypothesis import Phase, example, given, settings, strategies as st
import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.exceptions import HomeAssistantError

from .home import HUBS_PATH, Home
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.responses import Handler
from .strategies import max_examples

pytestmark = pytest.mark.property

COMMANDED, NOT_COMMANDED = "Boardroom", "Focus room"
HUBS = st.sampled_from([COMMANDED, NOT_COMMANDED, "Workshop"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plug"), HUBS, st.integers(2, 4)),
        st.tuples(st.just("press"), HUBS, st.integers(1, 4)),
        st.tuples(
            st.just("event"),
            HUBS,
            st.sampled_from(["hub:con:change", "hub:config:change", "hub:temp", "hub:new"]),
        ),
        st.tuples(st.just("events"), HUBS, st.integers(2, 30)),
        st.tuples(st.just("unknown hubs"), st.just(""), st.integers(1, 30)),
        st.tuples(st.just("command"), st.just(COMMANDED), st.integers(0, 4)),
        st.tuples(st.just("fault"), st.just(""), st.sampled_from([401, 404, 429, 500, 503])),
        st.tuples(st.just("slow"), st.just(""), st.integers(1, 10)),
        st.tuples(st.just("wait"), st.sampled_from(["429", "503"]), st.integers(1, 120)),
        st.tuples(st.just("token"), st.just(""), st.booleans()),
        st.tuples(st.just("drop"), st.just(""), st.booleans()),
        st.tuples(st.just("time"), st.just(""), st.integers(1, 70)),
        st.tuples(st.just("time"), st.just(""), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=25,
)

type Step = tuple[str, str, int | bool | str]


@dataclass
class Recorder:
    """Records each request, checks the limits, and injects the faults that are queued."""

    requests: list[tuple[float, str, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    concurrent: Counter[str] = field(default_factory=Counter)

    async def handle(
        self, request: web.Request, handler: Handler, wait: Wait
    ) -> web.StreamResponse:
        now, key = time.monotonic(), f"{request.method} {request.path}"
        self.requests.append((now, request.method, request.path))
        self.concurrent[key] += 1
        if self.concurrent.total() > 4:
            self.violations.append(f"more than four requests at a time: {self.concurrent}")
        if request.method == "GET" and self.concurrent[key] > 1:
            self.violations.append(f"{key} twice at the same time")
        # Other requests that were sent before now arrive meanwhile.
        await asyncio.sleep(0)
        try:
            if not self.faults:
                return await handler(request)
            return await self.faults.pop(0).handle(request, handler, wait)
        finally:
            self.concurrent[key] -= 1

    def most_in_a_minute(self, method: str, path: str) -> int:
        """Return the highest number of requests in any 60 seconds."""
        times = [at for at, *request in self.requests if request == [method, path]]
        return max((sum(0 <= other - at < 60 for other in times) for at in times), default=0)


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with control access and instant updates."""
    home.simulator.settings.command_delay = 0
    await home.set_external_url()
    entry = await home.link_account(access="control")
    await home.wait_until_idle()
    return entry


@example(
    # A command while a request for the same hub is in progress.
    steps=[
        ("slow", "", 10),
        ("event", COMMANDED, "hub:con:change"),
        ("time", "", 1),
        ("command", COMMANDED, 2),
        ("time", "", 1),
    ]
)
@given(steps=STEPS)
# Hypothesis limits the time to find a simpler failing example, but time is frozen.
@settings(max_examples(20, thorough=2_000), phases=(Phase.explicit, Phase.reuse, Phase.generate))
async def test_random_events_faults_and_commands_stay_in_budget_and_end_in_agreement(
    home: Home, entry: ConfigEntry, steps: list[Step]
) -> None:
    recorder = Recorder()
    home.simulator.add_fault("*", "/api/*", Fault("recorded", recorder.handle), times=None)
    commands = []
    for kind, name, value in steps:
        commands += await perform(home, recorder, kind, name, value)
    recorder.faults.clear()
    # Ends the slow responses.
    home.simulator.clear_faults()
    home.simulator.add_fault("*", "/api/*", Fault("recorded", recorder.handle), times=None)
    home.simulator.settings.delivery_drop = False
    # A command can wait for time to pass, so nothing waits for the commands here.
    for _ in range(60):
        await advance_time(home, 1)
    for _ in range(20):
        await home.advance_time(15)
    for command in commands:
        while not command.done():
            await advance_time(home, 1)
        with suppress(HomeAssistantError):
            await command
    assert recorder.violations == []
    hub_path = f"{HUBS_PATH}/{home.simulator.hub(NOT_COMMANDED).id}"
    # A request that is refused with 429 is sent once more.
    repeated = sum(kind == "fault" and value == 429 for kind, _, value in steps)
    # Five in a row, then one in ten seconds.
    assert recorder.most_in_a_minute("GET", hub_path) <= 5 + 6 + repeated
    # A poll each 30 seconds, a list each 15 seconds, and lists that confirm commands.
    assert recorder.most_in_a_minute("GET", HUBS_PATH) <= 2 + 4 + 2 + repeated
    for hub in home.simulator.database.hubs_in_account(entry.unique_id or ""):
        if hub.online:
            assert home.state("select", hub.name, "active_port") == str(hub.active or "none")
            for port in range(1, 5):
                shown = home.state("binary_sensor", hub.name, f"port_{port}_connected")
                assert shown == ("on" if hub.state["connected"][port - 1] else "off")
    home.simulator.clear_faults()


async def perform(  # noqa: PLR0912 - one branch for each kind of step
    home: Home, recorder: Recorder, kind: str, name: str, value: int | bool | str
) -> list[asyncio.Task[None]]:
    """Perform one step; return the command that it starts, if any."""
    simulator = home.simulator
    match kind, value:
        case "plug", int(port):
            hub = simulator.hub(name)
            (hub.unplug if port in hub.plugged else hub.plug)(port)
        case "press", int(port):
            simulator.hub(name).press(port)
        case "event", str(event):
            await simulator.deliver(name, event, {})
        case "events", int(count):
            for _ in range(count):
                await simulator.deliver(name, "hub:con:change", {})
                await advance_time(home, 1)
        case "unknown hubs", int(count):
            for number in range(count):
                body = {"event": "hub:con:change", "hubId": f"unknown {time.time()} {number}"}
                await home.post_to_webhook(body)
                await advance_time(home, 1)
        case "command", int(port):
            action = home.call_action(
                "select", "select_option", name, "active_port", option=str(port or "none")
            )
            return [asyncio.create_task(action)]
        case "fault", int(status):
            recorder.faults.append(Fault.status(status))
        case "wait", int(seconds):
            recorder.faults.append(Fault.status(int(name), {"Retry-After": str(seconds)}))
        case "token", bool(has_token):
            simulator.settings.delivery_token = "verificationToken" if has_token else None
        case "drop", bool(dropped):
            simulator.settings.delivery_drop = dropped
        case "slow", int(seconds):
            recorder.faults.append(Fault.delay(seconds))
        case "time", int(seconds):
            await advance_time(home, seconds)
    return []


async def advance_time(home: Home, seconds: int) -> None:
    """Advance time. Requests may still be in progress, because their responses are slow."""
    home.fire_time_changed(seconds)
    for _ in range(100):
        await asyncio.sleep(0)
