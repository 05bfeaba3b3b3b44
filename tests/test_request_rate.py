"""Tests of the rate limit for requests, with real time."""

import asyncio
from unittest.mock import patch

import pytest

from custom_components.ochno.const import PushState
from homeassistant.exceptions import HomeAssistantError

from .home import HUBS_PATH, Home
from .simulator import Fault

# Seconds.
COMMAND_TIMEOUT = 5


@pytest.fixture
def freezer() -> None:
    """Do not freeze time, because requests wait for each other."""


@pytest.fixture
def _unlimited_request_rate() -> None:
    """Override the fixture that removes the rate limit."""


async def link_account_with_hubs(home: Home, hubs: int) -> None:
    """Link an account with a number of hubs and the access *Read and control*."""
    home.simulator.database.hubs.clear()
    for number in range(hubs):
        home.simulator.database.add_hub(f"Hub {number}")
    await home.link_account(access="control")
    home.simulator.requests.clear()


def allow_ten_requests_per_second(home: Home) -> None:
    """Let the simulator respond with 429 to more than ten requests in a second."""
    home.simulator.add_fault("*", "/*", Fault.rate_limit(10), times=None)


async def switch_all_hubs_to_port_2(home: Home) -> None:
    """Select port 2 of all hubs with one action."""
    selects = home.hass.states.async_entity_ids("select")
    await home.hass.services.async_call(
        "select",
        "select_option",
        {"option": "2"},
        blocking=True,
        target={"entity_id": selects},
    )


@pytest.mark.parametrize(
    ("hubs", "list_has_states"),
    [
        (40, True),
        (20, False),
        pytest.param(300, True, marks=pytest.mark.thorough),
        pytest.param(300, False, marks=pytest.mark.thorough),
    ],
)
async def test_many_hubs_switched_by_one_action_all_succeed(
    home: Home, hubs: int, list_has_states: bool
) -> None:
    home.simulator.settings.list_state = list_has_states
    await link_account_with_hubs(home, hubs)
    allow_ten_requests_per_second(home)
    # The last commands wait longer than this before they are sent.
    with patch("custom_components.ochno.control.COMMAND_TIMEOUT", COMMAND_TIMEOUT):
        await switch_all_hubs_to_port_2(home)
    assert all(hub.active == 2 for hub in home.simulator.database.hubs.values())
    assert {state.state for state in home.hass.states.async_all("select")} == {"2"}
    assert {request.status for request in home.simulator.requests} <= {200, 304}


async def test_command_during_poll_of_many_single_hubs_is_confirmed_in_time(home: Home) -> None:
    home.simulator.settings.list_state = False
    await link_account_with_hubs(home, 40)
    allow_ten_requests_per_second(home)
    poll = asyncio.create_task(home.entry.runtime_data.coordinator.async_refresh())
    await home.wait_until(lambda: home.count_requests(HUBS_PATH) > 0)
    with patch("custom_components.ochno.control.COMMAND_TIMEOUT", 3):
        await home.call_action("select", "select_option", "Hub 39", "active_port", option="2")
    assert not poll.done()
    assert home.state("select", "Hub 39", "active_port") == "2"
    await poll


@pytest.mark.parametrize("method", ["PUT", "GET"])
async def test_request_refused_once_without_retry_after_is_sent_again(
    home: Home, method: str
) -> None:
    await link_account_with_hubs(home, 1)
    hub = home.simulator.hub("Hub 0")
    home.simulator.add_fault(method, f"{HUBS_PATH}/{hub.id}*", Fault.status(429))
    await home.call_action("select", "select_option", "Hub 0", "active_port", option="2")
    statuses = [request.status for request in home.simulator.requests if request.method == method]
    assert statuses[:2] == [429, 200]
    assert home.state("select", "Hub 0", "active_port") == "2"


async def test_poll_refused_once_without_retry_after_is_sent_again(home: Home) -> None:
    await link_account_with_hubs(home, 1)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(429))
    await home.entry.runtime_data.coordinator.async_refresh()
    assert [request.status for request in home.simulator.requests] == [429, 304]
    assert home.state("select", "Hub 0", "active_port") == "none"


async def test_command_refused_twice_raises_error(home: Home) -> None:
    await link_account_with_hubs(home, 1)
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/*", Fault.status(429), times=None)
    with pytest.raises(HomeAssistantError, match="does not accept more requests"):
        await home.call_action("select", "select_option", "Hub 0", "active_port", option="2")
    assert home.count_requests(f"{HUBS_PATH}/{home.simulator.hub('Hub 0').id}/state", "PUT") == 2


async def test_refused_command_that_is_confirmed_before_it_is_sent_again_succeeds(
    home: Home,
) -> None:
    await home.set_external_url()
    await link_account_with_hubs(home, 1)
    await home.wait_until(lambda: home.entry.runtime_data.push.state is PushState.ACTIVE)
    hub = home.simulator.hub("Hub 0")
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/*", Fault.status(429))
    path = f"{HUBS_PATH}/{hub.id}/state"
    command = asyncio.create_task(
        home.call_action("select", "select_option", "Hub 0", "active_port", option="2")
    )
    await home.wait_until(lambda: home.count_requests(path, "PUT"))
    hub.press(2)
    await command
    assert home.count_requests(path, "PUT") == 2
    assert home.state("select", "Hub 0", "active_port") == "2"
