"""Processes of Home Assistant and the simulator, and their folder and ports."""

import argparse
import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
import errno
import json
import os
from pathlib import Path
import shutil
import signal
import socket
import sys

import aiohttp

ROOT = Path(__file__).parents[2]
DEFAULT_PORT = 8123
# Instant updates need a public HTTPS address. The simulator delivers to this machine anyway.
PUBLIC_URL = "https://home.example"
CONFIGURATION = """\
# Generated at each start.
homeassistant:
  name: Demo
  country: SE
  external_url: {external_url}
  internal_url: {internal_url}
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
"""


class CommandError(Exception):
    """Error that ends a command; its message tells the user what happened and what to do."""


def say(text: str) -> None:
    """Print a message immediately, also when the output is a file or a pipe."""
    try:
        print(text, flush=True)
    except OSError:
        # Nobody reads the output anymore: Ctrl-C also ends `tee`, and the terminal can be closed.
        # The processes must stop in order nevertheless.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_command(name: str, command: Coroutine[None, None, None]) -> int:
    """Run a command until it ends or is interrupted, and return its exit status."""
    try:
        asyncio.run(_run_until_signal(command))
    except CommandError as err:
        say(f"{name}: {err}")
        return 1
    except KeyboardInterrupt, asyncio.CancelledError:
        return 0
    return 0


async def _run_until_signal(command: Coroutine[None, None, None]) -> None:
    """Run a command, and cancel it at Ctrl-C, or when its terminal is closed."""
    task = asyncio.ensure_future(command)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # `nohup` ignores SIGHUP.
        if signal.getsignal(number) != signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Folder, ports and Python interpreter of one Home Assistant and its simulator."""

    folder: Path
    port: int
    simulator_port: int
    python: str = sys.executable

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the options for the ports to a command line."""
        parser.add_argument(
            "--port",
            type=int,
            default=DEFAULT_PORT,
            help="port of Home Assistant (default: %(default)s)",
        )
        parser.add_argument(
            "--simulator-port", type=int, help="port of the simulator (default: PORT + 1)"
        )

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> Environment:
        """Create the environment for the ports that the user chose."""
        port: int = arguments.port
        return cls(
            folder=ROOT / ".demo" / str(port),
            port=port,
            simulator_port=arguments.simulator_port or port + 1,
        )

    @property
    def home_assistant_url(self) -> str:
        """Return the address of Home Assistant."""
        return f"http://localhost:{self.port}"

    @property
    def simulator_url(self) -> str:
        """Return the address of the simulator."""
        return f"http://localhost:{self.simulator_port}"

    @property
    def redirect_uri(self) -> str:
        """Return the OAuth2 redirect URI of Home Assistant."""
        return f"{self.home_assistant_url}/auth/external/callback"

    @property
    def log(self) -> Path:
        """Return the path of Home Assistant's output."""
        return self.folder / "hass.log"

    def prepare(self, external_url: str, configuration: str = "") -> None:
        """Replace the configuration folder with a new one that contains the integration.

        `configuration` is added to configuration.yaml.
        """
        if self.port == self.simulator_port:
            raise CommandError(
                "Home Assistant and the simulator cannot use the same port. Choose another one "
                "with --simulator-port."
            )
        for port in (self.port, self.simulator_port):
            _check_port_is_free(port)
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "custom_components").mkdir(parents=True)
        integration = self.folder / "custom_components" / "ochno"
        integration.symlink_to(ROOT / "custom_components" / "ochno")
        general = CONFIGURATION.format(
            external_url=external_url, internal_url=self.home_assistant_url
        )
        (self.folder / "configuration.yaml").write_text(general + configuration)
        (self.folder / "automations.yaml").write_text("[]\n")
        (self.folder / ".storage").mkdir()
        self.write_http_settings()

    def write_http_settings(self) -> None:
        """Write the address to listen on. In configuration.yaml it would be a repair issue."""
        data = {"server_host": ["127.0.0.1"], "server_port": self.port}
        # Home Assistant migrates the first version of this file and adds the other settings.
        file = {"version": 1, "minor_version": 1, "key": "http", "data": data}
        (self.folder / ".storage" / "http").write_text(json.dumps(file))

    @asynccontextmanager
    async def run_simulator(
        self, session: aiohttp.ClientSession, hubs: int = 0, *, building: bool = False
    ) -> AsyncIterator[None]:
        """Run the simulator until the end of the block.

        It has `hubs` hubs in addition to its own, and those of the demo's building.
        """
        log = self.folder / "simulator.log"
        arguments = (
            *("--port", str(self.simulator_port), "--hubs", str(hubs)),
            *("--deliver-to", f"http://127.0.0.1:{self.port}"),
            *("--redirect-uri", self.redirect_uri),
            *(["--building"] if building else []),
        )
        async with _run_module(
            "the simulator", sys.executable, "tests.simulator", *arguments, log=log
        ) as process:
            await _wait_until_ready(session, self.simulator_url, "The simulator", process, log)
            yield

    def run_home_assistant(self) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        """Run Home Assistant until the end of the block."""
        arguments = ("homeassistant", "--config", str(self.folder))
        return _run_module("Home Assistant", self.python, *arguments, log=self.log)

    async def wait_until_ready(
        self, session: aiohttp.ClientSession, process: asyncio.subprocess.Process
    ) -> None:
        """Wait until Home Assistant responds to HTTP requests."""
        url = f"{self.home_assistant_url}/api/onboarding"
        await _wait_until_ready(session, url, "Home Assistant", process, self.log)


def _check_port_is_free(port: int) -> None:
    if not 0 < port < 65536:
        raise CommandError(f"{port} is not a port. Choose one from 1 to 65534 with --port.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as err:
            if err.errno != errno.EADDRINUSE:
                raise CommandError(
                    f"Port {port} cannot be used: {err.strerror}. Choose other ports with --port."
                ) from err
            raise CommandError(
                f"Port {port} is in use. Choose other ports with --port, or stop the program "
                "that uses this port."
            ) from err


@asynccontextmanager
async def _run_module(
    name: str, python: str, *arguments: str, log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python module as a process until the end of the block."""
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            python,
            "-m",
            *arguments,
            cwd=ROOT,
            stdout=output,
            stderr=output,
            # Ctrl-C reaches only this program, which then stops the processes in order.
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
                pass
            finally:
                # It is too slow, or the user pressed Ctrl-C again.
                if process.returncode is None:
                    process.kill()


async def _wait_until_ready(
    session: aiohttp.ClientSession,
    url: str,
    name: str,
    process: asyncio.subprocess.Process,
    log: Path,
) -> None:
    while process.returncode is None:
        try:
            async with session.get(url):
                return
        except aiohttp.ClientError:
            await asyncio.sleep(0.2)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["no output"]
    raise CommandError(f"{name} stopped while it started: {last[0]} See {log}.")
