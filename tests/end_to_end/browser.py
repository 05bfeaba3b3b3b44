"""Page object for the frontend of Home Assistant."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
import re
import shutil
from typing import Literal

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import (
    ConsoleMessage,
    Error,
    Locator,
    Page,
    TimeoutError,  # noqa: A004 - not the built-in
    async_playwright,
    expect,
)

from tests.live.environment import Environment

CHROMIUM = ("chromium", "google-chrome")
# Without these options, Chromium sends requests to the internet when it starts.
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
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")

expect.set_options(timeout=TIMEOUT)


@dataclass(kw_only=True)
class Browser:
    """Browser page with the frontend; `errors` contains the errors from the browser console."""

    environment: Environment
    page: Page
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Record the console errors of all windows, including windows that open later."""
        self.page.context.on("console", self._record_error)
        self.page.context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _record_error(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    async def open(self, path: str) -> None:
        """Open a page of Home Assistant."""
        try:
            await self.page.goto(self.environment.home_assistant_url + path)
        except Error as err:
            # A dialog that closes goes back in the browser history, which can abort this request.
            if "ERR_ABORTED" not in err.message:
                raise
            await self.page.goto(self.environment.home_assistant_url + path)

    async def click_button(self, name: str) -> None:
        """Click the first button whose label starts with this text."""
        button = self.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}"))
        await button.first.click()

    async def click_text(self, text: str) -> None:
        """Click the last element with this text, such as an item in an open dialog."""
        await self.page.get_by_text(text).last.click()

    async def fill_field(self, label: str, text: str) -> None:
        """Fill in the first text field whose label starts with this text."""
        name = re.compile(f"^{label}")
        await self.page.get_by_role("textbox", name=name).first.fill(text)

    def picker(self, text: str | re.Pattern[str]) -> Locator:
        """Return the picker with this label or selected value."""
        return self.page.locator("ha-picker-field", has_text=text).first

    async def pick_option(self, label: str | re.Pattern[str], text: str, option: str) -> None:
        """Open a picker, search for a text and select an option."""
        await self.picker(label).click()
        await self.page.get_by_role("dialog").get_by_role("textbox").last.fill(text)
        await self.page.locator("ha-combo-box-item", has_text=option).first.click()

    async def expect_text(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is visible."""
        await expect(self.page.get_by_text(text).first).to_be_visible()

    def entity_row(self, name: str) -> Locator:
        """Return the row of an entity on a device page."""
        # The options of a select entity can have the same names as other rows.
        title = self.page.locator(".info", has_text=re.compile(rf"^\s*{name}\s*$"))
        return self.page.locator("hui-generic-entity-row", has=title).first

    def entity_switch(self, name: str) -> Locator:
        """Return the switch of an entity on a device page."""
        return self.entity_row(name).get_by_role("switch")

    async def expect_state(self, name: str, state: str) -> None:
        """Wait until the device page shows a state of an entity."""
        await expect(self.entity_row(name)).to_contain_text(state)

    async def open_sign_in(self, name: str = "Submit") -> Page:
        """Click a button that opens the sign-in page of Ochno Operated, and return its window."""
        try:
            async with self.page.context.expect_page(timeout=10_000) as opened:
                await self.click_button(name)
        except TimeoutError:
            # The description of a dialog is rendered late, which can move the button during the
            # click. If the window did not open, the dialog has a link to it.
            async with self.page.context.expect_page() as opened:
                link = self.page.get_by_role("link", name="Open website")
                await self.page.get_by_role("button", name=name).or_(link).first.click()
        window = await opened.value
        # The window opens with a page of Home Assistant, which redirects to the sign-in page.
        await window.wait_for_url(f"{self.environment.simulator_url}/**")
        return window

    async def take_screenshots(self, name: str, page: Page | None = None) -> None:
        """Take screenshots in two sizes and two themes, and check that the page fits the width."""
        page = page or self.page
        for device, width, height in (("desktop", 1280, 900), ("phone", 390, 844)):
            await page.set_viewport_size({"width": width, "height": height})
            await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                path = self.environment.folder / "pictures" / f"{name}-{device}-{scheme}.png"
                await page.screenshot(path=path, animations="disabled")
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 1280, "height": 900})

    async def check_accessibility(self, page: Page) -> None:
        """Check a page of the simulator with axe: labels, roles and contrast."""
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            results = await Axe().run(page)
            assert results.violations_count == 0, results.generate_report()


@asynccontextmanager
async def open_browser(environment: Environment) -> AsyncIterator[Browser]:
    """Open a browser with one page until the end of the block."""
    executable = next(path for name in CHROMIUM if (path := shutil.which(name)))
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        context = await chromium.new_context(
            viewport={"width": 1280, "height": 900},
            # With a service worker, the frontend reloads itself during the first minute, which
            # would interrupt a step.
            service_workers="block",
            reduced_motion="reduce",
        )
        context.set_default_timeout(TIMEOUT)
        yield Browser(environment=environment, page=await context.new_page())
        await chromium.close()
