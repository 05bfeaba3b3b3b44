"""View of the generated dashboard for one room."""

from collections.abc import Iterator
from typing import Final

from homeassistant.const import Platform
from homeassistant.helpers import entity_registry as er

from ..operated.values import MAX_PORTS
from ..rooms import Room, RoomHub
from .cards import (
    ACTIVE_PORT,
    Card,
    DashboardContext,
    entity_badge,
    entity_name,
    heading,
    navigate,
    overheating_badge,
    room_path,
    section,
    tile,
    usage_graph,
)
from .views import View, message

HISTORY_HOURS: Final = 24
USAGE_DAYS: Final = 14

_PORTS: Final = range(1, MAX_PORTS + 1)


def room_view(context: DashboardContext, path: str) -> View:
    """Return the view of a room: its hubs, the last hours, and the hours in use per day."""
    room = next((room for room in context.rooms if room_path(room) == path), None)
    if room is None:
        return message(context.text("no_rooms"))
    sections = [_hub_section(context, hub) for hub in room.hubs]
    graphs = [card for hub in room.hubs for card in _history(context, hub, room)]
    usage: list[Card] = [
        {"entity": entry.entity_id, "name": hub.name}
        for hub in room.hubs
        for entry in context.hub_entities([hub], ["time_in_use"], Platform.SENSOR)
    ]
    if usage:
        graph = usage_graph(USAGE_DAYS, usage, hide_legend=len(usage) == 1)
        graphs += (heading(context.text("hours_per_day")), graph)
    if graphs:
        sections.append(section(*graphs))
    return View(sections=sections)


def _history(context: DashboardContext, hub: RoomHub, room: Room) -> Iterator[Card]:
    """Return a graph of what the hub reported, with a heading."""
    entries = context.hub_entities([hub], ["in_use"])
    entries += context.hub_entities([hub], ["active_port"], *ACTIVE_PORT)
    if entries:
        title = context.text("last_24_hours")
        yield heading(f"{hub.name}: {title}" if room.hubs[1:] else title)
        yield {
            "type": "history-graph",
            "hours_to_show": HISTORY_HOURS,
            "entities": [{"entity": it.entity_id, "name": entity_name(it)} for it in entries],
        }


def _hub_section(context: DashboardContext, hub: RoomHub) -> Card:
    """Return the section of a hub: active port, buttons to switch, what is plugged in."""
    badges = [*map(entity_badge, context.hub_entities([hub], ("in_use", "connectivity")))]
    badges += map(overheating_badge, context.hub_entities([hub], ["overheating"]))
    title = heading(hub.name, badges=badges)
    if context.is_admin:
        title["tap_action"] = navigate(f"/config/devices/device/{hub.device.id}")
    switches = context.hub_entities([hub], [f"port_{port}" for port in _PORTS], Platform.SWITCH)
    plugs = context.hub_entities([hub], [f"port_{port}_connected" for port in _PORTS])
    cards = [title]
    for entry in context.hub_entities([hub], ["active_port"], *ACTIVE_PORT):
        card = tile(entry, grid_options={"columns": 12})
        # The hubs of a large account have no switches.
        if entry.domain == Platform.SELECT and not switches:
            card["features"] = [{"type": "select-options"}]
        cards.append(card)
    if switches:
        cards.append(_subtitle(context, "switch_to"))
        cards += map(_port_button, switches)
    if plugs:
        cards.append(_subtitle(context, "plugged_in"))
        cards += map(tile, plugs)
    return section(*cards)


def _port_button(entry: er.RegistryEntry) -> Card:
    """Return a button that activates a port. A tap on the active port changes nothing."""
    turn_on = {
        "action": "perform-action",
        "perform_action": "switch.turn_on",
        "target": {"entity_id": entry.entity_id},
    }
    # By default, a tap on the icon of a switch toggles it, which would blank the screen.
    return tile(entry, tap_action=turn_on, icon_tap_action=turn_on)


def _subtitle(context: DashboardContext, key: str) -> Card:
    return heading(context.text(key), heading_style="subtitle")
