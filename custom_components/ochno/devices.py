"""Device registry entries of one account: the account itself and its hubs."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType

from .const import CONF_SERVER, DOMAIN, LOGGER
from .operated.models import Hub

MANUFACTURER: Final = "Ochno"
PRODUCT_NAMES: Final = {"O-PC-4": "Power Conference 4"}

# The device of a hub is removed after this number of complete lists without the hub.
GONE_AFTER: Final = 5


def account_identifier(entry: ConfigEntry) -> str:
    """Return the identifier of the account's device.

    It is the entry id, because an id from the cloud could equal a hub id.
    """
    return entry.entry_id


def hub_id_of_device(device: dr.AnyDeviceEntry) -> str:
    """Return the hub id of a device, or the identifier of the account's device."""
    return next(id_ for domain, id_ in device.identifiers if domain == DOMAIN)


class OchnoDevices:
    """Devices of one account. `hub_id in devices` is True if the hub has a device."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._missing: Counter[str] = Counter()
        registry = dr.async_get(hass)
        account = registry.async_get_or_create(
            config_entry_id=entry.entry_id,
            entry_type=DeviceEntryType.SERVICE,
            identifiers={(DOMAIN, account_identifier(entry))},
            manufacturer=MANUFACTURER,
            model="Ochno Operated",
            name=entry.title,
            configuration_url=entry.data[CONF_SERVER],
        )
        self._account_device_id = account.id
        # The attributes that the device of a hub shows; None for devices of an earlier run.
        self._registered: dict[str, tuple[str | None, ...] | None] = dict.fromkeys(
            self._hub_devices(registry)
        )
        # New devices whose area is not known yet. All other areas are the user's choice.
        self._area_pending: set[str] = set()

    def __contains__(self, hub_id: str) -> bool:
        return hub_id in self._registered

    def _hub_devices(self, registry: dr.DeviceRegistry) -> dict[str, dr.DeviceEntry]:
        """Return the devices of the hubs by hub id."""
        return {
            hub_id_of_device(device): device
            for device in dr.async_entries_for_config_entry(registry, self._entry.entry_id)
            if device.id != self._account_device_id
        }

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
            assign_area = hub.id in self._area_pending and area is not None
            if self._registered.get(hub.id) == attributes and not assign_area:
                continue
            if hub.id not in self._registered and area is None:
                self._area_pending.add(hub.id)
            self._registered[hub.id] = attributes
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
            # Home Assistant uses the suggested area only when it creates a device.
            if assign_area and area is not None:
                self._area_pending.discard(hub.id)
                if device.area_id is None:
                    area_id = ar.async_get(self._hass).async_get_or_create(area).id
                    registry.async_update_device(device.id, area_id=area_id)

    @callback
    def async_remove_missing(self, hubs: Mapping[str, Hub]) -> set[str]:
        """Count the hubs that are missing from a complete list; return the removed hub ids.

        The device of a hub is removed after `GONE_AFTER` lists in a row without the hub.
        """
        removed = set[str]()
        if not self._registered.keys() - hubs.keys():
            self._missing.clear()
            return removed
        registry = dr.async_get(self._hass)
        for hub_id, device in self._hub_devices(registry).items():
            if hub_id in hubs:
                self._missing.pop(hub_id, None)
                continue
            self._missing[hub_id] += 1
            if self._missing[hub_id] >= GONE_AFTER:
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
        """Forget a hub whose device the user deletes."""
        self._registered.pop(hub_id, None)
        self._missing.pop(hub_id, None)
        self._area_pending.discard(hub_id)
