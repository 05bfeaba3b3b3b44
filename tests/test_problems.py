"""Tests of the repair issues and the system health information."""

import asyncio
import json
from pathlib import Path
import re

from aiohttp import web
import pytest

from custom_components.ochno.problems import async_create_issue
from homeassistant.components.system_health import get_info
from homeassistant.config_entries import ConfigEntry, ConfigEntryDisabler, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import issue_registry as ir

from .home import HUBS_PATH, SUBSCRIPTIONS_PATH, Home
from .oauth import HeldResponse
from .simulator import Fault

HOUR = 3600
ROOT = Path(__file__).parents[1]
USER_GUIDE = "https://github.com/ha-ochno/ha-ochno/blob/main/docs/troubleshooting.md"
ISSUES = json.loads((ROOT / "custom_components/ochno/translations/en.json").read_text())["issues"]
LIST_WITH_INVALID_HUB = '[{"id": "1", "data": {"state": {"active": 1}}}, {"id": null}]'


def issue_keys(hass: HomeAssistant) -> set[str | None]:
    """Return the translation keys of the integration's repair issues."""
    return {
        issue.translation_key
        for (domain, _), issue in ir.async_get(hass).issues.items()
        if domain == "ochno"
    }


def user_guide_sections() -> set[str]:
    """Return the anchors that GitHub creates for the headings of the user guide."""
    text = (ROOT / "docs/troubleshooting.md").read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


async def test_scope_issue_exists_from_forbidden_poll_until_next_successful_poll(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(403))
    await home.poll()
    assert issue_keys(hass) == {"scope_missing"}
    await home.poll()
    assert issue_keys(hass) == set()


async def test_control_scope_issue_exists_from_forbidden_command_until_next_successful_command(
    hass: HomeAssistant, home: Home
) -> None:
    await home.link_account(access="control")
    path = f"{HUBS_PATH}/{home.simulator.hub('Boardroom').id}/state"
    home.simulator.add_fault("PUT", path, Fault.status(403))
    with pytest.raises(HomeAssistantError):
        await home.call_action("select", "select_option", "Boardroom", "active_port", option="1")
    assert issue_keys(hass) == {"control_scope_missing"}
    await home.call_action("select", "select_option", "Boardroom", "active_port", option="1")
    assert issue_keys(hass) == set()


@pytest.mark.parametrize("key", ISSUES)
async def test_issue_links_to_its_section_of_the_user_guide(
    hass: HomeAssistant, entry: ConfigEntry, key: str
) -> None:
    async_create_issue(hass, entry, key)
    issue = ir.async_get(hass).async_get_issue("ochno", f"{key}_{entry.entry_id}")
    assert issue is not None
    section = key.replace("_", "-")
    assert issue.learn_more_url == f"{USER_GUIDE}#{section}"
    assert section in user_guide_sections()


async def test_user_form_links_to_section_of_the_user_guide(home: Home) -> None:
    await home.add_credentials()
    step = await home.start_flow()
    page, _, section = step["description_placeholders"]["help_url"].partition("#")
    assert page == USER_GUIDE
    assert section in user_guide_sections()


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("removed", [False, True], ids=["unloaded", "removed"])
async def test_command_rejected_after_entry_is_gone_creates_no_issue(
    hass: HomeAssistant, home: Home, status: int, removed: bool
) -> None:
    entry = await home.link_account(access="control")
    path = f"{HUBS_PATH}/{home.simulator.hub('Boardroom').id}/state"
    held = HeldResponse(web.Response(status=status))
    home.simulator.add_fault("PUT", path, held.fault)
    home.simulator.add_fault("PUT", path, Fault.status(status))
    command = asyncio.create_task(
        home.call_action("select", "select_option", "Boardroom", "active_port", option="2")
    )
    await held.received.wait()
    if removed:
        await hass.config_entries.async_remove(entry.entry_id)
    else:
        await hass.config_entries.async_unload(entry.entry_id)
    held.release.set()
    with pytest.raises(HomeAssistantError):
        await command
    await home.wait_until_idle()
    assert issue_keys(hass) == set()
    data = {key: value for key, value in hass.data.items() if str(key).startswith("ochno_rejected")}
    assert entry.entry_id not in repr(data)
    assert home.flow_sources == []


@pytest.mark.parametrize(
    "body", ['{"errors": []}', LIST_WITH_INVALID_HUB], ids=["no list", "list with invalid hub"]
)
async def test_response_issue_exists_after_a_day_of_invalid_responses_until_next_valid_response(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, body: str
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(body), times=None)
    await home.poll()
    await hass.config_entries.async_reload(entry.entry_id)
    await home.advance_time(23 * HOUR)
    assert issue_keys(hass) == set()
    await home.advance_time(2 * HOUR)
    assert issue_keys(hass) == {"answer_not_understood"}
    home.simulator.clear_faults()
    await home.advance_time(HOUR)
    assert issue_keys(hass) == set()


async def test_push_issue_exists_after_hours_of_refused_subscriptions_until_next_subscription(
    hass: HomeAssistant, home: Home
) -> None:
    await home.set_external_url()
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, Fault.status(403), times=None)
    await home.link_account()
    await home.advance_time(HOUR)
    assert issue_keys(hass) == set()
    for _ in range(60):
        await home.advance_time(HOUR / 6)
    assert issue_keys(hass) == {"push_refused"}
    home.simulator.clear_faults()
    await home.advance_time(7 * HOUR)
    assert issue_keys(hass) == set()


async def test_issues_after_reload_exist_until_entry_is_removed(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(403), times=None)
    await home.poll()
    await hass.config_entries.async_reload(entry.entry_id)
    assert issue_keys(hass) == {"scope_missing"}
    await hass.config_entries.async_remove(entry.entry_id)
    assert issue_keys(hass) == set()


@pytest.mark.parametrize("reloaded", [False, True], ids=["loaded", "not set up"])
async def test_issue_exists_until_entry_is_disabled(
    hass: HomeAssistant, home: Home, entry: ConfigEntry, reloaded: bool
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(403), times=None)
    await home.poll()
    if reloaded:
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
    assert issue_keys(hass) == {"scope_missing"}
    await hass.config_entries.async_set_disabled_by(entry.entry_id, ConfigEntryDisabler.USER)
    await home.poll()
    assert issue_keys(hass) == set()


async def test_system_health_has_server_instant_updates_and_last_poll(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    info = (await get_info(hass))["ochno"]
    assert info["server_reachable"] == "ok"
    assert info["instant_updates"] == "no_url"
    assert info["last_poll"] is not None


async def test_system_health_with_unreachable_server_shows_unreachable(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    data = {**entry.data, "server": "http://127.0.0.1:1"}
    hass.config_entries.async_update_entry(entry, data=data)
    assert (await get_info(hass))["ochno"]["server_reachable"] == "Failed: unreachable"
