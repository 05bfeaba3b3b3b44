"""Base classes of the entities."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Final, override

from homeassistant.core import Context, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import CONF_ACCESS, DOMAIN, Access
from .coordinator import OchnoCoordinator
from .data import OchnoConfigEntry, OchnoData
from .devices import account_identifier, async_entity_ids
from .operated.models import Hub

# Home Assistant enables at most 10,000 entities per config entry. Above this number of hubs, the
# entities that most users can do without are disabled by default.
MANY_HUBS: Final = 650
# Adding the entities of this number of hubs takes about 40 ms.
_HUBS_AT_ONCE: Final = 5
NO_PORT: Final = "none"

_DEFAULT_PORT: Final = "default_port"
_ROOM_SYSTEM_PORT: Final = "room_system_port"


@dataclass(frozen=True, kw_only=True)
class OchnoEntityDescription(EntityDescription):
    """Description of an entity of a hub.

    `access`: the entity only exists with this access; None means with both. `available_offline`:
    the entity stays available while the hub is offline. `disabled_above_many_hubs`: the entity is
    disabled by default in an account with more than `MANY_HUBS` hubs.
    """

    access: Access | None = None
    available_offline: bool = False
    disabled_above_many_hubs: bool = False


class OchnoHubEntity(CoordinatorEntity[OchnoCoordinator]):
    """Entity of one hub. Unavailable while the hub is offline or not in the account.

    `deleted` tells whether the entity was removed from the entity registry.
    """

    _attr_has_entity_name = True
    entity_description: OchnoEntityDescription
    deleted = False

    def __init__(self, data: OchnoData, hub_id: str, description: OchnoEntityDescription) -> None:
        super().__init__(data.coordinator, hub_id)
        self.entity_description = description
        if description.disabled_above_many_hubs and len(data.coordinator.data) > MANY_HUBS:
            self._attr_entity_registry_enabled_default = False
        self._control = data.control
        self._hub_id = hub_id
        self._attr_unique_id = f"{hub_id}_{description.key}"

    @property
    @override
    def device_info(self) -> DeviceInfo:
        return DeviceInfo(identifiers={(DOMAIN, self._hub_id)})

    @property
    def hub(self) -> Hub:
        """Return the hub. Raises KeyError if it is not in the account."""
        return self._control.hub(self._hub_id)

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        if self._hub_id in self.coordinator.devices.hub_ids:
            if self.entity_description.access is Access.CONTROL:
                # These entities show the active port. A command or a person in the room changes it.
                self.async_set_context(self._control.context(self._hub_id) or Context())
            super()._handle_coordinator_update()
        else:
            # The hub moved to another account, which adds this entity again.
            self.hass.async_create_task(self.async_remove(force_remove=True))

    @override
    async def async_removed_from_registry(self) -> None:
        self.deleted = True

    @property
    @override
    def available(self) -> bool:
        return (
            super().available
            and self._hub_id in self.coordinator.data
            and (self.entity_description.available_offline or not self.hub.offline)
        )


class OchnoAccountEntity(Entity):
    """Entity of an account."""

    _attr_has_entity_name = True

    def __init__(self, entry: OchnoConfigEntry, description: EntityDescription) -> None:
        self.entity_description = description
        self._attr_unique_id = f"{entry.unique_id}_{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, account_identifier(entry))})


class OchnoActivePortEntity(OchnoHubEntity):
    """Base class of the entities for the active port: a select, or a sensor (read access)."""

    _unrecorded_attributes = frozenset({_DEFAULT_PORT, _ROOM_SYSTEM_PORT})

    @property
    def port_options(self) -> list[str]:
        """Return `none` and the numbers of the ports.

        Home Assistant also reads the options of an unavailable entity.
        """
        hub = self.coordinator.data.get(self._hub_id)
        return [] if hub is None else [NO_PORT, *(str(port.number) for port in hub.ports)]

    @property
    def active_port(self) -> str | None:
        """Return the option of the active port; None if it is unknown."""
        port = self.hub.valid_active_port
        return None if port is None else str(port or NO_PORT)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, int | None]:
        """Return the default port and the room system's port; None if unknown or not used."""
        hub = self.hub
        return {_DEFAULT_PORT: hub.default_port, _ROOM_SYSTEM_PORT: hub.fixed_port}


async def async_add_hub_entities[DescriptionT: OchnoEntityDescription](
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
    descriptions_fn: Callable[[Hub, AbstractSet[str]], Iterable[DescriptionT]],
    entity_class: Callable[[OchnoData, str, DescriptionT], OchnoHubEntity],
) -> None:
    """Add the entities that the hubs support, now and when a hub reports a new value.

    `descriptions_fn` gets a hub and the keys of its registered entities. A registered entity is
    added even if the hub does not report the value any more; its state is unknown then. If the
    device of a hub was removed, its entities are added again when the hub returns.
    """
    data = entry.runtime_data
    coordinator = data.coordinator
    access = entry.data[CONF_ACCESS]
    known: dict[str, set[str]] = {}

    @callback
    def async_add_new(hub_ids: Iterable[str]) -> None:
        entities = []
        for hub_id in hub_ids:
            if hub_id not in coordinator.devices.hub_ids:
                known.pop(hub_id, None)
            elif (hub := coordinator.data.get(hub_id)) is not None:
                registered = dict[str, str]()
                if (keys := known.get(hub_id)) is None:
                    keys = known[hub_id] = set()
                    registered = async_entity_ids(coordinator.hass, entry, hub_id)
                for description in descriptions_fn(hub, registered.keys()):
                    if description.key not in keys and description.access in (None, access):
                        keys.add(description.key)
                        entity = entity_class(data, hub_id, description)
                        entity.async_on_remove(
                            partial(_forget_deleted, entity, keys, description.key)
                        )
                        entities.append(entity)
        if entities:
            async_add_entities(entities)

    entry.async_on_unload(
        coordinator.async_add_listener(lambda: async_add_new(coordinator.changed))
    )
    for hub_ids in batched(list(coordinator.data), _HUBS_AT_ONCE, strict=False):
        async_add_new(hub_ids)
        # Let other tasks run: the entities of 1,000 hubs would block Home Assistant for seconds.
        await asyncio.sleep(0)


def _forget_deleted(entity: OchnoHubEntity, keys: set[str], key: str) -> None:
    """Forget an entity that was deleted, so that it can be added again."""
    if entity.deleted:
        keys.discard(key)
