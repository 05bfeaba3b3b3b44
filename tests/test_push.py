"""Instant updates: deliveries over real HTTP, and what becomes of the subscription."""

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.core_config import async_process_ha_core_config

from .home import Home


@pytest.fixture
async def entry(hass: HomeAssistant, home: Home) -> ConfigEntry:
    """Link the first account while Home Assistant can be reached from outside."""
    await async_process_ha_core_config(hass, {"external_url": "https://example.com"})
    home.simulator.settings.deliver_to = str(home.client.make_url("/")).rstrip("/")
    entry = await home.link()
    await home.settle()
    return entry


async def test_plugged_laptop_shows_at_once(home: Home, entry: ConfigEntry) -> None:
    assert len(home.simulator.subscriptions.live()) == 1
    home.simulator.hub("Boardroom").plug(2)
    await home.delivered()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"


async def test_unloading_unsubscribes(hass: HomeAssistant, home: Home, entry: ConfigEntry) -> None:
    await hass.config_entries.async_unload(entry.entry_id)
    assert home.simulator.subscriptions.live() == []
