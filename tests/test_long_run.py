"""A month in the life of an account: tokens, faults, hubs that come and go, restarts.

What it came to is shown by `scripts/test --thorough -rP -k month`.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
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

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import Event, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.storage import Store

from .home import HUBS_PATH, POLL_INTERVAL, TOKEN_PATH, Home
from .simulator import Fault
from .simulator.responses import Handler
from .simulator.faults import Wait
from .simulator.hub import SimHub
from .test_oauth import sign_in_again

FAULTY = 0.05
# None of them has the vendor renew the tokens.
AT_TOKENS = [
    *(Fault.status(status) for status in (403, 404, 408, 429, 500, 502, 503, 504)),
    Fault.html(),
    Fault.empty(),
    Fault.bad_utf8(),
    Fault.bad_gzip(),
    Fault.nested(),
    Fault.reset(),
]
# Not that hubs are missing: five such lists in a row, and their devices would rightly go.
REFUSAL = Fault.status(401)
ELSEWHERE = [*AT_TOKENS, Fault.truncated(), REFUSAL, Fault.body("[]")]


@dataclass
class Month:
    """What happens, and what came of it."""

    home: Home
    chance: random.Random = field(default_factory=lambda: random.Random(2026))
    requests: Counter[str] = field(default_factory=Counter)
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)
    refreshes: int = 0
    expected_lists: float = 0
    removed_but_there: list[str] = field(default_factory=list)
    devices_removed: int = 0
    restarts: int = 0
    away: list[SimHub] = field(default_factory=list)
    refused: bool = False
    lose_tokens: bool = False

    async def misbehave(
        self, request: web.Request, handler: Handler, wait: Wait
    ) -> web.StreamResponse:
        """Spoil one request in twenty."""
        at_tokens = request.path == TOKEN_PATH
        if at_tokens and self.lose_tokens:
            self.lose_tokens = False
            return await Fault.truncated().handle(request, handler, wait)
        fault = self.chance.choice(AT_TOKENS if at_tokens else ELSEWHERE)
        if self.chance.random() >= FAULTY or (self.refused and fault is REFUSAL):
            self.refused = self.refused and at_tokens
            return await handler(request)
        if fault is REFUSAL:
            # Once more for the renewed token, and the user would rightly be asked to sign in.
            self.refused = True
            self.expected_lists += request.path == HUBS_PATH
        self.faults["tokens" if at_tokens else "elsewhere", fault.kind] += 1
        return await fault.handle(request, handler, wait)

    @callback
    def device_changed(self, event: Event[Any]) -> None:
        """See whether a device that goes is one whose hub has gone."""
        if event.data["action"] == "remove":
            self.devices_removed += 1
            [(_, hub_id)] = event.data["device"]["identifiers"]
            if hub_id in self.home.simulator.database.hubs:
                self.removed_but_there.append(hub_id)

    async def step(self) -> None:
        """Let the time between two polls pass."""
        assert self.home.freezer is not None
        self.home.freezer.tick(POLL_INTERVAL)
        # The loop looks at its timers, and runs them, before it comes back to this.
        for _ in range(3):
            await asyncio.sleep(0)
        await self.home.wait_until_idle()
        if self.home.entry.state is ConfigEntryState.LOADED:
            interval = self.home.entry.runtime_data.coordinator.update_interval
            self.expected_lists += POLL_INTERVAL / interval.total_seconds()

    def something_happens(self) -> None:
        """Let somebody do something in one of the rooms."""
        cloud = self.home.simulator.database
        hub = self.chance.choice(cloud.hubs_in_account(cloud.account().id))
        port = self.chance.randint(1, hub.ports)
        match self.chance.randrange(12):
            case 0:
                hub.online = not hub.online
            case 1 if len(cloud.hubs) > 4:
                self.away.append(hub)
                self.home.simulator.remove_hub(hub.id)
            case 2 if self.away:
                hub = self.away.pop()
                cloud.hubs[hub.id] = hub
            case 3 | 4 | 5:
                hub.plug(port)
            case 6 | 7 | 8:
                hub.unplug(port)
            case _:
                hub.press(port)

    def spoil(self) -> None:
        """Begin to spoil requests."""
        fault = Fault("one in twenty", self.misbehave)
        self.home.simulator.add_fault("*", "/*", fault, times=None)

    async def lose_an_answer_with_tokens(self) -> None:
        """Let the vendor renew the tokens and the answer get lost: no client can go on then."""
        self.lose_tokens = True
        while not self.home.flow_sources:
            await self.step()
        self.home.simulator.clear_faults()
        await self.let_the_user_in()
        assert (await sign_in_again(self.home))["reason"] == "reauth_successful"
        self.spoil()

    async def let_the_user_in(self) -> None:
        """Renew the frontend's own access to Home Assistant, which lasts for half an hour."""
        auth = self.home.hass.auth
        [user] = [user for user in await auth.async_get_users() if not user.system_generated]
        [token] = user.refresh_tokens.values()
        access = auth.async_create_access_token(token)
        self.home.client.session.headers["Authorization"] = f"Bearer {access}"

    async def day(self, number: int) -> None:
        """Let a day pass, with a restart in the night; instant updates work every other day."""
        home = self.home
        await home.hass.config.async_update(
            external_url="https://example.com" if number % 2 else None
        )
        await home.hass.config_entries.async_reload(home.entry.entry_id)
        self.restarts += 1
        self.expected_lists += 1
        for step in range(24 * 3600 // POLL_INTERVAL):
            if step % 20 == 10:
                self.something_happens()
                await home.wait_for_deliveries()
            await self.step()
        self.tidy_up()

    def tidy_up(self) -> None:
        """Count what the test has collected, and let go of it."""
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
        # The stand-in for the disk remembers whatever was read and written.
        for name in ("_async_load", "_async_write_data", "async_remove"):
            getattr(Store, name).reset_mock()

    def check_states(self) -> None:
        """Every hub's entities say what the cloud knows."""
        home = self.home
        cloud = home.simulator.database
        for hub in cloud.hubs_in_account(cloud.account().id):
            active = (str(hub.active) if hub.active else "none") if hub.online else "unavailable"
            assert home.state("sensor", hub.id, "active_port") == active
            for port in range(1, hub.ports + 1):
                connected = "on" if hub.state["connected"][port - 1] else "off"
                shown = home.state("binary_sensor", hub.id, f"port_{port}_connected")
                assert shown == (connected if hub.online else "unavailable")
        devices = dr.async_entries_for_config_entry(dr.async_get(home.hass), home.entry.entry_id)
        assert len(devices) == 1 + len(cloud.hubs_in_account(cloud.account().id))


def memory() -> tuple[int, int]:
    """Return how many blocks Python has allocated, and how many KiB the process has resident."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return sys.getallocatedblocks(), pages * 4


async def live(home: Home, days: int, monkeypatch: pytest.MonkeyPatch) -> Month:
    """Live through so many days and see that nobody was bothered."""
    for handler in set(logging.getLogger().handlers) - {home.leak_detector}:
        # What pytest keeps of the log is not the memory in question.
        monkeypatch.setattr(handler, "level", logging.CRITICAL)
    month = Month(home)
    home.simulator.settings.reuse_revokes = True
    home.simulator.settings.delivery_drop = 0.02
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    await home.link_account()
    home.hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, month.device_changed)
    # The coordinator polls in the first half of a second: let each step end in the second half.
    assert home.freezer is not None
    home.freezer.tick((0.6 - asyncio.get_running_loop().time()) % 1)
    began = os.times()
    month.spoil()
    sizes = []
    for number in range(1, days + 1):
        await month.day(number)
        sizes.append(memory())
        assert home.flow_sources == []
        if number == days // 2:
            await month.lose_an_answer_with_tokens()
    home.simulator.clear_faults()
    for _ in range(20):
        await month.step()
    month.tidy_up()
    ended = os.times()
    print(f"\n{days} days, {month.restarts} restarts")
    for request, count in sorted(month.requests.items()):
        print(f"{count:7} {request}")
    print(f"{month.expected_lists:7.0f} lists of hubs expected")
    for (where, kind), count in sorted(month.faults.items()):
        print(f"{count:7} {kind} {where}")
    print(f"{month.refreshes:7} refreshes")
    print(f"{month.devices_removed:7} devices removed")
    for when, (blocks, kib) in (("day 1", sizes[0]), (f"day {days}", sizes[-1])):
        print(f"{blocks:7} blocks and {kib // 1024} MiB resident after {when}")
    print(f"{ended.elapsed - began.elapsed:7.0f} s, {ended.user - began.user:.0f} s of them busy")
    assert month.removed_but_there == []
    month.check_states()
    assert month.requests[f"GET {HUBS_PATH}"] == pytest.approx(month.expected_lists, rel=0.02)
    assert sizes[-1][0] <= sizes[0][0] * 1.02
    return month


async def test_day(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    await live(home, 1, monkeypatch)


@pytest.mark.thorough
async def test_month(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    month = await live(home, 30, monkeypatch)
    assert month.refreshes > 600
    assert month.devices_removed > 0
