"""One Home Assistant with so many hubs, which measures what they cost it, for scripts/bench cost.

It is the whole of Home Assistant, but in a process that looks at itself. Seconds are those of the
CPU in the thread of the event loop, and medians of several times.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
import gc
from itertools import cycle
import json
import resource
import sqlite3
import statistics
import sys
import time
import tracemalloc
from typing import Any

import aiohttp
from house import DemoError, House, add_credentials, move_in
import orjson

from homeassistant import bootstrap, runner
from homeassistant.components.recorder import get_instance
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator

TIMES = 15
SETUPS = 3
PUSHES = 100
LIST = "/api/hubs/v1"
# Where memory is taken for hubs, and where Home Assistant takes it for the listeners of entities.
OURS = ("operated/", "coordinator.py", "devices.py", "push.py", "facts.py")
LISTENERS = "helpers/update_coordinator.py"

type Work = Callable[[], Awaitable[object]]


def use_stock_pattern() -> None:
    """Read each list as a whole and tell every entity of every change, as is usual."""
    from custom_components.ochno.coordinator import OchnoCoordinator  # noqa: PLC0415
    from custom_components.ochno.operated.client import OperatedClient  # noqa: PLC0415

    fetch = OperatedClient.hubs
    OperatedClient.hubs = lambda self, _earlier=None: fetch(self)  # type: ignore[method-assign]
    for name in ("async_add_listener", "async_update_listeners"):
        setattr(OchnoCoordinator, name, getattr(DataUpdateCoordinator, name))


class Bench:
    """Home Assistant, and the control of the simulator."""

    def __init__(self, hass: HomeAssistant, session: aiohttp.ClientSession, house: House) -> None:
        self.hass = hass
        self.session = session
        self.house = house
        self.hubs: list[str] = []
        self.ports = cycle((2, 3))

    @property
    def entry(self) -> ConfigEntry[Any]:
        [entry] = self.hass.config_entries.async_entries("ochno")
        return entry

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        url = f"{self.house.simulator}/simulator/{path}"
        async with self.session.request(method, url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.status == 200 else None

    async def link(self) -> None:
        """Link an account with nothing but the hubs that the simulator was asked for."""
        rooms = (await self.control("GET", "state"))["rooms"]
        for hub in (hub for room in rooms for hub in room["hubs"]):
            if hub["name"].startswith("Room "):
                self.hubs.append(hub["id"])
            else:
                await self.control("DELETE", f"hubs/{hub['id']}")
        async with AsyncExitStack() as stack:
            frontend, websocket = await move_in(stack, self.session, self.house)
            await add_credentials(websocket)
            await frontend.link("read")
        if len(self.entry.runtime_data.data) != len(self.hubs):
            raise DemoError("Not all hubs were found.")

    async def load(self, *, push: bool) -> None:
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        self.hass.config_entries.async_update_entry(self.entry, options={"push": push})
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()

    async def poll(self) -> None:
        await self.entry.runtime_data.async_refresh()

    async def press(self, count: int) -> None:
        """Make another port active at so many hubs."""
        port = next(self.ports)
        for hub in self.hubs[:count]:
            await self.control("POST", f"hubs/{hub}/press", {"port": port})

    async def measure(self, work: Work, before: Work | None = None, times: int = TIMES) -> float:
        seconds = []
        gc.collect()
        for _ in range(times):
            if before:
                await before()
            await self.hass.async_block_till_done()
            begin = time.thread_time()
            await work()
            seconds.append(time.thread_time() - begin)
        return statistics.median(seconds)

    async def parsing(self) -> float:
        """Measure orjson alone on the list."""
        body, _ = await self.entry.runtime_data.client._request("GET", LIST)  # noqa: SLF001

        async def parse() -> None:
            orjson.loads(body)

        return await self.measure(parse)

    async def polls(self, changed: list[int]) -> dict[str, Any]:
        requests = (await self.control("GET", "state"))["requests"]
        found: dict[str, Any] = {"not_modified": await self.measure(self.poll)}
        requests = (await self.control("GET", "state"))["requests"] - requests
        found["requests"] = requests / TIMES
        await self.control("POST", "settings", {"etags": False})
        await self.poll()
        found["unchanged"] = await self.measure(self.poll)
        found["changed"] = {
            count: await self.measure(self.poll, lambda count=count: self.press(count))  # type: ignore[misc]
            for count in changed
        }
        found["held"] = statistics.median([await self.held() for _ in range(TIMES)])
        await self.control("POST", "settings", {"etags": True})
        return found

    async def held(self) -> float:
        """Return for how long others had to wait at the most during a poll with a change."""
        await self.press(1)
        polling = asyncio.create_task(self.poll())
        longest = 0.0
        while not polling.done():
            begin = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - begin)
        return longest

    async def push(self) -> float:
        """Return the seconds for a delivery; the presses come from a process of their own."""
        await self.load(push=True)
        async with asyncio.timeout(30):
            while self.entry.runtime_data.push_state != "active":
                await asyncio.sleep(0.05)
        arguments = ("--press", self.house.simulator, self.hubs[0])
        gc.collect()
        begin = time.thread_time()
        pressing = await asyncio.create_subprocess_exec(sys.executable, __file__, *arguments)
        await pressing.wait()
        # Until the fetch that follows deliveries.
        await asyncio.sleep(2)
        return (time.thread_time() - begin) / PUSHES

    async def rows(self) -> int:
        """Return the rows that polls wrote to the database while nothing happened."""
        await self.load(push=False)
        before = await self.rows_so_far()
        for _ in range(TIMES):
            await self.poll()
        return await self.rows_so_far() - before

    async def rows_so_far(self) -> int:
        recorder = get_instance(self.hass)
        await recorder.async_block_till_done()
        count = "select count(*) from states join states_meta using (metadata_id)"
        where = (
            "where states_meta.entity_id glob '*.room_*' or states_meta.entity_id glob '*_hubs_*'"
        )
        with sqlite3.connect(self.house.folder / "home-assistant_v2.db") as database:
            rows: int = database.execute(f"{count} {where}").fetchone()[0]
            return rows

    async def memory(self) -> tuple[float, float]:
        """Return the bytes for each hub that are this integration's, and those of listeners."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        gc.collect()
        tracemalloc.start()
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()
        gc.collect()
        taken = tracemalloc.take_snapshot().statistics("filename")
        tracemalloc.stop()

        def per_hub(*parts: str) -> float:
            sizes = [
                one.size
                for one in taken
                if any(part in one.traceback[0].filename for part in parts)
            ]
            return sum(sizes) / len(self.hubs)

        return per_hub(*(f"ochno/{part}" for part in OURS)), per_hub(LISTENERS)


async def run(house: House, pattern: str, changed: list[int]) -> dict[str, Any]:
    config = runner.RuntimeConfig(config_dir=str(house.folder))
    hass = await bootstrap.async_setup_hass(config)
    if hass is None:
        raise DemoError("Home Assistant did not start.")
    await hass.async_start()
    if pattern == "stock":
        use_stock_pattern()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(hass.async_stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        bench = Bench(hass, session, house)
        await bench.link()
        await bench.load(push=False)
        entities = er.async_entries_for_config_entry(er.async_get(hass), bench.entry.entry_id)
        entry_id = bench.entry.entry_id
        return {
            "parsing": await bench.parsing(),
            **await bench.polls(changed),
            "setup": await bench.measure(
                lambda: hass.config_entries.async_setup(entry_id),
                lambda: hass.config_entries.async_unload(entry_id),
                SETUPS,
            ),
            "entities": sum(entity.disabled_by is None for entity in entities),
            "push": await bench.push(),
            "rows": await bench.rows(),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            "memory": await bench.memory(),
        }


async def press(simulator: str, hub: str) -> None:
    """Press buttons at a hub, as somebody in the room does."""
    async with aiohttp.ClientSession() as session:
        for number in range(PUSHES):
            url = f"{simulator}/simulator/hubs/{hub}/press"
            async with session.post(url, json={"port": 2 + number % 2}) as answer:
                answer.raise_for_status()
            await asyncio.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--press", nargs=2)
    parser.add_argument("--pattern")
    parser.add_argument("--changed", type=int, nargs="*")
    arguments = parser.parse_args()
    if arguments.press:
        asyncio.run(press(*arguments.press))
        return
    print(json.dumps(asyncio.run(run(House(), arguments.pattern, arguments.changed))), flush=True)


if __name__ == "__main__":
    main()
