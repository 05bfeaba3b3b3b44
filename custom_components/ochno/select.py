"""Select for the active port, with the access *Read and control*."""

from collections.abc import Iterator, Set as AbstractSet
from dataclasses import dataclass
from typing import override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import Access
from .data import OchnoConfigEntry
from .entity import (
    NO_PORT,
    OchnoActivePortEntity,
    OchnoEntityDescription,
    async_add_hub_entities,
)
from .operated.models import Hub

# RequestBudget limits the requests of an account, and OchnoControl keeps the commands of a hub in
# order.
PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSelectEntityDescription(OchnoEntityDescription, SelectEntityDescription):
    """Description of a select."""


ACTIVE_PORT = OchnoSelectEntityDescription(
    key="active_port", translation_key="active_port", access=Access.CONTROL
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the selects."""
    await async_add_hub_entities(entry, async_add_entities, _descriptions, OchnoActivePortSelect)


def _descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoSelectEntityDescription]:
    if ACTIVE_PORT.key in registered_keys or hub.ports:
        yield ACTIVE_PORT


class OchnoActivePortSelect(OchnoActivePortEntity, SelectEntity):
    """Select for the active port of a hub."""

    entity_description: OchnoSelectEntityDescription

    @property
    @override
    def options(self) -> list[str]:
        return self.port_options

    @property
    @override
    def current_option(self) -> str | None:
        return self.active_port

    @override
    async def async_select_option(self, option: str) -> None:
        port = 0 if option == NO_PORT else int(option)
        await self._control.async_set_active_port(self._hub_id, port, self._context)
