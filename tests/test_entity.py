"""Tests of which entities of a hub are enabled by default."""

import pytest

from homeassistant.helpers import entity_registry as er

from .home import Home


@pytest.mark.parametrize("access", ["read", "control"])
async def test_account_with_many_hubs_enables_only_main_entities(
    home: Home, monkeypatch: pytest.MonkeyPatch, access: str
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 3)
    await home.link_account(access=access)
    hub_id = home.simulator.hub("Boardroom").id
    registry = er.async_get(home.hass)
    enabled = {
        entity.unique_id.removeprefix(f"{hub_id}_")
        for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id)
        if entity.unique_id.startswith(hub_id) and not entity.disabled_by
    }
    connected = {f"port_{port}_connected" for port in (1, 2, 3, 4)}
    assert enabled == {"active_port", "in_use", "connectivity", "overheating"} | connected
    # The other entities are registered, but disabled.
    assert home.entity_id("binary_sensor", "Boardroom", "admin_mode")


async def test_account_without_many_hubs_enables_more_than_main_entities(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.ochno.entity.MANY_HUBS", 4)
    await home.link_account(access="control")
    assert home.state("switch", "Boardroom", "port_1") == "on"
    assert home.state("binary_sensor", "Boardroom", "admin_mode") == "off"
