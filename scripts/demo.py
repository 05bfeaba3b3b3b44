"""Run Home Assistant and the simulator, link them as a browser would, and tell what happens."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
import shutil
import signal
import socket
import sys
from typing import Any
from urllib.parse import urljoin

import aiohttp

ROOT = Path(__file__).parent.parent
CONFIG = ROOT / ".demo"
HOME_ASSISTANT = "http://localhost:8123"
SIMULATOR = "http://localhost:8124"
CONFIGURATION = """\
# Written anew by scripts/demo.
homeassistant:
  name: Demo
  external_url: {external_url}
  internal_url: http://localhost:8123
http:
  server_host: 127.0.0.1
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
      - trigger: state
        entity_id: binary_sensor.boardroom_boardroom_port_2_connected
        from: "off"
        to: "on"
    actions:
      - action: persistent_notification.create
        data:
          message: A laptop was plugged in to port 2 in the boardroom.
"""


class DemoError(Exception):
    """Something that the user can do something about, in one sentence."""


def say(text: str) -> None:
    print(text, flush=True)


def check_port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            raise DemoError(f"Port {port} is in use; end what uses it, then try again.") from err


@asynccontextmanager
async def running(
    name: str, *arguments: str, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python module in a process of its own until the end of the block."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
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


async def wait_for(
    session: aiohttp.ClientSession, url: str, process: asyncio.subprocess.Process, log: Path
) -> None:
    while process.returncode is None:
        try:
            async with session.get(url):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.2)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
    raise DemoError(f"It ended at once: {last[0]} (see {log.relative_to(ROOT)})")


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

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.headers = {"HA-Frontend-Base": HOME_ASSISTANT}

    async def request(self, method: str, path: str, **kwargs: Any) -> Any:
        async with self.session.request(
            method, HOME_ASSISTANT + path, headers=self.headers, **kwargs
        ) as response:
            if response.status >= 400:
                raise DemoError(f"{path}: {response.status} {await response.text()}")
            return await response.json()

    async def onboard(self) -> None:
        client = {"client_id": HOME_ASSISTANT + "/"}
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
            json={**client, "redirect_uri": HOME_ASSISTANT + "/"},
        )

    async def link(self, access: str) -> None:
        """Add the integration, sign in at the simulator, approve."""
        flows = "/api/config/config_entries/flow"
        step = await self.request("POST", flows, json={"handler": "ochno"})
        flow = f"{flows}/{step['flow_id']}"
        step = await self.request("POST", flow, json={"server": SIMULATOR, "access": access})
        async with self.session.get(step["url"]) as page:
            form = FormReader()
            form.feed(await page.text())
        async with self.session.post(
            urljoin(step["url"], form.action or step["url"]),
            data={**form.fields, "decision": "approve"},
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


async def show_devices(websocket: Socket) -> dict[str, str]:
    """Print the devices with their states; return the names of the entities."""
    devices = await websocket.command("config/device_registry/list")
    areas = {
        area["area_id"]: area["name"]
        for area in await websocket.command("config/area_registry/list")
    }
    entities = await websocket.command("config/entity_registry/list")
    states = {state["entity_id"]: state["state"] for state in await websocket.command("get_states")}
    names: dict[str, str] = {}
    for device in sorted(devices, key=lambda device: (device["entry_type"] or "", device["name"])):
        own = [
            entity
            for entity in entities
            if entity["device_id"] == device["id"]
            and entity["platform"] == "ochno"
            and entity["disabled_by"] is None
        ]
        if not own:
            continue
        area = areas.get(device["area_id"])
        say(f"\n{device['name']} ({device['model']}{f', {area}' if area else ''})")
        for entity in sorted(own, key=lambda entity: str(entity["entity_id"])):
            name = entity["original_name"] or entity["entity_id"]
            names[entity["entity_id"]] = f"{device['name']}: {name}"
            say(f"  {name:<28} {states.get(entity['entity_id'], '-')}")
    return names


async def tell_changes(websocket: Socket, names: dict[str, str]) -> None:
    """Print one line per state change, for as long as Home Assistant runs."""
    await websocket.command("subscribe_events", event_type="state_changed")
    await websocket.command("subscribe_events", event_type="automation_triggered")
    async for message in websocket.connection:
        event = message.json().get("event") or {}
        data, time = event.get("data") or {}, str(event.get("time_fired"))[11:19]
        if event.get("event_type") == "automation_triggered":
            say(f"{time}  Automation: {data['name']}")
            continue
        old, new = data.get("old_state"), data.get("new_state")
        if not old or not new or old["state"] == new["state"]:
            continue
        if (entity_id := data["entity_id"]) in names:
            say(f"{time}  {names[entity_id]}: {old['state']} → {new['state']}")


def prepare(external_url: str) -> None:
    """Make an empty configuration folder with the integration in it."""
    shutil.rmtree(CONFIG, ignore_errors=True)
    (CONFIG / "custom_components").mkdir(parents=True)
    (CONFIG / "custom_components" / "ochno").symlink_to(ROOT / "custom_components" / "ochno")
    (CONFIG / "configuration.yaml").write_text(CONFIGURATION.format(external_url=external_url))
    (CONFIG / "automations.yaml").write_text("[]\n")


async def start(
    stack: AsyncExitStack, session: aiohttp.ClientSession, hubs: int
) -> tuple[HomeAssistant, Socket]:
    """Start the simulator, with so many hubs more, and Home Assistant; make a user there."""
    say("Starting the simulated Ochno Operated …")
    log = CONFIG / "simulator.log"
    arguments = ("--port", "8124", "--hubs", str(hubs), "--deliver-to", "http://127.0.0.1:8123")
    simulator = await stack.enter_async_context(
        running("the simulator", "tests.simulator", *arguments, log=log)
    )
    await wait_for(session, SIMULATOR, simulator, log)
    return await start_home_assistant(stack, session)


async def start_home_assistant(
    stack: AsyncExitStack, session: aiohttp.ClientSession
) -> tuple[HomeAssistant, Socket]:
    """Start Home Assistant for the first time; make a user there."""
    say("Starting Home Assistant (the first time it installs its frontend: a minute) …")
    log = CONFIG / "hass.log"
    hass = await stack.enter_async_context(
        running("Home Assistant", "homeassistant", "--config", str(CONFIG), log=log)
    )
    await wait_for(session, HOME_ASSISTANT + "/api/onboarding", hass, log)
    home_assistant = HomeAssistant(session)
    await home_assistant.onboard()
    connection = await stack.enter_async_context(
        session.ws_connect(HOME_ASSISTANT + "/api/websocket", max_msg_size=0)
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


async def add_credentials(websocket: Socket) -> None:
    """Enter the credentials that the simulator knows."""
    await websocket.command(
        "application_credentials/create",
        domain="ochno",
        client_id="home-assistant",
        client_secret="home-assistant-secret",  # noqa: S106 - the simulator's
        name="Simulator",
    )


async def demo(*, manual: bool, control: bool, push: bool) -> None:
    for port in (8123, 8124):
        check_port_free(port)
    prepare("https://home.example" if push else HOME_ASSISTANT)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        home_assistant, websocket = await start(stack, session, hubs=0)
        if manual:
            say(
                f"\nOpen {HOME_ASSISTANT} (user demo, password demo), add the integration Ochno.\n"
                f"Server: {SIMULATOR}\n"
                "Client ID: home-assistant, client secret: home-assistant-secret\n"
                "Waiting until it is there …"
            )
            while not await websocket.command("config_entries/get", domain="ochno"):
                await asyncio.sleep(1)
        else:
            say("Linking the account: credentials, sign-in, approval …")
            await add_credentials(websocket)
            await home_assistant.link("control" if control else "read")
        names = await show_devices(websocket)
        say(f"\nHome Assistant: {HOME_ASSISTANT} (user demo, password demo)")
        say(f"The rooms:      {SIMULATOR} (plug in laptops, press buttons)")
        say("Ctrl-C ends both. State changes:\n")
        await tell_changes(websocket, names)
        raise DemoError("Home Assistant ended by itself; see .demo/hass.log.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manual", action="store_true", help="leave the linking to you")
    parser.add_argument("--control", action="store_true", help="let Home Assistant switch ports")
    parser.add_argument(
        "--push", action="store_true", help="let changes arrive at once, as from the internet"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(demo(**vars(arguments)))
    except DemoError as err:
        say(f"demo: {err}")
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
