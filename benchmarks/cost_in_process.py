"""Home Assistant that measures its own CPU time and memory; started by benchmarks.cost.

CPU seconds are those of the thread of the event loop, medians of several repetitions.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
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
import orjson

from custom_components.ochno.const import PushState
from custom_components.ochno.coordinator import OchnoCoordinator
from custom_components.ochno.data import OchnoConfigEntry
from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.hub_list import HubList
from homeassistant import bootstrap, runner
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import get_instance
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from tests.live.environment import CommandError, Environment
from tests.live.frontend import Frontend, open_frontend

from .cost import PATTERNS, Measurement
from .press import PRESSES

REPETITIONS = 15
SETUPS = 3
LIST_PATH = "/api/hubs/v1"
# Files whose memory grows with the hubs. Entities are not included: both patterns have the same.
OWN_FILES = (
    "operated/",
    "control.py",
    "coordinator.py",
    "devices.py",
    "history.py",
    "push.py",
    "spaces.py",
    "target.py",
    "webhook.py",
)
LISTENER_FILE = "helpers/update_coordinator.py"

type Action = Callable[[], Awaitable[object]]


def use_stock_pattern() -> None:
    """Read each list as a whole, and update every entity after every change."""
    fetch = OperatedClient.hubs

    async def fetch_all(client: OperatedClient, _earlier: HubList | None = None) -> HubList:
        return await fetch(client)

    setattr(OperatedClient, fetch.__name__, fetch_all)
    for name in ("async_add_listener", "async_update_listeners"):
        setattr(OchnoCoordinator, name, getattr(DataUpdateCoordinator, name))


class CostBenchmark:
    """Measurements of a running Home Assistant, which is linked to the simulator."""

    def __init__(
        self, hass: HomeAssistant, session: aiohttp.ClientSession, environment: Environment
    ) -> None:
        self.hass = hass
        self.session = session
        self.environment = environment
        self.dashboard = 0.0
        self.hubs: list[str] = []
        self.ports = cycle((2, 3))

    @property
    def entry(self) -> OchnoConfigEntry:
        """Return the config entry of the linked account."""
        [entry] = self.hass.config_entries.async_entries("ochno")
        return entry

    async def simulator(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request to the control API of the simulator."""
        url = f"{self.environment.simulator_url}/simulator/{path}"
        async with self.session.request(method, url, json=body) as response:
            response.raise_for_status()
            return await response.json() if response.status == 200 else None

    async def link_account(self) -> None:
        """Link an account that has only the hubs added with --hubs."""
        rooms = (await self.simulator("GET", "state"))["rooms"]
        for hub in (hub for room in rooms for hub in room["hubs"]):
            if hub["name"].startswith("Room "):
                self.hubs.append(hub["id"])
            else:
                await self.simulator("DELETE", f"hubs/{hub['id']}")
        async with open_frontend(self.session, self.environment) as frontend:
            await frontend.add_credentials()
            await frontend.link_account("read")
            self.dashboard = await self.measure_dashboard(frontend)
        if len(self.entry.runtime_data.coordinator.data) != len(self.hubs):
            raise CommandError("Home Assistant does not have all hubs of the simulator.")

    async def reload_entry(self, *, push: bool) -> None:
        """Reload the config entry with instant updates on or off."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        self.hass.config_entries.async_update_entry(self.entry, options={"push": push})
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()

    async def poll(self) -> None:
        """Poll the account once."""
        await self.entry.runtime_data.coordinator.async_refresh()

    async def press_buttons(self, count: int) -> None:
        """Change the active port of the first `count` hubs."""
        port = next(self.ports)
        for hub in self.hubs[:count]:
            await self.simulator("POST", f"hubs/{hub}/press", {"port": port})

    async def measure(
        self, action: Action, prepare: Action | None = None, repetitions: int = REPETITIONS
    ) -> float:
        """Return the median CPU seconds of an action; `prepare` runs before each repetition."""
        seconds = []
        gc.collect()
        for _ in range(repetitions):
            if prepare:
                await prepare()
            await self.hass.async_block_till_done()
            start = time.thread_time()
            await action()
            seconds.append(time.thread_time() - start)
        return statistics.median(seconds)

    async def measure_parsing(self) -> float:
        """Measure `orjson.loads` of the list of hubs."""
        client = self.entry.runtime_data.coordinator.client
        body, _ = await client.transport.request("GET", LIST_PATH)

        async def parse() -> None:
            orjson.loads(body)

        return await self.measure(parse)

    async def measure_requests_and_not_modified(self) -> tuple[float, float]:
        """Return the requests per poll, and the CPU seconds of a poll with response 304."""
        before = (await self.simulator("GET", "state"))["requests"]
        seconds = await self.measure(self.poll)
        after = (await self.simulator("GET", "state"))["requests"]
        return (after - before) / REPETITIONS, seconds

    async def measure_changed(self, count: int) -> float:
        """Measure a poll after `count` hubs changed."""
        return await self.measure(self.poll, lambda: self.press_buttons(count))

    async def measure_longest_block(self) -> float:
        """Return the longest time for which a poll with a change blocks the event loop."""
        await self.press_buttons(1)
        polling = asyncio.create_task(self.poll())
        longest = 0.0
        while not polling.done():
            start = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - start)
        return longest

    async def measure_dashboard(self, frontend: Frontend) -> float:
        """Return the CPU seconds of the slowest command of the dashboard, client included."""
        command = partial(frontend.command, language="en")
        views = (await command("ochno/dashboard", config={}))["views"]
        actions = [partial(command, "ochno/dashboard", config={})]
        for config in {view["strategy"]["view"]: view["strategy"] for view in views}.values():
            del config["type"]
            actions.append(partial(command, "ochno/dashboard/view", config=config))
        return max([await self.measure(action) for action in actions])

    async def measure_push(self) -> float:
        """Return the CPU seconds of one delivery. Another process presses the buttons."""
        await self.reload_entry(push=True)
        async with asyncio.timeout(30):
            while self.entry.runtime_data.push.state is not PushState.ACTIVE:
                await asyncio.sleep(0.05)
        gc.collect()
        start = time.thread_time()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.press", self.environment.simulator_url, self.hubs[0]),
        )
        await process.wait()
        # The integration fetches the hub one second after a delivery.
        await asyncio.sleep(2)
        return (time.thread_time() - start) / PRESSES

    async def count_rows_of_polls(self) -> int:
        """Return the number of database rows that polls without a change write."""
        await self.reload_entry(push=False)
        before = await self._count_rows()
        for _ in range(REPETITIONS):
            await self.poll()
        return await self._count_rows() - before

    async def _count_rows(self) -> int:
        recorder = get_instance(self.hass)
        await recorder.async_block_till_done()
        count = "select count(*) from states join states_meta using (metadata_id)"
        where = (
            "where states_meta.entity_id glob '*.room_*' or states_meta.entity_id glob '*_hubs_*'"
        )
        database_path = self.environment.folder / "home-assistant_v2.db"
        with sqlite3.connect(database_path) as database:
            rows: int = database.execute(f"{count} {where}").fetchone()[0]
            return rows

    async def measure_memory(self) -> tuple[float, float]:
        """Return the bytes per hub of this integration, and of the listeners of entities."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        gc.collect()
        tracemalloc.start()
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()
        gc.collect()
        statistics_by_file = tracemalloc.take_snapshot().statistics("filename")
        tracemalloc.stop()

        def per_hub(*files: str) -> float:
            sizes = [
                statistic.size
                for statistic in statistics_by_file
                if any(file in statistic.traceback[0].filename for file in files)
            ]
            return sum(sizes) / len(self.hubs)

        return per_hub(*(f"ochno/{file}" for file in OWN_FILES)), per_hub(LISTENER_FILE)

    async def measure_all(self, changed: list[int]) -> Measurement:
        """Measure everything, polls with each number of changed hubs included."""
        await self.link_account()
        await self.reload_entry(push=False)
        entry_id = self.entry.entry_id
        entities = er.async_entries_for_config_entry(er.async_get(self.hass), entry_id)
        parsing = await self.measure_parsing()
        requests, not_modified = await self.measure_requests_and_not_modified()
        await self.simulator("POST", "settings", {"etags": False})
        await self.poll()
        unchanged = await self.measure(self.poll)
        poll_changed = {str(count): await self.measure_changed(count) for count in changed}
        blocks = [await self.measure_longest_block() for _ in range(REPETITIONS)]
        await self.simulator("POST", "settings", {"etags": True})
        setup = await self.measure(
            lambda: self.hass.config_entries.async_setup(entry_id),
            lambda: self.hass.config_entries.async_unload(entry_id),
            SETUPS,
        )
        push = await self.measure_push()
        rows = await self.count_rows_of_polls()
        # Before tracemalloc, which uses memory itself.
        peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        own_memory, listener_memory = await self.measure_memory()
        return {
            "parsing": parsing,
            "poll_not_modified": not_modified,
            "poll_unchanged": unchanged,
            "poll_changed": poll_changed,
            "longest_block": statistics.median(blocks),
            "requests_per_poll": requests,
            "setup": setup,
            "entities": sum(entity.disabled_by is None for entity in entities),
            "dashboard": self.dashboard,
            "push": push,
            "database_rows": rows,
            "own_memory_per_hub": own_memory,
            "listener_memory_per_hub": listener_memory,
            "peak_memory": peak_memory,
        }


async def run(environment: Environment, pattern: str, changed: list[int]) -> Measurement:
    """Start Home Assistant in this process and measure it."""
    config = runner.RuntimeConfig(config_dir=str(environment.folder))
    hass = await bootstrap.async_setup_hass(config)
    if hass is None:
        raise CommandError("Home Assistant did not start.")
    await hass.async_start()
    if pattern == "stock":
        use_stock_pattern()
    try:
        async with aiohttp.ClientSession() as session:
            return await CostBenchmark(hass, session, environment).measure_all(changed)
    finally:
        await hass.async_stop()


def main() -> None:
    """Read the command line and print the measurement as JSON in the last line of the output."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_in_process")
    Environment.add_arguments(parser)
    parser.add_argument("--pattern", choices=PATTERNS, required=True)
    parser.add_argument("--changed", type=int, nargs="+", required=True)
    arguments = parser.parse_args()
    environment = Environment.from_arguments(arguments)
    measurement = asyncio.run(run(environment, arguments.pattern, arguments.changed))
    print(json.dumps(measurement), flush=True)


if __name__ == "__main__":
    main()
