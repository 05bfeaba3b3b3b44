"""Soak test: simulated days of two accounts with faults, failed writes, reloads and moving hubs.

`scripts/test --thorough -rP -k month` shows the figures.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
import gc
import logging
import os
from pathlib import Path
import random
import re
import sys
from typing import Any

from aiohttp import web
import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import Event, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.storage import Store
from homeassistant.util.file import WriteError

from .home import FRONTEND_URL, HUBS_PATH, POLL_INTERVAL, TOKEN_PATH, Home
from .oauth import sign_in_again
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.hub import SimHub
from .simulator.responses import Handler

FAULT_PROBABILITY = 0.05
# These faults do not execute the request, so the refresh token stays valid.
TOKEN_FAULTS = [
    *(Fault.status(status) for status in (403, 404, 408, 429, 500, 502, 503, 504)),
    Fault.html(),
    Fault.empty(),
    Fault.bad_utf8(),
    Fault.bad_gzip(),
    Fault.nested(),
    Fault.reset(),
]
TOKEN_REJECTED = Fault.status(401)
ACCOUNTS = ("Example Organisation", "Second Organisation")
FAILED_WRITE_PROBABILITY = 0.1
# Polls until a hub that moved or left has no device in the account any more, with a margin.
SETTLING_POLLS = 10
# Lists with only some of the hubs are left out, because five in a row would correctly remove
# devices.
API_FAULTS = [*TOKEN_FAULTS, Fault.truncated(), TOKEN_REJECTED, Fault.body("[]")]


type WriteData = Callable[[Store[Any], dict[str, Any]], Awaitable[None]]


@dataclass
class SoakTest:
    """Simulated time of two accounts, with random events and faults, and the figures about it."""

    home: Home
    rng: random.Random = field(default_factory=lambda: random.Random(2026))
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    refreshes: int = 0
    expected_polls: float = 0
    wrongly_removed_hubs: list[str] = field(default_factory=list)
    removed_devices: int = 0
    moved_hubs: int = 0
    failed_writes: int = 0
    reloads: int = 0
    absent_hubs: list[SimHub] = field(default_factory=list)
    lose_next_token_response: bool = False

    @property
    def entries(self) -> list[ConfigEntry]:
        """The config entries of both accounts."""
        return self.home.hass.config_entries.async_entries("ochno")

    async def handle_request(
        self, request: web.Request, handler: Handler, wait: Wait
    ) -> web.StreamResponse:
        """Handle a request with a random fault or without one."""
        is_token_request = request.path == TOKEN_PATH
        if is_token_request and self.lose_next_token_response:
            self.lose_next_token_response = False
            return await Fault.truncated().handle(request, handler, wait)
        fault = self.rng.choice(TOKEN_FAULTS if is_token_request else API_FAULTS)
        if self.rng.random() >= FAULT_PROBABILITY:
            return await handler(request)
        if fault is TOKEN_REJECTED:
            self.expected_polls += request.path == HUBS_PATH
        self.faults["tokens" if is_token_request else "API", fault.kind] += 1
        return await fault.handle(request, handler, wait)

    @callback
    def handle_device_event(self, event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
        """Count the removed devices, and record those whose hub is still in the account."""
        if event.data["action"] == "remove":
            self.removed_devices += 1
            [(_, hub_id)] = event.data["device"]["identifiers"]
            if hub_id in self.home.simulator.database.hubs:
                self.wrongly_removed_hubs.append(hub_id)

    async def advance_time(self) -> None:
        """Advance time by one poll interval."""
        assert self.home.freezer is not None
        self.home.freezer.tick(POLL_INTERVAL)
        # The event loop needs some iterations to find and run the timers that are due.
        for _ in range(3):
            await asyncio.sleep(0)
        await self.home.wait_until_idle()
        for entry in self.entries:
            if entry.state is ConfigEntryState.LOADED:
                coordinator = entry.runtime_data.coordinator
                # After a failure, the default interval applies also with instant updates.
                interval = (
                    coordinator.update_interval.total_seconds()
                    if coordinator.last_update_success
                    else POLL_INTERVAL
                )
                self.expected_polls += POLL_INTERVAL / interval

    def change_random_hub(self) -> None:
        """Plug, unplug or press a button; or let a hub go offline, leave, return or move."""
        database = self.home.simulator.database
        hub = self.rng.choice(list(database.hubs.values()))
        port = self.rng.randint(1, hub.ports)
        match self.rng.randrange(13):
            case 0:
                hub.online = not hub.online
            case 1 if len(database.hubs_in_account(hub.account_id)) > 1:
                self.absent_hubs.append(hub)
                self.home.simulator.remove_hub(hub.id)
            case 2 if self.absent_hubs:
                hub = self.absent_hubs.pop()
                database.hubs[hub.id] = hub
            case 3 | 4 | 5:
                hub.plug(port)
            case 6 | 7 | 8:
                hub.unplug(port)
            # An empty list is taken for an error, so one hub stays in each account.
            case 9 if len(database.hubs_in_account(hub.account_id)) > 1:
                self.moved_hubs += 1
                [other] = {database.account(name).id for name in ACCOUNTS} - {hub.account_id}
                database.move_hub(hub.id, other)
            case _:
                hub.press(port)

    def start_faults(self) -> None:
        """Start to inject random faults."""
        self.home.simulator.add_fault("*", "/*", Fault("random", self.handle_request), times=None)

    async def write_or_fail(
        self, write: WriteData, store: Store[Any], data: dict[str, Any]
    ) -> None:
        """Write a storage file. Sometimes the disk is full for a token file."""
        if store.key.endswith(".token") and self.rng.random() < FAILED_WRITE_PROBABILITY:
            self.failed_writes += 1
            raise WriteError("disk full")
        await write(store, data)

    async def lose_token_response(self) -> None:
        """Lose the new refresh token, wait for the reauth flow and complete it."""
        self.lose_next_token_response = True
        while not self.home.flow_sources:
            await self.advance_time()
        self.home.simulator.clear_faults()
        assert (await sign_in_again(self.home))["reason"] == "reauth_successful"
        self.start_faults()

    async def run_day(self, number: int) -> None:
        """Reload the entries and simulate a day; instant updates work every other day."""
        home = self.home
        await home.hass.config.async_update(external_url=FRONTEND_URL if number % 2 else None)
        for entry in self.entries:
            await home.hass.config_entries.async_reload(entry.entry_id)
            self.reloads += 1
            self.expected_polls += 1
        for poll in range(24 * 3600 // POLL_INTERVAL):
            if poll % 20 == 10:
                self.change_random_hub()
                await home.wait_for_deliveries()
            await self.advance_time()
            assert home.flow_sources == []
        home.simulator.clear_faults()
        for _ in range(SETTLING_POLLS):
            await self.advance_time()
        self.check_states()
        self.start_faults()
        self.collect_figures()

    def collect_figures(self) -> None:
        """Count the requests, search for secrets, and delete all records of both."""
        home = self.home
        for request in home.simulator.requests:
            path = re.sub(r"(hubs|subscriptions)/v1/.+", r"\1/v1/{id}", request.path)
            self.requests[f"{request.method} {path.partition('?')[0]}"] += 1
            if request.path == TOKEN_PATH and request.status == 200:
                self.refreshes += "grant_type=refresh_token" in request.body
        home.simulator.requests.clear()
        home.simulator.deliveries.clear()
        home.leak_detector.record_simulator(home.simulator)
        assert home.leak_detector.find_leaks() == []
        home.leak_detector.clear_output()
        # The storage mock keeps the data of all its calls.
        for name in ("_async_load", "_async_write_data", "async_remove"):
            getattr(Store, name).reset_mock()

    def check_states(self) -> None:
        """Assert that the states and devices of both accounts agree with the simulator."""
        home = self.home
        registry = dr.async_get(home.hass)
        for hub in home.simulator.database.hubs.values():
            active = (str(hub.active) if hub.active else "none") if hub.online else "unavailable"
            assert home.state("sensor", hub.id, "active_port") == active
            for port in range(1, hub.ports + 1):
                connected = "on" if hub.state["connected"][port - 1] else "off"
                state = home.state("binary_sensor", hub.id, f"port_{port}_connected")
                assert state == (connected if hub.online else "unavailable")
        for entry in self.entries:
            hubs = home.simulator.database.hubs_in_account(entry.unique_id or "")
            devices = dr.async_entries_for_config_entry(registry, entry.entry_id)
            ids = {id_ for device in devices for _, id_ in device.identifiers}
            assert ids == {entry.entry_id} | {hub.id for hub in hubs}
            assert entry.runtime_data.coordinator.data.keys() == {hub.id for hub in hubs}


def memory_usage() -> tuple[int, int]:
    """Return the number of allocated Python blocks, and the resident memory in KiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return sys.getallocatedblocks(), pages * 4


async def run_soak_test(home: Home, days: int, monkeypatch: pytest.MonkeyPatch) -> SoakTest:
    """Simulate days, print the figures and assert that everything recovered."""
    for handler in set(logging.getLogger().handlers) - {home.leak_detector}:
        # The log records that pytest keeps would look like a memory leak.
        monkeypatch.setattr(handler, "level", logging.CRITICAL)
    soak_test = SoakTest(home)
    home.simulator.settings.reuse_revokes = True
    home.simulator.settings.delivery_drop = 0.02
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    await home.add_credentials()
    for account in ACCOUNTS:
        assert (await home.run_user_flow(account))["type"] == "create_entry"
    # The storage mock.
    write = vars(Store)["_async_write_data"]
    monkeypatch.setattr(write, "side_effect", partial(soak_test.write_or_fail, write.side_effect))
    home.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, soak_test.handle_device_event)
    # The coordinator polls in the first half of a second, so each step ends in the second half.
    assert home.freezer is not None
    home.freezer.tick((0.6 - asyncio.get_running_loop().time()) % 1)
    start = os.times()
    soak_test.start_faults()
    memory = []
    for number in range(1, days + 1):
        await soak_test.run_day(number)
        memory.append(memory_usage())
        if number == days // 2:
            await soak_test.lose_token_response()
    soak_test.collect_figures()
    end = os.times()
    print(f"\n{days} days, {soak_test.reloads} reloads")
    for request, count in sorted(soak_test.requests.items()):
        print(f"{count:7} {request}")
    print(f"{soak_test.expected_polls:7.0f} polls expected")
    for (endpoint, kind), count in sorted(soak_test.faults.items()):
        print(f"{count:7} {kind} ({endpoint})")
    print(f"{soak_test.refreshes:7} refreshes")
    print(f"{soak_test.moved_hubs:7} hubs moved")
    print(f"{soak_test.removed_devices:7} devices removed")
    print(f"{soak_test.failed_writes:7} failed writes of a token file")
    for day, (blocks, kib) in ((1, memory[0]), (days, memory[-1])):
        print(f"{blocks:7} blocks and {kib // 1024} MiB resident after day {day}")
    print(f"{end.elapsed - start.elapsed:7.0f} s, of them {end.user - start.user:.0f} s user time")
    assert soak_test.wrongly_removed_hubs == []
    polls = soak_test.requests[f"GET {HUBS_PATH}"]
    # When a hub is missing, the other account is polled too, because the hub may have moved there.
    assert polls == pytest.approx(soak_test.expected_polls, rel=0.05)
    assert memory[-1][0] <= memory[0][0] * 1.02
    return soak_test


async def test_day_with_faults_ends_with_correct_states_and_no_reauth(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    await run_soak_test(home, 1, monkeypatch)


@pytest.mark.thorough
async def test_month_with_faults_ends_with_correct_states_and_no_wrong_reauth(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    soak_test = await run_soak_test(home, 30, monkeypatch)
    assert soak_test.refreshes > 600
    assert soak_test.removed_devices > 0
    assert soak_test.moved_hubs > 100
    assert soak_test.failed_writes > 50
