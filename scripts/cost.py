"""Measure what so many hubs cost Home Assistant: this integration, and the stock pattern beside it.

The stock pattern is the same integration with the same entities, but it reads each list as a whole
and tells every entity of every change, as a DataUpdateCoordinator does by itself.
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp
from house import ROOT, DemoError, House, say

HOUSE = House()
HUBS = (1, 10, 100, 1000, 3000)
# Of them so many change between two polls, where there are as many as in the goals.
CHANGED = (1, 10, 100, 1000)
GOALS_AT = 1000
PATTERNS = ("ours", "stock")
RESULTS = ROOT / ".demo" / "cost.json"

type Found = dict[str, Any]
type Results = dict[str, dict[int, Found]]


async def measure(pattern: str, hubs: int) -> Found:
    """Start the simulator and a Home Assistant that measures itself."""
    HOUSE.prepare("https://home.example")
    changed = CHANGED if hubs == GOALS_AT else CHANGED[:1]
    async with aiohttp.ClientSession() as session, HOUSE.run_simulator(session, hubs):
        home = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "scripts" / "cost_home.py"),
            *("--pattern", pattern, "--changed", *map(str, changed)),
            stdout=asyncio.subprocess.PIPE,
            stderr=(HOUSE.log).open("ab"),
        )
        output, _ = await home.communicate()
    if home.returncode:
        raise DemoError(f"Home Assistant ended; see {HOUSE.log}.")
    found: Found = json.loads(output.splitlines()[-1])
    return found


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}" if seconds < 0.01 else f"{seconds * 1000:.0f}"


def table(results: Results) -> None:
    """Print what was measured, in milliseconds and bytes."""
    say("| | " + " | ".join(f"{hubs} hubs" for hubs in HUBS) + " |")
    say("| --- |" + " --- |" * len(HUBS))
    rows = {
        "`orjson.loads` of the list, ms": lambda found: milliseconds(found["parsing"]),
        "poll, answered 304, ms": lambda found: milliseconds(found["not_modified"]),
        "poll, nothing changed, ms": lambda found: milliseconds(found["unchanged"]),
        "poll, one hub changed, ms": lambda found: milliseconds(found["changed"]["1"]),
        "push of one hub's state, ms": lambda found: milliseconds(found["push"]),
        "setup, µs for each entity": lambda found: (
            f"{found['setup'] / found['entities'] * 1e6:.0f}"
        ),
        "longest hold of the loop in a poll, ms": lambda found: milliseconds(found["held"]),
        "bytes for each hub, the listeners of its entities included": lambda found: (
            f"{sum(found['memory']):.0f}"
        ),
        "peak memory of the process, MiB": lambda found: f"{found['peak'] / 2**20:.0f}",
    }
    for name, read in rows.items():
        for pattern, by_hubs in results.items():
            cells = " | ".join(read(by_hubs[hubs]) for hubs in HUBS)
            say(f"| {name}{', stock pattern' * (pattern == 'stock')} | {cells} |")


def goals(results: Results) -> None:
    """Print the ratios that matter."""
    ours, stock = results["ours"][GOALS_AT], results["stock"][GOALS_AT]
    most = results["ours"][max(HUBS)]
    # The quicker of two times.
    parsing = min(results[pattern][GOALS_AT]["parsing"] for pattern in PATTERNS)
    say("\n| | goal | measured |\n| --- | --- | --- |")
    rows = [
        ("poll, answered 304, to `orjson.loads`", "≤ 0.3", ours["not_modified"] / parsing),
        ("poll, nothing changed, to `orjson.loads`", "≤ 1.6", ours["unchanged"] / parsing),
        ("poll, one hub changed, to `orjson.loads`", "≤ 2", ours["changed"]["1"] / parsing),
        (
            "poll, one hub changed: stock pattern to ours",
            "≥ 10",
            stock["changed"]["1"] / ours["changed"]["1"],
        ),
        ("push, 3,000 hubs to 10", "≤ 1.2", most["push"] / results["ours"][10]["push"]),
        ("setup, to the stock pattern", "≤ 1.0", ours["setup"] / stock["setup"]),
        ("longest hold of the loop at 3,000 hubs, ms", "≤ 30", most["held"] * 1000),
        ("requests for each poll", "1", ours["requests"]),
        (
            "bytes for each hub beyond what Home Assistant takes for the listeners of its entities",
            "≤ 4096",
            sum(ours["memory"]) - stock["memory"][1],
        ),
        ("rows in the database while nothing happens", "0", ours["rows"]),
    ]
    for name, goal, measured in rows:
        say(f"| {name} | {goal} | {measured:.4g} |")


async def cost() -> None:
    results: Results = {pattern: {} for pattern in PATTERNS}
    for hubs in HUBS:
        for pattern in PATTERNS:
            say(f"{hubs} hubs, {pattern} …")
            results[pattern][hubs] = await measure(pattern, hubs)
    RESULTS.write_text(json.dumps(results))
    table(results)
    goals(results)
