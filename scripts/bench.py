"""Measure, with Home Assistant and the simulator in processes of their own, over real HTTP."""

import argparse
import asyncio
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import datetime
import statistics
import sys
import time
from typing import Any

import aiohttp
from cost import cost
from crash import crash
from house import DemoError, House, Socket, add_credentials, say, start

HOUSE = House()
HUBS = 200
SECONDS = 30
# Events a second. Polled, each hub changes once: of more, polling would see but the last.
RATES = {"pushed": 100, "polled": HUBS / SECONDS}
# After the last event, until the slower of the two ways must have shown it.
AFTERWARDS = 35


async def toggle(
    session: aiohttp.ClientSession, hubs: list[str], rate: float
) -> dict[str, list[float]]:
    """Press a port's button at a steady rate, one event each; return when it was for each hub."""
    sent: dict[str, list[float]] = defaultdict(list)
    begin = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(round(rate * SECONDS)):
            await asyncio.sleep(max(0, begin + number / rate - time.monotonic()))
            hub = hubs[number % len(hubs)]
            sent[hub].append(time.time())
            group.create_task(post(session, f"/simulator/hubs/{hub}/press", {"port": 2}))
    return sent


async def post(session: aiohttp.ClientSession, path: str, body: Any) -> None:
    async with session.post(HOUSE.simulator + path, json=body) as answer:
        answer.raise_for_status()


async def changes(websocket: Socket, entities: dict[str, str]) -> dict[str, list[float]]:
    """Collect when Home Assistant changed each hub's entity, until cancelled."""
    seen: dict[str, list[float]] = defaultdict(list)
    try:
        async for message in websocket.connection:
            event = message.json().get("event") or {}
            entity_id = (event.get("data") or {}).get("entity_id")
            if entity_id in entities:
                fired = datetime.fromisoformat(event["time_fired"]).timestamp()
                seen[entities[entity_id]].append(fired)
    except asyncio.CancelledError:
        pass
    return seen


async def push(way: str) -> None:
    HOUSE.prepare("https://home.example" if way == "pushed" else HOUSE.home_assistant)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        home_assistant, websocket = await start(stack, session, HOUSE, HUBS)
        await add_credentials(websocket)
        await home_assistant.link("read")
        async with session.get(f"{HOUSE.simulator}/simulator/state") as answer:
            rooms = (await answer.json())["rooms"]
        hubs = [hub["id"] for room in rooms for hub in room["hubs"] if hub["ports"] == 4][-HUBS:]
        registry = await websocket.command("config/entity_registry/list")
        entities = {
            entity["entity_id"]: hub
            for entity in registry
            for hub in [entity["unique_id"].removesuffix("_port_2_active")]
            if hub in hubs
        }
        if len(entities) != HUBS:
            raise DemoError(f"{len(entities)} of {HUBS} hubs were found.")
        await websocket.command("subscribe_events", event_type="state_changed")
        rate = RATES[way]
        say(f"{way}: {rate:.1f} events/s for {SECONDS} s over {HUBS} hubs …")
        collecting = asyncio.create_task(changes(websocket, entities))
        sent = await toggle(session, hubs, rate)
        await asyncio.sleep(AFTERWARDS)
        collecting.cancel()
        seen = await collecting
    delays = [
        shown - begin
        for hub, times in sent.items()
        for begin, shown in zip(times, seen[hub], strict=False)
    ]
    lost = sum(abs(len(times) - len(seen[hub])) for hub, times in sent.items())
    quantiles = statistics.quantiles(delays, n=100)
    say(
        f"{way}: {sum(map(len, sent.values()))} changes, {lost} not shown, "
        f"p50 {quantiles[49] * 1000:.0f} ms, p99 {quantiles[98] * 1000:.0f} ms, "
        f"longest {max(delays) * 1000:.0f} ms"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    measurements = parser.add_subparsers(dest="what", required=True)
    measurements.add_parser("push")
    measurements.add_parser("cost")
    crashes = measurements.add_parser("crash")
    crashes.add_argument("--kills", type=int, default=30)
    crashes.add_argument("--seed", type=int, default=1)
    crashes.add_argument("--aimed", action="store_true", help="at the moments of token refreshes")
    arguments = parser.parse_args()
    try:
        if arguments.what == "crash":
            asyncio.run(crash(arguments.kills, arguments.seed, aimed=arguments.aimed))
        elif arguments.what == "cost":
            asyncio.run(cost())
        else:
            for way in ("pushed", "polled"):
                asyncio.run(push(way))
    except DemoError as err:
        say(f"bench: {err}")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
