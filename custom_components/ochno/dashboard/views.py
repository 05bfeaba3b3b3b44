"""Views of the generated dashboard: the rooms and the hubs."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from homeassistant.const import STATE_OFF, STATE_ON, STATE_UNAVAILABLE, STATE_UNKNOWN, Platform
from homeassistant.helpers import entity_registry as er, floor_registry as fr

from ..const import DOMAIN
from ..data import OchnoConfigEntry
from ..entity import NO_PORT
from ..rooms import Room, RoomHub
from .cards import (
    ACTIVE_PORT,
    ROOM_SYSTEM_ICON,
    Card,
    DashboardContext,
    entity_badge,
    entity_name,
    escape,
    heading,
    hint,
    markdown,
    navigate,
    offline_badge,
    overheating_badge,
    room_path,
    section,
    state_is,
    state_is_not,
    tile,
)

# Rooms on one page. With more rooms, each floor has a page of its own, or several.
MAX_ROOMS: Final = 100
MAX_PROBLEMS: Final = 50
MAX_COLUMNS: Final = 3
_OCCUPANCY_DAYS: Final = 7

# Keys of the rooms that are on no floor or in no area. The id of a floor has no hyphen.
NO_FLOOR: Final = "no-floor"
NO_AREA: Final = "no-area"


@dataclass(frozen=True, kw_only=True)
class View:
    """A view, and the ids of the entities whose new state changes it."""

    sections: list[Card]
    watch: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Floor:
    """The rooms on one floor. `key` is the id of the floor, `NO_FLOOR` or `NO_AREA`."""

    key: str
    name: str
    icon: str | None = None
    rooms: list[Room] = field(default_factory=list)


def floors(context: DashboardContext) -> list[Floor]:
    """Return the floors that have rooms, from the lowest to the highest."""
    by_key = defaultdict[str, list[Room]](list)
    for room in context.rooms:
        key = NO_AREA if room.area is None else room.area.floor_id or NO_FLOOR
        by_key[key].append(room)
    registered = sorted(
        fr.async_get(context.hass).async_list_floors(),
        key=lambda floor: (floor.level is None, floor.level or 0, floor.name.casefold()),
    )
    found = [Floor(key=floor.floor_id, name=floor.name, icon=floor.icon) for floor in registered]
    found.append(Floor(key=NO_FLOOR, name=context.text("no_floor")))
    found.append(Floor(key=NO_AREA, name=context.text("no_area")))
    return [
        Floor(key=floor.key, name=floor.name, icon=floor.icon, rooms=by_key[floor.key])
        for floor in found
        if floor.key in by_key
    ]


def message(text: str) -> View:
    """Return a view with only a text."""
    return View(sections=[section(markdown(text))])


# Rooms


def rooms_view(context: DashboardContext, floor_key: str | None, page: int) -> View:
    """Return the rooms of all floors, or a page of one floor."""
    shown = [floor for floor in floors(context) if floor_key in (None, floor.key)]
    first = (page - 1) * MAX_ROOMS
    sections = []
    watch = []
    for floor in shown:
        rooms = sorted(floor.rooms, key=_has_no_problem)[first : first + MAX_ROOMS]
        watch += _watched(context, floor.rooms)
        watch += context.room_system_entities(hub for room in rooms for hub in room.hubs)
        cards = [_room_card(context, room) for room in rooms]
        if len(shown) > 1 or floor.key not in (NO_FLOOR, NO_AREA):
            cards.insert(0, heading(floor.name, icon=floor.icon))
        key = {NO_FLOOR: "assign_floors", NO_AREA: "assign_areas"}.get(floor.key)
        if key and context.is_admin:
            cards.append(hint(context.text(key), grid_options={"columns": "full"}))
        sections.append(section(*cards, column_span=MAX_COLUMNS, background=True))
    return View(sections=sections, watch=watch)


def _has_no_problem(room: Room) -> bool:
    return not any(_problems(hub) for hub in room.hubs)


def _problems(hub: RoomHub) -> list[str]:
    """Return the keys of the entities that show a problem of a hub.

    Nothing is known about a hub while its account cannot be reached, or after it was removed.
    """
    current = hub.snapshot.current
    problems = []
    if not current or current.get("connectivity") is False:
        problems.append("connectivity")
    if current.get("overheating"):
        problems.append("overheating")
    return problems


def _watched(context: DashboardContext, rooms: Iterable[Room]) -> list[str]:
    """Return the entities that show whether a room has a problem."""
    hubs = (hub for room in rooms for hub in room.hubs)
    entries = context.hub_entities(hubs, ("connectivity", "overheating"))
    return [entry.entity_id for entry in entries]


def _room_card(context: DashboardContext, room: Room) -> Card:
    """Return the card of a room in the list."""
    return heading(
        room.name,
        badges=list(_room_badges(context, room)),
        tap_action=navigate(room_path(room)),
        grid_options={"columns": 12},
    )


def _room_badges(context: DashboardContext, room: Room) -> Iterator[Card]:
    yield from map(overheating_badge, context.hub_entities(room.hubs, ["overheating"]))
    connectivity = context.hub_entities(room.hubs, ["connectivity"])
    for entry in connectivity:
        yield offline_badge(context, entry, tap_action=navigate(room_path(room)))
    # Only one is visible.
    for index, entry in enumerate(connectivity):
        others = [state_is_not(it.entity_id, STATE_UNAVAILABLE) for it in connectivity[:index]]
        yield entity_badge(
            entry,
            state_is(entry.entity_id, STATE_UNAVAILABLE),
            *others,
            # The badge would show a dash as the state.
            name=context.text("unavailable"),
            state_content="name",
        )
    # Only one is visible: in use if one of the hubs is, free if all of them are.
    in_use = context.hub_entities(room.hubs, ["in_use"])
    for index, entry in enumerate(in_use):
        others = [state_is_not(other.entity_id, STATE_ON) for other in in_use[:index]]
        yield entity_badge(entry, state_is(entry.entity_id, STATE_ON), *others)
    for entry in in_use[:1]:
        yield entity_badge(entry, *(state_is(it.entity_id, STATE_OFF) for it in in_use))
    for hub in room.hubs:
        for entry in context.hub_entities([hub], ["active_port"], *ACTIVE_PORT):
            yield from _active_port_badges(context, entry, hub.snapshot.hub.fixed_port)


def _active_port_badges(
    context: DashboardContext, entry: er.RegistryEntry, room_system_port: int | None
) -> Iterator[Card]:
    """Return a badge for the active port, and one for the active port of the room system."""
    hidden = [STATE_UNAVAILABLE, STATE_UNKNOWN, NO_PORT]
    if room_system_port:
        port = str(room_system_port)
        yield entity_badge(
            entry,
            state_is(entry.entity_id, port),
            name=context.room_system,
            state_content="name",
            icon=ROOM_SYSTEM_ICON,
        )
        hidden.append(port)
    yield entity_badge(entry, state_is_not(entry.entity_id, *hidden))


# Hubs


def hubs_view(context: DashboardContext) -> View:
    """Return the view of the hubs: problems, firmware versions and accounts."""
    return View(
        sections=[
            section(heading(context.text("problems")), *_problem_cards(context)),
            section(heading(context.text("firmware")), _firmware_card(context)),
            *_account_sections(context),
        ],
        watch=_watched(context, context.rooms),
    )


def _problem_cards(context: DashboardContext) -> Iterator[Card]:
    """Return a tile for each problem of a hub."""
    tiles = [
        tile(entry, hub.name, tap_action=navigate(room_path(room)))
        for room in context.rooms
        for hub in room.hubs
        for entry in context.hub_entities([hub], _problems(hub))
    ]
    yield from tiles[:MAX_PROBLEMS]
    if not tiles:
        yield hint(context.text("no_problems"))
    elif more := len(tiles[MAX_PROBLEMS:]):
        yield hint(context.text("more", count=more))


def _firmware_card(context: DashboardContext) -> Card:
    """Return the firmware versions with the number of hubs, the most frequent first."""
    counts = Counter(
        hub.device.sw_version or context.text("unknown")
        for room in context.rooms
        for hub in room.hubs
    )
    return markdown(*(f"- {escape(version)}: {count}" for version, count in counts.most_common()))


def _account_sections(context: DashboardContext) -> Iterator[Card]:
    """Return a section for each account: its rooms and hubs in numbers, and instant updates."""
    entries: list[OchnoConfigEntry] = context.hass.config_entries.async_loaded_entries(DOMAIN)
    for entry in entries:
        sensors = {
            key: sensor
            for key in (
                "rooms_in_use",
                "rooms_free",
                "hubs_online",
                "hubs_offline",
                "instant_updates",
            )
            if (sensor := context.entity(entry.unique_id or "", key, Platform.SENSOR))
        }
        cards = [heading(entry.title), *map(tile, sensors.values())]
        if "instant_updates" not in sensors:
            texts = f"component.{DOMAIN}.entity.sensor.instant_updates"
            name = context.texts[f"{texts}.name"]
            state = context.texts[f"{texts}.state.{entry.runtime_data.push.state}"]
            cards.append(hint(f"{name}: {state}"))
        if rooms_in_use := sensors.get("rooms_in_use"):
            cards.append(
                {
                    "type": "statistics-graph",
                    "title": entity_name(rooms_in_use),
                    "period": "hour",
                    "days_to_show": _OCCUPANCY_DAYS,
                    "stat_types": ["max"],
                    "entities": [rooms_in_use.entity_id],
                    "hide_legend": True,
                }
            )
        yield section(*cards)
