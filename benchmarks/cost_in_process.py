"""Home Assistant that measures itself on command; started by benchmarks.measured_home.

Each line of the input is a JSON object with the name of an action. Each line of the output is the
JSON of the result: for most actions, CPU seconds in the thread of the event loop.
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
import gc
from itertools import cycle
import json
import sqlite3
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
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
)
from homeassistant.helpers.recorder import get_instance
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from tests.live.environment import CommandError, Environment
from tests.live.frontend import Frontend, open_frontend

from .press import PRESSES

LIST_PATH = "/api/hubs/v1"
AUTOMATIONS = 100
FLOORS = 10
POLLS = 15
CHANGES_PER_DAY = 8
CHANGES_PER_MONTH = 30 * CHANGES_PER_DAY
# Files whose memory grows with the hubs. Entities are not included: both patterns have the same.
OWN_FILES = (
    "operated/",
    "control.py",
    "coordinator.py",
    "devices.py",
    "history.py",
    "ports.py",
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


class Measurements:
    """The actions of a running Home Assistant, which is linked to the simulator."""

    def __init__(
        self, hass: HomeAssistant, session: aiohttp.ClientSession, environment: Environment
    ) -> None:
        self.hass = hass
        self.session = session
        self.environment = environment
        self.frontend: Frontend | None = None
        self.hubs: list[str] = []
        self.ports = cycle((2, 3))

    @property
    def entry(self) -> OchnoConfigEntry:
        """Return the config entry of the linked account."""
        [entry] = self.hass.config_entries.async_entries("ochno")
        return entry

    @property
    def coordinator(self) -> OchnoCoordinator:
        """Return the coordinator of the account."""
        return self.entry.runtime_data.coordinator

    async def simulator(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request to the control API of the simulator."""
        url = f"{self.environment.simulator_url}/simulator/{path}"
        async with self.session.request(method, url, json=body) as response:
            response.raise_for_status()
            return await response.json() if response.status == 200 else None

    async def find_hubs(self) -> None:
        """Keep only the hubs that were added with --hubs."""
        rooms = (await self.simulator("GET", "state"))["rooms"]
        for hub in (hub for room in rooms for hub in room["hubs"]):
            if hub["name"].startswith("Room "):
                self.hubs.append(hub["id"])
            else:
                await self.simulator("DELETE", f"hubs/{hub['id']}")

    async def link_account(self, frontend: Frontend) -> None:
        """Link the account. It is polled only by the actions."""
        self.frontend = frontend
        await frontend.add_credentials()
        await frontend.link_account("read")
        await self.reload_entry(push=False)

    async def reload_entry(self, *, push: bool) -> None:
        """Reload the config entry with instant updates on or off."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        self.hass.config_entries.async_update_entry(self.entry, options={"push": push})
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()
        self.check()

    def check(self) -> None:
        """Stop the polling, and check that all hubs are there."""
        self.coordinator.update_interval = None
        self.coordinator._unschedule_refresh()  # noqa: SLF001 - a poll would disturb the measurement
        if len(self.coordinator.data) != len(self.hubs):
            raise CommandError("Home Assistant does not have all hubs of the simulator.")

    async def poll_account(self) -> None:
        """Poll the account once."""
        await self.coordinator.async_refresh()

    async def measure(self, action: Action) -> float:
        """Return the CPU seconds of an action."""
        await self.hass.async_block_till_done()
        start = time.thread_time()
        await action()
        return time.thread_time() - start

    async def measure_block(self, action: Awaitable[object]) -> float:
        """Return the longest time for which an action blocks the event loop."""
        task = asyncio.ensure_future(action)
        longest = 0.0
        while not task.done():
            start = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - start)
        return longest

    # Actions

    async def settings(self, **settings: object) -> None:
        """Change settings of the simulator."""
        await self.simulator("POST", "settings", settings)

    async def press(self, count: int) -> None:
        """Change the active port of the first `count` hubs."""
        port = next(self.ports)
        for hub in self.hubs[:count]:
            await self.simulator("POST", f"hubs/{hub}/press", {"port": port})

    async def parse(self) -> float:
        """Measure `orjson.loads` of the hub list."""
        body, _ = await self.coordinator.client.transport.request("GET", LIST_PATH)
        start = time.thread_time()
        orjson.loads(body)
        return time.thread_time() - start

    async def poll(self) -> float:
        """Measure a poll."""
        return await self.measure(self.poll_account)

    async def poll_block(self) -> float:
        """Return the longest block of the event loop in a poll."""
        return await self.measure_block(self.poll_account())

    async def setup(self) -> float:
        """Measure the setup of the config entry."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        setup = partial(self.hass.config_entries.async_setup, self.entry.entry_id)
        seconds = await self.measure(setup)
        self.check()
        return seconds

    async def setup_block(self) -> float:
        """Return the longest block of the event loop in the setup of the config entry."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        longest = await self.measure_block(
            self.hass.config_entries.async_setup(self.entry.entry_id)
        )
        self.check()
        return longest

    async def dashboard(self) -> float:
        """Measure the slowest command of the dashboard, including the client in this process."""
        if self.frontend is None:
            raise CommandError("The dashboard needs the first start of Home Assistant.")
        command = partial(self.frontend.command, language="en")
        # The server closes a connection that is not read between two actions.
        async with self.frontend.connect():
            views = (await command("ochno/dashboard", config={}))["views"]
            actions = [partial(command, "ochno/dashboard", config={})]
            for config in {view["strategy"]["view"]: view["strategy"] for view in views}.values():
                del config["type"]
                actions.append(partial(command, "ochno/dashboard/view", config=config))
            return max([await self.measure(action) for action in actions])

    async def start_push(self) -> None:
        """Turn on instant updates."""
        await self.reload_entry(push=True)
        async with asyncio.timeout(30):
            while self.entry.runtime_data.push.state is not PushState.ACTIVE:
                await asyncio.sleep(0.05)
        self.check()

    async def stop_push(self) -> None:
        """Turn off instant updates."""
        await self.reload_entry(push=False)

    async def push(self) -> float:
        """Measure one delivery. Another process presses the buttons."""
        start = time.thread_time()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "benchmarks.press", self.environment.simulator_url, self.hubs[0]),
        )
        await process.wait()
        # The integration fetches the hub one second after a delivery.
        await asyncio.sleep(2)
        return (time.thread_time() - start) / PRESSES

    async def add_automations(self) -> None:
        """Add automations for ten floors. Each hub has an area of its own."""
        devices, areas = dr.async_get(self.hass), ar.async_get(self.hass)
        floors = [fr.async_get(self.hass).async_create(f"Floor {n}") for n in range(FLOORS)]
        for number, hub in enumerate(self.hubs):
            area = areas.async_create(f"Area {number}", floor_id=floors[number % FLOORS].floor_id)
            device = devices.async_get_device_by_identifier(("ochno", hub), self.entry.entry_id)
            if device is not None:
                devices.async_update_device(device.id, area_id=area.id)
        automations = [
            {
                "id": f"automation_{number}",
                "alias": f"Automation {number}",
                "triggers": {
                    "trigger": "ochno.laptop_plugged_in",
                    "target": {"floor_id": floors[number % FLOORS].floor_id},
                },
                "actions": [],
            }
            for number in range(AUTOMATIONS)
        ]
        # JSON is also YAML.
        (self.environment.folder / "automations.yaml").write_text(json.dumps(automations))
        await self.hass.services.async_call("automation", "reload", blocking=True)
        await self.hass.async_block_till_done()

    async def automations(self) -> float:
        """Measure the CPU seconds per automation when a laptop is plugged in."""
        with_automations = await self._plug_in("turn_on")
        triggered = [
            state
            for state in self.hass.states.async_all("automation")
            if state.attributes["last_triggered"]
        ]
        if len(triggered) != AUTOMATIONS // FLOORS:
            raise CommandError(f"{len(triggered)} automations ran.")
        return (with_automations - await self._plug_in("turn_off")) / AUTOMATIONS

    async def _plug_in(self, action: str) -> float:
        await self.simulator("POST", f"hubs/{self.hubs[0]}/unplug", {"port": 4})
        await self.poll_account()
        await self.hass.services.async_call(
            "automation", action, {"entity_id": "all"}, blocking=True
        )
        await self.simulator("POST", f"hubs/{self.hubs[0]}/plug", {"port": 4})

        async def poll_and_run() -> None:
            await self.poll_account()
            await self.hass.async_block_till_done()

        return await self.measure(poll_and_run)

    async def requests_per_poll(self) -> float:
        """Return the number of requests of one poll."""
        before = (await self.simulator("GET", "state"))["requests"]
        for _ in range(POLLS):
            await self.poll_account()
        return float((await self.simulator("GET", "state"))["requests"] - before) / POLLS

    async def rows_of_polls(self) -> int:
        """Return the number of database rows that polls without a change write."""
        before = await self._count_rows()
        for _ in range(POLLS):
            await self.poll_account()
        return await self._count_rows() - before

    async def _count_rows(self) -> int:
        await get_instance(self.hass).async_block_till_done()
        count = "select count(*) from states join states_meta using (metadata_id)"
        where = (
            "where states_meta.entity_id glob '*.room_*' or states_meta.entity_id glob '*_hubs_*'"
        )
        database_path = self.environment.folder / "home-assistant_v2.db"
        with sqlite3.connect(database_path) as database:
            rows: int = database.execute(f"{count} {where}").fetchone()[0]
            return rows

    async def entities(self) -> int:
        """Return the number of enabled entities."""
        entities = er.async_entries_for_config_entry(er.async_get(self.hass), self.entry.entry_id)
        return sum(entity.disabled_by is None for entity in entities)

    async def memory(self) -> list[float]:
        """Return the bytes per hub of this integration, and of the listeners of entities."""
        await self._trace_setup()
        sizes = [
            self._traced_per_hub(*(f"ochno/{file}" for file in OWN_FILES)),
            self._traced_per_hub(LISTENER_FILE),
        ]
        tracemalloc.stop()
        return sizes

    async def growth_in_month(self) -> float:
        """Return the additional bytes per hub of the integration after a month of changes.

        Eight times a day, each hub has another active port.
        """
        await self._trace_setup()
        sizes = []
        for change in range(CHANGES_PER_MONTH):
            await self.press(len(self.hubs))
            await self.poll_account()
            await self.hass.async_block_till_done()
            if change in (CHANGES_PER_DAY, CHANGES_PER_MONTH - 1):
                sizes.append(self._traced_per_hub("custom_components/ochno/"))
        tracemalloc.stop()
        return sizes[1] - sizes[0]

    async def peak(self, of: str) -> float:
        """Return the highest additional memory that an action needs, in MiB."""
        await self.hass.async_block_till_done()
        gc.collect()
        tracemalloc.start()
        await getattr(self, of)()
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest / 2**20

    async def _trace_setup(self) -> None:
        """Set up the config entry, and trace its memory from then on."""
        await self.hass.config_entries.async_unload(self.entry.entry_id)
        gc.collect()
        tracemalloc.start()
        await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()
        self.check()

    def _traced_per_hub(self, *files: str) -> float:
        gc.collect()
        sizes = [
            statistic.size
            for statistic in tracemalloc.take_snapshot().statistics("filename")
            if any(file in statistic.traceback[0].filename for file in files)
        ]
        return sum(sizes) / len(self.hubs)


async def run_actions(measurements: Measurements) -> None:
    """Run the actions that the input names, until the input ends."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        command = json.loads(line)
        result = await getattr(measurements, command.pop("action"))(**command)
        print(json.dumps(result), flush=True)


async def run(environment: Environment, pattern: str, *, linked: bool) -> None:
    """Start Home Assistant in this process, and run the actions."""
    config = runner.RuntimeConfig(config_dir=str(environment.folder))
    if pattern == "stock":
        use_stock_pattern()
    start = time.thread_time()
    hass = await bootstrap.async_setup_hass(config)
    if hass is None:
        raise CommandError("Home Assistant did not start.")
    await hass.async_start()
    await hass.async_block_till_done()
    seconds = time.thread_time() - start
    try:
        async with aiohttp.ClientSession() as session:
            measurements = Measurements(hass, session, environment)
            await measurements.find_hubs()
            if linked:
                measurements.check()
                print(json.dumps(seconds), flush=True)
                await run_actions(measurements)
            else:
                async with open_frontend(session, environment) as frontend:
                    await measurements.link_account(frontend)
                    print(json.dumps(seconds), flush=True)
                    await run_actions(measurements)
    finally:
        await hass.async_stop()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost_in_process")
    Environment.add_arguments(parser)
    parser.add_argument("--pattern", choices=("ours", "stock"), required=True)
    parser.add_argument("--linked", action="store_true", help="the account is linked already")
    arguments = parser.parse_args()
    environment = Environment.from_arguments(arguments)
    asyncio.run(run(environment, arguments.pattern, linked=arguments.linked))


if __name__ == "__main__":
    main()
