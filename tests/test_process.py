"""Tests of a real Home Assistant process: full disk, and shutdown during a token refresh."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
import json
import os
from pathlib import Path
import signal
import socket
import subprocess
from typing import Any

import aiohttp
import pytest

from .home import FLOWS_PATH, HUBS_PATH, TOKEN_PATH
from .live.environment import Environment
from .live.frontend import Frontend
from .simulator import Fault, Simulator

# Without the frontend and the recorder, Home Assistant starts in a few seconds.
CONFIGURATION = """\
onboarding:
config:
"""
ENTRIES_PATH = "/api/config/config_entries/entry"

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(180)]


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass(kw_only=True)
class HomeProcess:
    """A running Home Assistant with a linked account of a simulator in the test process."""

    environment: Environment
    process: asyncio.subprocess.Process
    frontend: Frontend
    simulator: Simulator

    @property
    def storage(self) -> Path:
        """Return the folder of the storage files."""
        return self.environment.folder / ".storage"

    def read_storage(self, key: str) -> Any:
        """Return the data of a storage file."""
        return json.loads((self.storage / key).read_text())["data"]

    async def entry(self) -> dict[str, Any]:
        """Return the config entry."""
        entry: dict[str, Any]
        [entry] = await self.frontend.request("GET", f"{ENTRIES_PATH}?domain=ochno")
        return entry

    async def reload(self) -> str:
        """Reload the entry and return its state."""
        entry_id = (await self.entry())["entry_id"]
        await self.frontend.request("POST", f"{ENTRIES_PATH}/{entry_id}/reload")
        return str((await self.entry())["state"])

    async def reauth_flows(self) -> list[str]:
        """Return the ids of the dialogs to sign in again."""
        flows = await self.frontend.command("config_entries/flow/progress")
        return [flow["flow_id"] for flow in flows if flow["context"]["source"] == "reauth"]

    async def sign_in_again(self) -> str:
        """Complete the reauth flow and return its reason."""
        [flow_id] = await self.reauth_flows()
        path = f"{FLOWS_PATH}/{flow_id}"
        step = await self.frontend.request("POST", path, json={})
        location = await self.simulator.approve(step["url"])
        async with self.frontend.session.get(location) as response:
            assert response.status == 200
        return str((await self.frontend.request("GET", path))["reason"])

    def token_statuses(self) -> list[int | None]:
        """Return the statuses of all token requests."""
        return [
            request.status
            for request in self.simulator.requests
            if request.path == TOKEN_PATH and request.method == "POST"
        ]


@asynccontextmanager
async def run_home_assistant(environment: Environment) -> AsyncIterator[HomeProcess]:
    """Run Home Assistant with a user and a linked account until the end of the block."""
    async with (
        Simulator(port=environment.simulator_port) as simulator,
        aiohttp.ClientSession() as session,
        environment.run_home_assistant() as process,
    ):
        for application in simulator.applications.values():
            application.redirect_uris.append(environment.redirect_uri)
        await environment.wait_until_ready(session, process)
        frontend = Frontend(session, environment)
        client = {"client_id": f"{environment.home_assistant_url}/"}
        user = {"name": "Test", "username": "test", "password": "test", "language": "en"}
        response = await frontend.request("POST", "/api/onboarding/users", json={**client, **user})
        form = {**client, "grant_type": "authorization_code", "code": response["auth_code"]}
        tokens = await frontend.request("POST", "/auth/token", data=form)
        frontend.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        async with frontend.connect():
            await frontend.add_credentials()
            await frontend.link_account("read")
            yield HomeProcess(
                environment=environment, process=process, frontend=frontend, simulator=simulator
            )


@pytest.fixture
def environment(tmp_path: Path, socket_enabled: None) -> Environment:
    """Return a new configuration folder, with free ports."""
    environment = Environment(
        folder=tmp_path / "process", port=free_port(), simulator_port=free_port()
    )
    environment.prepare(environment.home_assistant_url)
    (environment.folder / "configuration.yaml").write_text(CONFIGURATION)
    return environment


@pytest.fixture
def small_disk(environment: Environment) -> Iterator[Path]:
    """Mount a file system of 2 MiB for the storage files."""
    storage = environment.folder / ".storage"
    if os.geteuid() != 0:
        pytest.skip("Only root can mount a file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(storage)]
    result = subprocess.run(mount, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        pytest.skip(f"This machine does not allow mounting: {result.stderr.strip()}")
    environment.write_http_settings()
    yield storage
    subprocess.run(["umount", "--lazy", str(storage)], check=True)


def fill_disk(storage: Path) -> None:
    """Use all free space."""
    with (storage / "fill").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


async def test_full_disk_entry_keeps_working_and_sign_ins_last(
    environment: Environment, small_disk: Path
) -> None:
    async with run_home_assistant(environment) as home:
        key = f"ochno.{(await home.entry())['entry_id']}.token"
        home.simulator.expire_access_tokens()
        assert await home.reload() == "loaded"
        stored_token = home.read_storage(key)
        fill_disk(small_disk)
        for _ in range(2):
            home.simulator.expire_access_tokens()
            for _ in range(2):
                assert await home.reload() == "loaded"
            assert home.token_statuses()[-1] == 200
            home.simulator.revoke_access()
            assert await home.reload() == "setup_error"
            assert home.token_statuses()[-1] == 400
            assert await home.sign_in_again() == "reauth_successful"
            for _ in range(2):
                assert await home.reload() == "loaded"
            assert await home.reauth_flows() == []
        # One refused refresh for each time that the access was revoked.
        assert home.token_statuses().count(400) == 2
        assert home.read_storage(key) == stored_token


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_stop_signal_during_refresh_waits_and_writes_new_tokens(
    environment: Environment, number: signal.Signals
) -> None:
    async with run_home_assistant(environment) as home:
        entry_id = (await home.entry())["entry_id"]
        # Home Assistant tries again after five seconds.
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
        assert await home.reload() == "setup_retry"
        home.simulator.expire_access_tokens()
        home.simulator.add_fault("POST", TOKEN_PATH, Fault.delay(5))
        while len(home.token_statuses()) < 2:
            await asyncio.sleep(0.01)
        # An open connection would delay the stop.
        await home.frontend.websocket.close()
        home.process.send_signal(number)
        await home.process.wait()
        assert home.token_statuses()[-1] == 200
        token = home.read_storage(f"ochno.{entry_id}.token")
        entries = home.read_storage("core.config_entries")["entries"]
        assert [entry["data"]["token"] for entry in entries if entry["entry_id"] == entry_id] == [
            token
        ]
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token["refresh_token"],
            "redirect_uri": token["redirect_uri"],
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
        }
        url = f"{home.simulator.url}{TOKEN_PATH}"
        async with home.frontend.session.post(url, data=form) as response:
            assert response.status == 200
