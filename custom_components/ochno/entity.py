"""What all entities of a hub share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import CONF_ACCESS, DOMAIN, Access
from .coordinator import OchnoConfigEntry, OchnoCoordinator
from .operated.models import Hub

# Home Assistant enables at most 10,000 entities of an account, whichever come first.
MANY_HUBS: Final = 700
DEFAULT_PORT: Final = "default_port"
ROOM_SYSTEM_PORT: Final = "room_system_port"


@dataclass(frozen=True, kw_only=True)
class OchnoEntityDescription(EntityDescription):
    """`access` is what the user must have granted; None means that either will do.

    One that is `dispensable` is disabled at first in an account of many hubs, so that all of them
    get the others.
    """

    access: Access | None = None
    available_offline: bool = False
    dispensable: bool = False


class OchnoHubEntity(CoordinatorEntity[OchnoCoordinator]):
    """An entity of one hub. Unavailable while the hub is offline or not in the account."""

    _attr_has_entity_name = True
    entity_description: OchnoEntityDescription

    def __init__(
        self, coordinator: OchnoCoordinator, hub_id: str, description: OchnoEntityDescription
    ) -> None:
        super().__init__(coordinator, hub_id)
        self.entity_description = description
        if description.dispensable and len(coordinator.data) > MANY_HUBS:
            self._attr_entity_registry_enabled_default = False
        self._hub_id = hub_id
        self._attr_unique_id = f"{hub_id}_{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, hub_id)})

    @property
    def hub(self) -> Hub:
        """The hub as last reported; only there while the entity is available."""
        return self.coordinator.data[self._hub_id]

    @property
    @override
    def available(self) -> bool:
        return (
            super().available
            and self._hub_id in self.coordinator.data
            and (self.entity_description.available_offline or self.hub.online is not False)
        )


@callback
def add_hub_entities[DescriptionT: OchnoEntityDescription](
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    describe: Callable[[Hub], Iterable[DescriptionT]],
    create: Callable[[OchnoCoordinator, str, DescriptionT], Entity],
) -> None:
    """Add an entity for whatever `describe` names, now and whenever a hub reports more.

    A hub whose device was removed is forgotten, so that its entities come back with it.
    """
    coordinator = entry.runtime_data
    access = entry.data[CONF_ACCESS]
    known: dict[str, set[str]] = {}

    @callback
    def add_new(hub_ids: Iterable[str]) -> None:
        entities = []
        for hub_id in hub_ids:
            if hub_id not in coordinator.devices:
                known.pop(hub_id, None)
            elif (hub := coordinator.data.get(hub_id)) is not None:
                keys = known.setdefault(hub_id, set())
                for description in describe(hub):
                    if description.key not in keys and description.access in (None, access):
                        keys.add(description.key)
                        entities.append(create(coordinator, hub_id, description))
        if entities:
            async_add_entities(entities)

    entry.async_on_unload(coordinator.async_add_listener(lambda: add_new(coordinator.changed)))
    add_new(coordinator.data)


def port_options(hub: Hub) -> list[str]:
    """Return what *Active port* can be: `none` or the number of a port."""
    return ["none", *(str(port.number) for port in hub.ports)]


def active_port_option(hub: Hub) -> str | None:
    """Return the option for the active port; None if it is unknown or not one of the hub's."""
    option = str(hub.active_port or "none")
    return option if hub.active_port is not None and option in port_options(hub) else None


def port_attributes(hub: Hub) -> Mapping[str, int | None]:
    """Return what automations go by that make a port active."""
    return {DEFAULT_PORT: hub.default_port, ROOM_SYSTEM_PORT: hub.fixed_port}
