"""Break the integration on purpose, one small thing at a time, and see whether a test notices.

First all tests are run, to know how long each takes, and which lines it runs. Then pytest prepares
them, and is forked once for each mutant. There the tests that run the broken line are run, the
likeliest to notice first, until one fails; a mutant survives only if all of them pass.

What is known to be no defect is listed in mutation.toml with the reason. It is tried on the
likeliest few tests alone, and reported apart. Arguments choose mutants by parts of their names.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial
import gc
import hashlib
from itertools import pairwise
import json
import logging
import os
from pathlib import Path
import resource
import sys
import tempfile
import time
import tomllib
import traceback
from typing import Any

import coverage
from mutants import PACKAGE, ImportedBadlyError, Mutant, all_mutants, functions_of, put_in_place
import pytest

WORKERS = 2
# Most mutants are noticed by so many tests; more are run when all mutants have been tried on these.
FEW = 40
FEW_FOR_EXPLAINED = 10
FOLDER = Path(".mutation")
NOTICED_BY = FOLDER / "noticed_by.json"
QUIET = ("-q", "-p", "no:cacheprovider")

type Tests = dict[str, dict[str, Any]]  # by their ids: seconds, property, lines of each file


def in_child(work: Callable[[], int]) -> int:
    """Start work in a process of its own, which exits with what it returns; return its id."""
    if pid := os.fork():
        return pid
    try:
        os._exit(work())
    except BaseException:
        traceback.print_exc()
    os._exit(3)


class Recorder:
    """Notes how long each test takes, and which try random examples."""

    def __init__(self) -> None:
        self.tests: Tests = defaultdict(
            lambda: {"seconds": 0.0, "property": False, "lines": defaultdict(list)}
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self.tests[report.nodeid]
        test["seconds"] += report.duration
        test["property"] |= "property" in report.keywords


def record(file: Path) -> int:
    """Run all tests, and write down what is to be known of them."""
    os.environ |= {"COVERAGE_FILE": f"{file}.coverage", "COVERAGE_CORE": "ctrace"}
    recorder = Recorder()
    cov = ("--cov", "--cov-context=test", "--cov-report=", "--cov-fail-under=0")
    failed = pytest.main([*QUIET, *cov, f"--numprocesses={WORKERS}"], [recorder])
    data = coverage.CoverageData(os.environ["COVERAGE_FILE"])
    data.read()
    for source in data.measured_files():
        for line, contexts in data.contexts_by_lineno(source).items():
            for test in {context.rpartition("|")[0] for context in contexts} - {""}:
                recorder.tests[test]["lines"][os.path.relpath(source)].append(line)
    file.write_text(json.dumps(recorder.tests))
    return failed


def recorded() -> Tests:
    """Return what is to be known of the tests, from the last time if nothing changed since."""
    sources = b"".join(
        path.read_bytes() for top in (PACKAGE, Path("tests")) for path in sorted(top.rglob("*.py"))
    )
    file = FOLDER / hashlib.sha256(sources).hexdigest()
    if not file.exists():
        FOLDER.mkdir(exist_ok=True)
        in_child(lambda: record(file))
        if os.wait()[1]:
            file.unlink(missing_ok=True)
            sys.exit("mutation: the tests must pass as they are")
    tests: Tests = json.loads(file.read_text())
    return tests


def choose(mutant: Mutant, tests: Tests, killers: list[str]) -> list[str]:
    """Return the tests that run the lines; where there are none, those that mirror the file.

    First come the killers, the last of them first, then one test of each function.
    """
    *folders, stem = mutant.path.relative_to(PACKAGE).with_suffix("").parts
    mirror = "/".join(["tests", *folders, f"test_{stem}"])
    found = [
        test
        for test, known in tests.items()
        if any(
            not mutant.lines[file].isdisjoint(known["lines"].get(file, ())) for file in mutant.lines
        )
    ] or [test for test in tests if test.startswith(mirror)]
    found = [test for test in found if not tests[test]["property"]] or found
    recent = {test: number for number, test in enumerate(killers)}
    nth: Counter[str] = Counter()
    order = {}
    for test in sorted(found, key=lambda test: tests[test]["seconds"]):
        function = test.partition("[")[0]
        order[test] = (
            -recent.get(test, -1),
            not test.startswith(mirror),
            nth[function],
        )
        nth[function] += 1
    return sorted(order, key=order.__getitem__)


class Trial:
    """Has pytest prepare all tests, and then forks it once for each mutant."""

    def __init__(self, mutants: list[Mutant], explained: set[str], tests: Tests) -> None:
        self.mutants, self.explained, self.tests = mutants, explained, tests
        self.outcomes: dict[str, list[Mutant]] = defaultdict(list)
        # Of mutants the last time, and of functions this time.
        self.noticed_by: dict[str, str] = {}
        if NOTICED_BY.exists():
            self.noticed_by = json.loads(NOTICED_BY.read_text())
        self.killers: dict[str, list[str]] = defaultdict(list)
        self.left: list[Mutant] = []
        self.ended = ["survived"]
        self.started = time.monotonic()

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.items = {item.nodeid: item for item in session.items}
        for test, item in self.items.items():
            item.add_marker(pytest.mark.timeout(10 + 10 * self.tests[test]["seconds"]))
        logging.getLogger().handlers.clear()
        # One test imports and caches what all of them need.
        self.run_test(next(item for test, item in self.items.items() if "test_init" in test), None)
        gc.unfreeze()  # or else the garbage collector would not find all functions
        self.functions = {path: functions_of(path) for path in {one.path for one in self.mutants}}
        gc.freeze()
        with tempfile.TemporaryDirectory() as folder:
            self.try_all(self.mutants, FEW, Path(folder))
            print(f"{len(self.left)} mutants are left for more tests", flush=True)
            self.try_all(self.left, None, Path(folder))
        return True

    def try_all(self, mutants: list[Mutant], limit: int | None, folder: Path) -> None:
        """Try the mutants on their first tests up to the limit, some mutants at a time."""
        waiting, running = mutants[::-1], dict[int, Mutant]()
        while waiting or running:
            while waiting and len(running) < WORKERS:
                mutant = waiting.pop()
                killers = [*self.killers[mutant.function], self.noticed_by.get(mutant.name, "")]
                chosen = choose(mutant, self.tests, killers)
                few = FEW_FOR_EXPLAINED if mutant.name in self.explained else limit
                chosen = [test for test in chosen if test not in mutant.tried][:few]
                mutant.tried.update(chosen)
                running[in_child(partial(self.run, mutant, chosen, folder))] = mutant
            pid, status = os.wait()
            mutant, note = running.pop(pid), folder / str(pid)
            if os.WIFSIGNALED(status):
                self.tell(mutant, "timeout")
                continue
            # Written unless something is wrong with the mutation testing itself.
            outcome, *killer = json.loads(note.read_text())
            if killer:
                self.killers[mutant.function] += killer
                self.noticed_by[mutant.name] = killer[0]
            if outcome == "survived" and limit and mutant.name not in self.explained:
                self.left.append(mutant)
            else:
                self.tell(mutant, outcome)

    def run_test(self, item: pytest.Item, following: pytest.Item | None) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=following)

    def run(self, mutant: Mutant, chosen: list[str], folder: Path) -> int:
        """Run the tests on a mutant, and write down how that ended."""
        # For a loop without end that pytest-timeout can not leave.
        seconds = int(60 + 3 * sum(self.tests[test]["seconds"] for test in chosen))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        try:
            put_in_place(mutant, self.functions[mutant.path])
        except ImportedBadlyError:
            self.ended = ["killed"]
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        for item, following in pairwise([*(self.items[test] for test in chosen), None]):
            if self.ended == ["survived"]:
                self.run_test(item, following)
        Path(folder, str(os.getpid())).write_text(json.dumps(self.ended))
        return 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.ended == ["survived"]:
            hung = "from pytest-timeout" in str(report.longrepr)
            self.ended = ["timeout" if hung else "killed", report.nodeid]

    def tell(self, mutant: Mutant, outcome: str) -> None:
        """Count an outcome, and print what is worth it."""
        if mutant.name in self.explained:
            outcome = "explained" if outcome == "survived" else "explained, but noticed"
        self.outcomes[outcome].append(mutant)
        if outcome not in ("killed", "explained"):
            print(f"{outcome}: {mutant.name}", flush=True)
        tried = sum(map(len, self.outcomes.values()))
        if tried % 100 == 0 or tried == len(self.mutants):
            NOTICED_BY.write_text(json.dumps(self.noticed_by))
            noticed = 1 - len([*self.outcomes["survived"], *self.outcomes["explained"]]) / tried
            minutes = (time.monotonic() - self.started) / 60
            counts = [f"{len(those)} {outcome}" for outcome, those in self.outcomes.items()]
            total = f"{tried} of {len(self.mutants)} in {minutes:.0f} min: {noticed:.1%} noticed"
            print(total, *counts, sep=", ", flush=True)


def main() -> int:
    entries = tomllib.loads(Path("scripts/mutation.toml").read_text())["unnoticed"]
    explained = {name for entry in entries for name in entry["mutants"]}
    mutants = all_mutants()
    stale = explained - {mutant.name for mutant in mutants}
    for name in stale:
        print(f"explained, but there is no such: {name}")
    parts = sys.argv[1:] or [""]
    mutants = [one for one in mutants if any(part in one.name for part in parts)]
    trial = Trial(mutants, explained, recorded())
    if pytest.main([*QUIET, "-s", "-p", "no:xdist", "tests"], [trial]):
        return 1
    return bool(stale or trial.outcomes["survived"] or trial.outcomes["explained, but noticed"])


if __name__ == "__main__":
    sys.exit(main())
