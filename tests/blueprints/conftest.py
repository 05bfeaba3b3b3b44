"""Fixtures for the tests of the blueprints."""

from collections.abc import AsyncIterator

import pytest
from pytest_homeassistant_custom_component.common import async_mock_service

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component

from ..home import Home
from ..simulator import SimHub
from .blueprint import turn_off_automation


@pytest.fixture(autouse=True)
async def _set_up_calendar(hass: HomeAssistant) -> None:
    """Set up the calendar integration. This must be done before the HTTP server starts."""
    assert await async_setup_component(hass, "calendar", {})


@pytest.fixture
async def entry(home: Home) -> AsyncIterator[ConfigEntry]:
    """Link the first account with access to control; the simulator executes commands at once."""
    home.simulator.settings.command_delay = 0
    assert await async_setup_component(home.hass, "persistent_notification", {})
    yield await home.link_account(access="control")
    await turn_off_automation(home)


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom. Port 1 is active and has the room system."""
    hub = home.simulator.hub("Boardroom")
    assert (hub.active, hub.state["mtrport"], hub.config["defaultport"]) == (1, 1, 1)
    return hub


@pytest.fixture
def calls(hass: HomeAssistant) -> list[ServiceCall]:
    """Return the calls of the action `test.record`, which the mock records."""
    calls: list[ServiceCall] = async_mock_service(hass, "test", "record")
    return calls
