"""Recovery of the integration after Home Assistant is killed.

Access tokens last 20 seconds and a refresh token can be used once, so a lost refresh token always
requires a new sign-in. The simulator runs in this process and records each refresh.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
import random
import time
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from tests.live.environment import CommandError, Environment, say
from tests.live.frontend import Frontend, start_home_assistant
from tests.simulator import Fault, Simulator
from tests.simulator.faults import Wait
from tests.simulator.responses import Handler

TOKEN_PATH = "/identity/oauth/v2/token"  # noqa: S105 - not a password
ENTRIES_PATH = "/api/config/config_entries/entry"
ENTITY_ID = "sensor.boardroom_boardroom_active_port"
TOKEN_LIFETIME = 20
RESPONSE_DELAY = 0.1
# Home Assistant saves a new config entry within this time.
SAVE_SECONDS = 12
STARTUP_TIMEOUT = 90


@dataclass
class Refresh:
    """One token refresh; `responded` and `killed` are times; None if the event did not happen."""

    token: str
    refused: bool = False
    responded: float | None = None
    killed: float | None = None


class RefreshRecorder:
    """Record of all token refreshes, oldest first."""

    def __init__(self) -> None:
        self.refreshes: list[Refresh] = []
        self.started = asyncio.Event()

    async def handle(
        self, request: web.Request, handler: Handler, _wait: Wait
    ) -> web.StreamResponse:
        """Respond as usual but delayed, and record the time of the response."""
        form = dict(parse_qsl(await request.text()))
        refresh = Refresh(form.get("refresh_token", ""))
        response = await handler(request)
        if form["grant_type"] == "refresh_token":
            refresh.refused = response.status != 200
            self.refreshes.append(refresh)
            self.started.set()
        await asyncio.sleep(RESPONSE_DELAY)
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write_eof()
            refresh.responded = time.monotonic()
        return response

    def record_kill(self, now: float) -> None:
        """Record the first kill after each refresh."""
        for refresh in self.refreshes:
            if refresh.killed is None:
                refresh.killed = now

    def refusal_reason(self) -> str | None:
        """Return why the first refused refresh was refused, or None if none was refused."""
        refused = next((refresh for refresh in self.refreshes if refresh.refused), None)
        if refused is None:
            return None
        earlier = [
            refresh
            for refresh in self.refreshes
            if refresh.token == refused.token and not refresh.refused
        ]
        if not earlier or (killed := earlier[0].killed) is None:
            return "other: the token was never issued, or it was used twice without a kill"
        if (responded := earlier[0].responded) is None or responded > killed:
            return "unavoidable: killed before the response with the new tokens arrived"
        return f"lost: killed {(killed - responded) * 1000:.0f} ms after the response"


async def wait_until_loaded(
    environment: Environment, frontend: Frontend, process: asyncio.subprocess.Process
) -> str:
    """Wait until the entry is loaded; return `loaded`, or its last state if it is not loaded."""
    state = "no response"
    end = time.monotonic() + STARTUP_TIMEOUT
    while time.monotonic() < end:
        if process.returncode is not None:
            raise CommandError(f"Home Assistant stopped. See {environment.log}.")
        with suppress(aiohttp.ClientError, CommandError):
            [entry] = await frontend.request("GET", f"{ENTRIES_PATH}?domain=ochno")
            state = str(entry["state"])
            if state == "loaded":
                entity = await frontend.request("GET", f"/api/states/{ENTITY_ID}")
                if entity["state"] not in ("unavailable", "unknown"):
                    return state
                state = "loaded, but unavailable"
            elif state == "setup_error":
                return state
        await asyncio.sleep(0.2)
    return state


async def relink_account(frontend: Frontend) -> None:
    """Remove the config entry, if there is one, and link the account."""
    for entry in await frontend.request("GET", f"{ENTRIES_PATH}?domain=ochno"):
        await frontend.request("DELETE", f"{ENTRIES_PATH}/{entry['entry_id']}")
    await frontend.link_account("read")
    await asyncio.sleep(SAVE_SECONDS)


class CrashBenchmark:
    """A series of kills."""

    def __init__(
        self,
        environment: Environment,
        session: aiohttp.ClientSession,
        simulator: Simulator,
        frontend: Frontend,
        seed: int,
    ) -> None:
        self.environment = environment
        self.session = session
        self.simulator = simulator
        self.frontend = frontend
        self.random = random.Random(seed)  # noqa: S311 - not a secret
        self.recorder = RefreshRecorder()
        self.failures: list[str] = []
        simulator.add_fault("POST", TOKEN_PATH, Fault("recorded", self.recorder.handle), times=None)

    async def start_and_kill(self, *, aimed: bool) -> None:
        """Start Home Assistant, check that it recovered from the last kill, and kill it."""
        async with self.environment.run_home_assistant() as process:
            if not aimed and self.random.random() < 1 / 3:
                await asyncio.sleep(self.random.uniform(0, 12))
                await self.kill(process, "while it started")
                return
            await self.check_recovery(process)
            if aimed:
                await asyncio.sleep(3)
                await self.cause_refresh()
                await asyncio.sleep(self.random.uniform(0, 1.5))
                await self.kill(process, "during a token refresh")
                return
            await asyncio.sleep(self.random.uniform(0, 40))
            await self.kill(process, "while it ran")

    async def check_recovery(self, process: asyncio.subprocess.Process) -> None:
        """If the integration does not work again, record a failure and relink the account."""
        await self.environment.wait_until_ready(self.session, process)
        state = await wait_until_loaded(self.environment, self.frontend, process)
        reason = self.recorder.refusal_reason()
        if state != "loaded" or reason:
            self.failures.append(reason or f"other: {state}")
            say(f"  not recovered: {self.failures[-1]}")
            self.recorder.refreshes.clear()
            await relink_account(self.frontend)

    async def kill(self, process: asyncio.subprocess.Process, moment: str) -> None:
        """Kill Home Assistant."""
        process.kill()
        now = time.monotonic()
        await process.wait()
        self.recorder.record_kill(now)
        say(f"killed {moment}")

    async def cause_refresh(self) -> None:
        """Expire the access token, and return when Home Assistant requests a new one."""
        self.recorder.started.clear()
        self.simulator.expire_access_tokens()
        update = asyncio.create_task(
            self.frontend.request(
                "POST", "/api/services/homeassistant/update_entity", json={"entity_id": ENTITY_ID}
            )
        )
        # Home Assistant may be killed before it responds.
        update.add_done_callback(lambda task: task.cancelled() or task.exception())
        async with asyncio.timeout(60):
            await self.recorder.started.wait()


async def measure_crashes(environment: Environment, kills: int, seed: int, *, aimed: bool) -> None:
    """Kill Home Assistant several times, and print how often the integration recovered."""
    environment.prepare(environment.home_assistant_url)
    simulator = Simulator(port=environment.simulator_port)
    simulator.settings.token_lifetime = TOKEN_LIFETIME
    for application in simulator.applications.values():
        application.redirect_uris.append(environment.redirect_uri)
    async with aiohttp.ClientSession() as session, simulator:
        async with start_home_assistant(session, environment) as frontend:
            crashes = CrashBenchmark(environment, session, simulator, frontend, seed)
            await frontend.add_credentials()
            token = await frontend.command(
                "auth/long_lived_access_token", client_name="crash", lifespan=2
            )
            frontend.headers["Authorization"] = f"Bearer {token}"
            await relink_account(frontend)
        for number in range(1, kills + 1):
            say(f"{number}/{kills}")
            await crashes.start_and_kill(aimed=aimed)
        async with environment.run_home_assistant() as process:
            await crashes.check_recovery(process)
    say(f"\nkilled {kills} times, recovered {kills - len(crashes.failures)} times")
    for failure in sorted(crashes.failures):
        say(f"  {failure}")
