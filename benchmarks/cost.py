"""CPU time and memory of 10 to 3,000 hubs, for this integration and for the stock pattern.

Both patterns run at the same time and are measured in turns. Ratios of two measurements that follow
each other do not depend on the speed of the machine.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
import json
import statistics

from tests.live.environment import ROOT, CommandError, Environment, say

from .measured_home import MeasuredHome

HUBS = (10, 100, 1000, 3000)
HUBS_OF_GOALS = 1000
# Numbers of hubs that change between two polls in the diagram.
CHANGED_HUBS = (1, 10, 100, 1000)
PATTERNS = ("ours", "stock")
RESULTS = ROOT / ".demo" / "cost.json"
# Ports between two homes.
PORT_STEP = 10
HUBS_OF_MONTH = 100
RESTART = "restart"
PEAKS = ("poll", "setup", "dashboard")

type HomeKey = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An action of one home."""

    action: str
    pattern: str = "ours"
    hubs: int = HUBS_OF_GOALS

    @property
    def home(self) -> HomeKey:
        """The key of the home."""
        return self.pattern, self.hubs


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A measurement with a goal.

    The result is the ratio of `probe` to `baseline`, or without a baseline, `probe` in
    milliseconds. Before each action, `changed` hubs change. `etags` tells whether the simulator
    responds with 304 if no hub changed. `before` and `after` are actions of the homes.
    """

    name: str
    goal: str
    probe: Probe
    baseline: Probe | None = None
    repetitions: int = 15
    changed: int = 0
    etags: bool = True
    before: str | None = None
    after: str | None = None

    @property
    def probes(self) -> list[Probe]:
        """The probe and the baseline."""
        return [self.probe] if self.baseline is None else [self.probe, self.baseline]


@dataclass(kw_only=True)
class Result:
    """Values of a probe and of its baseline, in seconds, in the order of the repetitions."""

    values: list[float] = field(default_factory=list)
    baseline: list[float] = field(default_factory=list)

    @property
    def compared(self) -> list[float]:
        """The ratios, or without a baseline, milliseconds."""
        if not self.baseline:
            return [value * 1000 for value in self.values]
        return [value / other for value, other in zip(self.values, self.baseline, strict=True)]


PARSE = Probe(action="parse")
POLL = Probe(action="poll")
SCENARIOS = (
    Scenario(
        name="poll, response 304, to `orjson.loads`", goal="≤ 0.3", probe=POLL, baseline=PARSE
    ),
    Scenario(
        name="poll, no hub changed, to `orjson.loads`",
        goal="≤ 1",
        probe=POLL,
        baseline=PARSE,
        etags=False,
    ),
    Scenario(
        name="poll, one hub changed, to `orjson.loads`",
        goal="≤ 1.5",
        probe=POLL,
        baseline=PARSE,
        changed=1,
    ),
    Scenario(
        name="poll, one hub changed, stock pattern to this integration",
        goal="≥ 30",
        probe=replace(POLL, pattern="stock"),
        baseline=POLL,
        changed=1,
    ),
    Scenario(
        name="dashboard, slowest command, ms",
        goal="≤ 100",
        probe=Probe(action="dashboard"),
        repetitions=5,
    ),
    Scenario(
        name="setup, to the stock pattern",
        goal="≤ 0.8",
        probe=Probe(action="setup"),
        baseline=Probe(action="setup", pattern="stock"),
        repetitions=5,
    ),
    Scenario(
        name="push of one hub, 3,000 hubs to 10",
        goal="≤ 1.1",
        probe=Probe(action="push", hubs=3000),
        baseline=Probe(action="push", hubs=10),
        repetitions=7,
        before="start_push",
        after="stop_push",
    ),
    Scenario(
        name="longest block of the event loop in a poll, 3,000 hubs, ms",
        goal="≤ 50",
        probe=Probe(action="poll_block", hubs=3000),
        changed=1,
    ),
    Scenario(
        name="longest block of the event loop in the setup, 3,000 hubs, ms",
        goal="≤ 50",
        probe=Probe(action="setup_block", hubs=3000),
        repetitions=3,
    ),
    Scenario(
        name="one of 100 automations, laptop plugged in, 1,000 hubs, ms",
        goal="≤ 1",
        probe=Probe(action="automations"),
        repetitions=7,
        before="add_automations",
    ),
    Scenario(
        name="one of 100 automations, laptop plugged in, 3,000 hubs to 10",
        goal="about 1",
        probe=Probe(action="automations", hubs=3000),
        baseline=Probe(action="automations", hubs=10),
        repetitions=7,
        before="add_automations",
    ),
    Scenario(
        name="start of Home Assistant, to the stock pattern",
        goal="≤ 0.8",
        probe=Probe(action=RESTART),
        baseline=Probe(action=RESTART, pattern="stock"),
        repetitions=3,
    ),
)


class Homes:
    """The running homes. They start when a scenario needs them."""

    def __init__(self, environment: Environment, stack: AsyncExitStack) -> None:
        self._environment = environment
        self._stack = stack
        self._homes: dict[HomeKey, MeasuredHome] = {}

    async def get(self, key: HomeKey) -> MeasuredHome:
        """Return a home; start it if it does not run."""
        await self.start([key])
        return self._homes[key]

    async def start(self, keys: Iterable[HomeKey]) -> None:
        """Start the homes that do not run, all at the same time."""
        missing = [key for key in dict.fromkeys(keys) if key not in self._homes]
        for pattern, hubs in missing:
            say(f"Starting a home with {hubs} hubs, {pattern} …")
            port = self._environment.port + PORT_STEP * len(self._homes)
            environment = replace(
                self._environment,
                folder=ROOT / ".demo" / str(port),
                port=port,
                simulator_port=port + 1,
            )
            self._homes[pattern, hubs] = MeasuredHome(environment, pattern, hubs)
        try:
            async with asyncio.TaskGroup() as group:
                for key in missing:
                    self._stack.push_async_callback(self._homes[key].stop)
                    group.create_task(self._homes[key].start())
        except* CommandError as errors:
            # Such as two ports in use. One sentence tells the user enough.
            error = errors.exceptions[0]
        else:
            return
        raise error

    async def measure(self, probe: Probe, changed: int) -> float:
        """Change hubs, run an action and return its result."""
        home = await self.get(probe.home)
        if changed:
            await home.run("press", count=changed)
        if probe.action == RESTART:
            return await home.restart()
        seconds: float = await home.run(probe.action)
        return seconds

    async def run(self, scenario: Scenario) -> Result:
        """Measure a scenario."""
        await self.start(probe.home for probe in scenario.probes)
        homes = {probe.home: self._homes[probe.home] for probe in scenario.probes}
        for home in homes.values():
            await home.run("settings", etags=scenario.etags)
            if scenario.before:
                await home.run(scenario.before)
        for probe in scenario.probes:
            # The first run fills caches, so it does not count.
            await self.measure(probe, scenario.changed)
        result = Result()
        for number in range(scenario.repetitions):
            values = {
                probe: await self.measure(probe, scenario.changed)
                for probe in (scenario.probes if number % 2 else reversed(scenario.probes))
            }
            result.values.append(values[scenario.probe])
            if scenario.baseline:
                result.baseline.append(values[scenario.baseline])
        for home in homes.values():
            if scenario.after:
                await home.run(scenario.after)
        return result

    async def rows(self, scenarios: Iterable[Scenario]) -> list[str]:
        """Measure scenarios; return a row of the table for each."""
        rows = []
        for scenario in scenarios:
            say(scenario.name)
            rows.append(_row(scenario, await self.run(scenario)))
            say(rows[-1])
        return rows


def _row(scenario: Scenario, result: Result) -> str:
    low, middle, high = statistics.quantiles(result.compared, n=4, method="inclusive")
    milliseconds = [
        f"{statistics.median(values) * 1000:.3g}"
        for values in (result.values, result.baseline)
        if values
    ]
    cells = (
        scenario.name,
        scenario.goal,
        f"{middle:.3g}",
        f"{low:.3g} to {high:.3g}",
        " / ".join(milliseconds),
    )
    return f"| {' | '.join(cells)} |"


def _diagram_probes() -> Iterator[tuple[Probe, int]]:
    """Return the polls of the diagram, with the number of changed hubs."""
    for pattern in PATTERNS:
        for hubs in HUBS:
            for changed in CHANGED_HUBS if hubs == HUBS_OF_GOALS else CHANGED_HUBS[:1]:
                yield replace(POLL, pattern=pattern, hubs=hubs), changed


async def measure_cost(environment: Environment, *, quick: bool) -> None:
    """Measure the scenarios and print a table. `quick`: only the scenarios with 1,000 hubs."""
    scenarios = [
        replace(scenario, repetitions=scenario.repetitions // 2) if quick else scenario
        for scenario in SCENARIOS
        if not quick
        or (
            all(probe.hubs == HUBS_OF_GOALS for probe in scenario.probes)
            and scenario.probe.action != RESTART
        )
    ]
    async with AsyncExitStack() as stack:
        homes = Homes(environment, stack)
        # Most scenarios use these homes.
        await homes.start((pattern, HUBS_OF_GOALS) for pattern in PATTERNS)
        rows = await homes.rows(it for it in scenarios if it.probe.action != RESTART)
        home = await homes.get(("ours", HUBS_OF_GOALS))
        say(f"{await home.run('entities')} entities")
        requests = await home.run("requests_per_poll")
        database_rows = await home.run("rows_of_polls")
        rows += [
            f"| requests per poll | 1 | {requests:.3g} | | |",
            f"| database rows written without a change | 0 | {database_rows} | | |",
        ]
        if not quick:
            rows += await _memory_rows(homes)
            times = [
                (probe.pattern, probe.hubs, changed, await _median(homes, probe, changed))
                for probe, changed in _diagram_probes()
            ]
            RESULTS.write_text(json.dumps(times))
        # The last one, because the homes have no dashboard after it.
        rows += await homes.rows(it for it in scenarios if it.probe.action == RESTART)
    say("\n| scenario | goal | median | middle half | ms |\n| --- | --- | --- | --- | --- |")
    say("\n".join(rows))


async def _memory_rows(homes: Homes) -> list[str]:
    """Measure the memory; return rows of the table."""
    home = await homes.get(("ours", HUBS_OF_GOALS))
    stock = await homes.get(("stock", HUBS_OF_GOALS))
    (own, listeners), (_, core) = await asyncio.gather(home.run("memory"), stock.run("memory"))
    rows = [
        f"| bytes per hub, without the listeners of Home Assistant | ≤ 4096 "
        f"| {own + listeners - core:.0f} | | |"
    ]
    for action in PEAKS:
        await home.run("press", count=1)
        peak = await home.run("peak", of=action)
        rows.append(f"| highest additional memory: {action}, MiB | | {peak:.1f} | | |")
    small_home = await homes.get(("ours", HUBS_OF_MONTH))
    growth = await small_home.run("growth_in_month")
    rows.append(f"| bytes per hub more after a month | ≤ 1024 | {growth:.0f} | | |")
    return rows


async def _median(homes: Homes, probe: Probe, changed: int) -> float:
    return statistics.median([await homes.measure(probe, changed) for _ in range(5)])
