"""Tests of the budget: how many requests an account sends, and when the server wants none."""

import asyncio
from functools import partial

from aiohttp import web
import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.exceptions import HomeAssistantError

from .home import HUBS_PATH, SUBSCRIPTIONS_PATH, TOKEN_PATH, Home
from .oauth import TOKEN_LIFETIME
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.responses import Handler

MINUTE = 60


def wait_fault(status: int, retry_after: str) -> Fault:
    """Return a fault that demands to wait."""
    return Fault.status(status, {"Retry-After": retry_after})


@pytest.mark.parametrize("status", [429, 503])
async def test_poll_answered_with_retry_after_sends_no_request_until_then(
    home: Home, entry: ConfigEntry, status: int
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, wait_fault(status, "600"))
    await home.poll()
    home.simulator.requests.clear()
    for _ in range(19):
        await home.advance_time(30)
    assert home.simulator.requests == []
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_setup_answered_with_retry_after_sends_no_request_until_then(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, wait_fault(429, "600"))
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    home.simulator.requests.clear()
    for _ in range(11):
        await home.advance_time(50)
    assert home.simulator.requests == []
    for _ in range(4):
        await home.advance_time(80)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_token_endpoint_answered_with_retry_after_sends_no_request_until_then(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("POST", TOKEN_PATH, wait_fault(429, "1800"))
    await home.advance_time(TOKEN_LIFETIME)
    assert home.count_requests(TOKEN_PATH, "POST") == 2
    home.simulator.requests.clear()
    for _ in range(58):
        await home.advance_time(30)
    assert home.simulator.requests == []
    await home.advance_time(2 * MINUTE)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.flow_sources == []


async def test_deliveries_while_server_wants_no_request_send_none(home: Home) -> None:
    await home.set_external_url()
    await home.link_account()
    await home.wait_until_idle()
    home.simulator.add_fault("GET", HUBS_PATH, wait_fault(429, "900"))
    await home.advance_time(122)
    home.simulator.requests.clear()
    for _ in range(60):
        for name in ("Boardroom", "Focus room", "Workshop", "Reception"):
            await home.simulator.deliver(name, "hub:con:change", {})
        await home.advance_time(10)
    assert home.simulator.requests == []


async def test_command_while_server_wants_no_request_fails_at_once(home: Home) -> None:
    await home.set_external_url()
    await home.link_account(access="control")
    await home.wait_until_idle()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", wait_fault(503, "120"))
    await home.simulator.deliver("Boardroom", "hub:con:change", {})
    await home.advance_time(2)
    home.simulator.requests.clear()
    with pytest.raises(HomeAssistantError) as error:
        await home.call_action("select", "select_option", "Boardroom", "active_port", option="2")
    assert error.value.translation_key == "rate_limited"
    assert home.simulator.requests == []


async def test_retry_after_of_subscription_postpones_polls(home: Home) -> None:
    await home.set_external_url()
    home.simulator.add_fault("POST", SUBSCRIPTIONS_PATH, wait_fault(503, "300"))
    await home.link_account()
    await home.wait_until_idle()
    home.simulator.requests.clear()
    for _ in range(9):
        await home.advance_time(30)
    assert home.simulator.requests == []


async def test_retry_after_of_more_than_an_hour_counts_as_an_hour(
    home: Home, entry: ConfigEntry
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, wait_fault(429, "99999"))
    await home.poll()
    home.simulator.requests.clear()
    await home.advance_time(3500)
    assert home.simulator.requests == []
    await home.advance_time(200)
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_removed_entry_leaves_no_budget(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, wait_fault(429, "900"))
    await home.poll()
    await home.hass.config_entries.async_remove(entry.entry_id)
    assert (await home.run_user_flow())["type"] == "create_entry"
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_concurrent_reads_are_limited_and_leave_one_request_to_commands(home: Home) -> None:
    home.simulator.settings.list_state = False
    home.simulator.settings.command_delay = 0
    names = ("Room 1", "Room 2", "Room 3")
    for name in names:
        home.simulator.add_hub(name)
    await home.link_account(access="control")
    concurrent, highest = 0, 0
    release = asyncio.Event()

    async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        nonlocal concurrent, highest
        concurrent += 1
        highest = max(highest, concurrent)
        await release.wait()
        concurrent -= 1
        return await handler(request)

    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault("held", handle), times=None)
    home.fire_time_changed(31)
    await home.wait_until(lambda: concurrent == 2)
    commands = [
        asyncio.create_task(
            home.call_action("select", "select_option", name, "active_port", option="2")
        )
        for name in names
    ]
    for name in names:
        path = f"{HUBS_PATH}/{home.simulator.hub(name).id}/state"
        await home.wait_until(partial(home.count_requests, path, "PUT"))
    release.set()
    for command in commands:
        await command
    await home.wait_until_idle()
    assert highest == 3
    assert [home.simulator.hub(name).active for name in names] == [2, 2, 2]


async def test_action_for_four_hubs_sends_three_commands_at_a_time(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    home.simulator.add_hub("Library")
    await home.link_account(access="control")
    names = ("Boardroom", "Focus room", "Library", "Workshop")
    concurrent, highest = 0, 0

    async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        nonlocal concurrent, highest
        concurrent += 1
        highest = max(highest, concurrent)
        # Enough time for all concurrent requests to arrive.
        for _ in range(1000):
            await asyncio.sleep(0)
        concurrent -= 1
        return await handler(request)

    home.simulator.add_fault("PUT", f"{HUBS_PATH}/*", Fault("slow", handle), times=None)
    target = {"entity_id": [home.entity_id("select", name, "active_port") for name in names]}
    await home.hass.services.async_call(
        "select", "select_option", {"option": "2"}, blocking=True, target=target
    )
    assert highest == 3
    assert [home.simulator.hub(name).active for name in names] == [2, 2, 2, 2]
