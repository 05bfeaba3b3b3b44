"""The select *Active port*, in place of the sensor, for those who let Home Assistant switch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import Access
from .coordinator import OchnoConfigEntry
from .entity import (
    DEFAULT_PORT,
    ROOM_SYSTEM_PORT,
    OchnoEntityDescription,
    OchnoHubEntity,
    active_port_option,
    add_hub_entities,
    port_attributes,
    port_options,
)
from .operated.models import Hub

# The coordinator keeps the commands of one hub in order; those of different hubs need not wait.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSelectEntityDescription(OchnoEntityDescription, SelectEntityDescription):
    """A choice for a hub."""


ACTIVE_PORT = OchnoSelectEntityDescription(
    key="active_port", translation_key="active_port", access=Access.CONTROL
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add a select for every hub that reports its ports."""
    add_hub_entities(entry, async_add_entities, _describe, OchnoActivePort)


def _describe(hub: Hub) -> Iterator[OchnoSelectEntityDescription]:
    if hub.ports:
        yield ACTIVE_PORT


class OchnoActivePort(OchnoHubEntity, SelectEntity):
    """The port that owns the room."""

    _unrecorded_attributes = frozenset({DEFAULT_PORT, ROOM_SYSTEM_PORT})
    entity_description: OchnoSelectEntityDescription

    @property
    @override
    def options(self) -> list[str]:
        """Home Assistant asks for the options even of an unavailable entity."""
        hub = self.coordinator.data.get(self._hub_id)
        return [] if hub is None else port_options(hub)

    @property
    @override
    def current_option(self) -> str | None:
        return active_port_option(self.hub)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, int | None]:
        return port_attributes(self.hub)

    @override
    async def async_select_option(self, option: str) -> None:
        port = 0 if option == "none" else int(option)
        await self.coordinator.async_set_active_port(self._hub_id, port)
