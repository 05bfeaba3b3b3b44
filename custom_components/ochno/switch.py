"""Switches for the ports, with the access *Read and control*."""

from collections.abc import Iterator, Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import Access
from .data import OchnoConfigEntry
from .entity import OchnoEntityDescription, OchnoHubEntity, async_add_hub_entities
from .operated.models import Hub
from .ports import port_count

# RequestBudget limits the requests of an account, and OchnoControl keeps the commands of a hub in
# order.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSwitchEntityDescription(OchnoEntityDescription, SwitchEntityDescription):
    """Description of the switch for one port."""

    port: int


@cache
def port_switch(number: int) -> OchnoSwitchEntityDescription:
    """Return the description for one port."""
    return OchnoSwitchEntityDescription(
        key=f"port_{number}",
        translation_key="port",
        translation_placeholders={"port": str(number)},
        access=Access.CONTROL,
        disabled_above_many_hubs=True,
        port=number,
    )


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the switches."""
    await async_add_hub_entities(entry, async_add_entities, _descriptions, OchnoPortSwitch)


def _descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoSwitchEntityDescription]:
    return map(port_switch, range(1, port_count(hub, registered_keys) + 1))


class OchnoPortSwitch(OchnoHubEntity, SwitchEntity):
    """Switch for one port, on while the port is active."""

    entity_description: OchnoSwitchEntityDescription

    @property
    @override
    def is_on(self) -> bool | None:
        port = self.hub.port(self.entity_description.port)
        return port.active if port else None

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        port = self.entity_description.port
        await self._control.async_turn_on_port(self._hub_id, port, self._context)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        # If another port is active, this command would deactivate that one.
        if self.is_on:
            await self._control.async_set_active_port(self._hub_id, 0, self._context)
