"""Tests of the account identity: by the account's id, the user's id or the hubs."""

import pytest

from homeassistant.config_entries import ConfigEntry

from .home import HUBS_PATH, Home
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
