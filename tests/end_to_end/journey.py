"""User journey test: from the onboarding to the removal of the integration, step by step."""

from contextlib import suppress
import re
from stat import S_IMODE

from playwright.async_api import Error, Page, TimeoutError, expect  # noqa: A004 - not the built-in
import pytest

from .browser import Browser

INTEGRATION_NAME = re.compile(r"ochno", re.IGNORECASE)
AUTOMATION_NAME = "Laptop at port 2"
AUTOMATION_WITH_EXCLUDED_PORT = {
    "alias": "All ports of the workshop but the third",
    "triggers": {
        "trigger": "ochno.laptop_plugged_in",
        "target": {
            "area_id": "workshop",
            "exclude": {"entity_id": "binary_sensor.workshop_workshop_port_3_connected"},
        },
    },
    "actions": {
        "action": "persistent_notification.create",
        "data": {"message": "Somebody at port {{ trigger.port }}"},
    },
}
HOME_ASSISTANT = "document.querySelector('home-assistant').hass"
LONG_NAME = "Conference and training room with the folding wall, 4th floor, north wing"
# Console errors of every page, in a browser without internet and service workers.
UNRELATED_ERRORS = re.compile("ERR_NAME_NOT_RESOLVED|reading 'addEventListener'")
# Log messages of Home Assistant for every custom integration and for the revoked access.
EXPECTED_LOG_MESSAGES = re.compile(
    "has not been tested by Home Assistant|Ochno Operated no longer accepts the sign-in"
)


async def add_credentials(browser: Browser) -> None:
    await browser.fill_field("Name", "Simulator")
    await browser.fill_field("OAuth client ID", "home-assistant")
    await browser.fill_field("OAuth client secret", "home-assistant-secret")
    await browser.page.get_by_role("button", name="Add", exact=True).click()


async def fill_in_form(browser: Browser, access: str) -> None:
    await browser.pick_option("Server", browser.environment.simulator_url, "Add custom item")
    await browser.page.get_by_role("radio", name=access).click()


async def start_user_flow(browser: Browser) -> None:
    await browser.open("/config/integrations/dashboard")
    await browser.click_button("Add integration")
    await browser.page.get_by_placeholder("Search for a brand name").fill("Ochno")
    await browser.page.locator("dialog-add-integration").get_by_text("Ochno", exact=True).click()


async def open_integration(browser: Browser) -> None:
    await browser.open("/config/integrations/dashboard")
    link = browser.page.get_by_role("link", name="Ochno")
    try:
        await link.click(timeout=10_000)
    except TimeoutError:
        # In 2026.10 the list can stay empty until the page is loaded again.
        await browser.page.reload()
        await link.click()


async def open_device(browser: Browser, name: str) -> None:
    await open_integration(browser)
    await browser.page.get_by_text(name, exact=True).first.click()
    await browser.expect_text("Device info")


async def press_in_simulator(browser: Browser, button: str) -> None:
    page = await browser.page.context.new_page()
    await page.goto(browser.environment.simulator_url)
    # A page that closes cancels its requests.
    async with page.expect_response("**/simulator/hubs/**"):
        await page.get_by_role("button", name=button).press("Enter")
    await page.close()


async def expect_in_simulator(browser: Browser, room: str, text: str) -> None:
    """Wait until the page of the simulator shows a text for a hub."""
    page = await browser.page.context.new_page()
    await page.goto(browser.environment.simulator_url)
    await expect(page.get_by_role("article", name=room).get_by_text(text)).to_be_visible()
    await page.close()


async def submit_decision(window: Page, button: str) -> None:
    """Press a button of the sign-in page, and wait until the window closes."""
    async with window.expect_event("close"):
        # The window can close before Playwright reports the end of the key press.
        with suppress(Error):
            await window.get_by_role("button", name=button).press("Enter")


async def test_onboarding_first_start_creates_user(browser: Browser) -> None:
    await browser.open("/")
    await browser.click_button("Create my smart home")
    for label, text in (
        ("Name", "Robin"),
        ("Username", "robin"),
        ("Password", "correct horse"),
        ("Confirm password", "correct horse"),
    ):
        await browser.fill_field(label, text)
    await browser.click_button("Create account")
    for page in ("Home location", "country your home is in", "Help us help you"):
        await browser.expect_text(page)
        await browser.click_button("Next")
    await browser.click_button("Finish")
    await expect(browser.page.locator("ha-sidebar")).to_be_visible()


async def test_user_flow_without_credentials_shows_redirect_uri(browser: Browser) -> None:
    await start_user_flow(browser)
    await browser.expect_text("Add application credentials")
    await browser.expect_text(re.compile("/auth/external/callback"))
    await add_credentials(browser)


async def test_user_flow_access_denied_shows_reason(browser: Browser) -> None:
    await browser.expect_text("Ochno Operated account")
    await fill_in_form(browser, "Read and control")
    window = await browser.open_sign_in()
    await submit_decision(window, "Deny")
    await browser.expect_text("Access was denied at Ochno Operated")
    await browser.click_button("Close")


async def test_user_flow_unreachable_server_shows_error_at_field(browser: Browser) -> None:
    await start_user_flow(browser)
    await browser.pick_option("Server", "https://operated.invalid", "Add custom item")
    await browser.click_button("Submit")
    await browser.expect_text(re.compile("can't reach this server"))
    await browser.take_screenshots("server-unreachable")


async def test_user_flow_access_approved_adds_devices_to_areas(browser: Browser) -> None:
    await browser.page.request.post(
        f"{browser.environment.simulator_url}/simulator/hubs", data={"name": LONG_NAME, "ports": 10}
    )
    await start_user_flow(browser)
    await fill_in_form(browser, "Read and control")
    await browser.take_screenshots("form")
    window = await browser.open_sign_in()
    await browser.check_accessibility(window)
    await browser.take_screenshots("sign-in", window)
    await window.get_by_role("radio", name="Example Organisation").check()
    await submit_decision(window, "Approve")
    for room in ("Boardroom", "Focus room", "Workshop", "Reception"):
        await expect(browser.picker(room)).to_be_visible()
    await browser.click_button("Finish")


async def test_device_page_laptop_plugged_in_shows_new_states(browser: Browser) -> None:
    await open_device(browser, "Focus room")
    await browser.expect_state("Port 2 connected", "Unplugged")
    await browser.expect_state("Occupancy", "Free")
    await press_in_simulator(browser, "Plug in, port 2, Focus room")
    await browser.expect_state("Port 2 connected", "Plugged in")
    await browser.expect_state("Occupancy", "In use")
    await browser.take_screenshots("device")
    await press_in_simulator(browser, "Unplug, port 2, Focus room")
    await browser.expect_state("Port 2 connected", "Unplugged")


async def add_by_target(browser: Browser, button: str, target: str, name: str) -> None:
    """Add a trigger or a condition in the automation editor, starting with the target."""
    await browser.click_button(button)
    dialog = browser.page.locator("add-automation-element-dialog")
    await dialog.get_by_text("By target").click()
    await dialog.get_by_text(target).first.click()
    await expect(dialog.get_by_text(name)).to_be_visible()
    await browser.take_screenshots(f"{name.replace(' ', '-').lower()}-by-target")
    await dialog.get_by_text(name).click()


async def add_by_type(browser: Browser, button: str, name: str, target: str) -> None:
    """Add a trigger or a condition in the automation editor, starting with the type."""
    await browser.click_button(button)
    dialog = browser.page.locator("add-automation-element-dialog")
    await dialog.get_by_text("By type").click()
    # Since 2026.11, what was recently used comes first, with the name of the integration.
    await dialog.get_by_text("Ochno", exact=True).last.click()
    await expect(dialog.get_by_text(name)).to_be_visible()
    await browser.take_screenshots(f"{name.replace(' ', '-').lower()}-by-type")
    await dialog.get_by_text(name).click()
    await browser.click_button("Add target")
    await browser.page.get_by_placeholder("Search", exact=True).last.fill(target)
    # Not one of the entities and devices, which also have the name of the area.
    name_only = re.compile(rf"^\s*{target}\s*$")
    await browser.page.locator("ha-combo-box-item", has_text=name_only).first.click()


async def add_notification_and_save(browser: Browser, message: str, name: str) -> None:
    """Add an action to the automation in the editor, and save the automation."""
    await browser.click_button("Add action")
    await browser.page.get_by_placeholder("Search", exact=True).fill("persistent notification")
    await browser.click_text("Persistent Notification: Create")
    field = browser.page.locator("ha-service-control").get_by_role("textbox")
    await field.first.fill(message)
    await browser.click_button("Save")
    await browser.fill_field("Name", name)
    await browser.page.get_by_role("button", name="Save", exact=True).last.click()
    await browser.page.wait_for_url(re.compile("/config/automation/edit/(?!new)"))


async def saved_automation(browser: Browser) -> dict[str, list[dict[str, object]]]:
    """Return the saved configuration of the automation that the editor shows."""
    path = f"config/automation/config/{browser.page.url.rpartition('/')[2]}"
    config: dict[str, list[dict[str, object]]] = await browser.page.evaluate(
        f"path => {HOME_ASSISTANT}.callApi('GET', path)", path
    )
    return config


async def test_automation_created_by_target_runs(browser: Browser) -> None:
    await browser.open("/config/automation/edit/new")
    await add_by_target(browser, "Add trigger", "Focus room", "Laptop plugged in")
    await add_by_type(browser, "Add condition", "Room is in use", "Focus room")
    await add_notification_and_save(browser, "Somebody came", AUTOMATION_NAME)
    config = await saved_automation(browser)
    area = {"area_id": "focus_room"}
    assert config["triggers"] == [
        {"trigger": "ochno.laptop_plugged_in", "target": area, "options": {}}
    ]
    assert config["conditions"] == [
        {
            "condition": "ochno.room_in_use",
            "target": area,
            "options": {"behavior": "any", "for": "00:00:00"},
        }
    ]
    await press_in_simulator(browser, "Plug in, port 2, Focus room")
    await browser.page.get_by_role("button", name="Notifications").click()
    await browser.expect_text("Somebody came")


async def test_automation_with_floor_and_for_runs_when_room_is_free(browser: Browser) -> None:
    await browser.page.evaluate(
        f"""async () => {{
            const hass = {HOME_ASSISTANT};
            await hass.callWS({{type: "config/floor_registry/create", name: "Second floor"}});
            for (const area_id of ["boardroom", "focus_room"])
                await hass.callWS(
                    {{type: "config/area_registry/update", area_id, floor_id: "second_floor"}});
        }}"""
    )
    await browser.open("/config/automation/edit/new")
    await add_by_type(browser, "Add trigger", "Room became free", "Second floor")
    # The editor adds the behavior when it knows the entities of the target.
    await browser.expect_text("Triggers once for every target that changes")
    seconds = browser.page.get_by_role("spinbutton", name="ss")
    await seconds.fill("2")
    await seconds.press("Tab")
    await expect(seconds).to_have_value("02")
    await browser.take_screenshots("room-became-free")
    await add_by_target(browser, "Add condition", "Focus room", "Room is free")
    await browser.take_screenshots("room-is-free")
    await add_notification_and_save(browser, "{{ trigger.area }} is free", "Room is free")
    config = await saved_automation(browser)
    assert config["triggers"] == [
        {
            "trigger": "ochno.room_free",
            "target": {"floor_id": "second_floor"},
            "options": {"behavior": "each", "for": {"hours": 0, "minutes": 0, "seconds": 2}},
        }
    ]
    assert config["conditions"] == [
        {
            "condition": "ochno.room_free",
            "target": {"area_id": "focus_room"},
            "options": {"behavior": "any", "for": "00:00:00"},
        }
    ]
    await press_in_simulator(browser, "Unplug, port 2, Focus room")
    await browser.page.get_by_role("button", name="Notifications").click()
    await browser.expect_text("Focus room is free")


async def test_trigger_excluded_port_does_not_fire(browser: Browser) -> None:
    if await browser.page.evaluate(f"{HOME_ASSISTANT}.config.version") < "2026.11":
        pytest.skip("This release does not support excluded targets")
    save = f"it => {HOME_ASSISTANT}.callApi('POST', 'config/automation/config/excluding', it)"
    await browser.page.evaluate(save, AUTOMATION_WITH_EXCLUDED_PORT)
    await open_device(browser, "Workshop")
    for port in (3, 4):
        await press_in_simulator(browser, f"Plug in, port {port}, Workshop")
        await browser.expect_state(f"Port {port} connected", "Plugged in")
    await browser.page.get_by_role("button", name="Notifications").click()
    await browser.expect_text("Somebody at port 4")
    await expect(browser.page.get_by_text("Somebody at port 3")).to_have_count(0)


async def test_port_switch_turned_on_activates_port(browser: Browser) -> None:
    await browser.page.request.post(f"{browser.environment.simulator_url}/simulator/expire")
    await open_device(browser, "Focus room")
    await browser.entity_switch("Port 3").press("Space")
    await expect_in_simulator(browser, "Focus room", "Active: port 3")
    await press_in_simulator(browser, "Press, button of port 1, Focus room")
    await expect(browser.entity_switch("Port 1")).to_be_checked()
    [renewed_tokens] = (browser.environment.folder / ".storage").glob("ochno.*.token")
    assert S_IMODE(renewed_tokens.stat().st_mode) == 0o600


async def test_device_page_ten_ports_fit_the_screen(browser: Browser) -> None:
    await open_device(browser, LONG_NAME)
    await expect(browser.entity_row("Port 10 connected")).to_be_visible()
    await browser.take_screenshots("ten-ports")


async def add_dashboard(browser: Browser, button: str, name: str, create: str) -> None:
    """Add the generated dashboard in the settings, and open it."""
    await browser.open("/config/lovelace/dashboards")
    await browser.click_button(button)
    await browser.page.locator("dashboard-card", has_text=name).click()
    form = browser.page.locator("dialog-lovelace-dashboard-detail")
    await expect(form.get_by_role("textbox").first).to_have_value(name)
    await browser.page.get_by_role("button", name=create, exact=True).last.click()
    await browser.page.locator("ha-sidebar").get_by_role("link", name=name).click()
    await browser.page.wait_for_url("**/rooms")


def related_errors(browser: Browser, start: int) -> list[str]:
    """Return the console errors since `start` that a page can cause by itself."""
    return [error for error in browser.errors[start:] if not UNRELATED_ERRORS.search(error)]


async def open_view(browser: Browser, path: str, text: str) -> None:
    """Open another view of the dashboard, and wait until it is shown without an error."""
    url = browser.page.url.rpartition("/")[0].removeprefix(browser.environment.home_assistant_url)
    await browser.open(f"{url}/{path}")
    await expect(browser.page.locator("hui-view").get_by_text(text).first).to_be_visible()
    await expect(browser.page.locator("hui-error-card, hui-warning, ha-alert")).to_have_count(0)


async def test_dashboard_added_from_dialog_opens_room_that_switches_port(browser: Browser) -> None:
    start = len(browser.errors)
    await add_dashboard(browser, "Add dashboard", "Meeting rooms", "Create")
    await browser.page.get_by_role("button", name="Focus room").click()
    await browser.expect_text("Switch the screen to")
    tiles = browser.page.locator("hui-tile-card", has_text=re.compile(r"^\s*Port 3\s*Unplugged"))
    await tiles.filter(visible=True).get_by_role("button").first.press("Enter")
    active_port = browser.page.locator("hui-tile-card", has_text="Active port")
    await expect(active_port).to_contain_text("Port 3")
    # Home Assistant shows the port before the hub switched.
    await expect_in_simulator(browser, "Focus room", "Active: port 3")
    await press_in_simulator(browser, "Press, button of port 1, Focus room")
    await expect(active_port).to_contain_text("Port 1")
    assert related_errors(browser, start) == []


async def test_dashboard_views_fit_the_screen_without_errors(browser: Browser) -> None:
    start = len(browser.errors)
    for path, text in (
        ("rooms", "Focus room"),
        ("room-focus_room", "Last 24 hours"),
        ("usage", "hours in use"),
        ("hubs", "Firmware"),
    ):
        await open_view(browser, path, text)
        await browser.take_screenshots(f"dashboard-{path}")
    assert related_errors(browser, start) == []


async def test_dashboard_in_swedish_is_swedish(browser: Browser) -> None:
    save = (
        f"it => {HOME_ASSISTANT}.callWS("
        "{type: 'frontend/set_user_data', key: 'language', value: {language: it}})"
    )
    start = len(browser.errors)
    await browser.page.evaluate(save, "sv")
    await add_dashboard(browser, "Lägg till kontrollpanel", "Mötesrum", "Skapa")
    for path, text in (
        ("rooms", "Focus room"),
        ("room-focus_room", "Senaste 24 timmarna"),
        ("usage", "Ingen användningstid"),
        ("hubs", "firmware"),
    ):
        await open_view(browser, path, text)
        await browser.take_screenshots(f"dashboard-swedish-{path}")
    await browser.page.evaluate(save, "en")
    assert related_errors(browser, start) == []


async def test_simulator_page_light_and_dark_is_accessible(browser: Browser) -> None:
    room = await browser.page.context.new_page()
    await room.goto(browser.environment.simulator_url)
    await expect(room.get_by_role("article", name="Focus room")).to_be_visible()
    await browser.check_accessibility(room)
    await browser.take_screenshots("simulator", room)
    await room.close()


async def test_reauth_flow_access_revoked_restores_updates(browser: Browser) -> None:
    await open_device(browser, "Focus room")
    await browser.page.request.post(f"{browser.environment.simulator_url}/simulator/revoke")
    await browser.entity_switch("Port 3").press("Space")
    await browser.expect_text(
        "Ochno Operated no longer accepts the sign-in. "
        "Sign in again when Home Assistant asks you to."
    )
    await open_integration(browser)
    await browser.click_button("Reconfigure")
    await browser.expect_text("no longer accepts the sign-in for Example Organisation")
    window = await browser.open_sign_in()
    await submit_decision(window, "Approve")
    await browser.expect_text("Re-authentication was successful")
    await open_device(browser, "Focus room")
    await press_in_simulator(browser, "Plug in, port 4, Focus room")
    await browser.expect_state("Port 4 connected", "Plugged in")


async def test_user_flow_linked_account_renews_its_sign_in(browser: Browser) -> None:
    await browser.page.request.post(f"{browser.environment.simulator_url}/simulator/revoke")
    await start_user_flow(browser)
    await fill_in_form(browser, "Read and control")
    window = await browser.open_sign_in()
    await window.get_by_role("radio", name="Example Organisation").check()
    await submit_decision(window, "Approve")
    await browser.expect_text("Example Organisation is already set up")
    await browser.take_screenshots("linked-already")
    await browser.click_button("Close")
    await open_device(browser, "Focus room")
    await press_in_simulator(browser, "Unplug, port 4, Focus room")
    await browser.expect_state("Port 4 connected", "Unplugged")


async def choose_from_account_menu(browser: Browser, item: str) -> None:
    await open_integration(browser)
    # The first menu belongs to the page, the second one to the account.
    await browser.page.get_by_role("button", name="Menu").nth(1).click()
    items = browser.page.get_by_role("menuitem", name=item).locator("visible=true")
    await items.first.click()


async def test_reconfigure_flow_read_only_removes_switches(browser: Browser) -> None:
    await choose_from_account_menu(browser, "Reconfigure")
    await browser.expect_text("Ochno Operated account")
    await browser.page.get_by_role("radio", name="Read only").click()
    window = await browser.open_sign_in()
    await submit_decision(window, "Approve")
    await browser.expect_text(re.compile("Re-?configuration was successful"))
    await open_device(browser, "Focus room")
    await press_in_simulator(browser, "Press, button of port 1, Focus room")
    await browser.expect_state("Port 1 active", "On")
    await expect(browser.page.get_by_role("switch")).to_have_count(0)


async def test_integration_deleted_leaves_no_devices_entities_or_files(browser: Browser) -> None:
    await choose_from_account_menu(browser, "Delete")
    await browser.page.get_by_role("button", name="Delete", exact=True).last.click()
    await expect(browser.page.get_by_text("No entries")).to_be_visible()
    for page in ("devices/dashboard", "entities"):
        await browser.open(f"/config/{page}")
        # This entry of Home Assistant shows that the list is loaded.
        await expect(browser.page.get_by_role("row", name="Backup").first).to_be_visible()
        await expect(browser.page.get_by_role("row", name=INTEGRATION_NAME)).to_have_count(0)
    assert not list((browser.environment.folder / ".storage").glob("ochno*"))


async def test_console_and_log_whole_journey_contain_no_errors(browser: Browser) -> None:
    assert [error for error in browser.errors if INTEGRATION_NAME.search(error)] == []
    log = browser.environment.log.read_text()
    problems = re.findall(r"^.* (?:ERROR|WARNING) .*$", log, re.MULTILINE)
    assert [
        line
        for line in problems
        if INTEGRATION_NAME.search(line) and not EXPECTED_LOG_MESSAGES.search(line)
    ] == []
