"""A house for each release of Home Assistant, and a browser in it."""

from collections.abc import AsyncIterator, Generator
from contextlib import AsyncExitStack
from pathlib import Path
import shutil
import socket
from typing import Any

import aiohttp
from house import ROOT, House, start_home_assistant
from playwright.async_api import async_playwright, expect
import pytest

from .browser import Browser

PYTHONS = {
    "floor": ROOT / ".venvs" / "floor" / "bin" / "python",
    "pinned": ROOT / ".venv" / "bin" / "python",
    "newest": ROOT / ".venvs" / "newest" / "bin" / "python",
}
FOLDER = ROOT / ".end_to_end"
CHROMIUM = ("chromium", "google-chrome")
# Without these it asks for hosts on the internet as soon as it starts.
ARGUMENTS = (
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
)

TIMEOUT = 30_000

expect.set_options(timeout=TIMEOUT)

outcomes: dict[str, dict[str, str]] = {}
failed: set[str] = set()


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def install(house: House) -> None:
    """Start Home Assistant once, since the first start of a release installs what it needs.

    That can take longer than the five minutes in which a user must confirm the port.
    """
    environment = Path(house.python).parent.parent
    wanted = (environment / ".requirements").read_text()
    installed = environment / ".installed"
    if installed.exists() and installed.read_text() == wanted:
        return
    house.prepare("https://home.example")
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        await start_home_assistant(stack, session, house)
    installed.write_text(wanted)


@pytest.fixture(scope="module", params=PYTHONS)
async def browser(request: pytest.FixtureRequest) -> AsyncIterator[Browser]:
    """Home Assistant of one release, just installed, and a browser."""
    release: str = request.param
    folder: Path = FOLDER / release
    house = House(
        folder=folder,
        port=free_port(),
        simulator_port=free_port(),
        python=str(PYTHONS[release]),
    )
    await install(house)
    house.prepare("https://home.example")
    executable = next(path for name in CHROMIUM if (path := shutil.which(name)))
    async with (
        aiohttp.ClientSession() as session,
        house.run_simulator(session, hubs=0),
        house.run_home_assistant() as process,
        async_playwright() as playwright,
    ):
        await house.answers(session, process)
        chromium = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        context = await chromium.new_context(
            viewport={"width": 1280, "height": 900},
            # On a first visit the frontend stores itself in the browser, and then loads itself
            # anew under the user's hands, at any moment of the first minute.
            service_workers="block",
            reduced_motion="reduce",
        )
        context.set_default_timeout(TIMEOUT)
        yield Browser(house=house, page=await context.new_page())
        await chromium.close()


@pytest.fixture(autouse=True)
async def _one_step_after_the_other(
    request: pytest.FixtureRequest, browser: Browser
) -> AsyncIterator[None]:
    """Leave out what can't work any more, and keep a picture of what did not."""
    release = request.node.callspec.params["browser"]
    if release in failed:
        pytest.skip("a step before failed")
    yield
    if release in failed:
        await browser.page.screenshot(path=browser.house.folder / f"{request.node.name}.png")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note what came of each step."""
    report = yield
    release = item.callspec.params["browser"]  # type: ignore[attr-defined]
    if report.when == "call" or report.outcome != "passed":
        step = item.originalname  # type: ignore[attr-defined]
        seconds = f" {report.duration:.0f} s" if report.passed else ""
        outcomes.setdefault(step, {}).setdefault(release, report.outcome + seconds)
    if report.failed:
        failed.add(release)
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what came of each step on each release."""
    terminalreporter.section("release by step")
    terminalreporter.write_line(f"{'':64}" + "".join(f"{name:>12}" for name in PYTHONS))
    for step, results in outcomes.items():
        words = step.removeprefix("test_").replace("_", " ")
        row = "".join(f"{results.get(name, '-'):>12}" for name in PYTHONS)
        terminalreporter.write_line(f"{words[:63]:64}{row}")
