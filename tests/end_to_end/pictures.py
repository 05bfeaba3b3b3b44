"""Screenshots of the generated dashboard in the running demo, and all pictures of the documents."""

import argparse
import asyncio

from playwright.async_api import FloatRect, expect

from tests.live.building import DASHBOARD_PATH
from tests.live.environment import ROOT, Environment, say

from .browser import SCHEMES, Browser, open_browser

# Views, and a text that each of them shows.
VIEWS = {
    "rooms": "Boardroom",
    "room-boardroom": "Last 24 hours",
    "room-training_room": "Last 24 hours",
    "usage": "Busiest",
    "hubs": "Problems",
}
# Pictures of the documents: view, width and height.
PICTURES = {
    "dashboard": ("rooms", 1024, 340),
    "usage": ("usage", 1024, 640),
    "room": ("room-boardroom", 390, 844),
}
SIDEBAR = 256


async def sign_in(browser: Browser) -> None:
    """Sign in as the user of the demo."""
    await browser.open("/")
    await browser.fill_field("Username", "demo")
    await browser.fill_field("Password", "demo")
    await browser.click_button("Log in")
    await expect(browser.page.locator("ha-sidebar")).to_be_visible()


async def open_view(browser: Browser, path: str) -> None:
    """Open a view of the dashboard, and wait until it is complete."""
    await browser.open(f"/{DASHBOARD_PATH}/{path}")
    view = browser.page.locator("hui-view")
    await expect(view.get_by_text(VIEWS[path]).first).to_be_visible()
    # A graph is drawn after its card is shown.
    await browser.page.wait_for_load_state("networkidle")


async def open_automation_editor(browser: Browser) -> None:
    """Open the dialog of the automation editor with the triggers for a floor."""
    await browser.open("/config/automation/edit/new")
    await browser.click_button("Add trigger")
    dialog = browser.page.locator("add-automation-element-dialog")
    await dialog.get_by_text("By target").click()
    await dialog.get_by_text("Second floor").first.click()
    await dialog.get_by_text("Room came into use").scroll_into_view_if_needed()


async def take_pictures(environment: Environment) -> None:
    """Take screenshots of all views."""
    async with open_browser(environment) as browser:
        await sign_in(browser)
        for path in VIEWS:
            await open_view(browser, path)
            await browser.take_screenshots(path)
    say(f"The screenshots are in {environment.folder / 'pictures'}.")


async def renew_pictures(environment: Environment) -> None:
    """Take the pictures of the documents, without the sidebar."""
    async with open_browser(environment) as browser:
        await sign_in(browser)
        await browser.page.set_viewport_size({"width": 1024, "height": 920})
        await open_automation_editor(browser)
        await save_picture(browser, "automation")
        for name, (path, width, height) in PICTURES.items():
            left = 0 if width < 800 else SIDEBAR
            await browser.page.set_viewport_size({"width": left + width, "height": height})
            await open_view(browser, path)
            clip = FloatRect(x=left, y=0, width=width, height=height)
            await save_picture(browser, name, clip)
    say(f"The pictures in {ROOT / 'docs' / 'pictures'} are new.")


async def save_picture(browser: Browser, name: str, clip: FloatRect | None = None) -> None:
    """Save a picture of the documents in both themes."""
    for scheme in SCHEMES:
        await browser.page.emulate_media(color_scheme=scheme)
        file = ROOT / "docs" / "pictures" / f"{name}-{scheme}.png"
        await browser.page.screenshot(path=file, animations="disabled", clip=clip)


def main() -> None:
    """Read the command line and take screenshots or pictures."""
    parser = argparse.ArgumentParser(prog="tests.end_to_end.pictures", description=__doc__)
    parser.add_argument(
        "--documents", action="store_true", help="renew the pictures in docs/pictures instead"
    )
    Environment.add_arguments(parser)
    arguments = parser.parse_args()
    take = renew_pictures if arguments.documents else take_pictures
    asyncio.run(take(Environment.from_arguments(arguments)))


if __name__ == "__main__":
    main()
