"""Fixtures: a browser and Home Assistant, for each supported release, and a result table."""

from collections.abc import AsyncIterator, Generator
from pathlib import Path
import socket

import aiohttp
import pytest

from tests.live.environment import PUBLIC_URL, ROOT, Environment
from tests.live.frontend import start_home_assistant

from .browser import Browser, open_browser

PYTHONS = {
    "floor": ROOT / ".venvs" / "floor" / "bin" / "python",
    "pinned": ROOT / ".venv" / "bin" / "python",
    "newest": ROOT / ".venvs" / "newest" / "bin" / "python",
}
FOLDER = ROOT / ".end_to_end"
outcomes: dict[str, dict[str, str]] = {}
failed: set[str] = set()
pages_of_failures: dict[str, str] = {}


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def install_requirements(environment: Environment) -> None:
    """Start Home Assistant once, because the first start of a release installs requirements.

    The installation can take longer than a step waits.
    """
    venv = Path(environment.python).parent.parent
    wanted = (venv / ".requirements").read_text()
    installed = venv / ".installed"
    if installed.exists() and installed.read_text() == wanted:
        return
    environment.prepare(PUBLIC_URL)
    async with (
        aiohttp.ClientSession() as session,
        start_home_assistant(session, environment),
    ):
        pass
    installed.write_text(wanted)


@pytest.fixture(scope="module", params=PYTHONS)
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """Return a browser for a new installation of one release of Home Assistant."""
    release: str = request.param
    folder: Path = FOLDER / release
    environment = Environment(
        folder=folder,
        port=free_port(),
        simulator_port=free_port(),
        python=str(PYTHONS[release]),
    )
    await install_requirements(environment)
    environment.prepare(PUBLIC_URL)
    async with (
        aiohttp.ClientSession() as session,
        environment.run_simulator(session),
        environment.run_home_assistant() as process,
    ):
        await environment.wait_until_ready(session, process)
        async with open_browser(environment) as opened:
            yield opened


@pytest.fixture(autouse=True)
async def _skip_after_failure(
    request: pytest.FixtureRequest, browser: Browser
) -> AsyncIterator[None]:
    """Skip the steps after a failed one, and record the page of the failure."""
    release = request.node.callspec.params["browser"]
    if release in failed:
        pytest.skip("An earlier step failed")
    yield
    if release in failed:
        await browser.page.screenshot(path=browser.environment.folder / f"{request.node.name}.png")
        page = await browser.page.locator("body").aria_snapshot()
        pages_of_failures[request.node.name] = page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record the outcome of each step."""
    report = yield
    release = str(item.callspec.params["browser"])
    if report.when == "call" or report.outcome != "passed":
        step = item.originalname
        seconds = f" {report.duration:.0f} s" if report.passed else ""
        outcomes.setdefault(step, {}).setdefault(release, report.outcome + seconds)
    if report.failed:
        failed.add(release)
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the outcome of each step for each release, and the pages of failures."""
    terminalreporter.section("results by step and release")
    terminalreporter.write_line(f"{'':64}" + "".join(f"{name:>12}" for name in PYTHONS))
    for step, results in outcomes.items():
        words = step.removeprefix("test_").replace("_", " ")
        row = "".join(f"{results.get(name, '-'):>12}" for name in PYTHONS)
        terminalreporter.write_line(f"{words[:63]:64}{row}")
    for name, page in pages_of_failures.items():
        terminalreporter.section(f"page at the end of {name}")
        terminalreporter.write_line(page)
