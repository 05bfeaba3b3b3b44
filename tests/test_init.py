"""The main job: an account is linked, and its hubs are there."""

from homeassistant.config_entries import ConfigEntry, ConfigEntryState

from .home import Home


async def test_plugged_laptop_shows_within_one_poll(home: Home, entry: ConfigEntry) -> None:
    assert entry.state is ConfigEntryState.LOADED
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "off"
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Boardroom", "port_2_connected") == "on"
    assert home.state("binary_sensor", "Boardroom", "in_use") == "on"
