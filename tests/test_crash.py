"""Tokens that Home Assistant had no time to write before it was killed."""

from datetime import timedelta
from typing import Any

from homeassistant.config_entries import ConfigEntry, ConfigEntryState

from .home import Home
from .test_oauth import LIFETIME, Held, poll_until, port_1, refreshes, sign_in_again, token


def kept(storage: dict[str, Any], entry: ConfigEntry) -> list[str]:
    """Return the names of the files that are there for an entry alone."""
    return [name for name in storage if entry.entry_id in name]


async def come_back_with(home: Home, written: dict[str, Any]) -> None:
    """Let Home Assistant come back with the tokens that it had written when it was killed."""
    entry = home.entry
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.hass.config_entries.async_update_entry(entry, data={**entry.data, "token": written})
    await home.hass.config_entries.async_setup(entry.entry_id)


async def test_tokens_renewed_just_before_home_assistant_was_killed_are_still_there(
    home: Home, entry: ConfigEntry
) -> None:
    written = token(home)
    for _ in range(2):
        await home.advance_time(LIFETIME)
    newest = token(home)
    await come_back_with(home, written)
    assert entry.state is ConfigEntryState.LOADED
    assert token(home) == newest
    assert len(refreshes(home)) == 2
    await home.advance_time(LIFETIME)
    assert port_1(home) == "on"
    assert home.flow_sources == []


async def test_tokens_of_a_new_sign_in_are_newer_than_those_renewed_before(
    home: Home,
) -> None:
    home.simulator.settings.token_lifetime = 600
    entry = await home.link_account()
    await home.advance_time(600)
    assert len(refreshes(home)) == 1
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    signed_in = token(home)
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert token(home) == signed_in
    assert entry.state is ConfigEntryState.LOADED
    assert port_1(home) == "on"
    assert home.flow_sources == []


async def test_new_sign_in_counts_although_the_clock_was_ahead_before(home: Home) -> None:
    assert home.freezer is not None
    home.simulator.settings.token_lifetime = 600
    entry = await home.link_account()
    await home.advance_time(24 * 3600)
    assert len(refreshes(home)) == 1
    home.freezer.tick(timedelta(hours=-23))
    home.simulator.revoke_access()
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert home.flow_sources == ["reauth"]
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    assert entry.state is ConfigEntryState.LOADED
    assert port_1(home) == "on"
    assert home.flow_sources == []


async def test_sign_in_just_before_home_assistant_was_killed_is_still_there(home: Home) -> None:
    home.simulator.settings.token_lifetime = 600
    await home.link_account()
    await home.advance_time(600)
    before = token(home)
    assert len(refreshes(home)) == 1
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    signed_in = token(home)
    await come_back_with(home, before)
    assert token(home) == signed_in
    assert home.flow_sources == []


async def test_removed_entry_leaves_no_tokens_behind(
    home: Home, entry: ConfigEntry, hass_storage: dict[str, Any]
) -> None:
    await home.advance_time(LIFETIME)
    newest = token(home)["refresh_token"]
    assert [name for name in kept(hass_storage, entry) if newest in str(hass_storage[name])]
    await home.hass.config_entries.async_remove(entry.entry_id)
    assert kept(hass_storage, entry) == []


async def test_entry_removed_while_its_tokens_are_renewed_leaves_none_behind(
    home: Home, entry: ConfigEntry, hass_storage: dict[str, Any]
) -> None:
    held = Held()
    await poll_until(home, held)
    await home.hass.config_entries.async_remove(entry.entry_id)
    held.release.set()
    await home.wait_until_idle()
    assert kept(hass_storage, entry) == []
