"""Targets of triggers and conditions: the hubs and entities that an automation refers to."""

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any, ClassVar, Final

import probatio

from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    CONF_EXCLUDE,
    CONF_TARGET,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import (
    area_registry as ar,
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.target import TargetSelection
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN
from .entity import NO_PORT
from .history import HubSnapshot
from .operated.values import MAX_PORTS
from .rooms import Room, async_rooms

type OptionsSchema = dict[probatio.Marker, Any]

CONF_PORT: Final = "port"
_PORTS: Final = [str(number) for number in range(1, MAX_PORTS + 1)]
_PLATFORMS: Final = ("binary_sensor", "select", "sensor", "switch")
_HAS_TARGET: Final = probatio.Schema(
    {
        probatio.Required(CONF_TARGET): cv.has_at_least_one_key(
            ATTR_ENTITY_ID, ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID
        )
    },
    extra=probatio.ALLOW_EXTRA,
)


def _port_option(ports: list[str]) -> OptionsSchema:
    return {probatio.Optional(CONF_PORT): probatio.All(probatio.Coerce(str), probatio.In(ports))}


PORT_OPTION: Final = _port_option(_PORTS)
PORT_OR_NONE_OPTION: Final = _port_option([NO_PORT, *_PORTS])


class TargetConfigMixin:
    """Mixin that validates the target and the options of a trigger or condition."""

    _schema: ClassVar[probatio.Schema]

    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the configuration."""
        validated: ConfigType = _HAS_TARGET(cls._schema(config))
        return validated


def selected_port(options: ConfigType) -> int | None:
    """Return the number of the selected port, 0 for `none`; None if no port is selected."""
    if (port := options.get(CONF_PORT)) is None:
        return None
    return 0 if port == NO_PORT else int(port)


def active_port_keys(number: int) -> tuple[str, str]:
    """Return the keys of a port's switch (control access) and binary sensor (read access)."""
    return f"port_{number}", f"port_{number}_active"


@callback
def async_hub_entity(hass: HomeAssistant, hub_id: str, key: str) -> er.RegistryEntry | None:
    """Return the registered entity of a hub by its key; None if there is none."""
    registry = er.async_get(hass)
    for platform in _PLATFORMS:
        if entity_id := registry.async_get_entity_id(platform, DOMAIN, f"{hub_id}_{key}"):
            return registry.async_get(entity_id)
    return None


class _Selection:
    """The included or the excluded part of a target.

    Home Assistant's own function leaves out hidden and disabled entities, and does not know that
    the device of an account stands for its hubs.
    """

    def __init__(self, hass: HomeAssistant, config: ConfigType) -> None:
        self._areas = ar.async_get(hass)
        self._ids = TargetSelection(config)
        self.empty = not self._ids.has_any_target

    def names(self, entity: er.RegistryEntry | None) -> bool:
        """Return whether an entity is selected by its entity id."""
        return entity is not None and entity.entity_id in self._ids.entity_ids

    def selects(self, entity: er.RegistryEntry | None, devices: Sequence[dr.DeviceEntry]) -> bool:
        """Return whether an entity is selected, also through its device, area, floor or label.

        `devices` are the device of the hub and the device of the account. `entity` is None if it is
        not registered.
        """
        ids = self._ids
        area_id = devices[0].area_id
        if entity is not None:
            if self.names(entity) or entity.labels & ids.label_ids:
                return True
            area_id = entity.area_id or area_id
        if any(device.id in ids.device_ids or device.labels & ids.label_ids for device in devices):
            return True
        area = self._areas.async_get_area(area_id) if area_id else None
        return area is not None and bool(
            area.id in ids.area_ids or area.floor_id in ids.floor_ids or area.labels & ids.label_ids
        )


class HubTarget:
    """Target of one trigger or condition.

    An automation can refer to single entities or to whole hubs. A hub is selected through its
    device, the device of its account, or the area, floor or label of its device. Then its disabled
    and hidden entities count too. What is excluded never counts.
    """

    def __init__(self, hass: HomeAssistant, config: ConfigType) -> None:
        self._hass = hass
        self._known_devices: dict[tuple[str, str], list[dr.DeviceEntry]] = {}
        self._included = _Selection(hass, config)
        self._excluded = _Selection(hass, config.get(CONF_EXCLUDE, {}))

    def includes(
        self,
        snapshot: HubSnapshot,
        *keys: str,
        summary_keys: Sequence[str] = (),
        other_keys: Sequence[str] = (),
    ) -> bool:
        """Return whether the target includes one of a hub's entities, given by their keys.

        If one of `keys` is excluded, the others do not count. `summary_keys` are entities that
        stand for `keys` if the target names or excludes them, such as *Occupancy* for each laptop.
        `other_keys` only count for themselves. The port of the room system counts only if the
        target names its entity, because no laptop is connected there.
        """
        if not (devices := self._devices(snapshot)) or self.excludes(
            snapshot, *keys, *summary_keys
        ):
            return False
        if any(self._included.names(self._entity(snapshot, key)) for key in summary_keys):
            return True
        if f"port_{snapshot.hub.fixed_port}_connected" in keys:
            return any(self._included.names(self._entity(snapshot, key)) for key in keys)
        return any(
            self._included.selects(entity, devices)
            and (self._excluded.empty or not self._excluded.selects(entity, devices))
            for entity in self._entities(snapshot, *keys, *other_keys)
        )

    def excludes(self, snapshot: HubSnapshot, *keys: str) -> bool:
        """Return whether the target excludes one of a hub's entities, given by their keys."""
        if self._excluded.empty or not (devices := self._devices(snapshot)):
            return False
        return any(
            self._excluded.selects(entity, devices) for entity in self._entities(snapshot, *keys)
        )

    def hubs(self, key: str, hub_ids: Set[str] | None = None) -> dict[str, Room]:
        """Return the hubs with an included entity, each as a room of its own, by device id.

        With `hub_ids`, only the hubs in rooms with one of these.
        """
        return {
            hub.device.id: replace(room, name=hub.name, hubs=(hub,))
            for room in self.rooms(key, hub_ids).values()
            for hub in room.hubs
        }

    def rooms(self, key: str, hub_ids: Set[str] | None = None) -> dict[str, Room]:
        """Return the rooms with an included entity, by the id of the area or of the device.

        They have only the hubs that the target includes. With `hub_ids`, only the rooms with one
        of these hubs.
        """
        rooms = {}
        for room in async_rooms(self._hass, hub_ids=hub_ids):
            hubs = tuple(hub for hub in room.hubs if self.includes(hub.snapshot, key))
            if hubs:
                room_id = room.area.id if room.area else hubs[0].device.id
                rooms[room_id] = replace(room, hubs=hubs)
        return rooms

    def _devices(self, snapshot: HubSnapshot) -> list[dr.DeviceEntry]:
        """Return the devices of the hub and of its account; empty if the hub's is disabled."""
        key = (snapshot.entry_id, snapshot.hub.id)
        if (devices := self._known_devices.get(key)) is None:
            devices = self._known_devices[key] = self._find_devices(snapshot)
        return devices

    def _find_devices(self, snapshot: HubSnapshot) -> list[dr.DeviceEntry]:
        device = snapshot.device(self._hass)
        if device is None or device.disabled:
            return []
        account = dr.async_get(self._hass).async_get(
            device.via_device_id or "", include_child_devices=False, include_composite_devices=False
        )
        return [device, account] if account else [device]

    def _entities(self, snapshot: HubSnapshot, *keys: str) -> Sequence[er.RegistryEntry | None]:
        """Return the registered ones of a hub's entities; one None if there are none."""
        # Depending on the access, a port has a switch or a binary sensor.
        return [entity for key in keys if (entity := self._entity(snapshot, key))] or [None]

    def _entity(self, snapshot: HubSnapshot, key: str) -> er.RegistryEntry | None:
        return async_hub_entity(self._hass, snapshot.hub.id, key)
