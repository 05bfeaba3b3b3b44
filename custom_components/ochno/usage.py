"""Usage sensors: how long a hub is used, and how many rooms are in use."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
import time
from typing import Final, override

from homeassistant.components.sensor import (
    RestoreSensor,
    SensorEntity,
    SensorEntityDescription,
    SensorExtraStoredData,
)
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_track_time_interval

from .data import OchnoConfigEntry, OchnoData
from .entity import OchnoAccountEntity, OchnoEntityDescription, OchnoHubEntity
from .history import SIGNAL_HUBS_UPDATED, HubSnapshot
from .operated.models import Hub
from .rooms import async_rooms

# Time between two states while a hub is used. Each of them is recorded.
WRITE_INTERVAL: Final = timedelta(minutes=5)
_SECONDS_PER_HOUR: Final = 3600


@dataclass(frozen=True, kw_only=True)
class OchnoTimeSensorEntityDescription(OchnoEntityDescription, SensorEntityDescription):
    """Description of a sensor that counts time.

    The time counts while `is_on_fn` returns True. It returns None if the hub does not report it.
    """

    is_on_fn: Callable[[Hub], bool | None]


@dataclass(frozen=True, kw_only=True)
class OchnoRoomsSensorEntityDescription(SensorEntityDescription):
    """Description of a sensor that counts the rooms that are in use or free."""

    in_use: bool


class OchnoTimeSensor(OchnoHubEntity, RestoreSensor):
    """Sensor for the hours that a hub was used.

    Only time that Home Assistant observed counts, not the time while the entity is unavailable.
    """

    entity_description: OchnoTimeSensorEntityDescription

    def __init__(
        self, data: OchnoData, hub_id: str, description: OchnoTimeSensorEntityDescription
    ) -> None:
        super().__init__(data, hub_id, description)
        # The hours of all finished uses; None until they are restored.
        self._hours: float | None = None
        # Monotonic time when the use began, because the clock can be changed; None if not used.
        self._used_since: float | None = None

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        # Also called after a change of the entity id. The new id has no stored value.
        if self._hours is None:
            stored = await self.async_get_last_sensor_data()
            hours = stored.native_value if stored else None
            self._hours = float(hours) if isinstance(hours, int | float) else 0.0
        self._update_value()
        self._update_use()
        self.async_on_remove(
            async_track_time_interval(self.hass, self._handle_interval, WRITE_INTERVAL)
        )

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._update_use()
        super()._handle_coordinator_update()

    @callback
    def _handle_interval(self, _now: datetime) -> None:
        if self._used_since is not None:
            self._update_value()
            self.async_write_ha_state()

    def _update_use(self) -> None:
        """Note when the use begins. Update the value only when it ends, to record few states."""
        if not self.available or not self.entity_description.is_on_fn(self.hub):
            self._hours = self._total_hours
            self._used_since = None
            self._update_value()
        elif self._used_since is None:
            self._used_since = time.monotonic()

    def _update_value(self) -> None:
        self._attr_native_value = round(self._total_hours, 4)

    @property
    def _total_hours(self) -> float:
        hours = self._hours or 0.0
        if self._used_since is not None:
            hours += (time.monotonic() - self._used_since) / _SECONDS_PER_HOUR
        return hours

    @property
    @override
    def extra_restore_state_data(self) -> SensorExtraStoredData:
        """Return the hours up to now, also those that the state does not have yet."""
        return SensorExtraStoredData(self._total_hours, self.native_unit_of_measurement)


class RoomCounter:
    """Counts the rooms of one account.

    `counts` has the number of rooms that are in use (True), free (False), or neither (None). It is
    None while the account is unavailable.
    """

    def __init__(self, hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
        self.counts: Counter[bool | None] | None = None
        self._hass = hass
        self._entry = entry
        self._in_use: dict[str, int | None] = {}
        self._listeners: list[CALLBACK_TYPE] = []
        self._scheduled = False
        entry.async_on_unload(
            async_dispatcher_connect(hass, SIGNAL_HUBS_UPDATED, self._handle_hubs_updated)
        )
        entry.async_on_unload(
            hass.bus.async_listen(dr.EVENT_DEVICE_REGISTRY_UPDATED, self._handle_device_updated)
        )

    @callback
    def async_add_listener(self, listener: CALLBACK_TYPE) -> CALLBACK_TYPE:
        """Call a listener after each count; return a function that removes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @callback
    def _handle_hubs_updated(self, snapshots: list[HubSnapshot]) -> None:
        """Count the rooms if a hub came into use or became free, or after an outage."""
        in_use = {
            snapshot.hub.id: snapshot.current.get("in_use")
            for snapshot in snapshots
            if snapshot.entry_id == self._entry.entry_id
        }
        if in_use.items() - self._in_use.items() or self._available is (self.counts is None):
            self._in_use |= in_use
            self._schedule_count()

    @callback
    def _handle_device_updated(self, event: Event[dr.EventDeviceRegistryUpdatedData]) -> None:
        """Count the rooms after a change of a device, such as its area."""
        device = dr.async_get(self._hass).async_get(event.data["device_id"])
        # A removed device may have been one of this account. A hub may move to another account.
        before = event.data["changes"] if event.data["action"] == "update" else {}
        if device is None or self._entry.entry_id in (
            device.config_entry_id,
            before.get("config_entry_id"),
        ):
            self._schedule_count()

    @property
    def _available(self) -> bool:
        return self._entry.runtime_data.coordinator.last_update_success

    @callback
    def _schedule_count(self) -> None:
        # It takes 10 ms for 1,000 rooms, and many devices can change at once.
        if not self._scheduled:
            self._scheduled = True
            self._hass.loop.call_soon(self._count)

    @callback
    def _count(self) -> None:
        self._scheduled = False
        # The history has no hubs until the entry is set up.
        if self._entry.state is ConfigEntryState.LOADED:
            rooms = async_rooms(self._hass, self._entry.entry_id)
            self.counts = Counter(room.in_use for room in rooms) if self._available else None
            for listener in self._listeners:
                listener()


class OchnoRoomsSensor(OchnoAccountEntity, SensorEntity):
    """Sensor of the account that counts rooms."""

    _attr_should_poll = False
    entity_description: OchnoRoomsSensorEntityDescription

    def __init__(
        self,
        entry: OchnoConfigEntry,
        description: OchnoRoomsSensorEntityDescription,
        rooms: RoomCounter,
    ) -> None:
        super().__init__(entry, description)
        self._rooms = rooms

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_on_remove(self._rooms.async_add_listener(self.async_write_ha_state))

    @property
    @override
    def available(self) -> bool:
        return self._rooms.counts is not None

    @property
    @override
    def native_value(self) -> int | None:
        counts = self._rooms.counts
        return None if counts is None else counts[self.entity_description.in_use]
