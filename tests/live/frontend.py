"""HTTP and WebSocket client that does in Home Assistant what a user does in the frontend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any, override
from urllib.parse import urljoin

import aiohttp

from .environment import CommandError, Environment, say


class FormParser(HTMLParser):
    """Parser for the fields of a form and the values that a browser sends for an unchanged form."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes.get("action") or ""
        name, value = attributes.get("name"), attributes.get("value") or ""
        if tag != "input" or not name:
            return
        if (
            attributes.get("type") == "radio"
            and name in self.fields
            and "checked" not in attributes
        ):
            return
        self.fields[name] = value


class Frontend:
    """Client of a Home Assistant that was started for the first time; one command at a time."""

    websocket: aiohttp.ClientWebSocketResponse

    def __init__(self, session: aiohttp.ClientSession, environment: Environment) -> None:
        self.session = session
        self.environment = environment
        self.headers = {"HA-Frontend-Base": environment.home_assistant_url}
        self._last_command = 0

    async def request(self, method: str, path: str, **kwargs: Any) -> Any:
        """Send a request to the REST API and return the JSON of the response."""
        async with self.session.request(
            method, self.environment.home_assistant_url + path, headers=self.headers, **kwargs
        ) as response:
            if response.status >= 400:
                raise CommandError(f"{path}: {response.status} {await response.text()}")
            return await response.json()

    async def command(self, type_: str, **kwargs: Any) -> Any:
        """Send a WebSocket command and return its result."""
        self._last_command += 1
        await self.websocket.send_json({"id": self._last_command, "type": type_, **kwargs})
        while True:
            response = await self.websocket.receive_json()
            if response["type"] == "result" and response["id"] == self._last_command:
                break
        if not response["success"]:
            raise CommandError(f"{type_}: {response['error']['message']}")
        return response["result"]

    async def create_user(self) -> None:
        """Complete the onboarding with the user `demo`."""
        client = {"client_id": self.environment.home_assistant_url + "/"}
        user = {"name": "Demo", "username": "demo", "password": "demo", "language": "en"}
        response = await self.request("POST", "/api/onboarding/users", json={**client, **user})
        tokens = await self.request(
            "POST",
            "/auth/token",
            data={**client, "grant_type": "authorization_code", "code": response["auth_code"]},
        )
        self.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        for step in ("core_config", "analytics"):
            await self.request("POST", f"/api/onboarding/{step}")
        await self.request(
            "POST",
            "/api/onboarding/integration",
            json={**client, "redirect_uri": self.environment.home_assistant_url + "/"},
        )

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[None]:
        """Open the WebSocket until the end of the block, and wait until Home Assistant runs."""
        url = f"{self.environment.home_assistant_url}/api/websocket"
        async with self.session.ws_connect(url, max_msg_size=0) as self.websocket:
            await self.websocket.receive_json()
            token = self.headers["Authorization"].removeprefix("Bearer ")
            await self.websocket.send_json({"type": "auth", "access_token": token})
            await self.websocket.receive_json()
            while (await self.command("get_config"))["state"] != "RUNNING":
                await asyncio.sleep(0.2)
            yield

    async def add_credentials(self) -> None:
        """Add the application credentials that the simulator accepts."""
        await self.command(
            "application_credentials/create",
            domain="ochno",
            client_id="home-assistant",
            client_secret="home-assistant-secret",
            name="Simulator",
        )

    async def link_account(self, access: str) -> None:
        """Add the integration with `read` or `control` access: sign in and approve."""
        flows = "/api/config/config_entries/flow"
        step = await self.request("POST", flows, json={"handler": "ochno"})
        flow = f"{flows}/{step['flow_id']}"
        step = await self.request(
            "POST", flow, json={"server": self.environment.simulator_url, "access": access}
        )
        async with self.session.get(step["url"]) as page:
            form = FormParser()
            form.feed(await page.text())
        async with self.session.post(
            urljoin(step["url"], form.action or step["url"]),
            data={**form.fields, "decision": "approve"},
            allow_redirects=False,
        ) as approval:
            callback_url = approval.headers["Location"]
        async with self.session.get(callback_url):
            pass
        step = await self.request("GET", flow)
        if step["type"] != "create_entry":
            raise CommandError(f"The account could not be linked: {step.get('reason', step)}")


@asynccontextmanager
async def open_frontend(
    session: aiohttp.ClientSession, environment: Environment
) -> AsyncIterator[Frontend]:
    """Create the first user of a running Home Assistant, and connect until the end of the block."""
    frontend = Frontend(session, environment)
    await frontend.create_user()
    async with frontend.connect():
        yield frontend


@asynccontextmanager
async def start_home_assistant(
    session: aiohttp.ClientSession, environment: Environment
) -> AsyncIterator[Frontend]:
    """Run a new Home Assistant with a user until the end of the block."""
    say("Starting Home Assistant. The first start installs the frontend and takes a minute …")
    async with environment.run_home_assistant() as process:
        await environment.wait_until_ready(session, process)
        async with open_frontend(session, environment) as frontend:
            yield frontend
