"""Sensors: the active port (with read-only access), hub diagnostics, and the account."""

from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import DOMAIN, Access, PushState
from .coordinator import OchnoCoordinator
from .data import OchnoConfigEntry, OchnoData
from .devices import account_identifier
from .entity import (
    OchnoActivePortEntity,
    OchnoEntityDescription,
    OchnoHubEntity,
    async_add_hub_entities,
)
from .operated.models import Hub

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSensorEntityDescription(OchnoEntityDescription, SensorEntityDescription):
    """Description of a hub's sensor. `value_fn` returns None if it is not reported."""

    value_fn: Callable[[Hub], str | int | None]


@dataclass(frozen=True, kw_only=True)
class OchnoAccountSensorEntityDescription(SensorEntityDescription):
    """Description of a sensor of the account."""

    value_fn: Callable[[OchnoData], str | int]
    attributes_fn: Callable[[OchnoData], Mapping[str, datetime | None]] | None = None


ACTIVE_PORT = OchnoSensorEntityDescription(
    key="active_port",
    translation_key="active_port",
    device_class=SensorDeviceClass.ENUM,
    access=Access.READ,
    value_fn=lambda hub: hub.valid_active_port,
)

SENSORS: tuple[OchnoSensorEntityDescription, ...] = (
    OchnoSensorEntityDescription(
        key="room_system_port",
        translation_key="room_system_port",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda hub: hub.room_system_port,
    ),
    OchnoSensorEntityDescription(
        key="default_port",
        translation_key="default_port",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda hub: hub.default_port,
    ),
    OchnoSensorEntityDescription(
        key="ip_address",
        translation_key="ip_address",
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda hub: hub.ip_address,
    ),
)

ACCOUNT_SENSORS: tuple[OchnoAccountSensorEntityDescription, ...] = (
    OchnoAccountSensorEntityDescription(
        key="hubs_online",
        translation_key="hubs_online",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda data: data.coordinator.hubs_by_connectivity[True],
    ),
    OchnoAccountSensorEntityDescription(
        key="hubs_offline",
        translation_key="hubs_offline",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda data: data.coordinator.hubs_by_connectivity[False],
    ),
    OchnoAccountSensorEntityDescription(
        key="instant_updates",
        translation_key="instant_updates",
        device_class=SensorDeviceClass.ENUM,
        options=[state.value for state in PushState],
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda data: data.push.state.value,
        attributes_fn=lambda data: {"last_delivery": data.push.webhook.last_delivery},
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the sensors."""
    async_add_entities(
        OchnoAccountSensor(entry.runtime_data, description) for description in ACCOUNT_SENSORS
    )
    async_add_hub_entities(entry, async_add_entities, _descriptions, OchnoSensor)
    async_add_hub_entities(
        entry, async_add_entities, _active_port_descriptions, OchnoActivePortSensor
    )


def _descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoSensorEntityDescription]:
    for description in SENSORS:
        if description.key in registered_keys or description.value_fn(hub) is not None:
            yield description


def _active_port_descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoSensorEntityDescription]:
    if ACTIVE_PORT.key in registered_keys or ACTIVE_PORT.value_fn(hub) is not None:
        yield ACTIVE_PORT


class OchnoSensor(OchnoHubEntity, SensorEntity):
    """Sensor of a hub."""

    entity_description: OchnoSensorEntityDescription

    @property
    @override
    def native_value(self) -> str | int | None:
        return self.entity_description.value_fn(self.hub)


class OchnoActivePortSensor(OchnoActivePortEntity, SensorEntity):
    """Sensor for the active port of a hub."""

    entity_description: OchnoSensorEntityDescription

    @property
    @override
    def options(self) -> list[str]:
        return self.port_options

    @property
    @override
    def native_value(self) -> str | None:
        return self.active_port


class OchnoAccountSensor(CoordinatorEntity[OchnoCoordinator], SensorEntity):
    """Sensor of the account."""

    _attr_has_entity_name = True
    entity_description: OchnoAccountSensorEntityDescription

    def __init__(self, data: OchnoData, description: OchnoAccountSensorEntityDescription) -> None:
        super().__init__(data.coordinator)
        self.entity_description = description
        self._data = data
        entry = data.coordinator.config_entry
        self._attr_unique_id = f"{entry.unique_id}_{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, account_identifier(entry))})

    @property
    @override
    def native_value(self) -> str | int:
        return self.entity_description.value_fn(self._data)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, datetime | None] | None:
        if self.entity_description.attributes_fn is None:
            return None
        return self.entity_description.attributes_fn(self._data)
