"""Tests of the storage files on disk: failed writes, unusable files, backups and shutdown."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
import json
import logging
from pathlib import Path
import threading
from typing import Any
from unittest.mock import patch

import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.util.file import WriteError, write_utf8_file_atomic

from .home import TOKEN_PATH, Home
from .oauth import (
    TOKEN_LIFETIME,
    HeldResponse,
    poll_until_refresh,
    port_1_connected,
    refreshes,
    sign_in_again,
    stored_token,
)
from .simulator import Simulator

WRITE = "homeassistant.helpers.storage.write_utf8_file_atomic"


@pytest.fixture
def hass_storage() -> dict[str, Any]:
    """Replace the storage in memory by files in the configuration folder."""
    return {}


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account; return its config entry, which has both storage files."""
    entry = await home.link_account()
    await home.advance_time(TOKEN_LIFETIME)
    assert len(refreshes(home)) == 1
    return entry


def token_file(home: Home) -> Path:
    """Return the path of the token file."""
    return Path(home.hass.config.path(".storage", f"ochno.{home.entry.entry_id}.token"))


def push_file(home: Home) -> Path:
    """Return the path of the file with the webhook subscription."""
    return Path(home.hass.config.path(".storage", f"ochno.{home.entry.entry_id}"))


def entry_files(hass: HomeAssistant, entry: ConfigEntry) -> list[str]:
    """Return the names of the storage files that belong to an entry."""
    files = Path(hass.config.path(".storage")).glob(f"*{entry.entry_id}*")
    return [file.name for file in files]


def replace_file(path: Path, content: str | None) -> None:
    """Replace a file by a file with this content, or by a directory."""
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)


def read_token_file(home: Home) -> dict[str, Any]:
    """Return the tokens in the token file."""
    token: dict[str, Any] = json.loads(token_file(home).read_text())["data"]
    return token


@contextmanager
def failing_writes() -> Iterator[None]:
    """Let all atomic writes of storage files fail, as if the disk were full."""
    with patch(WRITE, side_effect=WriteError("No space left on device")):
        yield


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings and errors of the integration."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name.startswith("custom_components.ochno") and record.levelno >= logging.WARNING
    ]


async def restart(home: Home, entry_data: dict[str, Any], file: str | None = None) -> None:
    """Set up the entry with this content of the entry and, if given, of the token file."""
    entry = home.entry
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.hass.config_entries.async_update_entry(entry, data=entry_data)
    if file is not None:
        token_file(home).write_text(file)
    home.simulator.requests.clear()
    await home.hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()


async def assert_tokens_last(home: Home) -> None:
    """Assert that the entry works, and still works after the next refresh and a reload."""
    assert port_1_connected(home) == "on"
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    await home.hass.config_entries.async_reload(home.entry.entry_id)
    await home.wait_until_idle()
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_storage_files_are_private_and_written_atomically(
    home: Home,
) -> None:
    with patch(WRITE, side_effect=write_utf8_file_atomic) as write:
        await home.link_account()
        await home.advance_time(TOKEN_LIFETIME)
    written = {Path(call.args[0]) for call in write.call_args_list}
    assert {token_file(home), push_file(home)} <= written
    for path in (token_file(home), push_file(home)):
        assert path.stat().st_mode & 0o777 == 0o600
    assert read_token_file(home) == stored_token(home)


async def test_failed_token_write_and_reload_uses_newer_tokens_of_entry(
    home: Home, entry: ConfigEntry
) -> None:
    file = read_token_file(home)
    with failing_writes():
        await home.advance_time(TOKEN_LIFETIME)
    newest_token = stored_token(home)
    assert read_token_file(home) == file != newest_token
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert stored_token(home) == newest_token
    await assert_tokens_last(home)
    assert read_token_file(home) == stored_token(home)


async def test_all_token_writes_fail_entry_keeps_working_and_sign_ins_last(
    home: Home, entry: ConfigEntry
) -> None:
    file = read_token_file(home)
    with failing_writes():
        await assert_tokens_last(home)
        for _ in range(2):
            home.simulator.revoke_access()
            await home.poll(5)
            assert home.flow_sources == ["reauth"]
            assert (await sign_in_again(home))["reason"] == "reauth_successful"
            await assert_tokens_last(home)
    assert read_token_file(home) == file
    await assert_tokens_last(home)
    assert read_token_file(home) == stored_token(home)


def stored(**data: object) -> str:
    """Return the content of a storage file."""
    return json.dumps({"version": 1, "minor_version": 1, "key": "ochno", "data": data})


UNUSABLE_FILES = {
    "directory": None,
    "null": "null",
    "empty object": "{}",
    "newer version": json.dumps({"version": 99, "minor_version": 1, "key": "ochno", "data": {}}),
    "no version": json.dumps({"data": {}}),
    "no data": json.dumps({"version": 1}),
    "data is null": json.dumps({"version": 1, "data": None}),
    "data is a list": json.dumps({"version": 1, "data": []}),
    "missing keys": stored(access_token="lost", generation=99),
    "webhook id is a number": stored(webhook_id=1, subscription_id=None, generation=99),
    "subscription id is a number": stored(webhook_id="a" * 64, subscription_id=1),
}


@pytest.mark.parametrize("content", UNUSABLE_FILES.values(), ids=UNUSABLE_FILES.keys())
@pytest.mark.parametrize("file", [token_file, push_file], ids=["token file", "push file"])
async def test_unusable_storage_file_is_logged_once_and_entry_works(
    home: Home,
    entry: ConfigEntry,
    caplog: pytest.LogCaptureFixture,
    file: Callable[[Home], Path],
    content: str | None,
) -> None:
    token = stored_token(home)
    await home.hass.config_entries.async_unload(entry.entry_id)
    path = file(home)
    replace_file(path, content)
    caplog.clear()
    home.simulator.requests.clear()
    await home.hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert entry.state is ConfigEntryState.LOADED
    assert stored_token(home) == token
    assert refreshes(home) == []
    # Home Assistant reads these files as if they were missing.
    missing = content in (UNUSABLE_FILES["empty object"], UNUSABLE_FILES["data is null"])
    assert len(warnings(caplog)) == (0 if missing else 1)
    assert "Error setting up" not in caplog.text
    await assert_tokens_last(home)
    caplog.clear()
    assert await home.hass.config_entries.async_remove(entry.entry_id)
    assert "Error calling entry remove callback" not in caplog.text
    # Home Assistant cannot delete the directory.
    assert entry_files(home.hass, entry) == ([path.name] if content is None else [])


async def test_entry_from_backup_and_newer_token_file_uses_file(
    home: Home, entry: ConfigEntry
) -> None:
    backup = dict(entry.data)
    for _ in range(2):
        await home.advance_time(TOKEN_LIFETIME)
    newest_token = stored_token(home)
    await restart(home, backup)
    assert stored_token(home) == newest_token
    assert refreshes(home) == []
    await assert_tokens_last(home)


async def test_token_file_from_backup_and_newer_entry_uses_entry(
    home: Home, entry: ConfigEntry
) -> None:
    backup = token_file(home).read_text()
    for _ in range(2):
        await home.advance_time(TOKEN_LIFETIME)
    newest_token = stored_token(home)
    await restart(home, dict(entry.data), backup)
    assert stored_token(home) == newest_token
    assert refreshes(home) == []
    await assert_tokens_last(home)


async def test_entry_and_token_file_from_backup_start_reauth_only_after_refusal(
    home: Home, entry: ConfigEntry
) -> None:
    backup, file = dict(entry.data), token_file(home).read_text()
    await home.advance_time(TOKEN_LIFETIME)
    await restart(home, backup, file)
    assert [form["refresh_token"] for form in refreshes(home)] == [backup["token"]["refresh_token"]]
    assert home.flow_sources == ["reauth"]
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    await assert_tokens_last(home)


# Change of server


@pytest.fixture
async def other_server(home: Home) -> AsyncIterator[Simulator]:
    """Return a second server. It has accounts and hubs with the same ids."""
    async with Simulator() as simulator:
        yield simulator
        await home.hass.config_entries.async_unload(home.entry.entry_id)
    home.leak_detector.record_simulator(simulator)


async def change_server(home: Home, other_server: Simulator) -> None:
    """Complete the reconfigure flow for another server."""
    step = await home.submit_form(
        await home.start_flow(entry_id=home.entry.entry_id), server=other_server.url, access="read"
    )
    step = await home.follow_redirect(step, await other_server.approve(step["url"]))
    assert step["reason"] == "reconfigure_successful"


def sent_tokens(simulator: Simulator) -> set[str]:
    """Return the tokens that a server received from Home Assistant."""
    secrets = {secret for request in simulator.requests for secret in request.secrets()}
    return {secret for secret in secrets if secret.startswith(("at-", "rt-"))}


async def test_kill_between_token_file_and_entry_during_change_of_server_keeps_previous_server(
    home: Home, entry: ConfigEntry, other_server: Simulator
) -> None:
    previous_data = dict(entry.data)
    await change_server(home, other_server)
    other_server.requests.clear()
    await restart(home, previous_data)
    assert entry.state is ConfigEntryState.LOADED
    assert refreshes(home) == []
    await assert_tokens_last(home)
    assert other_server.requests == []
    assert sent_tokens(home.simulator).isdisjoint(other_server.secrets())


async def test_newer_token_file_of_previous_server_after_change_of_server_is_not_used(
    home: Home, entry: ConfigEntry, other_server: Simulator
) -> None:
    previous_token = read_token_file(home)
    await change_server(home, other_server)
    new_token = stored_token(home)
    home.simulator.requests.clear()
    await restart(home, dict(entry.data), stored(**previous_token | {"generation": 99}))
    assert stored_token(home) == new_token
    await assert_tokens_last(home)
    assert home.simulator.requests == []
    assert sent_tokens(other_server).isdisjoint(home.simulator.secrets())


async def test_newer_token_file_of_other_credentials_is_not_used(
    home: Home, entry: ConfigEntry
) -> None:
    token = stored_token(home)
    file = stored(**token | {"generation": 99, "client_id": "previous", "access_token": "previous"})
    await restart(home, dict(entry.data), file)
    assert stored_token(home) == token
    await assert_tokens_last(home)


# Shutdown and removal


async def test_stop_during_refresh_waits_and_writes_the_new_tokens(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    held = HeldResponse()
    await poll_until_refresh(home, held)
    token = read_token_file(home)
    stop = asyncio.create_task(hass.async_stop())
    await home.wait_until(lambda: hass.is_stopping)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not stop.done()
    held.release.set()
    await stop
    assert read_token_file(home)["generation"] == token["generation"] + 1
    assert read_token_file(home) == stored_token(home)


async def test_stop_during_refresh_after_unload_waits_and_writes_the_new_tokens(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    held = HeldResponse()
    await poll_until_refresh(home, held)
    token = read_token_file(home)
    await hass.config_entries.async_unload(entry.entry_id)
    stop = asyncio.create_task(hass.async_stop())
    await home.wait_until(lambda: hass.is_stopping)
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not stop.done()
    held.release.set()
    await stop
    assert read_token_file(home)["generation"] == token["generation"] + 1


async def test_refresh_leaves_no_listener(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    listeners = dict(hass.bus.async_listeners())
    await home.advance_time(TOKEN_LIFETIME)
    assert len(refreshes(home)) == 2
    assert dict(hass.bus.async_listeners()) == listeners


async def test_entry_removed_while_tokens_are_written_leaves_no_file(
    hass: HomeAssistant, home: Home, entry: ConfigEntry
) -> None:
    started, removed = asyncio.Event(), threading.Event()

    def write(*args: Any, **kwargs: Any) -> None:
        hass.loop.call_soon_threadsafe(started.set)
        removed.wait()
        write_utf8_file_atomic(*args, **kwargs)

    path = token_file(home)
    with patch(WRITE, side_effect=write):
        home.fire_time_changed(TOKEN_LIFETIME)
        await started.wait()
        await hass.config_entries.async_remove(entry.entry_id)
        removed.set()
        await home.wait_until_idle()
    assert not path.exists()


async def test_command_waiting_for_refresh_when_entry_is_removed_raises_connection_error(
    hass: HomeAssistant, home: Home
) -> None:
    entry = await home.link_account(access="control")
    home.simulator.expire_access_tokens()
    held = HeldResponse()
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    command = asyncio.create_task(
        home.call_action("select", "select_option", "Boardroom", "active_port", option="2")
    )
    await held.received.wait()
    await hass.config_entries.async_remove(entry.entry_id)
    held.release.set()
    with pytest.raises(HomeAssistantError, match="could not be reached"):
        await command
    assert entry_files(hass, entry) == []
