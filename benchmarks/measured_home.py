"""Processes of a simulator and of a Home Assistant that measures itself on command."""

import asyncio
from contextlib import AsyncExitStack
import json
import sys
from typing import Any

import aiohttp

from tests.live.environment import PUBLIC_URL, ROOT, CommandError, Environment


class MeasuredHome:
    """A Home Assistant that is linked to a simulator with a number of hubs.

    `pattern` is `ours` or `stock`. The stock pattern is the same integration with the same
    entities, but it reads each list as a whole and updates every entity after every change, as a
    DataUpdateCoordinator does by default.
    """

    _process: asyncio.subprocess.Process

    def __init__(self, environment: Environment, pattern: str, hubs: int) -> None:
        self.pattern = pattern
        self.hubs = hubs
        self._environment = environment
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start both processes, and link the account."""
        self._environment.prepare(PUBLIC_URL)
        session = await self._stack.enter_async_context(aiohttp.ClientSession())
        await self._stack.enter_async_context(self._environment.run_simulator(session, self.hubs))
        await self._start_process()
        self._stack.push_async_callback(self._stop_process)

    async def restart(self) -> float:
        """Restart Home Assistant, and return the CPU seconds of its start."""
        await self._stop_process()
        return await self._start_process("--linked")

    async def stop(self) -> None:
        """Stop both processes."""
        await self._stack.aclose()

    async def run(self, action: str, **arguments: object) -> Any:
        """Run an action of `benchmarks.cost_in_process`, and return its result."""
        if self._process.stdin is None:
            raise CommandError("Home Assistant has no input.")
        self._process.stdin.write(json.dumps({"action": action, **arguments}).encode() + b"\n")
        return await self._read_result()

    async def _start_process(self, *arguments: str) -> float:
        with self._environment.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "benchmarks.cost_in_process", "--pattern", self.pattern),
                *("--port", str(self._environment.port)),
                *("--simulator-port", str(self._environment.simulator_port)),
                *arguments,
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        seconds: float = await self._read_result()
        return seconds

    async def _stop_process(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    async def _read_result(self) -> Any:
        line = await self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            raise CommandError(
                f"Home Assistant stopped during the measurement. See {self._environment.log}."
            )
        return json.loads(line)
