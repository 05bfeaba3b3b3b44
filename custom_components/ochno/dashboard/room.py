"""View of the generated dashboard for one room."""

from collections.abc import Iterator
from typing import Final

from homeassistant.const import STATE_ON, Platform
from homeassistant.helpers import entity_registry as er

from ..operated.models import Hub
from ..operated.values import MAX_PORTS
from ..rooms import Room, RoomHub
from .cards import (
    ACTIVE_PORT,
    ROOM_SYSTEM_ICON,
    Card,
    DashboardContext,
    entity_name,
    heading,
    navigate,
    offline_badge,
    overheating_badge,
    room_path,
    section,
    state_is,
    state_is_not,
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
    return View(sections=sections, watch=context.room_system_entities(room.hubs))


def _history(context: DashboardContext, hub: RoomHub, room: Room) -> Iterator[Card]:
    """Return the history graph of a hub, with a heading."""
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
    """Return the section of a hub: occupancy, active port, and the ports."""
    badges = [offline_badge(context, it) for it in context.hub_entities([hub], ["connectivity"])]
    badges += map(overheating_badge, context.hub_entities([hub], ["overheating"]))
    title = heading(hub.name, badges=badges)
    if context.is_admin:
        title["tap_action"] = navigate(f"/config/devices/device/{hub.device.id}")
    buttons, plugs = _port_cards(context, hub.snapshot.hub)
    cards = [title, *map(tile, context.hub_entities([hub], ["in_use"]))]
    for entry in context.hub_entities([hub], ["active_port"], *ACTIVE_PORT):
        # In a large account, the switches are disabled by default.
        has_menu = entry.domain == Platform.SELECT and not buttons
        cards += _active_port_tiles(entry, hub.snapshot.hub.fixed_port, has_menu=has_menu)
    if buttons:
        cards += (_subtitle(context, "switch_to"), *buttons)
    if plugs:
        cards += (_subtitle(context, "plugged_in"), *plugs)
    return section(*cards)


def _active_port_tiles(
    entry: er.RegistryEntry, room_system_port: int | None, *, has_menu: bool
) -> Iterator[Card]:
    """Return a tile for the active port, and one for the active port of the room system."""
    name = entity_name(entry)
    config: Card = {}
    if has_menu:
        config = {"features": [{"type": "select-options"}], "grid_options": {"columns": 12}}
    if room_system_port:
        port = str(room_system_port)
        visibility = [state_is(entry.entity_id, port)]
        yield tile(entry, name, icon=ROOM_SYSTEM_ICON, visibility=visibility, **config)
        config["visibility"] = [state_is_not(entry.entity_id, port)]
    yield tile(entry, name, **config)


def _port_cards(context: DashboardContext, hub: Hub) -> tuple[list[Card], list[Card]]:
    """Return the buttons to switch, and what is plugged in to ports without a button."""
    buttons: list[Card] = []
    plugs: list[Card] = []
    for port in _PORTS:
        switch = context.entity(hub.id, f"port_{port}", Platform.SWITCH)
        plug = context.entity(hub.id, f"port_{port}_connected", Platform.BINARY_SENSOR)
        if (entry := switch or plug) is None:
            continue
        name, config = entity_name(entry), dict[str, object]()
        if port == hub.fixed_port:
            # A name that the user chose stays as it is.
            name = entry.name or f"{context.room_system}: {name}"
            config = {"icon": ROOM_SYSTEM_ICON, "grid_options": {"columns": 12}}
        if switch:
            buttons += _port_buttons(switch, plug, name, config)
        else:
            plugs.append(tile(entry, name, **config))
    return buttons, plugs


def _port_buttons(
    switch: er.RegistryEntry, plug: er.RegistryEntry | None, name: str, config: Card
) -> Iterator[Card]:
    """Return a button that activates a port, as two tiles of which one is visible.

    The tiles show whether something is plugged in, because the screen of an empty port is black.
    The tile of the active port has its own icon. A tap on the active port changes nothing.
    """
    turn_on = {
        "action": "perform-action",
        "perform_action": "switch.turn_on",
        "target": {"entity_id": switch.entity_id},
    }
    # By default, a tap on the icon of a switch toggles it, and the screen would go black.
    config = {**config, "tap_action": turn_on, "icon_tap_action": turn_on}
    if plug is None:
        yield tile(switch, name, **config)
        return
    active = {"icon": "mdi:monitor-share", "visibility": [state_is(switch.entity_id, STATE_ON)]}
    yield tile(plug, name, **{**config, **active})
    inactive = {"color": "primary", "visibility": [state_is_not(switch.entity_id, STATE_ON)]}
    yield tile(plug, name, **{**config, **inactive})


def _subtitle(context: DashboardContext, key: str) -> Card:
    return heading(context.text(key), heading_style="subtitle")
