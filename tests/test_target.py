"""Tests of triggers, conditions and counts for a hub whose device the user disabled."""

from typing import Any

import pytest

from homeassistant.config_entries import RELOAD_AFTER_UPDATE_DELAY, ConfigEntry
from homeassistant.helpers import device_registry as dr

from .automation import condition_config, create_automation, create_condition_automations
from .home import Home
from .test_moves import account_state, only_device


def set_disabled(home: Home, hub: str, *, disabled: bool) -> None:
    """Disable or enable the device of a hub as the user does."""
    dr.async_get(home.hass).async_update_device(
        only_device(home, home.simulator.hub(hub)).id,
        disabled_by=dr.DeviceEntryDisabler.USER if disabled else None,
    )


def target(home: Home, kind: str, hub: str) -> dict[str, Any]:
    """Return the configuration of a target with a hub."""
    device = only_device(home, home.simulator.hub(hub))
    if kind == "entity":
        return {
            "entity_id": [
                home.entity_id("binary_sensor", hub, key)
                for key in ("port_2_connected", "in_use", "connectivity")
            ]
        }
    return {"device_id": device.id} if kind == "device" else {"area_id": device.area_id}


@pytest.mark.parametrize("kind", ["area", "device", "entity"])
async def test_trigger_disabled_device_does_not_fire(
    home: Home, entry: ConfigEntry, kind: str
) -> None:
    config = target(home, kind, "Boardroom")
    plugged_in = await create_automation(home, "laptop_plugged_in", config)
    set_disabled(home, "Boardroom", disabled=True)
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert plugged_in.pop_hubs() == []
    set_disabled(home, "Boardroom", disabled=False)
    home.simulator.hub("Boardroom").unplug(2)
    await home.poll()
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    assert plugged_in.pop_hubs() == ["Boardroom"]


@pytest.mark.parametrize("kind", ["area", "device", "entity"])
async def test_offline_trigger_disabled_device_does_not_fire(
    home: Home, entry: ConfigEntry, kind: str
) -> None:
    config = target(home, kind, "Boardroom")
    went_offline = await create_automation(home, "hub_went_offline", config)
    set_disabled(home, "Boardroom", disabled=True)
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    assert went_offline.pop_hubs() == []


async def test_offline_trigger_device_disabled_during_for_does_not_fire(
    home: Home, entry: ConfigEntry
) -> None:
    automation = await create_automation(
        home, "hub_went_offline", target(home, "device", "Boardroom"), **{"for": {"minutes": 5}}
    )
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    set_disabled(home, "Boardroom", disabled=True)
    await home.poll(12)
    assert automation.pop_hubs() == []


@pytest.mark.parametrize("kind", ["area", "device", "entity"])
async def test_condition_disabled_device_is_ignored(
    home: Home, entry: ConfigEntry, kind: str
) -> None:
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    config = target(home, kind, "Boardroom")
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", config),
        condition_config("hub_online", config),
        condition_config("laptop_connected", config),
    )
    assert await check_conditions() == [True, True, True]
    set_disabled(home, "Boardroom", disabled=True)
    assert await check_conditions() == [False, False, False]
    set_disabled(home, "Boardroom", disabled=False)
    assert await check_conditions() == [True, True, True]


async def test_account_counts_disabled_device_is_not_counted(
    home: Home, entry: ConfigEntry
) -> None:
    def counts() -> tuple[str | None, str | None]:
        keys = ("hubs_online", "hubs_offline")
        online, offline = (account_state(home, entry, key) for key in keys)
        return online, offline

    assert counts() == ("3", "1")
    set_disabled(home, "Reception", disabled=True)
    await home.wait_until_idle()
    assert counts() == ("3", "0")
    set_disabled(home, "Boardroom", disabled=True)
    await home.wait_until_idle()
    assert counts() == ("2", "0")
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    assert counts() == ("2", "0")
    await home.hass.config_entries.async_reload(entry.entry_id)
    assert counts() == ("2", "0")
    set_disabled(home, "Boardroom", disabled=False)
    set_disabled(home, "Reception", disabled=False)
    await home.wait_until_idle()
    assert counts() == ("2", "2")


async def test_account_counts_delivery_for_disabled_device_is_not_counted(home: Home) -> None:
    await home.set_external_url()
    entry = await home.link_account()
    set_disabled(home, "Boardroom", disabled=True)
    hub = home.simulator.hub("Boardroom")
    hub.online = False
    await home.simulator.deliver(hub, "hub:con:change", {})
    await home.advance_time(2)
    assert account_state(home, entry, "hubs_online") == "2"
    assert account_state(home, entry, "hubs_offline") == "1"


async def test_account_counts_disabled_account_device_counts_all_hubs(
    home: Home, entry: ConfigEntry
) -> None:
    device = dr.async_get(home.hass).async_get_device_by_identifier(
        ("ochno", entry.entry_id), entry.entry_id
    )
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, disabled_by=dr.DeviceEntryDisabler.USER)
    await home.wait_until_idle()
    dr.async_get(home.hass).async_update_device(device.id, disabled_by=None)
    await home.advance_time(RELOAD_AFTER_UPDATE_DELAY)
    assert account_state(home, entry, "hubs_online") == "3"
    assert account_state(home, entry, "hubs_offline") == "1"
