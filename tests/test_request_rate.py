"""Tests of the maximum of requests per minute, on a server that allows ten requests a second."""

from unittest.mock import patch

import pytest

from .home import Home
from .simulator import Fault

# Seconds.
COMMAND_TIMEOUT = 5


@pytest.fixture
def freezer() -> None:
    """Do not freeze time, because requests wait for each other."""


@pytest.fixture
def _unlimited_request_rate() -> None:
    """Keep the maximum."""


async def link_account_with_hubs(home: Home, hubs: int) -> None:
    """Link an account with a number of hubs and access to control, and limit the requests."""
    home.simulator.database.hubs.clear()
    for number in range(hubs):
        home.simulator.database.add_hub(f"Hub {number}")
    await home.link_account(access="control")
    home.simulator.add_fault("*", "/*", Fault.rate_limit(10), times=None)
    home.simulator.requests.clear()


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
    # The last commands wait for longer than this.
    with patch("custom_components.ochno.control.COMMAND_TIMEOUT", COMMAND_TIMEOUT):
        await switch_all_hubs_to_port_2(home)
    assert all(hub.active == 2 for hub in home.simulator.database.hubs.values())
    assert {state.state for state in home.hass.states.async_all("select")} == {"2"}
    assert {request.status for request in home.simulator.requests} <= {200, 304}
