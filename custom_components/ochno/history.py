"""Hub history: what each hub reported before and now, for triggers and conditions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import time
from typing import Final

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN
from .data import OchnoConfigEntry
from .operated.models import Hub

# Values by entity key. `active_port` is a number, 0 for none; all others are booleans.
type HubValues = Mapping[str, bool | int]


@dataclass(frozen=True, kw_only=True, slots=True)
class HubSnapshot:
    """The known values of one hub.

    `current` has the values of this update. An offline hub has only `connectivity`. A hub has no
    values while it is not in the account, the account is unavailable, or the entry is not loaded.
    `previous` has, for each key, the last known value before this update. `changed` are the keys
    whose values differ from the last update, also those that became known or unknown. `since` is
    the monotonic time from which each value of `current` has been the same without interruption.
    """

    entry_id: str
    hub: Hub
    previous: HubValues
    current: HubValues
    changed: frozenset[str]
    since: Mapping[str, float]

    def changed_to(self, key: str, value: bool) -> bool:
        """Return whether a boolean changed to `value`. False if the earlier value is unknown."""
        return self.previous.get(key) is (not value) and self.current.get(key) is value

    def device(self, hass: HomeAssistant) -> dr.DeviceEntry | None:
        """Return the device of the hub; None if it is not registered."""
        return dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, self.hub.id), self.entry_id
        )


SIGNAL_HUBS_UPDATED: Final[SignalType[list[HubSnapshot]]] = SignalType(f"{DOMAIN}_hubs_updated")
# By entry id and hub id. Kept during a reload, so that no change is missed.
_SNAPSHOTS: Final[HassKey[dict[str, dict[str, HubSnapshot]]]] = HassKey(f"{DOMAIN}_snapshots")


@callback
def async_start_history(hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
    """Record the hubs of an entry until it is unloaded, and signal each change."""
    coordinator, control = entry.runtime_data.coordinator, entry.runtime_data.control
    snapshots = hass.data.setdefault(_SNAPSHOTS, {}).setdefault(entry.entry_id, {})

    @callback
    def async_record(hub_ids: Iterable[str], *, available: bool) -> None:
        updated = []
        for hub_id in hub_ids:
            hub = control.hub(hub_id) if available and hub_id in coordinator.data else None
            before = snapshots.get(hub_id)
            if (known_hub := hub or (before.hub if before else None)) is None:
                continue
            snapshots[hub_id] = _snapshot(entry.entry_id, known_hub, before, hub)
            updated.append(snapshots[hub_id])
            if hub is None and hub_id not in coordinator.devices.hub_ids:
                del snapshots[hub_id]
        # Deferred, so that the command that caused the change continues before automations react.
        hass.loop.call_soon(async_dispatcher_send, hass, SIGNAL_HUBS_UPDATED, updated)

    @callback
    def async_record_changes() -> None:
        async_record(coordinator.changed, available=coordinator.last_update_success)

    entry.async_on_unload(coordinator.async_add_listener(async_record_changes))
    entry.async_on_unload(lambda: async_record(list(snapshots), available=False))
    async_record(coordinator.data.keys() | snapshots.keys(), available=True)


@callback
def async_hub_snapshots(
    hass: HomeAssistant, hub_ids: Iterable[str] | None = None
) -> list[HubSnapshot]:
    """Return the snapshots of these hubs, by default of all hubs of all entries."""
    by_entry = hass.data.get(_SNAPSHOTS, {}).values()
    if hub_ids is None:
        return [snapshot for snapshots in by_entry for snapshot in snapshots.values()]
    return [
        snapshots[hub_id] for hub_id in hub_ids for snapshots in by_entry if hub_id in snapshots
    ]


@callback
def async_remove_history(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the snapshots of an entry that is removed."""
    hass.data.get(_SNAPSHOTS, {}).pop(entry_id, None)


def _snapshot(
    entry_id: str, known_hub: Hub, before: HubSnapshot | None, hub: Hub | None
) -> HubSnapshot:
    """Return the next snapshot. `hub` is None if the hub has no values."""
    current = _values(hub) if hub else {}
    last = before.current if before else {}
    changed = frozenset(
        key for key in last.keys() | current.keys() if last.get(key) != current.get(key)
    )
    now = time.monotonic()
    return HubSnapshot(
        entry_id=entry_id,
        hub=known_hub,
        previous={**before.previous, **last} if before else {},
        current=current,
        changed=changed,
        since={key: before.since[key] if before and key not in changed else now for key in current},
    )


def _values(hub: Hub) -> HubValues:
    values: dict[str, bool | int | None] = {"connectivity": hub.online}
    if not hub.offline:
        values |= {
            "active_port": hub.valid_active_port,
            "in_use": hub.in_use,
            "overheating": hub.overheating,
            **{f"port_{port.number}_connected": port.connected for port in hub.ports},
        }
    return {key: value for key, value in values.items() if value is not None}
