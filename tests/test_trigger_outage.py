"""Triggers over time: what is no news fires nothing, and how long something has to last."""

from collections.abc import Awaitable, Callable

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr

from .automation import Automation, create_automation, target_config
from .home import HUBS_PATH, Home
from .simulator import Fault, SimHub
from .test_trigger import FOCUS, HAPPENINGS, IN_USE, prepare

TRIGGERS = [trigger for trigger, *_ in HAPPENINGS]

type Step = Callable[[Home], Awaitable[object]]


async def offline(home: Home) -> None:
    home.simulator.hub(FOCUS).online = False


async def online(home: Home) -> None:
    home.simulator.hub(FOCUS).online = True


async def unreachable(home: Home) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)


async def reachable(home: Home) -> None:
    home.simulator.clear_faults()


async def gone(home: Home) -> None:
    home.simulator.hub(FOCUS).account_id = "elsewhere"


async def back(home: Home) -> None:
    home.simulator.hub(FOCUS).account_id = home.simulator.hub("Workshop").account_id


async def silent(home: Home) -> None:
    home.simulator.hub(FOCUS).omit.add("data.state")


async def talking(home: Home) -> None:
    home.simulator.hub(FOCUS).omit.clear()


async def unloaded(home: Home) -> None:
    assert await home.hass.config_entries.async_unload(home.entry.entry_id)


async def loaded(home: Home) -> None:
    assert await home.hass.config_entries.async_setup(home.entry.entry_id)


OUTAGES = pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(offline, online, id="hub offline"),
        pytest.param(unreachable, reachable, id="cloud unreachable"),
        pytest.param(gone, back, id="hub not in the account"),
        pytest.param(silent, talking, id="hub without a state"),
        pytest.param(unloaded, loaded, id="account reloaded"),
    ],
)


async def automate_focus_room(home: Home, trigger: str, **options: object) -> Automation:
    """Set up an automation for the focus room, in which port 2 is plugged in at first."""
    return await create_automation(home, trigger, target_config(home, "area", *IN_USE), **options)


@pytest.fixture
async def plugged(home: Home) -> ConfigEntry:
    """Link the account while a laptop is plugged in."""
    home.simulator.hub(FOCUS).plug(2)
    return await home.link_account()


# What is no news


@pytest.mark.parametrize("trigger", TRIGGERS)
async def test_what_there_is_at_the_start_fires_nothing(home: Home, trigger: str) -> None:
    automation = await create_automation(home, trigger, {"area_id": ["focus_room", "reception"]})
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.link_account()
    await home.poll(2)
    assert automation.pop_trigger_variables() == []


@OUTAGES
@pytest.mark.usefixtures("plugged")
@pytest.mark.parametrize("trigger", [one for one in TRIGGERS if not one.startswith("hub")])
async def test_hub_that_returns_as_it_was_fires_nothing(
    home: Home, trigger: str, begin: Step, end: Step
) -> None:
    automation = await automate_focus_room(home, trigger)
    await begin(home)
    await home.poll(2)
    await end(home)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []


@OUTAGES
@pytest.mark.usefixtures("plugged")
async def test_laptop_plugged_in_meanwhile_is_told_once(home: Home, begin: Step, end: Step) -> None:
    automation = await automate_focus_room(home, "laptop_plugged_in")
    await begin(home)
    await home.poll(2)
    home.simulator.hub(FOCUS).plug(3)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []
    await end(home)
    await home.poll(2)
    assert automation.pop_ports() == [3]


@pytest.mark.parametrize("trigger", ["hub_went_offline", "hub_came_back", "hub_too_hot"])
async def test_account_that_returns_tells_of_its_hubs_once(
    home: Home, entry: ConfigEntry, trigger: str
) -> None:
    prepare(home.simulator.hub(FOCUS), trigger)
    await home.poll()
    automation = await automate_focus_room(home, trigger)
    for begin, end in ((unreachable, reachable), (unloaded, loaded)):
        await begin(home)
        await home.poll(2)
        await end(home)
        await home.poll(2)
    assert automation.pop_trigger_variables() == []
    await unreachable(home)
    await home.poll()
    {
        "hub_went_offline": lambda hub: setattr(hub, "online", False),
        "hub_came_back": lambda hub: setattr(hub, "online", True),
        "hub_too_hot": lambda hub: hub.set_overheated(True),
    }[trigger](home.simulator.hub(FOCUS))
    await reachable(home)
    await home.poll(2)
    assert automation.pop_hubs() == [FOCUS]


async def test_new_hub_fires_nothing(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(home, "room_in_use", {"area_id": "library"})
    hub = home.simulator.add_hub("Library", connected=[2], active=2)
    await home.poll(2)
    assert automation.pop_trigger_variables() == []
    hub.unplug(2)
    await home.poll()
    hub.plug(2)
    await home.poll()
    assert automation.pop_hubs() == ["Library"]


@pytest.mark.usefixtures("plugged")
async def test_account_that_is_removed_and_added_starts_anew(home: Home) -> None:
    automation = await create_automation(home, "room_free", {"area_id": "focus_room"})
    await home.hass.config_entries.async_remove(home.entry.entry_id)
    await home.wait_until_idle()
    home.simulator.hub(FOCUS).unplug(2)
    assert FOCUS not in repr(home.hass.data["ochno_reports"])
    await home.run_user_flow()
    await home.poll()
    assert automation.pop_trigger_variables() == []


async def test_hub_that_left_is_compared_with_what_it_was(home: Home, entry: ConfigEntry) -> None:
    """Even if its device was removed meanwhile, as was that of a hub nobody has seen."""
    registry = dr.async_get(home.hass)
    registry.async_get_or_create(config_entry_id=entry.entry_id, identifiers={("ochno", "old")})
    automation = await automate_focus_room(home, "room_in_use")
    await gone(home)
    await home.poll(6)
    assert home.device(FOCUS) is None
    assert registry.async_get_device_by_identifier(("ochno", "old"), entry.entry_id) is None
    await back(home)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll(2)
    assert automation.pop_hubs() == [FOCUS]


# How long


@pytest.mark.usefixtures("plugged")
async def test_room_has_to_stay_free(home: Home) -> None:
    automation = await automate_focus_room(home, "room_free", **{"for": {"minutes": 5}})
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


@pytest.mark.parametrize(
    ("trigger", "happen"),
    [
        ("room_in_use", lambda hub: hub.plug(2)),
        ("hub_went_offline", lambda hub: setattr(hub, "online", False)),
    ],
)
async def test_others_that_have_to_last(
    home: Home, entry: ConfigEntry, trigger: str, happen: Callable[[SimHub], None]
) -> None:
    automation = await automate_focus_room(home, trigger, **{"for": "00:05:00"})
    happen(home.simulator.hub(FOCUS))
    await home.poll()
    await home.advance_time(280)
    assert automation.pop_trigger_variables() == []
    await home.advance_time(30)
    assert automation.pop_hubs() == [FOCUS]


@OUTAGES
@pytest.mark.usefixtures("plugged")
async def test_time_begins_anew_after_an_outage(home: Home, begin: Step, end: Step) -> None:
    automation = await automate_focus_room(home, "room_free", **{"for": 300})
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
@pytest.mark.usefixtures("plugged")
async def test_what_ended_during_an_outage_is_not_told(home: Home, begin: Step, end: Step) -> None:
    automation = await automate_focus_room(home, "room_free", **{"for": 300})
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


@pytest.mark.usefixtures("plugged")
async def test_automation_that_is_turned_off_waits_no_longer(home: Home) -> None:
    automation = await automate_focus_room(home, "room_free", **{"for": 300})
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    for action in ("turn_off", "turn_on"):
        await home.hass.services.async_call(
            "automation", action, {"entity_id": "automation.test"}, blocking=True
        )
    await home.advance_time(600)
    assert automation.pop_trigger_variables() == []
