"""Tests of the account identity: by the account's id, the user's id or the hubs."""

import asyncio
from unittest.mock import patch

import pytest

from homeassistant.config_entries import ConfigEntry

from .home import HUBS_PATH, TOKEN_PATH, Home, Step
from .oauth import HeldResponse, stored_token
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


async def test_reconfigure_during_refresh_keeps_tokens_of_new_sign_in(home: Home) -> None:
    home.simulator.settings.token_lifetime = 100
    await home.link_account()
    held = HeldResponse()
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    home.fire_time_changed(100)
    await held.received.wait()
    old_token = stored_token(home)
    reconfigure = asyncio.create_task(reconfigure_during_poll(home))
    for _ in range(300):
        await asyncio.sleep(0)
    held.release.set()
    step = await reconfigure
    await home.wait_until_idle()
    assert step["reason"] == "reconfigure_successful"
    assert stored_token(home)["access_token"] != old_token["access_token"]
    # The simulator rejects a refresh token that has been replaced.
    await home.poll(5)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.hass.config_entries.flow.async_progress() == []


async def reconfigure_during_poll(home: Home) -> Step:
    """Complete the reconfigure flow without waiting for the poll that is held."""
    with patch.object(home, "wait_until_idle"):
        return await home.run_reconfigure_flow()
