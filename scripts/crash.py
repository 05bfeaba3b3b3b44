"""Kill Home Assistant again and again, and count how often it comes back by itself.

Tokens live 20 s and a refresh token is good once, so that a new sign-in is needed whenever the
newest one gets lost. The simulator runs in this process: it knows what it answered, and when.
"""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
import random
import sys
import time
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from house import (
    ROOT,
    DemoError,
    HomeAssistant,
    House,
    add_credentials,
    say,
    start_home_assistant,
)

sys.path.insert(0, str(ROOT))

from tests.simulator import Fault, Simulator

HOUSE = House()
TOKEN = "/identity/oauth/v2/token"  # noqa: S105 - a path
TOKEN_LIFETIME = 20
# Seconds. A cloud is not as near as this machine.
ANSWER_TAKES = 0.1
ENTITY = "sensor.boardroom_boardroom_active_port"
# Until Home Assistant has written what it knows of a new entry.
WRITTEN = 12
LONGEST_START = 90


@dataclass
class Refresh:
    """One refresh as the simulator saw it; `answered` and `killed` are None if it was not."""

    token: str
    refused: bool = False
    answered: float | None = None
    killed: float | None = None


@dataclass
class Refreshes:
    """All refreshes, the newest last."""

    seen: list[Refresh] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def misbehave(self, request: web.Request, handler: Any, _wait: Any) -> web.Response:
        """Answer as always, but later, and take down when."""
        form = dict(parse_qsl(await request.text()))
        refresh = Refresh(form.get("refresh_token", ""))
        response: web.Response = await handler(request)
        if form["grant_type"] == "refresh_token":
            refresh.refused = response.status != 200
            self.seen.append(refresh)
            self.begun.set()
        await asyncio.sleep(ANSWER_TAKES)
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write_eof()
            refresh.answered = time.monotonic()
        return response

    def killed(self, now: float) -> None:
        """Take down which kill was the first after each refresh."""
        for refresh in self.seen:
            if refresh.killed is None:
                refresh.killed = now

    def cause(self) -> str | None:
        """Say why the vendor refused a refresh; None if it refused none."""
        refused = next((one for one in self.seen if one.refused), None)
        if refused is None:
            return None
        spent = [one for one in self.seen if one.token == refused.token and not one.refused]
        if not spent or (killed := spent[0].killed) is None:
            return "other: a token that was never issued, or spent without a kill since"
        if (answered := spent[0].answered) is None or answered > killed:
            return "unavoidable: killed while the answer was under way"
        return f"lost: killed {(killed - answered) * 1000:.0f} ms after the answer"


async def came_back(home_assistant: HomeAssistant, process: asyncio.subprocess.Process) -> str:
    """Wait for the end of a start-up; return `loaded` or what the entry is instead."""
    state = "no answer"
    end = time.monotonic() + LONGEST_START
    while time.monotonic() < end:
        if process.returncode is not None:
            raise DemoError("Home Assistant ended by itself; see .demo/hass.log.")
        with suppress(aiohttp.ClientError, DemoError):
            [entry] = await home_assistant.request(
                "GET", "/api/config/config_entries/entry?domain=ochno"
            )
            state = entry["state"]
            if state == "loaded":
                shown = await home_assistant.request("GET", f"/api/states/{ENTITY}")
                if shown["state"] not in ("unavailable", "unknown"):
                    return "loaded"
                state = "loaded, but unavailable"
            elif state == "setup_error":
                return state
        await asyncio.sleep(0.2)
    return state


async def link_anew(home_assistant: HomeAssistant) -> None:
    entries = await home_assistant.request("GET", "/api/config/config_entries/entry?domain=ochno")
    for entry in entries:
        path = f"/api/config/config_entries/entry/{entry['entry_id']}"
        await home_assistant.request("DELETE", path)
    await home_assistant.link("read")
    await asyncio.sleep(WRITTEN)


class Crashes:
    """One series of kills."""

    def __init__(self, session: aiohttp.ClientSession, simulator: Simulator, seed: int) -> None:
        self.session = session
        self.simulator = simulator
        self.random = random.Random(seed)  # noqa: S311 - not a secret
        self.refreshes = Refreshes()
        self.failures: list[str] = []
        simulator.fail("POST", TOKEN, Fault("recorded", self.refreshes.misbehave), times=None)

    async def round(self, home_assistant: HomeAssistant, *, aimed: bool, last: bool) -> None:
        """Start, see what came of the kill before, and kill again."""
        async with HOUSE.run_home_assistant() as process:
            if not aimed and not last and self.random.random() < 1 / 3:
                await asyncio.sleep(self.random.uniform(0, 12))
                return await self.kill(process, "while it started")
            await HOUSE.answers(self.session, process)
            state = await came_back(home_assistant, process)
            if state != "loaded" or self.refreshes.cause():
                self.failures.append(self.refreshes.cause() or f"other: {state}")
                say(f"  did not come back: {self.failures[-1]}")
                self.refreshes.seen.clear()
                await link_anew(home_assistant)
            if last:
                return None
            if aimed:
                await asyncio.sleep(3)
                await self.cause_refresh(home_assistant)
                await asyncio.sleep(self.random.uniform(0, 1.5))
                return await self.kill(process, "round a token refresh")
            await asyncio.sleep(self.random.uniform(0, 40))
            return await self.kill(process, "while it ran")

    async def kill(self, process: asyncio.subprocess.Process, when: str) -> None:
        process.kill()
        now = time.monotonic()
        await process.wait()
        self.refreshes.killed(now)
        say(f"killed {when}")

    async def cause_refresh(self, home_assistant: HomeAssistant) -> None:
        """Let Home Assistant refresh its tokens now; return when the request has come."""
        self.refreshes.begun.clear()
        self.simulator.expire_access_tokens()
        update = asyncio.create_task(
            home_assistant.request(
                "POST", "/api/services/homeassistant/update_entity", json={"entity_id": ENTITY}
            )
        )
        # It is killed before it answers, or soon after.
        update.add_done_callback(lambda task: task.cancelled() or task.exception())
        async with asyncio.timeout(60):
            await self.refreshes.begun.wait()


async def crash(kills: int, seed: int, *, aimed: bool) -> None:
    HOUSE.prepare(HOUSE.home_assistant)
    simulator = Simulator(port=HOUSE.simulator_port)
    simulator.settings.token_lifetime = TOKEN_LIFETIME
    async with aiohttp.ClientSession() as session, simulator:
        crashes = Crashes(session, simulator, seed)
        async with AsyncExitStack() as stack:
            home_assistant, websocket = await start_home_assistant(stack, session, HOUSE)
            await add_credentials(websocket)
            token = await websocket.command(
                "auth/long_lived_access_token", client_name="crash", lifespan=2
            )
            home_assistant.headers["Authorization"] = f"Bearer {token}"
            await link_anew(home_assistant)
        for number in range(1, kills + 1):
            say(f"{number}/{kills}")
            await crashes.round(home_assistant, aimed=aimed, last=False)
        await crashes.round(home_assistant, aimed=aimed, last=True)
    say(f"\nkilled {kills} times, came back by itself {kills - len(crashes.failures)} times")
    for cause in sorted(crashes.failures):
        say(f"  {cause}")
