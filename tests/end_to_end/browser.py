"""What a user does with mouse and keyboard in Home Assistant's frontend."""

from dataclasses import dataclass, field
import re
from typing import Literal

from axe_playwright_python.async_playwright import Axe
from house import House
from playwright.async_api import ConsoleMessage, Error, Locator, Page, expect

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@dataclass(kw_only=True)
class Browser:
    """A page of the frontend; `errors` is what its console complained about."""

    house: House
    page: Page
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen to the console, of windows that open later, too."""
        self.page.context.on("console", self._note)
        self.page.context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} ({message.location.get('url')})")

    async def open(self, path: str) -> None:
        """Go to a page of Home Assistant."""
        try:
            await self.page.goto(self.house.home_assistant + path)
        except Error as err:
            # A dialog that closes goes back in the browser's history, a little later.
            if "ERR_ABORTED" not in err.message:
                raise
            await self.page.goto(self.house.home_assistant + path)

    async def click(self, name: str) -> None:
        """Press a button with these words on it, or at their beginning."""
        button = self.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}"))
        await button.first.click()

    async def choose(self, text: str) -> None:
        """Choose from what an open dialog lists."""
        await self.page.get_by_text(text).last.click()

    async def fill(self, label: str, text: str) -> None:
        """Fill in a text field."""
        name = re.compile(f"^{label}")
        await self.page.get_by_role("textbox", name=name).first.fill(text)

    def picker(self, text: str | re.Pattern[str]) -> Locator:
        """Find a list to choose from by its label or by what is chosen."""
        return self.page.locator("ha-picker-field", has_text=text).first

    async def pick(self, label: str | re.Pattern[str], text: str, option: str) -> None:
        """Open a list with a search field, and choose what the search finds."""
        await self.picker(label).click()
        await self.page.get_by_role("dialog").get_by_role("textbox").last.fill(text)
        await self.page.locator("ha-combo-box-item", has_text=option).first.click()

    async def sees(self, text: str | re.Pattern[str]) -> None:
        """Wait until a text is to be seen."""
        await expect(self.page.get_by_text(text).first).to_be_visible()

    def row(self, name: str) -> Locator:
        """Find the row of an entity on a device page."""
        # The options of a list bear the names of other rows.
        title = self.page.locator(".info", has_text=re.compile(rf"^\s*{name}\s*$"))
        return self.page.locator("hui-generic-entity-row", has=title).first

    def switch(self, name: str) -> Locator:
        """Find the switch of an entity on a device page."""
        return self.row(name).get_by_role("switch")

    async def state(self, name: str, state: str) -> None:
        """Wait until the device page shows an entity in a state."""
        await expect(self.row(name)).to_contain_text(state)

    async def submit_to_sign_in(self, name: str = "Submit") -> Page:
        """Press a button that leads to the sign-in page of Ochno Operated; return its window."""
        async with self.page.context.expect_page() as opened:
            await self.click(name)
        window = await opened.value
        # It begins with a page of Home Assistant's.
        await window.wait_for_url(f"{self.house.simulator}/**")
        return window

    async def pictures(self, name: str, page: Page | None = None) -> None:
        """Take pictures, light and dark, wide and narrow, where nothing may be wider."""
        page = page or self.page
        for look, width, height in (("desktop", 1280, 900), ("phone", 390, 844)):
            await page.set_viewport_size({"width": width, "height": height})
            await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
            for scheme in SCHEMES:
                await page.emulate_media(color_scheme=scheme)
                path = self.house.folder / "pictures" / f"{name}-{look}-{scheme}.png"
                await page.screenshot(path=path, animations="disabled")
        await page.emulate_media(color_scheme="light")
        await page.set_viewport_size({"width": 1280, "height": 900})

    async def is_accessible(self, page: Page) -> None:
        """Check labels, roles and contrast of one of the simulator's own pages."""
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            found = await Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
