"""Sensors: the active port (with read-only access), hub diagnostics, usage, and the account."""

from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from typing import Final, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfTime
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .const import Access, PushState
from .coordinator import OchnoCoordinator
from .data import OchnoConfigEntry, OchnoData
from .entity import (
    OchnoAccountEntity,
    OchnoActivePortEntity,
    OchnoEntityDescription,
    OchnoHubEntity,
    async_add_hub_entities,
)
from .operated.models import Hub
from .usage import (
    OchnoRoomsSensor,
    OchnoRoomsSensorEntityDescription,
    OchnoTimeSensor,
    OchnoTimeSensorEntityDescription,
    RoomCounter,
)

# The coordinator fetches the data of all entities.
PARALLEL_UPDATES = 0

type AccountAttributes = Mapping[str, datetime | list[str] | None]

_HUBS: Final = "hubs"
_LAST_DELIVERY: Final = "last_delivery"
# Every change of the state sends them to all open browsers.
_MAX_HUB_NAMES: Final = 100


@dataclass(frozen=True, kw_only=True)
class OchnoSensorEntityDescription(OchnoEntityDescription, SensorEntityDescription):
    """Description of a hub's sensor. `value_fn` returns None if it is not reported."""

    value_fn: Callable[[Hub], str | int | None]


@dataclass(frozen=True, kw_only=True)
class OchnoAccountSensorEntityDescription(SensorEntityDescription):
    """Description of a sensor of the account."""

    value_fn: Callable[[OchnoData], str | int]
    attributes_fn: Callable[[OchnoData], AccountAttributes] | None = None


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

TIME_SENSORS: tuple[OchnoTimeSensorEntityDescription, ...] = (
    OchnoTimeSensorEntityDescription(
        key="time_in_use",
        translation_key="time_in_use",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.HOURS,
        state_class=SensorStateClass.TOTAL_INCREASING,
        suggested_display_precision=2,
        is_on_fn=lambda hub: hub.in_use,
    ),
    OchnoTimeSensorEntityDescription(
        key="time_on_screen",
        translation_key="time_on_screen",
        device_class=SensorDeviceClass.DURATION,
        native_unit_of_measurement=UnitOfTime.HOURS,
        state_class=SensorStateClass.TOTAL_INCREASING,
        suggested_display_precision=2,
        entity_registry_enabled_default=False,
        is_on_fn=lambda hub: hub.on_screen,
    ),
)


def _offline_hub_names(coordinator: OchnoCoordinator) -> list[str]:
    """Return the names of the offline hubs, of the first hundred if there are more."""
    return coordinator.devices.names(coordinator.hubs_by_connectivity[False])[:_MAX_HUB_NAMES]


ACCOUNT_SENSORS: tuple[OchnoAccountSensorEntityDescription, ...] = (
    OchnoAccountSensorEntityDescription(
        key="hubs_online",
        translation_key="hubs_online",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda data: len(data.coordinator.hubs_by_connectivity[True]),
    ),
    OchnoAccountSensorEntityDescription(
        key="hubs_offline",
        translation_key="hubs_offline",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value_fn=lambda data: len(data.coordinator.hubs_by_connectivity[False]),
        attributes_fn=lambda data: {_HUBS: _offline_hub_names(data.coordinator)},
    ),
    OchnoAccountSensorEntityDescription(
        key="instant_updates",
        translation_key="instant_updates",
        device_class=SensorDeviceClass.ENUM,
        options=[state.value for state in PushState],
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        value_fn=lambda data: data.push.state.value,
        attributes_fn=lambda data: {_LAST_DELIVERY: data.push.webhook.last_delivery},
    ),
)

ROOMS_SENSORS: tuple[OchnoRoomsSensorEntityDescription, ...] = (
    OchnoRoomsSensorEntityDescription(
        key="rooms_in_use",
        translation_key="rooms_in_use",
        state_class=SensorStateClass.MEASUREMENT,
        in_use=True,
    ),
    OchnoRoomsSensorEntityDescription(
        key="rooms_free",
        translation_key="rooms_free",
        state_class=SensorStateClass.MEASUREMENT,
        in_use=False,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: OchnoConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Set up the sensors."""
    async_add_entities(OchnoAccountSensor(entry, description) for description in ACCOUNT_SENSORS)
    rooms = RoomCounter(hass, entry)
    async_add_entities(OchnoRoomsSensor(entry, description, rooms) for description in ROOMS_SENSORS)
    await async_add_hub_entities(entry, async_add_entities, _descriptions, OchnoSensor)
    await async_add_hub_entities(entry, async_add_entities, _time_descriptions, OchnoTimeSensor)
    await async_add_hub_entities(
        entry, async_add_entities, _active_port_descriptions, OchnoActivePortSensor
    )


def _descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoSensorEntityDescription]:
    for description in SENSORS:
        if description.key in registered_keys or description.value_fn(hub) is not None:
            yield description


def _time_descriptions(
    hub: Hub, registered_keys: AbstractSet[str]
) -> Iterator[OchnoTimeSensorEntityDescription]:
    for description in TIME_SENSORS:
        if description.key in registered_keys or description.is_on_fn(hub) is not None:
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


class OchnoAccountSensor(CoordinatorEntity[OchnoCoordinator], OchnoAccountEntity, SensorEntity):
    """Sensor of the account."""

    _unrecorded_attributes = frozenset({_HUBS, _LAST_DELIVERY})
    entity_description: OchnoAccountSensorEntityDescription

    def __init__(
        self, entry: OchnoConfigEntry, description: OchnoAccountSensorEntityDescription
    ) -> None:
        super().__init__(entry.runtime_data.coordinator)
        OchnoAccountEntity.__init__(self, entry, description)
        self._data = entry.runtime_data

    @property
    @override
    def native_value(self) -> str | int:
        return self.entity_description.value_fn(self._data)

    @property
    @override
    def extra_state_attributes(self) -> AccountAttributes | None:
        if self.entity_description.attributes_fn is None:
            return None
        return self.entity_description.attributes_fn(self._data)
