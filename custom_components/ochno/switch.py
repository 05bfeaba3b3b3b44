"""One switch per port, in place of *Port n active*, for those who let Home Assistant switch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import Access
from .coordinator import OchnoConfigEntry
from .entity import OchnoEntityDescription, OchnoHubEntity, add_hub_entities
from .operated.models import Hub

# The coordinator keeps the commands of one hub in order; those of different hubs need not wait.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSwitchEntityDescription(OchnoEntityDescription, SwitchEntityDescription):
    """The switch of one port."""

    port: int


@cache
def port_switch(number: int) -> OchnoSwitchEntityDescription:
    """Describe the switch of one port."""
    return OchnoSwitchEntityDescription(
        key=f"port_{number}",
        translation_key="port",
        translation_placeholders={"port": str(number)},
        access=Access.CONTROL,
        dispensable=True,
        port=number,
    )


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add a switch for every port."""
    add_hub_entities(entry, async_add_entities, _describe, OchnoPort)


def _describe(hub: Hub) -> Iterator[OchnoSwitchEntityDescription]:
    return (port_switch(port.number) for port in hub.ports)


class OchnoPort(OchnoHubEntity, SwitchEntity):
    """A port, on while it owns the room."""

    entity_description: OchnoSwitchEntityDescription

    @property
    @override
    def is_on(self) -> bool | None:
        port = self.hub.port(self.entity_description.port)
        return port.active if port else None

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        await self.coordinator.async_set_active_port(self._hub_id, self.entity_description.port)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        # Off already: to say "no port" would turn off another one.
        if self.is_on:
            await self.coordinator.async_set_active_port(self._hub_id, 0)
