"""Delay between a change of a simulated hub and the state in Home Assistant, pushed and polled."""

import asyncio
from collections import defaultdict
from datetime import datetime
import statistics
import time
from typing import Any

import aiohttp

from tests.live.environment import PUBLIC_URL, CommandError, Environment, say
from tests.live.frontend import Frontend, start_home_assistant

HUBS = 200
SECONDS = 30
# Changes per second. Polling shows only the last change of a hub, so each hub changes once.
RATES = {"pushed": 100, "polled": HUBS / SECONDS}
# Longer than a polling interval.
SECONDS_AFTER_LAST_CHANGE = 35


async def press_buttons(
    session: aiohttp.ClientSession, simulator_url: str, hubs: list[str], rate: float
) -> dict[str, list[float]]:
    """Press one button at a time at a steady rate, and return the times for each hub."""
    pressed: dict[str, list[float]] = defaultdict(list)
    start = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * SECONDS)):
            await asyncio.sleep(max(0, start + number / rate - time.monotonic()))
            hub = hubs[number % len(hubs)]
            pressed[hub].append(time.time())
            group.create_task(_press(session, f"{simulator_url}/simulator/hubs/{hub}/press"))
    return pressed


async def _press(session: aiohttp.ClientSession, url: str) -> None:
    async with session.post(url, json={"port": 2}) as response:
        response.raise_for_status()


async def collect_changes(frontend: Frontend, hubs: dict[str, str]) -> dict[str, list[float]]:
    """Return the times of the state changes of each hub, after this task is cancelled."""
    changed: dict[str, list[float]] = defaultdict(list)
    try:
        async for message in frontend.websocket:
            event = message.json().get("event") or {}
            entity_id = (event.get("data") or {}).get("entity_id")
            if entity_id in hubs:
                fired = datetime.fromisoformat(event["time_fired"]).timestamp()
                changed[hubs[entity_id]].append(fired)
    except asyncio.CancelledError:
        pass
    return changed


async def measure_push(environment: Environment) -> None:
    """Measure the delay of pushed and of polled changes."""
    for mode in RATES:
        await _measure(environment, mode)


async def _measure(environment: Environment, mode: str) -> None:
    environment.prepare(PUBLIC_URL if mode == "pushed" else environment.home_assistant_url)
    say("Starting the simulator of Ochno Operated …")
    async with (
        aiohttp.ClientSession() as session,
        environment.run_simulator(session, HUBS),
        start_home_assistant(session, environment) as frontend,
    ):
        simulator_url = f"{environment.simulator_url}/simulator"
        await frontend.add_credentials()
        await frontend.link_account("read")
        rooms = (await _simulator_state(session, simulator_url))["rooms"]
        hubs = [hub["id"] for room in rooms for hub in room["hubs"] if hub["ports"] == 4][-HUBS:]
        registry = await frontend.command("config/entity_registry/list")
        hubs_by_entity_id = {
            entity["entity_id"]: hub
            for entity in registry
            for hub in [entity["unique_id"].removesuffix("_port_2_active")]
            if hub in hubs
        }
        if len(hubs_by_entity_id) != HUBS:
            raise CommandError(
                f"Home Assistant has {len(hubs_by_entity_id)} of {HUBS} hubs. "
                f"See {environment.log}."
            )
        # The recorder stores an event for each new entity, and delays the event loop meanwhile.
        say("Waiting until the recorder has stored the new entities …")
        while (await frontend.command("recorder/info"))["backlog"]:
            await asyncio.sleep(1)
        await frontend.command("subscribe_events", event_type="state_changed")
        rate = RATES[mode]
        say(f"{mode}: {rate:.1f} changes per second of {HUBS} hubs, for {SECONDS} s …")
        collecting = asyncio.create_task(collect_changes(frontend, hubs_by_entity_id))
        requests = (await _simulator_state(session, simulator_url))["requests"]
        pressed = await press_buttons(session, environment.simulator_url, hubs, rate)
        requests = (await _simulator_state(session, simulator_url))["requests"] - requests
        await asyncio.sleep(SECONDS_AFTER_LAST_CHANGE)
        collecting.cancel()
        changed = await collecting
    delays = [
        end - start
        for hub, times in pressed.items()
        for start, end in zip(times, changed[hub], strict=False)
    ]
    lost = sum(abs(len(times) - len(changed[hub])) for hub, times in pressed.items())
    quantiles = statistics.quantiles(delays, n=100)
    say(
        f"{mode}: {sum(map(len, pressed.values()))} changes, {lost} lost, "
        f"median {quantiles[49] * 1000:.0f} ms, 99 % {quantiles[98] * 1000:.0f} ms, "
        f"longest {max(delays) * 1000:.0f} ms, {requests * 60 / SECONDS:.0f} requests a minute"
    )


async def _simulator_state(session: aiohttp.ClientSession, simulator_url: str) -> dict[str, Any]:
    async with session.get(f"{simulator_url}/state") as response:
        state: dict[str, Any] = await response.json()
        return state
