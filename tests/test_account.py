"""Tests of the account identity: by the account's id, the user's id or the hubs."""

from pathlib import Path

import pytest

from homeassistant.config_entries import ConfigEntry

from .home import HUBS_PATH, Home
from .https_proxy import HttpsProxy
from .simulator import Fault

ACCOUNTS_PATH = "/api/accounts/v1"
USER_PATH = "/identity/oauth/v2/userinfo"


@pytest.fixture
async def user_entry(home: Home) -> ConfigEntry:
    """Link an account whose id is unknown, so that the entry has the id of the user."""
    home.simulator.add_fault("GET", ACCOUNTS_PATH, Fault.status(404), times=None)
    return await home.link_account()


async def test_reconfigure_entry_with_user_id_and_other_account_aborts(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    step = await home.run_reconfigure_flow("Second Organisation")
    assert step["reason"] == "wrong_account"


async def test_reconfigure_entry_with_user_id_recognises_account_by_its_hubs(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_user_flow_account_linked_with_user_id_aborts_as_already_configured(
    home: Home, user_entry: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["reason"] == "already_configured"


async def test_reconfigure_account_and_user_unknown_recognises_account_by_its_hubs(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS_PATH, USER_PATH):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_reconfigure_account_and_user_unknown_without_hubs_aborts_as_unknown(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS_PATH, USER_PATH):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "account_unknown"


async def test_session_cookie_of_one_account_is_not_sent_for_another(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.simulator.settings.session_cookie = True
    # A host name, because aiohttp stores no cookies for IP addresses.
    async with HttpsProxy(home.simulator.port, tmp_path, monkeypatch) as proxy:
        await home.add_credentials()
        for account in ("Example Organisation", "Second Organisation"):
            step = await home.submit_form(await home.start_flow(), server=proxy.url, access="read")
            authorize_url = step["url"].replace(proxy.url, home.simulator.url)
            location = await home.simulator.approve(authorize_url, account)
            step = await home.follow_redirect(step, location)
            assert (step["type"], step["title"]) == ("create_entry", account)
        await home.poll(2)
        assert home.state("sensor", "Boardroom", "active_port") == "1"
        assert home.state("sensor", "Elsewhere", "active_port") == "none"
        for entry in home.hass.config_entries.async_entries("ochno"):
            await home.hass.config_entries.async_unload(entry.entry_id)
    assert [one.path for one in home.simulator.requests if "Cookie" in one.headers] == []
