"""CPU time and memory of 1 to 3,000 hubs, for this integration and for the stock pattern.

The stock pattern is the same integration with the same entities, but it reads each list as a whole
and updates every entity after every change, as a DataUpdateCoordinator does by default.
"""

import asyncio
from collections.abc import Callable
import json
import sys
from typing import TypedDict

import aiohttp

from tests.live.environment import PUBLIC_URL, ROOT, CommandError, Environment, say

HUBS = (1, 10, 100, 1000, 3000)
HUBS_OF_GOALS = 1000
# Numbers of hubs that change between two polls, measured at HUBS_OF_GOALS; elsewhere the first.
CHANGED_HUBS = (1, 10, 100, 1000)
PATTERNS = ("ours", "stock")
RESULTS = ROOT / ".demo" / "cost.json"


class Measurement(TypedDict):
    """Result for one number of hubs: CPU seconds, bytes and counts."""

    parsing: float
    poll_not_modified: float
    poll_unchanged: float
    poll_changed: dict[str, float]
    longest_block: float
    requests_per_poll: float
    setup: float
    entities: int
    dashboard: float
    push: float
    database_rows: int
    own_memory_per_hub: float
    listener_memory_per_hub: float
    peak_memory: int


type Results = dict[str, dict[int, Measurement]]


async def _measure(environment: Environment, pattern: str, hubs: int) -> Measurement:
    """Run the simulator and a Home Assistant that measures itself."""
    environment.prepare(PUBLIC_URL)
    changed = CHANGED_HUBS if hubs == HUBS_OF_GOALS else CHANGED_HUBS[:1]
    async with aiohttp.ClientSession() as session, environment.run_simulator(session, hubs):
        with environment.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "benchmarks.cost_in_process"),
                *("--port", str(environment.port)),
                *("--simulator-port", str(environment.simulator_port)),
                *("--pattern", pattern, "--changed", *map(str, changed)),
                cwd=ROOT,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        output, _ = await process.communicate()
    if process.returncode:
        raise CommandError(f"Home Assistant stopped during the measurement. See {environment.log}.")
    measurement: Measurement = json.loads(output.splitlines()[-1])
    return measurement


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}" if seconds < 0.01 else f"{seconds * 1000:.0f}"


ROWS: dict[str, Callable[[Measurement], str]] = {
    "`orjson.loads` of the list, ms": lambda result: _milliseconds(result["parsing"]),
    "poll, response 304, ms": lambda result: _milliseconds(result["poll_not_modified"]),
    "poll, no hub changed, ms": lambda result: _milliseconds(result["poll_unchanged"]),
    "poll, one hub changed, ms": lambda result: _milliseconds(result["poll_changed"]["1"]),
    "push of the state of one hub, ms": lambda result: _milliseconds(result["push"]),
    "slowest command of the dashboard, ms": lambda result: _milliseconds(result["dashboard"]),
    "setup, µs per entity": lambda result: f"{result['setup'] / result['entities'] * 1e6:.0f}",
    "longest block of the event loop in a poll, ms": lambda result: _milliseconds(
        result["longest_block"]
    ),
    "bytes per hub, including the listeners of its entities": lambda result: (
        f"{result['own_memory_per_hub'] + result['listener_memory_per_hub']:.0f}"
    ),
    "peak memory of the process, MiB": lambda result: f"{result['peak_memory'] / 2**20:.0f}",
}


def _show_figures(results: Results) -> None:
    say("| | " + " | ".join(f"{hubs} hubs" for hubs in HUBS) + " |")
    say("| --- |" + " --- |" * len(HUBS))
    for name, read in ROWS.items():
        for pattern, by_hubs in results.items():
            cells = " | ".join(read(by_hubs[hubs]) for hubs in HUBS)
            say(f"| {name}{', stock pattern' * (pattern == 'stock')} | {cells} |")


def _show_goals(results: Results) -> None:
    ours, stock = results["ours"][HUBS_OF_GOALS], results["stock"][HUBS_OF_GOALS]
    most = results["ours"][max(HUBS)]
    parsing = min(ours["parsing"], stock["parsing"])
    memory = ours["own_memory_per_hub"] + ours["listener_memory_per_hub"]
    rows = [
        ("poll, response 304, to `orjson.loads`", "≤ 0.3", ours["poll_not_modified"] / parsing),
        ("poll, no hub changed, to `orjson.loads`", "≤ 1.6", ours["poll_unchanged"] / parsing),
        (
            "poll, one hub changed, to `orjson.loads`",
            "≤ 2",
            ours["poll_changed"]["1"] / parsing,
        ),
        (
            "poll, one hub changed, stock pattern to this integration",
            "≥ 10",
            stock["poll_changed"]["1"] / ours["poll_changed"]["1"],
        ),
        ("push, 3,000 hubs to 10 hubs", "≤ 1.2", most["push"] / results["ours"][10]["push"]),
        ("setup, to the stock pattern", "≤ 1.0", ours["setup"] / stock["setup"]),
        (
            "longest block of the event loop in a poll, 3,000 hubs, ms",
            "≤ 30",
            most["longest_block"] * 1000,
        ),
        (
            "slowest command of the dashboard, 1,000 hubs, ms",
            "≤ 100",
            ours["dashboard"] * 1000,
        ),
        ("requests per poll", "1", ours["requests_per_poll"]),
        (
            "bytes per hub, without the listeners that Home Assistant keeps for its entities",
            "≤ 4096",
            memory - stock["listener_memory_per_hub"],
        ),
        ("database rows written without a change", "0", ours["database_rows"]),
    ]
    say("\n| | goal | measured |\n| --- | --- | --- |")
    for name, goal, measured in rows:
        say(f"| {name} | {goal} | {measured:.4g} |")


async def measure_cost(environment: Environment) -> None:
    """Measure both patterns with each number of hubs, and print the tables."""
    results: Results = {pattern: {} for pattern in PATTERNS}
    for hubs in HUBS:
        for pattern in PATTERNS:
            say(f"{hubs} hubs, {pattern} …")
            results[pattern][hubs] = await _measure(environment, pattern, hubs)
    RESULTS.write_text(json.dumps(results))
    _show_figures(results)
    _show_goals(results)
    say("\nTo update docs/performance.svg, run scripts/bench plot.")
