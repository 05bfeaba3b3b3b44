"""Sensors: the active port, and what a hub says of itself in numbers and words."""

from collections.abc import Callable, Iterator, Mapping
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
from .coordinator import OchnoConfigEntry, OchnoCoordinator
from .devices import account_identifier
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

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class OchnoSensorEntityDescription(OchnoEntityDescription, SensorEntityDescription):
    """A fact of a hub; `None` from `value_fn` means that the hub does not report it."""

    value_fn: Callable[[Hub], str | int | None]
    options_fn: Callable[[Hub], list[str]] | None = None
    attributes_fn: Callable[[Hub], Mapping[str, int | None]] | None = None


@dataclass(frozen=True, kw_only=True)
class OchnoAccountSensorEntityDescription(SensorEntityDescription):
    """A fact of the whole account."""

    value_fn: Callable[[OchnoCoordinator], str | int]
    attributes_fn: Callable[[OchnoCoordinator], Mapping[str, datetime | None]] | None = None


SENSORS: tuple[OchnoSensorEntityDescription, ...] = (
    OchnoSensorEntityDescription(
        key="active_port",
        translation_key="active_port",
        device_class=SensorDeviceClass.ENUM,
        access=Access.READ,
        options_fn=port_options,
        attributes_fn=port_attributes,
        value_fn=active_port_option,
    ),
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
        value_fn=lambda account: account.presence[True],
    ),
    OchnoAccountSensorEntityDescription(
        key="hubs_offline",
        translation_key="hubs_offline",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda account: account.presence[False],
    ),
    OchnoAccountSensorEntityDescription(
        key="instant_updates",
        translation_key="instant_updates",
        device_class=SensorDeviceClass.ENUM,
        options=[state.value for state in PushState],
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda account: account.push_state.value,
        attributes_fn=lambda account: {"last_delivery": account.last_delivery},
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the account's sensors, and one for every fact that a hub reports."""
    async_add_entities(
        OchnoAccountSensor(entry.runtime_data, description) for description in ACCOUNT_SENSORS
    )
    add_hub_entities(entry, async_add_entities, _describe, OchnoSensor)


def _describe(hub: Hub) -> Iterator[OchnoSensorEntityDescription]:
    return (description for description in SENSORS if description.value_fn(hub) is not None)


class OchnoSensor(OchnoHubEntity, SensorEntity):
    """A fact of a hub."""

    _unrecorded_attributes = frozenset({DEFAULT_PORT, ROOM_SYSTEM_PORT})
    entity_description: OchnoSensorEntityDescription

    @property
    @override
    def options(self) -> list[str] | None:
        """Home Assistant asks for the options even of an unavailable entity."""
        hub = self.coordinator.data.get(self._hub_id)
        if hub is None or self.entity_description.options_fn is None:
            return None
        return self.entity_description.options_fn(hub)

    @property
    @override
    def native_value(self) -> str | int | None:
        return self.entity_description.value_fn(self.hub)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, int | None] | None:
        if self.entity_description.attributes_fn is None:
            return None
        return self.entity_description.attributes_fn(self.hub)


class OchnoAccountSensor(CoordinatorEntity[OchnoCoordinator], SensorEntity):
    """A fact of the whole account."""

    _attr_has_entity_name = True
    entity_description: OchnoAccountSensorEntityDescription

    def __init__(
        self, coordinator: OchnoCoordinator, description: OchnoAccountSensorEntityDescription
    ) -> None:
        super().__init__(coordinator)
        self.entity_description = description
        entry = coordinator.config_entry
        self._attr_unique_id = f"{entry.unique_id}_{description.key}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, account_identifier(entry))})

    @property
    @override
    def native_value(self) -> str | int:
        return self.entity_description.value_fn(self.coordinator)

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, datetime | None] | None:
        if self.entity_description.attributes_fn is None:
            return None
        return self.entity_description.attributes_fn(self.coordinator)
