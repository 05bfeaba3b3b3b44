"""The devices of one account: one for each hub, and one that they belong to."""

from collections import Counter
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType

from .const import CONF_SERVER, DOMAIN, LOGGER
from .operated.models import Hub

MANUFACTURER: Final = "Ochno"
PRODUCT_NAMES: Final = {"O-PC-4": "Power Conference 4"}

# The facts of a hub that its device shows, and the area that was suggested.
type _Registered = tuple[tuple[str | None, ...], str | None]

# A hub has left the account only when this many complete listings in a row say so.
GONE_AFTER: Final = 5


def account_identifier(entry: ConfigEntry) -> str:
    """Return what the account's device goes by: no hub can, whose ids do not end in a space."""
    return f"account_{entry.unique_id} "


def hub_id_of(device: dr.AnyDeviceEntry) -> str:
    """Return the id of a device's hub; of the account's device, what that goes by."""
    return next(id_ for domain, id_ in device.identifiers if domain == DOMAIN)


class OchnoDevices:
    """The devices as registered; a hub that left stays until its device goes too."""

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
        self._account_id = account.id
        # What was registered of each hub; None of those that an earlier run registered.
        self._registered: dict[str, _Registered | None] = dict.fromkeys(self._by_hub(registry))

    def __contains__(self, hub_id: str) -> bool:
        return hub_id in self._registered

    def _by_hub(self, registry: dr.DeviceRegistry) -> dict[str, dr.DeviceEntry]:
        """Return the devices of hubs by their hub's id."""
        return {
            hub_id_of(device): device
            for device in dr.async_entries_for_config_entry(registry, self._entry.entry_id)
            if device.id != self._account_id
        }

    def update(self, hubs: dict[str, Hub], space_names: dict[str, str]) -> None:
        """Register hubs that are new, and those whose name, firmware or such changed."""
        registry = dr.async_get(self._hass)
        for hub in hubs.values():
            area = next((space_names[id_] for id_ in hub.space_ids if id_ in space_names), None)
            facts = (hub.name, hub.product, hub.serial_number, hub.firmware, hub.hardware_version)
            if (before := self._registered.get(hub.id)) == (facts, area):
                continue
            self._registered[hub.id] = facts, area
            registered = registry.async_get_or_create(
                config_entry_id=self._entry.entry_id,
                identifiers={(DOMAIN, hub.id)},
                manufacturer=MANUFACTURER,
                model=PRODUCT_NAMES.get(hub.product or "", hub.product),
                # Else it would be shown twice.
                model_id=hub.product if hub.product in PRODUCT_NAMES else None,
                name=hub.name,
                serial_number=hub.serial_number,
                sw_version=hub.firmware,
                hw_version=hub.hardware_version,
                configuration_url=self._entry.data[CONF_SERVER],
                suggested_area=area,
                via_device_id=self._account_id,
            )
            # Home Assistant heeds a suggestion only when it creates a device.
            if before and not before[1] and area and not registered.area_id:
                area_id = ar.async_get(self._hass).async_get_or_create(area).id
                registry.async_update_device(registered.id, area_id=area_id)

    def remove_gone(self, hubs: dict[str, Hub]) -> set[str]:
        """Remove the devices of hubs that were missing from several complete listings in a row."""
        removed = set[str]()
        if not self._registered.keys() - hubs.keys():
            self._missing.clear()
            return removed
        registry = dr.async_get(self._hass)
        for hub_id, device in self._by_hub(registry).items():
            if hub_id in hubs:
                self._missing.pop(hub_id, None)
                continue
            self._missing[hub_id] += 1
            if self._missing[hub_id] >= GONE_AFTER:
                LOGGER.info("%s: hub %s has left the account", self._entry.title, device.name)
                registry.async_remove_device(device.id)
                self._missing.pop(hub_id)
                self._registered.pop(hub_id, None)
                removed.add(hub_id)
        return removed

    def forget(self, hub_id: str) -> None:
        """Forget a hub whose device the user deletes."""
        self._registered.pop(hub_id, None)
        self._missing.pop(hub_id, None)
