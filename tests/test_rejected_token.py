"""Tests of rejected tokens: 401 from the API, refused refresh tokens, and the sign-in prompt."""

import asyncio

import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.exceptions import HomeAssistantError
from homeassistant.setup import async_setup_component

from .home import HUBS_PATH, TOKEN_PATH, Home
from .oauth import TOKEN_LIFETIME, HeldResponse, port_1_connected, refreshes, sign_in_again
from .simulator import Fault

MINUTE = 60


def reject_tokens(home: Home) -> None:
    """Let the API answer 401 to all requests. Token refreshes still succeed."""
    for path in ("/api/*", "/subscriptions/*"):
        home.simulator.add_fault("*", path, Fault.status(401), times=None)


async def link_with_instant_updates(home: Home) -> ConfigEntry:
    """Link the first account with instant updates and control access."""
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    entry = await home.link_account(access="control")
    await home.wait_until_idle()
    assert home.instant_updates_state == "active"
    return entry


async def test_api_rejects_tokens_for_90_seconds_recovers_without_reauth(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    await home.poll(3)
    assert port_1_connected(home) == "unavailable"
    assert home.flow_sources == []
    home.simulator.clear_faults()
    home.simulator.hub("Boardroom").unplug(1)
    await home.poll()
    assert port_1_connected(home) == "off"
    assert entry.state is ConfigEntryState.LOADED


async def test_api_rejects_tokens_at_setup_recovers_without_reauth(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    await home.advance_time(90)
    assert home.flow_sources == []
    home.simulator.clear_faults()
    await home.advance_time(2 * MINUTE)
    assert port_1_connected(home) == "on"


async def test_api_rejects_tokens_starts_reauth_after_five_minutes(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    await home.poll()
    await home.advance_time(4 * MINUTE + 45)
    assert home.flow_sources == []
    await home.poll()
    assert home.flow_sources == ["reauth"]
    assert port_1_connected(home) == "unavailable"


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "reloaded"])
async def test_api_recovers_behind_reauth_dialog_closes_it(
    home: Home, entry: ConfigEntry, restarted: bool
) -> None:
    reject_tokens(home)
    if restarted:
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_RETRY
    await home.poll(20)
    assert home.flow_sources == ["reauth"]
    requests = len(home.simulator.requests)
    await home.advance_time(60 * MINUTE)
    for _ in range(11):
        await home.advance_time(5 * MINUTE + 1)
    # A poll every five minutes: one request with each token, and one refresh.
    assert 0 < len(home.simulator.requests) - requests <= 13 * 3
    assert home.flow_sources == ["reauth"]
    home.simulator.clear_faults()
    await home.advance_time(10 * MINUTE)
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []
    requests = home.count_requests(HUBS_PATH)
    await home.poll(4)
    assert home.count_requests(HUBS_PATH) == requests + 4


async def test_api_rejects_tokens_of_command_does_not_start_reauth(home: Home) -> None:
    await home.link_account(access="control")
    path = f"{HUBS_PATH}/{home.simulator.hub('Boardroom').id}/state"
    home.simulator.add_fault("PUT", path, Fault.status(401), times=None)
    for _ in range(2):
        with pytest.raises(HomeAssistantError):
            await home.call_action(
                "select", "select_option", "Boardroom", "active_port", option="2"
            )
        await home.advance_time(6 * MINUTE)
    assert home.flow_sources == []
    assert port_1_connected(home) == "on"


async def test_api_rejects_tokens_again_after_recovery_waits_five_minutes_again(
    home: Home, entry: ConfigEntry
) -> None:
    for _ in range(3):
        reject_tokens(home)
        await home.poll(5)
        home.simulator.clear_faults()
        await home.poll()
        assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_sign_in_while_api_rejected_tokens_before_closes_dialog_and_works(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    await home.poll(12)
    assert home.flow_sources == ["reauth"]
    home.simulator.clear_faults()
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_api_recovers_while_sign_in_is_completed_completes_it(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    while home.flow_sources == []:
        await home.poll()
    # The next poll follows five minutes later, within the timeout of the sign-in.
    await home.advance_time(5 * MINUTE - 20)
    [flow] = home.hass.config_entries.flow.async_progress_by_handler("ochno")
    step = await home.submit_form({"flow_id": flow["flow_id"]})
    location = await home.simulator.approve(step["url"])
    held = HeldResponse()
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    sign_in = asyncio.create_task(home.follow_redirect(step, location))
    await held.received.wait()
    home.simulator.clear_faults()
    home.fire_time_changed(30)
    await home.wait_until(lambda: port_1_connected(home) == "on")
    held.release.set()
    assert (await sign_in)["reason"] == "reauth_successful"
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_reconfigure_while_api_rejects_tokens_can_be_completed(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    while home.flow_sources == []:
        await home.poll()
    step = await home.start_flow(entry_id=entry.entry_id)
    step = await home.submit_form(step, server=home.simulator.url)
    # The next poll.
    await home.advance_time(5 * MINUTE + 1)
    home.simulator.clear_faults()
    assert (await home.sign_in(step))["reason"] == "reconfigure_successful"
    assert port_1_connected(home) == "on"
    assert home.flow_sources == []


async def test_entry_removed_while_api_rejects_tokens_leaves_no_data(
    home: Home, entry: ConfigEntry
) -> None:
    reject_tokens(home)
    await home.poll()
    await home.hass.config_entries.async_remove(entry.entry_id)
    assert entry.entry_id not in repr(
        {key: value for key, value in home.hass.data.items() if str(key).startswith("ochno")}
    )


async def deliver_events(home: Home, count: int) -> None:
    """Deliver events of a known and of an unknown hub."""
    unknown_hub = '{"event": "hub:temp", "hubId": "unknown"}'
    for _ in range(count):
        for body in (None, unknown_hub):
            [delivery] = await home.simulator.deliver("Boardroom", "hub:temp", {}, body=body)
            assert delivery.status == 200
        await home.advance_time(11)


@pytest.mark.parametrize("refused", [True, False], ids=["refresh refused", "access rejected"])
async def test_deliveries_while_tokens_are_rejected_send_no_request(
    home: Home, refused: bool
) -> None:
    await link_with_instant_updates(home)
    if refused:
        home.simulator.expire_access_tokens()
        home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(400), times=None)
        await home.advance_time(121)
    else:
        reject_tokens(home)
        for _ in range(10):
            await home.advance_time(61)
    assert home.flow_sources == ["reauth"]
    await home.advance_time(MINUTE)
    home.simulator.requests.clear()
    await deliver_events(home, 5)
    assert home.simulator.requests == []


async def test_refused_refresh_token_is_not_sent_again_until_sign_in(home: Home) -> None:
    assert await async_setup_component(home.hass, "homeassistant", {})
    entry = await link_with_instant_updates(home)
    home.simulator.revoke_access()
    await home.advance_time(121)
    assert home.flow_sources == ["reauth"]
    assert len(refreshes(home)) == 1
    for _ in range(3):
        await home.hass.services.async_call(
            "homeassistant",
            "update_entity",
            {"entity_id": home.entity_id("binary_sensor", "Boardroom", "port_1_connected")},
            blocking=True,
        )
        # Longer than all intervals of the subscription.
        await home.advance_time(7 * 60 * MINUTE)
    assert len(refreshes(home)) == 1
    assert home.flow_sources == ["reauth"]
    assert (await sign_in_again(home))["reason"] == "reauth_successful"
    await home.advance_time(TOKEN_LIFETIME)
    assert port_1_connected(home) == "on"
    assert entry.state is ConfigEntryState.LOADED
    assert len(refreshes(home)) == 2
