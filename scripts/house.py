"""Home Assistant and the simulator, in processes of their own, and what a browser does there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
import shutil
import socket
import sys
from typing import Any
from urllib.parse import urljoin

import aiohttp

ROOT = Path(__file__).parent.parent
CONFIGURATION = """\
# Written anew at each start.
homeassistant:
  name: Demo
  country: SE
  external_url: {external_url}
  internal_url: http://localhost:{port}
http:
  server_host: 127.0.0.1
  server_port: {port}
frontend:
config:
history:
logbook:
assist_pipeline:
tts:
system_health:
diagnostics:
logger:
  default: warning
automation ui: !include automations.yaml
automation demo:
  - id: laptop_in_the_boardroom
    alias: Laptop plugged in in the boardroom
    triggers:
      - trigger: ochno.laptop_plugged_in
        target:
          area_id: boardroom
    actions:
      - action: persistent_notification.create
        data:
          message: A laptop was plugged in to port {{{{ trigger.port }}}} in the boardroom.
"""
# Its cards switch ports.
DASHBOARD = """\
lovelace:
  dashboards:
    meeting-rooms:
      mode: yaml
      filename: dashboard.yaml
      title: Meeting rooms
      icon: mdi:google-classroom
"""


class DemoError(Exception):
    """Something that the user can do something about, in one sentence."""


def say(text: str) -> None:
    print(text, flush=True)


@dataclass(frozen=True, kw_only=True)
class House:
    """Where both are; `python` is that of the Home Assistant to run."""

    folder: Path = ROOT / ".demo"
    port: int = 8123
    simulator_port: int = 8124
    python: str = sys.executable

    @property
    def home_assistant(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def simulator(self) -> str:
        return f"http://localhost:{self.simulator_port}"

    @property
    def log(self) -> Path:
        return self.folder / "hass.log"

    def prepare(self, external_url: str, *, dashboard: bool = True) -> None:
        """Make an empty configuration folder with the integration in it."""
        for port in (self.port, self.simulator_port):
            _check_port_free(port)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "custom_components").mkdir(parents=True)
        integration = self.folder / "custom_components" / "ochno"
        integration.symlink_to(ROOT / "custom_components" / "ochno")
        configuration = CONFIGURATION.format(external_url=external_url, port=self.port)
        configuration += DASHBOARD if dashboard else ""
        (self.folder / "configuration.yaml").write_text(configuration)
        (self.folder / "automations.yaml").write_text("[]\n")
        shutil.copy(ROOT / "docs" / "dashboard.yaml", self.folder)

    @asynccontextmanager
    async def run_simulator(self, session: aiohttp.ClientSession, hubs: int) -> AsyncIterator[None]:
        """Run the simulator, with so many hubs more, until the end of the block."""
        log = self.folder / "simulator.log"
        arguments = (
            *("--port", str(self.simulator_port), "--hubs", str(hubs)),
            *("--deliver-to", f"http://127.0.0.1:{self.port}"),
            *("--redirect-uri", f"{self.home_assistant}/auth/external/callback"),
        )
        async with _running(
            "the simulator", sys.executable, "tests.simulator", *arguments, log=log
        ) as process:
            await _wait_for(session, self.simulator, process, log)
            yield

    def run_home_assistant(self) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run Home Assistant until the end of the block."""
        arguments = ("homeassistant", "--config", str(self.folder))
        return _running("Home Assistant", self.python, *arguments, log=self.log)

    async def answers(
        self, session: aiohttp.ClientSession, process: asyncio.subprocess.Process
    ) -> None:
        """Wait until Home Assistant answers."""
        await _wait_for(session, f"{self.home_assistant}/api/onboarding", process, self.log)


def _check_port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            raise DemoError(f"Port {port} is in use; end what uses it, then try again.") from err


@asynccontextmanager
async def _running(
    name: str, python: str, *arguments: str, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python module in a process of its own until the end of the block."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            *arguments,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            # Ctrl-C is ours to pass on, in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            say(f"Stopping {name} …")
            process.terminate()
            try:
                async with asyncio.timeout(30):
                    await process.wait()
            except TimeoutError:
                process.kill()


async def _wait_for(
    session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, log: Path
) -> None:
    while process.returncode is None:
        try:
            async with session.get(url):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.2)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
    raise DemoError(f"It ended at once: {last[0]} (see {log})")


class FormReader(HTMLParser):
    """The fields of a page's form with the values they have when nobody changes anything."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

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


class HomeAssistant:
    """What a browser does at Home Assistant, over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, house: House) -> None:
        self.session = session
        self.house = house
        self.headers = {"HA-Frontend-Base": house.home_assistant}

    async def request(self, method: str, path: str, **kwargs: Any) -> Any:
        async with self.session.request(
            method, self.house.home_assistant + path, headers=self.headers, **kwargs
        ) as response:
            if response.status >= 400:
                raise DemoError(f"{path}: {response.status} {await response.text()}")
            return await response.json()

    async def onboard(self) -> None:
        client = {"client_id": self.house.home_assistant + "/"}
        user = {"name": "Demo", "username": "demo", "password": "demo", "language": "en"}
        answer = await self.request("POST", "/api/onboarding/users", json={**client, **user})
        tokens = await self.request(
            "POST",
            "/auth/token",
            data={**client, "grant_type": "authorization_code", "code": answer["auth_code"]},
        )
        self.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        for step in ("core_config", "analytics"):
            await self.request("POST", f"/api/onboarding/{step}")
        await self.request(
            "POST",
            "/api/onboarding/integration",
            json={**client, "redirect_uri": self.house.home_assistant + "/"},
        )

    async def link(self, access: str) -> None:
        """Add the integration, sign in at the simulator, approve."""
        flows = "/api/config/config_entries/flow"
        step = await self.request("POST", flows, json={"handler": "ochno"})
        flow = f"{flows}/{step['flow_id']}"
        step = await self.request(
            "POST", flow, json={"server": self.house.simulator, "access": access}
        )
        async with self.session.get(step["url"]) as page:
            reader = FormReader()
            reader.feed(await page.text())
        async with self.session.post(
            urljoin(step["url"], reader.action or step["url"]),
            data={**reader.fields, "decision": "approve"},
            allow_redirects=False,
        ) as approved:
            back = approved.headers["Location"]
        async with self.session.get(back):
            pass
        step = await self.request("GET", flow)
        if step["type"] != "create_entry":
            raise DemoError(f"Linking ended with: {step.get('reason', step)}")


class Socket:
    """Home Assistant's websocket, one command at a time."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self.last_id = 0

    async def command(self, type_: str, **kwargs: Any) -> Any:
        self.last_id += 1
        await self.connection.send_json({"id": self.last_id, "type": type_, **kwargs})
        while True:
            answer = await self.connection.receive_json()
            if answer["type"] == "result" and answer["id"] == self.last_id:
                break
        if not answer["success"]:
            raise DemoError(f"{type_}: {answer['error']['message']}")
        return answer["result"]


async def start_home_assistant(
    stack: AsyncExitStack, session: aiohttp.ClientSession, house: House
) -> tuple[HomeAssistant, Socket]:
    """Start Home Assistant for the first time; make a user there."""
    say("Starting Home Assistant (the first time it installs its frontend: a minute) …")
    process = await stack.enter_async_context(house.run_home_assistant())
    await house.answers(session, process)
    return await move_in(stack, session, house)


async def move_in(
    stack: AsyncExitStack, session: aiohttp.ClientSession, house: House
) -> tuple[HomeAssistant, Socket]:
    """Make a user in a Home Assistant that was just started for the first time."""
    home_assistant = HomeAssistant(session, house)
    await home_assistant.onboard()
    connection = await stack.enter_async_context(
        session.ws_connect(f"{house.home_assistant}/api/websocket", max_msg_size=0)
    )
    await connection.receive_json()
    token = home_assistant.headers["Authorization"].removeprefix("Bearer ")
    await connection.send_json({"type": "auth", "access_token": token})
    await connection.receive_json()
    websocket = Socket(connection)
    # Home Assistant would otherwise ask whether the new listening address is to be kept.
    await websocket.command("http/config/promote")
    while (await websocket.command("get_config"))["state"] != "RUNNING":
        await asyncio.sleep(0.2)
    return home_assistant, websocket


async def start(
    stack: AsyncExitStack, session: aiohttp.ClientSession, house: House, hubs: int = 0
) -> tuple[HomeAssistant, Socket]:
    """Start the simulator, with so many hubs more, and Home Assistant; make a user there."""
    say("Starting the simulated Ochno Operated …")
    await stack.enter_async_context(house.run_simulator(session, hubs))
    return await start_home_assistant(stack, session, house)


async def add_credentials(websocket: Socket) -> None:
    """Enter the credentials that the simulator knows."""
    await websocket.command(
        "application_credentials/create",
        domain="ochno",
        client_id="home-assistant",
        client_secret="home-assistant-secret",  # noqa: S106 - the simulator's
        name="Simulator",
    )
