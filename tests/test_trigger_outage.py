"""Tests of the triggers: outages, and the option `for`."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from custom_components.ochno.history import async_hub_snapshots
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr

from .automation import Automation, create_automation, target_config
from .home import HUBS_PATH, Home
from .simulator import Fault
from .test_trigger import FOCUS, IN_USE, TRIGGER_CHANGES, prepare_hub

type HomeChange = Callable[[Home], Awaitable[None]]


async def take_hub_offline(home: Home) -> None:
    home.simulator.hub(FOCUS).online = False


async def bring_hub_online(home: Home) -> None:
    home.simulator.hub(FOCUS).online = True


async def make_cloud_unreachable(home: Home) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)


async def make_cloud_reachable(home: Home) -> None:
    home.simulator.clear_faults()


async def remove_hub(home: Home) -> None:
    home.simulator.hub(FOCUS).account_id = "elsewhere"


async def restore_hub(home: Home) -> None:
    home.simulator.hub(FOCUS).account_id = home.simulator.hub("Workshop").account_id


async def omit_hub_state(home: Home) -> None:
    home.simulator.hub(FOCUS).omit.add("data.state")


async def restore_hub_state(home: Home) -> None:
    home.simulator.hub(FOCUS).omit.clear()


async def unload_entry(home: Home) -> None:
    assert await home.hass.config_entries.async_unload(home.entry.entry_id)


async def load_entry(home: Home) -> None:
    assert await home.hass.config_entries.async_setup(home.entry.entry_id)


OUTAGES = pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(take_hub_offline, bring_hub_online, id="hub_offline"),
        pytest.param(make_cloud_unreachable, make_cloud_reachable, id="cloud_unreachable"),
        pytest.param(remove_hub, restore_hub, id="hub_removed"),
        pytest.param(omit_hub_state, restore_hub_state, id="hub_without_state"),
        pytest.param(unload_entry, load_entry, id="entry_unloaded"),
    ],
)


async def create_focus_room_automation(home: Home, trigger: str, **options: Any) -> Automation:
    """Set up an automation for the area of the focus room."""
    return await create_automation(home, trigger, target_config(home, "area", *IN_USE), **options)


@pytest.fixture
async def entry_with_laptop(home: Home) -> ConfigEntry:
    """Link the account while a laptop is plugged in at port 2 of the focus room."""
    home.simulator.hub(FOCUS).plug(2)
    return await home.link_account()


# Outages


@pytest.mark.parametrize("trigger", TRIGGER_CHANGES)
async def test_trigger_after_home_assistant_start_does_not_fire(home: Home, trigger: str) -> None:
    automation = await create_automation(home, trigger, {"area_id": ["focus_room", "reception"]})
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.link_account()
    await home.poll(2)
    assert automation.pop_trigger_variables() == []


@OUTAGES
@pytest.mark.usefixtures("entry_with_laptop")
@pytest.mark.parametrize(
    "trigger", [trigger for trigger in TRIGGER_CHANGES if not trigger.startswith("hub")]
)
async def test_trigger_after_outage_without_change_does_not_fire(
    home: Home, trigger: str, begin: HomeChange, end: HomeChange
) -> None:
    automation = await create_focus_room_automation(home, trigger)
    await begin(home)
    await home.poll(2)
    await end(home)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []


@OUTAGES
@pytest.mark.usefixtures("entry_with_laptop")
async def test_laptop_plugged_in_during_outage_fires_once_afterwards(
    home: Home, begin: HomeChange, end: HomeChange
) -> None:
    automation = await create_focus_room_automation(home, "laptop_plugged_in")
    await begin(home)
    await home.poll(2)
    home.simulator.hub(FOCUS).plug(3)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []
    await end(home)
    await home.poll(2)
    assert automation.pop_ports() == [3]


@pytest.mark.parametrize("trigger", ["hub_went_offline", "hub_came_back", "hub_too_hot"])
async def test_hub_trigger_after_account_outage_fires_only_if_hub_changed(
    home: Home, entry: ConfigEntry, trigger: str
) -> None:
    prepare_hub(home.simulator.hub(FOCUS), trigger)
    await home.poll()
    automation = await create_focus_room_automation(home, trigger)
    for begin, end in ((make_cloud_unreachable, make_cloud_reachable), (unload_entry, load_entry)):
        await begin(home)
        await home.poll(2)
        await end(home)
        await home.poll(2)
    assert automation.pop_trigger_variables() == []
    await make_cloud_unreachable(home)
    await home.poll()
    TRIGGER_CHANGES[trigger](home.simulator.hub(FOCUS))
    await make_cloud_reachable(home)
    await home.poll(2)
    assert automation.pop_hubs() == [FOCUS]


async def test_new_hub_does_not_fire_until_it_changes(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(home, "room_in_use", {"area_id": "library"})
    hub = home.simulator.add_hub("Library", connected=[2], active=2)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []
    hub.unplug(2)
    await home.poll()
    hub.plug(2)
    await home.poll()
    assert automation.pop_hubs() == ["Library"]


@pytest.mark.usefixtures("entry_with_laptop")
async def test_account_removed_and_added_does_not_fire(home: Home) -> None:
    automation = await create_automation(home, "room_free", {"area_id": "focus_room"})
    await home.hass.config_entries.async_remove(home.entry.entry_id)
    await home.wait_until_idle()
    home.simulator.hub(FOCUS).unplug(2)
    assert async_hub_snapshots(home.hass) == []
    await home.run_user_flow()
    await home.poll()
    assert automation.pop_trigger_variables() == []


async def test_hub_removed_and_restored_does_not_fire_until_it_changes(
    home: Home, entry: ConfigEntry
) -> None:
    automation = await create_focus_room_automation(home, "room_in_use")
    await remove_hub(home)
    await home.poll(6)
    assert home.device(FOCUS) is None
    await restore_hub(home)
    hub = home.simulator.hub(FOCUS)
    hub.plug(2)
    await home.poll(2)
    assert automation.pop_hubs() == []
    hub.unplug(2)
    await home.poll()
    hub.plug(2)
    await home.poll()
    assert automation.pop_hubs() == [FOCUS]


async def test_hub_removed_while_not_running_and_its_device_is_removed(
    home: Home, entry: ConfigEntry
) -> None:
    registry = dr.async_get(home.hass)
    registry.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("ochno", "old")})
    await home.hass.config_entries.async_reload(entry.entry_id)
    await home.poll(6)
    assert registry.async_get_device_by_identifier(("ochno", "old"), entry.entry_id) is None


# Option `for`


@pytest.mark.usefixtures("entry_with_laptop")
async def test_room_free_with_for_fires_after_room_stayed_free(home: Home) -> None:
    automation = await create_focus_room_automation(home, "room_free", **{"for": {"minutes": 5}})
    hub = home.simulator.hub(FOCUS)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(200)
    hub.plug(3)
    await home.poll()
    await home.advance_time(300)
    hub.unplug(3)
    await home.poll()
    await home.advance_time(280)
    assert automation.pop_trigger_variables() == []
    await home.advance_time(30)
    assert automation.pop_hubs() == [FOCUS]
    await home.advance_time(600)
    assert automation.pop_trigger_variables() == []


@pytest.mark.parametrize("trigger", ["room_in_use", "hub_went_offline"])
async def test_trigger_with_for_fires_after_duration(
    home: Home, entry: ConfigEntry, trigger: str
) -> None:
    automation = await create_focus_room_automation(home, trigger, **{"for": "00:05:00"})
    TRIGGER_CHANGES[trigger](home.simulator.hub(FOCUS))
    await home.poll()
    await home.advance_time(280)
    assert automation.pop_trigger_variables() == []
    await home.advance_time(30)
    assert automation.pop_hubs() == [FOCUS]


@OUTAGES
@pytest.mark.usefixtures("entry_with_laptop")
async def test_room_free_with_for_after_outage_restarts_duration(
    home: Home, begin: HomeChange, end: HomeChange
) -> None:
    automation = await create_focus_room_automation(home, "room_free", **{"for": 300})
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    await home.advance_time(200)
    await begin(home)
    await home.poll()
    await home.advance_time(200)
    await end(home)
    await home.poll()
    await home.advance_time(200)
    assert automation.pop_trigger_variables() == []
    await home.advance_time(100)
    assert automation.pop_hubs() == [FOCUS]
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.advance_time(600)
    await begin(home)
    await home.poll()
    await end(home)
    await home.advance_time(600)
    await home.advance_time(600)
    assert automation.pop_trigger_variables() == []


@OUTAGES
@pytest.mark.usefixtures("entry_with_laptop")
async def test_room_free_with_for_and_laptop_plugged_in_during_outage_does_not_fire(
    home: Home, begin: HomeChange, end: HomeChange
) -> None:
    automation = await create_focus_room_automation(home, "room_free", **{"for": 300})
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    await begin(home)
    await home.poll()
    home.simulator.hub(FOCUS).plug(2)
    await end(home)
    await home.poll()
    await home.advance_time(600)
    await begin(home)
    await home.poll()
    await end(home)
    await home.poll()
    await home.advance_time(600)
    assert automation.pop_trigger_variables() == []


@pytest.mark.usefixtures("entry_with_laptop")
async def test_room_free_with_for_after_automation_turned_off_does_not_fire(home: Home) -> None:
    automation = await create_focus_room_automation(home, "room_free", **{"for": 300})
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    for action in ("turn_off", "turn_on"):
        await home.hass.services.async_call(
            "automation", action, {"entity_id": "automation.test"}, blocking=True
        )
    await home.advance_time(600)
    assert automation.pop_trigger_variables() == []
