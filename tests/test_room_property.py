"""Property-based test of the triggers for rooms: random changes, outages, reloads and renames."""

from dataclasses import dataclass, field

from hypothesis import given, strategies as st
import pytest
from pytest_homeassistant_custom_component.common import async_mock_service

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import ServiceCall
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.setup import async_setup_component

from .home import HUBS_PATH, Home
from .simulator import Fault
from .strategies import max_examples

pytestmark = pytest.mark.property

ROOMS = {"conference": ("Focus room", "Workshop"), "boardroom": ("Boardroom",)}
ALL_ROOMS = tuple(hub for hubs in ROOMS.values() for hub in hubs)
HUBS = st.sampled_from(ALL_ROOMS)
# With these behaviors, all rooms together are in use or free as one room is.
COMBINED = {"room_in_use": "first", "room_free": "all"}
POLL = st.tuples(st.just("poll"), st.just(""), st.just(0))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("plug"), HUBS, st.integers(2, 3)),
        st.tuples(st.just("unplug"), HUBS, st.integers(2, 3)),
        st.tuples(st.just("switch"), HUBS, st.integers(0, 3)),
        st.tuples(st.just("online"), HUBS, st.integers(0, 1)),
        st.tuples(st.just("reachable"), st.just(""), st.integers(0, 1)),
        st.tuples(st.just("reload"), st.just(""), st.just(0)),
        st.tuples(st.just("rename"), HUBS, st.integers(0, 9)),
        # Twice, because only a poll can fire a trigger.
        POLL,
        POLL,
    ),
    min_size=3,
    max_size=30,
)

type Step = tuple[str, str, int]
type Known = dict[str, bool | None]


@dataclass
class RoomModel:
    """Model of a room. `known` and `last` have the present and the last known values.

    `used`: a laptop was plugged in since the room was free.
    """

    hubs: tuple[str, ...]
    known: Known = field(default_factory=dict)
    last: Known = field(default_factory=dict)
    used: bool = False

    def update(self, known: Known) -> set[str]:
        """Return the triggers that fire when these values are known."""
        now = [known[hub] for hub in self.hubs]
        plugged_in = [hub for hub in self.hubs if known[hub] and not self.last.get(hub)]
        in_use_before = any(
            # A hub that is still unknown may have been free for a long time.
            self.known.get(hub) or (known[hub] is not None and self.last.get(hub))
            for hub in self.hubs
        )
        fired = {"room_in_use"} if plugged_in and not in_use_before else set()
        self.used |= any(now)
        if not any(now) and None not in now:
            fired |= {"room_free"} if self.used else set()
            self.used = False
        self.known = known
        self.last |= {hub: value for hub, value in known.items() if value is not None}
        return fired


@pytest.fixture
async def calls(home: Home, entry: ConfigEntry) -> list[ServiceCall]:
    """Put the hubs in their rooms, and record the runs of an automation with all triggers."""
    area_id = ar.async_get(home.hass).async_get_or_create("Conference").id
    for hub in ROOMS[area_id]:
        device = home.device(hub)
        assert device is not None
        dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)
    triggers = [
        {
            "trigger": f"ochno.{trigger}",
            "id": trigger,
            "target": {"area_id": list(ROOMS)},
            "options": {"behavior": behavior},
            "variables": {"room": room},
        }
        for trigger, combined in COMBINED.items()
        for behavior, room in (("each", "{{ trigger.area_id }}"), (combined, "all"))
    ]
    action = {
        "action": "test.record",
        "data": {"trigger": "{{ trigger.id }}", "room": "{{ room }}"},
    }
    automation = {
        "alias": "Test",
        "mode": "parallel",
        "max": 100,
        "triggers": triggers,
        "actions": [action],
    }
    calls = async_mock_service(home.hass, "test", "record")
    assert await async_setup_component(home.hass, "automation", {"automation": [automation]})
    return calls


async def perform(home: Home, kind: str, name: str, value: int) -> None:
    """Perform a step."""
    match kind:
        case "plug":
            home.simulator.hub(name).plug(value)
        case "unplug":
            home.simulator.hub(name).unplug(value)
        case "switch":
            home.simulator.hub(name).set_active(value)
        case "online":
            home.simulator.hub(name).online = bool(value)
        case "reachable":
            home.simulator.clear_faults()
            if not value:
                home.simulator.add_fault("GET", HUBS_PATH, Fault.status(503), times=None)
        case "reload":
            await home.hass.config_entries.async_reload(home.entry.entry_id)
        case "rename":
            device = home.device(name)
            assert device is not None
            registry = dr.async_get(home.hass)
            registry.async_update_device(device.id, name_by_user=f"{name} {value}")
        case _:
            await home.poll()
    await home.wait_until_idle()


def known_values(home: Home) -> Known:
    """Return which hubs are in use, as their entities show it."""
    states = {hub: home.state("binary_sensor", hub, "in_use") for hub in ALL_ROOMS}
    return {hub: {"on": True, "off": False}.get(state or "") for hub, state in states.items()}


@given(steps=STEPS)
@max_examples(20, thorough=2_000)
async def test_random_changes_and_outages_fire_room_triggers_once_for_each_change(
    home: Home, calls: list[ServiceCall], steps: list[Step]
) -> None:
    models = {room: RoomModel(hubs) for room, hubs in {**ROOMS, "all": ALL_ROOMS}.items()}
    # Begin with free rooms.
    all_online = [("reachable", "", 1), *(("online", hub, 1) for hub in ALL_ROOMS)]
    all_free = [("unplug", hub, port) for hub in ALL_ROOMS for port in (2, 3)]
    for step in (*all_online, *all_free, ("poll", "", 0), ("poll", "", 0)):
        await perform(home, *step)
    for model in models.values():
        model.update(known_values(home))
    calls.clear()
    for kind, name, value in (*steps, *all_online, ("poll", "", 0), ("poll", "", 0)):
        await perform(home, kind, name, value)
        if kind == "reload":
            # While the account is not loaded, nothing is known.
            for model in models.values():
                model.update(dict.fromkeys(ALL_ROOMS))
        known = known_values(home)
        expected = {
            (trigger, room) for room, model in models.items() for trigger in model.update(known)
        }
        fired = [(call.data["trigger"], call.data["room"]) for call in calls]
        calls.clear()
        assert sorted(fired) == sorted(expected), (kind, name, value)
