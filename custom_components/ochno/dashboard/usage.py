"""Usage view of the generated dashboard: hours in use, the busiest and the unused rooms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from homeassistant.components.recorder.statistics import statistics_during_period
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers.recorder import DATA_INSTANCE, get_instance
from homeassistant.util import dt as dt_util

from ..rooms import Room
from .cards import (
    Card,
    DashboardContext,
    escape,
    heading,
    markdown,
    room_path,
    section,
    usage_graph,
)
from .views import View, floors, message

DAYS: Final = 7
# Rooms in one graph. More bars would be hard to read.
MAX_BARS: Final = 10
MAX_BUSIEST: Final = 10
MAX_UNUSED: Final = 100


@dataclass(frozen=True, kw_only=True)
class RoomUsage:
    """Hours in use of a room. In a room with several hubs, these are the most hours of a hub."""

    room: Room
    entity_id: str
    hours: float


async def usage_view(context: DashboardContext) -> View:
    """Return the view of the usage."""
    sensors = {
        entry.entity_id: room
        for room in context.rooms
        for entry in context.hub_entities(room.hubs, ["time_in_use"], Platform.SENSOR)
    }
    if not sensors:
        return message(context.text("no_usage_sensors"))
    usage: dict[str, RoomUsage] = {}
    for entity_id, hours in await _async_hours(context.hass, set(sensors)):
        room = sensors[entity_id]
        usage[room_path(room)] = RoomUsage(room=room, entity_id=entity_id, hours=hours)
    if not usage:
        return message(context.text("no_usage"))
    used = sorted(
        (room for room in usage.values() if room.hours), key=lambda room: room.hours, reverse=True
    )
    unused = [room for room in context.rooms if (it := usage.get(room_path(room))) and not it.hours]
    lists = {
        "busiest": [f"1. {_link(it.room)}: {_duration(it.hours)}" for it in used[:MAX_BUSIEST]],
        "unused": [f"- {_link(room)}" for room in unused],
    }
    sections = [
        section(heading(context.text(key)), _list_card(context, lines))
        for key, lines in lists.items()
        if lines
    ]
    return View(sections=[*sections, *_graph_sections(context, used)])


def _graph_sections(context: DashboardContext, used: Sequence[RoomUsage]) -> list[Card]:
    """Return a section with a graph for each floor."""
    sections = []
    for floor in floors(context):
        paths = set(map(room_path, floor.rooms))
        bars = [room for room in used if room_path(room.room) in paths][:MAX_BARS]
        if bars:
            entities: list[Card] = [
                {"entity": room.entity_id, "name": room.room.name} for room in bars
            ]
            title = heading(f"{floor.name}: {context.text('hours_per_day')}")
            sections.append(section(title, usage_graph(DAYS, entities)))
    return sections


def _list_card(context: DashboardContext, lines: list[str]) -> Card:
    """Return a list of rooms."""
    shown = lines[:MAX_UNUSED]
    if more := len(lines) - len(shown):
        shown += ["", context.text("more", count=more)]
    return markdown(*shown)


def _link(room: Room) -> str:
    return f"[{escape(room.name)}]({room_path(room)})"


def _duration(hours: float) -> str:
    return f"{hours:.0f} h" if hours >= 1 else f"{hours * 60:.0f} min"


async def _async_hours(hass: HomeAssistant, entity_ids: set[str]) -> list[tuple[str, float]]:
    """Return the hours in use of the last days, today included, in ascending order.

    An entity without statistics is not in the list.
    """
    if DATA_INSTANCE not in hass.data:
        return []
    rows = await get_instance(hass).async_add_executor_job(
        statistics_during_period,
        hass,
        dt_util.utcnow() - timedelta(days=DAYS - 1),
        None,
        entity_ids,
        "day",
        {"duration": "h"},
        {"change"},
    )
    hours = {entity_id: sum(day["change"] or 0 for day in days) for entity_id, days in rows.items()}
    return sorted(hours.items(), key=lambda item: item[1])
