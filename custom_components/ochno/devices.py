"""Device registry entries of one account: the account itself and its hubs."""

from collections import Counter
from collections.abc import Iterable, KeysView, Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.device_registry import DeviceEntryType
from homeassistant.helpers.typing import UNDEFINED
from homeassistant.util.dt import utcnow

from .const import CONF_ACCESS, CONF_SERVER, DOMAIN, LOGGER, Access
from .operated.models import Hub

MANUFACTURER: Final = "Ochno"
PRODUCT_NAMES: Final = {
    "O-PC-2": "Power Conference 2",
    "O-PC-3": "Power Conference 3",
    "O-PC-4": "Power Conference 4",
    "O-PD": "Power Desktop",
}

# The device of a hub is removed after this number of complete lists without the hub, an entity of a
# port after this number without the port.
GONE_AFTER: Final = 5

# Entities that exist only with this access, by platform and translation key.
_ENTITIES_BY_ACCESS: Final = {
    Access.READ: {(Platform.SENSOR, "active_port"), (Platform.BINARY_SENSOR, "port_active")},
    Access.CONTROL: {(Platform.SELECT, "active_port"), (Platform.SWITCH, "port")},
}


def account_identifier(entry: ConfigEntry) -> str:
    """Return the identifier of the account's device.

    It is the entry id, because an id from the cloud could equal a hub id.
    """
    return entry.entry_id


def hub_id_of_device(device: dr.AnyDeviceEntry) -> str:
    """Return the hub id of a device, or the identifier of the account's device."""
    return next(id_ for domain, id_ in device.identifiers if domain == DOMAIN)


@callback
def _async_hub_devices(hass: HomeAssistant, entry: ConfigEntry) -> dict[str, dr.DeviceEntry]:
    """Return the devices of an entry's hubs by hub id."""
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
    by_id = {hub_id_of_device(device): device for device in devices}
    by_id.pop(account_identifier(entry), None)
    return by_id


@callback
def async_hub_ids(hass: HomeAssistant, entry: ConfigEntry) -> set[str]:
    """Return the ids of the hubs for which an entry has a device."""
    return set(_async_hub_devices(hass, entry))


@callback
def async_owner_of_hub(hass: HomeAssistant, hub_id: str) -> ConfigEntry | None:
    """Return the entry that has the device of a hub; None if there is none."""
    for device in dr.async_get(hass).async_get_devices(identifiers={(DOMAIN, hub_id)}):
        entry = hass.config_entries.async_get_entry(device.config_entry_id)
        # Another integration may have a device with the same identifier.
        if entry is not None and entry.domain == DOMAIN:
            return entry
    return None


@callback
def async_entity_ids(hass: HomeAssistant, entry: ConfigEntry, hub_id: str) -> dict[str, str]:
    """Return the entity ids of a hub's registered entities by key."""
    devices = dr.async_get(hass).async_get_devices(
        identifiers={(DOMAIN, hub_id)}, config_entry_id=entry.entry_id
    )
    return {
        entity.unique_id.removeprefix(f"{hub_id}_"): entity.entity_id
        for device in devices
        for entity in _async_own_entities(hass, device)
    }


@callback
def _async_own_entities(hass: HomeAssistant, device: dr.DeviceEntry) -> list[er.RegistryEntry]:
    """Return the entities of a device without those of helpers and other integrations."""
    entities = er.async_entries_for_device(
        er.async_get(hass), device.id, include_disabled_entities=True
    )
    return [entity for entity in entities if entity.platform == DOMAIN]


@callback
def async_remove_entities_of_other_access(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Remove the entities from before the access changed."""
    [other] = set(Access) - {entry.data[CONF_ACCESS]}
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        if (entity.domain, entity.translation_key) in _ENTITIES_BY_ACCESS[other]:
            registry.async_remove(entity.entity_id)


class OchnoDevices:
    """Devices of one account.

    `disabled` has the ids of the hubs whose device the user disabled. `missing` counts the complete
    lists without a hub, by hub id.
    """

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        self.disabled: set[str] = set()
        self.missing: Counter[str] = Counter()
        self._hass = hass
        self._entry = entry
        registry = dr.async_get(hass)
        identifier = (DOMAIN, account_identifier(entry))
        # Migrate the identifier from before 0.1.0.
        before = (DOMAIN, f"account_{entry.unique_id} ")
        device = registry.async_get_device_by_identifier(before, entry.entry_id)
        if device and not registry.async_get_device_by_identifier(identifier, entry.entry_id):
            registry.async_update_device(device.id, new_identifiers={identifier})
        account = registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            entry_type=DeviceEntryType.SERVICE,
            identifiers={identifier},
            manufacturer=MANUFACTURER,
            model="Ochno Operated",
            name=entry.title,
            configuration_url=entry.data[CONF_SERVER],
        )
        self._account_device_id = account.id
        # The attributes that the device of a hub shows; None for devices of an earlier run.
        self._registered: dict[str, tuple[str | None, ...] | None] = {}
        # New devices whose area is not known yet. All other areas are the user's choice.
        self._area_pending: set[str] = set()
        for hub_id, device in _async_hub_devices(hass, entry).items():
            self._registered[hub_id] = None
            self._update_disabled(hub_id, device)

    @property
    def hub_ids(self) -> KeysView[str]:
        """The ids of the hubs that have a device."""
        return self._registered.keys()

    @callback
    def names(self, hub_ids: Iterable[str]) -> list[str]:
        """Return the sorted names of these hubs. A name that the user chose has priority."""
        registry = dr.async_get(self._hass)
        devices = [
            registry.async_get_device_by_identifier((DOMAIN, hub_id), self._entry.entry_id)
            for hub_id in hub_ids
        ]
        names = [device.name_by_user or device.name or "" for device in devices if device]
        return sorted(names, key=str.casefold)

    @callback
    def async_listen(self, on_disabled_changed: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Listen to changes of the devices, and call the callback when `disabled` changes."""

        @callback
        def handle_update(event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
            device = dr.async_get(self._hass).async_get(event.data["device_id"])
            if device is None or device.config_entry_id != self._entry.entry_id:
                return
            hub_id, before = hub_id_of_device(device), set(self.disabled)
            if event.data["action"] == "update" and "area_id" in event.data["changes"]:
                self._area_pending.discard(hub_id)
            self._update_disabled(hub_id, device)
            if self.disabled != before:
                on_disabled_changed()

        return self._hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, handle_update)

    def _update_disabled(self, hub_id: str, device: dr.AnyDeviceEntry) -> None:
        if device.disabled:
            self.disabled.add(hub_id)
        else:
            self.disabled.discard(hub_id)

    @callback
    def async_update(self, hubs: Mapping[str, Hub], space_names: Mapping[str, str]) -> None:
        """Register new hubs, and update the devices whose attributes changed.

        `space_names` has the name of each space by its id.
        """
        registry = dr.async_get(self._hass)
        for hub in hubs.values():
            area = next((space_names[id_] for id_ in hub.space_ids if id_ in space_names), None)
            attributes = (
                hub.name,
                hub.product,
                hub.serial_number,
                hub.firmware,
                hub.hardware_version,
            )
            assign_area = area is not None and hub.id in self._area_pending
            if self._registered.get(hub.id) == attributes and not assign_area:
                continue
            is_unknown = hub.id not in self._registered
            self._registered[hub.id] = attributes
            now = utcnow()
            device = registry.async_get_or_create(
                config_entry_id=self._entry.entry_id,
                identifiers={(DOMAIN, hub.id)},
                manufacturer=MANUFACTURER,
                model=PRODUCT_NAMES.get(hub.product or "", hub.product),
                # Without a product name, `model` has the product code already.
                model_id=hub.product if hub.product in PRODUCT_NAMES else None,
                name=hub.name,
                serial_number=hub.serial_number,
                sw_version=hub.firmware,
                hw_version=hub.hardware_version,
                configuration_url=self._entry.data[CONF_SERVER],
                suggested_area=area,
                via_device_id=self._account_device_id,
            )
            self._update_disabled(hub.id, device)
            # Home Assistant restores a deleted device with the user's choice of the area.
            if is_unknown and area is None and device.created_at >= now:
                self._area_pending.add(hub.id)
            # Home Assistant uses the suggested area only when it creates a device.
            if assign_area and area is not None:
                self._area_pending.discard(hub.id)
                area_id = ar.async_get(self._hass).async_get_or_create(area).id
                registry.async_update_device(device.id, area_id=area_id)

    @callback
    def async_remove_missing(self, hubs: Mapping[str, Hub]) -> set[str]:
        """Count the hubs that are missing from a complete list; return the removed hub ids.

        The device of a hub is removed after `GONE_AFTER` lists in a row without the hub.
        """
        removed = set[str]()
        if self.hub_ids <= hubs.keys():
            self.missing.clear()
            return removed
        registry = dr.async_get(self._hass)
        for hub_id, device in _async_hub_devices(self._hass, self._entry).items():
            if hub_id in hubs:
                self.missing.pop(hub_id, None)
                continue
            self.missing[hub_id] += 1
            if self.missing[hub_id] >= GONE_AFTER:
                LOGGER.info(
                    "%s: hub %s is no longer in the account; its device is removed",
                    self._entry.title,
                    device.name,
                )
                registry.async_remove_device(device.id)
                self.async_forget(hub_id)
                removed.add(hub_id)
        return removed

    @callback
    def async_forget(self, hub_id: str) -> None:
        """Forget a hub whose device is removed or moved."""
        self._registered.pop(hub_id, None)
        self.missing.pop(hub_id, None)
        self._area_pending.discard(hub_id)
        self.disabled.discard(hub_id)

    @callback
    def async_find_replaced(self, hubs: Mapping[str, Hub]) -> dict[str, str]:
        """Return the previous ids of the hubs that were registered again, by their new ids.

        Such a hub has the serial number of a device whose hub is not listed any more.
        """
        if self.hub_ids <= hubs.keys():
            return {}
        gone = {
            hub_id: device.serial_number
            for hub_id, device in _async_hub_devices(self._hass, self._entry).items()
            if hub_id not in hubs and device.serial_number is not None
        }
        # A serial number that is not unique does not identify a hub.
        counts = Counter(gone.values())
        listed = Counter(hub.serial_number for hub in hubs.values())
        replaced = {
            serial: hub_id
            for hub_id, serial in gone.items()
            if counts[serial] == listed[serial] == 1
        }
        return {
            hub.id: replaced[hub.serial_number]
            for hub in hubs.values()
            if hub.serial_number in replaced
        }

    @callback
    def async_take_over(self, hub_id: str, old_hub_id: str, owner: ConfigEntry) -> None:
        """Take over the device and the entities of a hub, with names and areas.

        The hub belongs to another entry, or it has another id in this entry.
        """
        device = _async_hub_devices(self._hass, owner)[old_hub_id]
        registry = er.async_get(self._hass)
        for entity in _async_own_entities(self._hass, device):
            unique_id = hub_id + entity.unique_id.removeprefix(old_hub_id)
            registry.async_update_entity(
                entity.entity_id,
                config_entry_id=self._entry.entry_id,
                # Home Assistant rejects an unchanged unique id as a duplicate.
                new_unique_id=UNDEFINED if hub_id == old_hub_id else unique_id,
            )
        dr.async_get(self._hass).async_update_device(
            device.id,
            new_config_entry_id=self._entry.entry_id,
            new_identifiers={(DOMAIN, hub_id)},
            via_device_id=self._account_device_id,
        )
        async_remove_entities_of_other_access(self._hass, self._entry)
        self._registered[hub_id] = None
        self._update_disabled(hub_id, _async_hub_devices(self._hass, self._entry)[hub_id])
