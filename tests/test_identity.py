"""Whose account it is: known by its id, by the user's, or by its hubs."""

import asyncio
from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from homeassistant.config_entries import ConfigEntry

from .home import HUBS_PATH, TOKEN_PATH, Home, Step
from .simulator import Fault
from .oauth import HeldResponse

ACCOUNTS = "/api/accounts/v1"
USER = "/identity/oauth/v2/userinfo"


@pytest.fixture
async def by_user(home: Home) -> ConfigEntry:
    """Link an account whose id the API does not tell."""
    home.simulator.add_fault("GET", ACCOUNTS, Fault.status(404), times=None)
    return await home.link_account()


async def test_entry_known_by_its_user_does_not_take_another_organisation(
    home: Home, by_user: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    step = await home.run_reconfigure_flow("Second Organisation")
    assert step["reason"] == "wrong_account"


async def test_entry_known_by_its_user_is_known_by_its_hubs(
    home: Home, by_user: ConfigEntry
) -> None:
    home.simulator.clear_faults()
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_account_is_not_linked_twice_under_two_ids(home: Home, by_user: ConfigEntry) -> None:
    home.simulator.clear_faults()
    assert (await home.run_user_flow())["reason"] == "already_configured"


async def test_account_that_is_not_told_is_known_by_its_hubs(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS, USER):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "reconfigure_successful"


async def test_account_that_nothing_tells_is_not_called_the_wrong_one(
    home: Home, entry: ConfigEntry
) -> None:
    for path in (ACCOUNTS, USER):
        home.simulator.add_fault("GET", path, Fault.status(404), times=None)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body("[]"), times=None)
    assert (await home.run_reconfigure_flow())["reason"] == "account_unknown"


async def test_refresh_under_way_does_not_overwrite_a_new_sign_in(home: Home) -> None:
    home.simulator.settings.token_lifetime = 100
    entry = await home.link_account()
    held = HeldResponse()
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    assert home.freezer is not None
    home.freezer.tick(100)
    async_fire_time_changed(home.hass)
    await held.received.wait()
    token: dict[str, Any] = entry.data["token"]
    signing_in = asyncio.create_task(reconfigure_without_settling(home))
    for _ in range(300):
        await asyncio.sleep(0)
    held.release.set()
    step = await signing_in
    await home.wait_until_idle()
    assert step["reason"] == "reconfigure_successful"
    assert entry.data["token"]["access_token"] != token["access_token"]
    # The strict simulator refuses a refresh token that was replaced.
    await home.poll(5)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.hass.config_entries.flow.async_progress() == []


async def reconfigure_without_settling(home: Home) -> Step:
    """Reconfigure while a poll hangs, for which nobody should wait."""
    settle, home.wait_until_idle = home.wait_until_idle, lambda: asyncio.sleep(0)  # type: ignore[method-assign]
    try:
        return await home.run_reconfigure_flow()
    finally:
        home.wait_until_idle = settle  # type: ignore[method-assign]
