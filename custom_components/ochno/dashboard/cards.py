"""Cards of the generated dashboard, and the data for them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from homeassistant.const import STATE_OFF, STATE_ON, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er

from ..const import DOMAIN
from ..rooms import Room, RoomHub

type Card = dict[str, object]

ACTIVE_PORT: Final = (Platform.SELECT, Platform.SENSOR)
ROOM_SYSTEM_ICON: Final = "mdi:video"


@dataclass(frozen=True, kw_only=True)
class DashboardContext:
    """Data for the dashboard of one user.

    `texts` are the translations in the language of the user. `rooms` are the rooms that the options
    of the dashboard select. An administrator can open the pages of devices and the settings.
    """

    hass: HomeAssistant
    texts: Mapping[str, str]
    rooms: Sequence[Room]
    is_admin: bool

    def text(self, key: str, **placeholders: object) -> str:
        """Return a text of the dashboard."""
        text = self.texts[f"component.{DOMAIN}.config_panel.dashboard.{key}"]
        return text.format_map(placeholders)

    @property
    def room_system(self) -> str:
        """Return the name of the room's own video system."""
        return self.texts[f"component.{DOMAIN}.entity.binary_sensor.room_system.name"]

    def entity(self, owner_id: str, key: str, *platforms: Platform) -> er.RegistryEntry | None:
        """Return the entity of a hub or an account; None if it is missing, disabled or hidden."""
        registry = er.async_get(self.hass)
        for platform in platforms:
            entity_id = registry.async_get_entity_id(platform, DOMAIN, f"{owner_id}_{key}")
            if entity_id is not None:
                entry = registry.entities[entity_id]
                return None if entry.disabled or entry.hidden else entry
        return None

    def hub_entities(
        self, hubs: Iterable[RoomHub], keys: Sequence[str], *platforms: Platform
    ) -> list[er.RegistryEntry]:
        """Return the entities of hubs, by default their binary sensors."""
        platforms = platforms or (Platform.BINARY_SENSOR,)
        keys = tuple(keys)
        entries = (
            self.entity(hub.snapshot.hub.id, key, *platforms) for hub in hubs for key in keys
        )
        return [entry for entry in entries if entry]

    def room_system_entities(self, hubs: Iterable[RoomHub]) -> list[str]:
        """Return the entities that show which port belongs to the room system."""
        hubs = tuple(hubs)
        entries = self.hub_entities(hubs, ["room_system"])
        entries += self.hub_entities(hubs, ["room_system_port"], Platform.SENSOR)
        return [entry.entity_id for entry in entries]


def entity_name(entry: er.RegistryEntry) -> str:
    """Return the name of an entity without the name of its device."""
    return entry.name or entry.original_name or entry.entity_id


def room_path(room: Room) -> str:
    """Return the path of the view of a room."""
    return f"room-{room.area.id if room.area else room.hubs[0].device.id}"


def escape(text: str) -> str:
    """Escape a name for a Markdown card, whose content is also a template."""
    return "".join(char if char.isalnum() or char == " " else f"&#{ord(char)};" for char in text)


def navigate(path: str) -> Card:
    """Return the action that opens another view of the dashboard, or a page of Home Assistant."""
    return {"action": "navigate", "navigation_path": path}


def heading(text: str, **config: object) -> Card:
    """Return a heading."""
    return {"type": "heading", "heading": text, **config}


def markdown(*lines: str) -> Card:
    """Return a card with a text."""
    return {"type": "markdown", "content": "\n".join(lines)}


def hint(text: str, **config: object) -> Card:
    """Return a text without the frame of a card."""
    return {**markdown(text), "text_only": True, **config}


def tile(entry: er.RegistryEntry, name: str | None = None, **config: object) -> Card:
    """Return a tile for an entity, by default with the name of the entity."""
    return {
        "type": "tile",
        "entity": entry.entity_id,
        "name": name or entity_name(entry),
        **config,
    }


def section(*cards: Card, **config: object) -> Card:
    """Return a section of a view."""
    return {"type": "grid", "cards": list(cards), **config}


def state_is(entity_id: str, state: str) -> Card:
    """Return the condition that an entity has a state."""
    return {"condition": "state", "entity": entity_id, "state": state}


def state_is_not(entity_id: str, *states: str) -> Card:
    """Return the condition that an entity has none of the states."""
    return {"condition": "state", "entity": entity_id, "state_not": list(states)}


def entity_badge(entry: er.RegistryEntry, *visibility: Card, **config: object) -> Card:
    """Return the badge of a heading for an entity."""
    return {
        "type": "entity",
        "entity": entry.entity_id,
        "color": "state",
        "visibility": list(visibility),
        **config,
    }


def offline_badge(context: DashboardContext, entry: er.RegistryEntry, **config: object) -> Card:
    """Return the badge that is visible while a hub is offline."""
    return {
        "type": "button",
        "icon": "mdi:lan-disconnect",
        "text": context.text("offline"),
        "color": "red",
        "visibility": [state_is(entry.entity_id, STATE_OFF)],
        **config,
    }


def overheating_badge(entry: er.RegistryEntry) -> Card:
    """Return the badge that is visible while a hub is overheating."""
    return entity_badge(
        entry,
        state_is(entry.entity_id, STATE_ON),
        name=entity_name(entry),
        state_content="name",
        color="red",
        icon="mdi:thermometer-alert",
    )


def usage_graph(days: int, entities: Sequence[Card], **config: object) -> Card:
    """Return a graph with the hours in use per day as bars."""
    return {
        "type": "statistics-graph",
        "chart_type": "bar",
        "period": "day",
        # The graph shows today in addition.
        "days_to_show": days - 1,
        "stat_types": ["change"],
        "entities": entities,
        **config,
    }
