"""Binary sensors: occupancy, connectivity and other states of a hub, its ports and connections."""

from collections.abc import Callable, Iterator, Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from typing import Final, override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .const import Access
from .data import OchnoConfigEntry
from .entity import OchnoEntityDescription, OchnoHubEntity, async_add_hub_entities
from .operated.models import Hub
from .ports import port_count

# The coordinator fetches the data of all entities.
PARALLEL_UPDATES = 0

_CONNECTION: Final = "connection_"


@dataclass(frozen=True, kw_only=True)
class OchnoBinarySensorEntityDescription(OchnoEntityDescription, BinarySensorEntityDescription):
    """Description of a binary sensor. `is_on_fn` returns None if the hub does not report it."""

    is_on_fn: Callable[[Hub], bool | None]


BINARY_SENSORS: tuple[OchnoBinarySensorEntityDescription, ...] = (
    OchnoBinarySensorEntityDescription(
        key="in_use",
        translation_key="in_use",
        device_class=BinarySensorDeviceClass.OCCUPANCY,
        is_on_fn=lambda hub: hub.in_use,
    ),
    OchnoBinarySensorEntityDescription(
        key="connectivity",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on_fn=lambda hub: hub.online,
        available_offline=True,
    ),
    OchnoBinarySensorEntityDescription(
        key="room_system",
        translation_key="room_system",
        entity_category=EntityCategory.DIAGNOSTIC,
        disabled_above_many_hubs=True,
        is_on_fn=lambda hub: hub.room_system,
    ),
    OchnoBinarySensorEntityDescription(
        key="admin_mode",
        translation_key="admin_mode",
        entity_category=EntityCategory.DIAGNOSTIC,
        disabled_above_many_hubs=True,
        is_on_fn=lambda hub: hub.admin_mode,
    ),
    OchnoBinarySensorEntityDescription(
        key="overheating",
        translation_key="overheating",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on_fn=lambda hub: hub.overheating,
    ),
    OchnoBinarySensorEntityDescription(
        key="external_room_system",
        translation_key="external_room_system",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        is_on_fn=lambda hub: hub.external_room_system,
    ),
    OchnoBinarySensorEntityDescription(
        key="room_system_sync",
        translation_key="room_system_sync",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        is_on_fn=lambda hub: hub.room_system_sync,
    ),
)


@cache
def port_binary_sensors(number: int) -> tuple[OchnoBinarySensorEntityDescription, ...]:
    """Return the descriptions for one port."""
    return (
        OchnoBinarySensorEntityDescription(
            key=f"port_{number}_connected",
            translation_key="port_connected",
            translation_placeholders={"port": str(number)},
            device_class=BinarySensorDeviceClass.PLUG,
            is_on_fn=lambda hub: port.connected if (port := hub.port(number)) else None,
        ),
        OchnoBinarySensorEntityDescription(
            key=f"port_{number}_active",
            translation_key="port_active",
            translation_placeholders={"port": str(number)},
            access=Access.READ,
            disabled_above_many_hubs=True,
            is_on_fn=lambda hub: port.active if (port := hub.port(number)) else None,
        ),
    )


@cache
def connection_binary_sensor(name: str) -> OchnoBinarySensorEntityDescription:
    """Return the description for one of the hub's own USB connections."""

    def is_on(hub: Hub) -> bool | None:
        return connection.connected if (connection := hub.connection(name)) else None

    return OchnoBinarySensorEntityDescription(
        key=f"{_CONNECTION}{name}",
        translation_key="connection",
        translation_placeholders={"name": name.upper()},
        device_class=BinarySensorDeviceClass.PLUG,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        is_on_fn=is_on,
    )


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the binary sensors."""
    await async_add_hub_entities(entry, async_add_entities, _descriptions, OchnoBinarySensor)


def _descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoBinarySensorEntityDescription]:
    for description in BINARY_SENSORS:
        if description.key in registered_keys or description.is_on_fn(hub) is not None:
            yield description
    for number in range(1, port_count(hub, registered_keys) + 1):
        yield from port_binary_sensors(number)
    names = {connection.name for connection in hub.connections}
    names |= {
        key.removeprefix(_CONNECTION) for key in registered_keys if key.startswith(_CONNECTION)
    }
    for name in sorted(names):
        yield connection_binary_sensor(name)


class OchnoBinarySensor(OchnoHubEntity, BinarySensorEntity):
    """Binary sensor of a hub."""

    entity_description: OchnoBinarySensorEntityDescription

    @property
    @override
    def is_on(self) -> bool | None:
        return self.entity_description.is_on_fn(self.hub)
