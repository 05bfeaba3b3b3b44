"""Tests of the stored tokens: refresh, concurrent requests, errors, new sign-ins and removal."""

import asyncio
from datetime import timedelta
import gc
import logging
import time
from typing import Any
from unittest.mock import patch

from aiohttp import web
import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState

from .home import HUBS_PATH, TOKEN_PATH, Home, Step
from .oauth import (
    CALLBACK_URL,
    TOKEN_LIFETIME,
    HeldResponse,
    error_response,
    poll_until_refresh,
    port_1_connected,
    refreshes,
    sign_in_again,
    stored_token,
)
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.responses import Handler

MY_CALLBACK_URL = "https://my.home-assistant.io/redirect/oauth"

TEMPORARY_ERRORS = {
    "503": Fault.status(503),
    "reset": Fault.reset(),
    "endless": Fault.huge(50_000_000),
    "403 OAuth2 error": error_response(403, '{"error": "access_denied"}'),
    **{
        f"400 {error}": error_response(400, f'{{"error": "{error}"}}')
        for error in ("temporarily_unavailable", "server_error", "slow_down")
    },
    "400 list": error_response(400, '["invalid_grant"]'),
    "400 other object": error_response(400, '{"blocked": "by policy"}'),
    "list": Fault.body("[]"),
    "data is a list": Fault.body('{"data": []}'),
    "no token": Fault.body("{}"),
    "token is null": Fault.body('{"access_token": null, "refresh_token": "x"}'),
    "token is empty": Fault.body('{"access_token": "", "refresh_token": "x"}'),
    "token with line break": Fault.body('{"access_token": "a\\nb", "refresh_token": "x"}'),
}
REFUSALS = {
    "400 invalid_grant": error_response(400, '{"error": "invalid_grant"}'),
    "401 invalid_client": error_response(
        401, '{"error": "invalid_client", "error_description": "No."}'
    ),
    "400 code and message": error_response(400, '{"code": "bad_request", "message": "No."}'),
    "400 empty": Fault.status(400),
    "401 empty": Fault.status(401),
}


def parametrize_faults(faults: dict[str, Fault]) -> pytest.MarkDecorator:
    """Run a test with each fault."""
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


def storage_keys(hass_storage: dict[str, Any], entry: ConfigEntry) -> list[str]:
    """Return the names of the storage files that belong to an entry."""
    return [key for key in hass_storage if entry.entry_id in key]


async def start_unload_during_refresh(home: Home, held: HeldResponse) -> asyncio.Task[bool]:
    """Start a poll whose refresh is held, then start to unload the entry."""
    await poll_until_refresh(home, held)
    unload = home.hass.async_create_task(home.hass.config_entries.async_unload(home.entry.entry_id))
    for _ in range(20):
        await asyncio.sleep(0)
    return unload


async def reconfigure_during_poll(home: Home) -> Step:
    """Complete the reconfigure flow without waiting for the poll that is held."""
    with patch.object(home, "wait_until_idle"):
        return await home.run_reconfigure_flow()


async def restart_with_token(home: Home, token: dict[str, Any]) -> None:
    """Set up the entry again with an older token, as if Home Assistant had been killed."""
    entry = home.entry
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.hass.config_entries.async_update_entry(entry, data={**entry.data, "token": token})
    await home.hass.config_entries.async_setup(entry.entry_id)


async def test_access_token_is_refreshed_shortly_before_it_expires(
    home: Home, entry: ConfigEntry
) -> None:
    token = stored_token(home)
    await home.advance_time(TOKEN_LIFETIME - 40)
    assert stored_token(home) == token
    await home.poll()
    statuses = [request.status for request in home.simulator.requests if request.path == HUBS_PATH]
    assert statuses == [200, 200, 304, 304]
    assert refreshes(home) == [
        {
            "grant_type": "refresh_token",
            "refresh_token": token["refresh_token"],
            "client_id": "home-assistant",
            "client_secret": "home-assistant-secret",
            "redirect_uri": CALLBACK_URL,
        }
    ]
    assert stored_token(home)["access_token"] != token["access_token"]
    assert stored_token(home)["expires_at"] == pytest.approx(time.time() + TOKEN_LIFETIME, abs=1.5)


async def test_refresh_token_is_replaced_by_each_refresh(home: Home, entry: ConfigEntry) -> None:
    used = []
    for _ in range(3):
        used.append(stored_token(home)["refresh_token"])
        await home.advance_time(TOKEN_LIFETIME)
        assert port_1_connected(home) == "on"
    assert [form["refresh_token"] for form in refreshes(home)] == used
    assert stored_token(home)["refresh_token"] not in used


async def test_refresh_response_without_refresh_token_keeps_previous_one(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.settings.rotate = False
    token = stored_token(home)
    for count in (1, 2):
        await home.advance_time(TOKEN_LIFETIME)
        assert port_1_connected(home) == "on"
        assert len(refreshes(home)) == count
        assert stored_token(home)["refresh_token"] == token["refresh_token"]
    assert stored_token(home)["access_token"] != token["access_token"]


@pytest.mark.parametrize(
    "redirect_uri", [CALLBACK_URL, MY_CALLBACK_URL], ids=["own URL", "My Home Assistant"]
)
async def test_refresh_after_restart_sends_redirect_uri_of_sign_in(
    home: Home, redirect_uri: str
) -> None:
    await home.add_credentials()
    if redirect_uri == MY_CALLBACK_URL:
        home.hass.config.components.add("my")
    step = await home.submit_form(await home.start_flow(), server=home.simulator.url)
    location = await home.simulator.approve(step["url"])
    assert location.startswith(redirect_uri)
    # Without the component, Home Assistant would choose the other redirect URI.
    if redirect_uri == MY_CALLBACK_URL:
        home.hass.config.components.remove("my")
    step = await home.follow_redirect(step, location.replace(redirect_uri, CALLBACK_URL))
    assert step["type"] == "create_entry"
    await home.hass.config_entries.async_unload(home.entry.entry_id)
    home.fire_time_changed(TOKEN_LIFETIME)
    assert await home.hass.config_entries.async_setup(home.entry.entry_id)
    assert home.entry.state is ConfigEntryState.LOADED
    [form] = refreshes(home)
    assert form["redirect_uri"] == redirect_uri


async def test_rejected_access_token_is_refreshed_once_without_reauth(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.hub("Boardroom").unplug(1)
    requests = home.count_requests(HUBS_PATH)
    await home.poll()
    assert port_1_connected(home) == "off"
    assert home.count_requests(HUBS_PATH) == requests + 2
    assert len(refreshes(home)) == 1
    assert home.flow_sources == []


async def test_concurrent_rejected_requests_refresh_once(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()

    async def expire(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        home.simulator.expire_access_tokens()
        return await handler(request)

    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault("expire", expire))
    home.simulator.requests.clear()
    await home.poll()
    statuses = [
        str(request.status)
        for request in home.simulator.requests
        if request.path.startswith(f"{HUBS_PATH}/")
    ]
    # Two hubs are fetched at a time.
    assert sorted(statuses) == ["200"] * 4 + ["401"] * 2
    assert len(refreshes(home)) == 1
    assert home.flow_sources == []
    assert port_1_connected(home) == "on"


async def test_concurrent_poll_command_delivery_and_diagnostics_refresh_once(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    await home.set_external_url()
    await home.link_account(access="control")
    await home.wait_until_idle()
    hub = home.simulator.hub("Boardroom")
    # Because of this delivery, the hub is fetched when the poll starts.
    await home.simulator.deliver(hub, "hub:temp", {})
    home.simulator.requests.clear()
    held = HeldResponse()
    await poll_until_refresh(home, held)
    command = asyncio.create_task(
        home.call_action("select", "select_option", "Boardroom", "active_port", option="3")
    )
    diagnostics = asyncio.create_task(
        home.request("GET", f"/api/diagnostics/config_entry/{home.entry.entry_id}")
    )
    for _ in range(300):
        await asyncio.sleep(0)
    assert [request.path for request in home.simulator.requests] == [TOKEN_PATH]
    assert not command.done()
    assert not diagnostics.done()
    held.release.set()
    await command
    responses = (await diagnostics)["data"]["responses"]
    await home.wait_until_idle()
    assert len(refreshes(home)) == 1
    # No 304 for the list either, because the hourly request is sent without an ETag.
    assert {request.status for request in home.simulator.requests} == {200}
    requests = {(request.method, request.path) for request in home.simulator.requests}
    assert requests >= {
        ("GET", HUBS_PATH),
        ("GET", f"{HUBS_PATH}/{hub.id}"),
        ("PUT", f"{HUBS_PATH}/{hub.id}/state"),
    }
    assert all(isinstance(response, dict | list) for response in responses.values()), responses
    assert hub.active == 3
    assert home.state("select", "Boardroom", "active_port") == "3"
    assert home.flow_sources == []


async def test_rejected_access_token_is_not_sent_again_while_refresh_fails(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503))
    await home.poll()
    assert port_1_connected(home) == "unavailable"
    requests = home.count_requests(HUBS_PATH)
    await home.poll()
    assert port_1_connected(home) == "on"
    assert home.count_requests(HUBS_PATH) == requests + 1
    assert home.flow_sources == []


async def test_rejected_new_access_token_is_not_refreshed_again_until_next_poll(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(401), times=None)
    requests = home.count_requests(HUBS_PATH)
    await home.poll()
    assert port_1_connected(home) == "unavailable"
    assert home.count_requests(HUBS_PATH) == requests + 2
    assert len(refreshes(home)) == 1
    await home.poll()
    assert home.count_requests(HUBS_PATH) == requests + 4
    assert len(refreshes(home)) == 2


async def test_hanging_refresh_does_not_delay_another_account(home: Home) -> None:
    await home.link_account()
    await home.run_user_flow("Second Organisation")
    held, requests = HeldResponse(), home.count_requests(HUBS_PATH)
    await poll_until_refresh(home, held)
    await home.wait_until(lambda: home.count_requests(HUBS_PATH) == requests + 1)
    held.release.set()
    await home.wait_until_idle()
    assert home.count_requests(HUBS_PATH) == requests + 2
    assert len(refreshes(home)) == 2


@parametrize_faults(TEMPORARY_ERRORS)
async def test_temporary_refresh_error_recovers_without_reauth(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    token = stored_token(home)
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    await home.advance_time(TOKEN_LIFETIME)
    await home.poll()
    assert port_1_connected(home) == "unavailable"
    assert home.hass.config_entries.async_loaded_entries("ochno") == [entry]
    # A restart during the outage must not make a difference.
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_placeholders == {"domain": "ochno"}
    assert stored_token(home) == token
    assert home.flow_sources == []
    assert len(refreshes(home)) == 3
    home.simulator.clear_faults()
    await home.poll()
    assert home.hass.config_entries.async_loaded_entries("ochno") == [entry]
    assert port_1_connected(home) == "on"
    assert stored_token(home)["refresh_token"] != token["refresh_token"]
    assert home.flow_sources == []
    assert "Unexpected" not in caplog.text


async def test_endless_refresh_response_is_not_read_completely(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.huge(50_000_000))
    await home.advance_time(TOKEN_LIFETIME)
    _code_exchange, refresh = [
        request for request in home.simulator.requests if request.path == TOKEN_PATH
    ]
    assert refresh.status is None
    await home.poll()
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_refresh_without_response_times_out_after_a_minute(
    home: Home, entry: ConfigEntry
) -> None:
    held = HeldResponse(web.Response(status=503))
    await poll_until_refresh(home, held)
    home.fire_time_changed(58)
    await asyncio.sleep(0)
    assert port_1_connected(home) == "on"
    await home.advance_time(4)
    assert port_1_connected(home) == "unavailable"
    await home.poll()
    assert port_1_connected(home) == "on"


@parametrize_faults(REFUSALS)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_refused_refresh_starts_reauth(
    home: Home, entry: ConfigEntry, fault: Fault, restarted: bool
) -> None:
    token = stored_token(home)
    home.simulator.add_fault("POST", TOKEN_PATH, fault, times=None)
    home.simulator.expire_access_tokens()
    if restarted:
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
    else:
        await home.poll(3)
    assert port_1_connected(home) == "unavailable"
    assert stored_token(home) == token
    assert len(refreshes(home)) == 1
    assert home.flow_sources == ["reauth"]
    home.simulator.clear_faults()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    assert port_1_connected(home) == "on"


async def test_revoked_access_starts_reauth(home: Home, entry: ConfigEntry) -> None:
    home.simulator.revoke_access()
    await home.poll()
    assert len(refreshes(home)) == 1
    assert home.flow_sources == ["reauth"]


async def test_unload_during_refresh_keeps_new_tokens(home: Home, entry: ConfigEntry) -> None:
    held = HeldResponse()
    unload = await start_unload_during_refresh(home, held)
    assert await unload
    setup = asyncio.create_task(home.hass.config_entries.async_setup(entry.entry_id))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not setup.done()
    held.release.set()
    assert await setup
    assert port_1_connected(home) == "on"
    assert len(refreshes(home)) == 1
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    assert len(refreshes(home)) == 2
    assert home.flow_sources == []


async def test_unload_during_failing_refresh_logs_no_error(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    held = HeldResponse(web.Response(status=503))
    unload = await start_unload_during_refresh(home, held)
    held.release.set()
    assert await unload
    await home.wait_until_idle()
    # asyncio logs an exception that nobody retrieved when it deletes the task.
    gc.collect()
    errors = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == []


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


async def test_kill_after_refresh_keeps_refreshed_tokens(home: Home, entry: ConfigEntry) -> None:
    saved_token = stored_token(home)
    for _ in range(2):
        await home.advance_time(TOKEN_LIFETIME)
    newest_token = stored_token(home)
    await restart_with_token(home, saved_token)
    assert entry.state is ConfigEntryState.LOADED
    assert stored_token(home) == newest_token
    assert len(refreshes(home)) == 2
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_reload_after_reauth_keeps_tokens_of_reauth(home: Home) -> None:
    home.simulator.settings.token_lifetime = 600
    entry = await home.link_account()
    await home.advance_time(600)
    assert len(refreshes(home)) == 1
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    reauth_token = stored_token(home)
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert stored_token(home) == reauth_token
    assert entry.state is ConfigEntryState.LOADED
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_reauth_after_clock_was_set_back_uses_tokens_of_reauth(home: Home) -> None:
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
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_kill_after_reauth_keeps_tokens_of_reauth(home: Home) -> None:
    home.simulator.settings.token_lifetime = 600
    await home.link_account()
    await home.advance_time(600)
    saved_token = stored_token(home)
    assert len(refreshes(home)) == 1
    home.simulator.revoke_access()
    await home.poll()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    reauth_token = stored_token(home)
    await restart_with_token(home, saved_token)
    assert stored_token(home) == reauth_token
    assert home.flow_sources == []


async def test_removed_entry_leaves_no_token_file(
    home: Home, entry: ConfigEntry, hass_storage: dict[str, Any]
) -> None:
    await home.advance_time(TOKEN_LIFETIME)
    refresh_token = stored_token(home)["refresh_token"]
    keys = storage_keys(hass_storage, entry)
    assert any(refresh_token in str(hass_storage[key]) for key in keys)
    await home.hass.config_entries.async_remove(entry.entry_id)
    assert storage_keys(hass_storage, entry) == []


async def test_entry_removed_during_refresh_leaves_no_token_file(
    home: Home, entry: ConfigEntry, hass_storage: dict[str, Any]
) -> None:
    held = HeldResponse()
    await poll_until_refresh(home, held)
    await home.hass.config_entries.async_remove(entry.entry_id)
    held.release.set()
    await home.wait_until_idle()
    assert storage_keys(hass_storage, entry) == []


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"version": 99, "minor_version": 1, "data": {}},
        {"version": 1, "minor_version": 1, "data": []},
        {"version": 1, "minor_version": 1, "data": {"access_token": "lost", "webhook_id": 1}},
    ],
    ids=["empty", "newer version", "list", "missing keys"],
)
async def test_unusable_storage_files_are_ignored_at_setup(
    home: Home, entry: ConfigEntry, hass_storage: dict[str, Any], content: dict[str, Any]
) -> None:
    token = stored_token(home)
    await home.hass.config_entries.async_unload(entry.entry_id)
    for key in (f"ochno.{entry.entry_id}", f"ochno.{entry.entry_id}.token"):
        hass_storage[key] = {"key": key, **content}
    await home.hass.config_entries.async_setup(entry.entry_id)
    await home.wait_until_idle()
    assert entry.state is ConfigEntryState.LOADED
    assert stored_token(home) == token
    assert port_1_connected(home) == "on"
    # The next refresh replaces the file.
    await home.advance_time(TOKEN_LIFETIME)
    assert hass_storage[f"ochno.{entry.entry_id}.token"]["data"] == stored_token(home)
