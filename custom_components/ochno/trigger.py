"""Triggers for hubs and rooms."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence, Set
from typing import ClassVar, override

import probatio

from homeassistant.const import CONF_OPTIONS
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.trigger import ENTITY_STATE_TRIGGER_SCHEMA, Trigger

from .history import HubSnapshot
from .hub_trigger import HubEvent, HubTrigger
from .rooms import Room, RoomHub
from .state_trigger import HubStateTrigger
from .target import PORT_OR_NONE_OPTION, HubTarget, active_port_keys, selected_port


class HubEventTrigger(HubTrigger):
    """Base class of the triggers for events: there is no state to combine or to wait for."""

    _schema = ENTITY_STATE_TRIGGER_SCHEMA

    @callback
    @override
    def _handle_update(self, snapshots: Sequence[HubSnapshot]) -> None:
        events = [event for snapshot in snapshots for event in self._events(snapshot)]
        if not events:
            return
        target = HubTarget(self._hass, self._target)
        for event in events:
            device = event.snapshot.device(self._hass)
            if device is not None and target.includes(
                event.snapshot,
                *event.entity_keys,
                summary_keys=event.summary_keys,
                other_keys=event.other_keys,
            ):
                self._handle_event(event, device)

    @abstractmethod
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        """Return the events in an update of a hub."""

    def _handle_event(self, event: HubEvent, device: dr.DeviceEntry) -> None:
        """Handle an event of a targeted hub."""
        self._run(event, device)


class LaptopTrigger(HubEventTrigger):
    """Base class of the triggers for a laptop that is plugged in or unplugged."""

    _connected: ClassVar[bool]

    @override
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        for port in snapshot.hub.ports:
            key = f"port_{port.number}_connected"
            if snapshot.changed_to(key, self._connected):
                fixed = port.number == snapshot.hub.fixed_port
                yield self._event(
                    snapshot, key, summary_keys=() if fixed else ("in_use",), port=port.number
                )


class LaptopPluggedInTrigger(LaptopTrigger):
    """Trigger for a laptop that is plugged in."""

    _name = "Laptop plugged in"
    _connected = True


class LaptopUnpluggedTrigger(LaptopTrigger):
    """Trigger for a laptop that is unplugged."""

    _name = "Laptop unplugged"
    _connected = False


class ActivePortChangedTrigger(HubEventTrigger):
    """Trigger for a change of the active port."""

    _name = "Active port changed"
    _schema = ENTITY_STATE_TRIGGER_SCHEMA.extend(
        {probatio.Required(CONF_OPTIONS, default={}): PORT_OR_NONE_OPTION}
    )

    @override
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        before = snapshot.previous.get("active_port")
        now = snapshot.current.get("active_port")
        if before is not None and now is not None and before != now:
            yield self._event(
                snapshot,
                "active_port",
                *active_port_keys(now or before),
                other_keys=active_port_keys(before),
                port=now or None,
                from_port=before or None,
            )

    @override
    def _handle_event(self, event: HubEvent, device: dr.DeviceEntry) -> None:
        port = event.variables["port"]
        if selected_port(self._options) in (None, port or 0):
            super()._handle_event(event, device)
        else:
            self._report("other_port", event.context, hub=event.snapshot.hub.name, port=port)


class RoomTrigger(HubStateTrigger):
    """Base class of the triggers for a room that becomes in use or free.

    A change of the room system's port can also change `in_use`. Therefore the trigger fires only
    if the same update reports a laptop that was plugged in or unplugged.
    """

    _key = "in_use"

    @override
    def _find_rooms(self, target: HubTarget, hub_ids: Set[str] | None) -> dict[str, Room]:
        return target.rooms(self._key, hub_ids)

    @override
    def _is_cause(self, snapshot: HubSnapshot) -> bool:
        return super()._is_cause(snapshot) and any(
            snapshot.changed_to(f"port_{port.number}_connected", self._value)
            for port in snapshot.hub.ports
        )

    @override
    def _run_room(self, event: HubEvent, room: Room, hub: RoomHub) -> None:
        self._run(
            event,
            hub.device,
            room.name,
            area_id=room.area.id if room.area else None,
            area=room.area.name if room.area else None,
            hubs=[hub.name for hub in room.hubs],
            device_ids=[hub.device.id for hub in room.hubs],
        )


class RoomInUseTrigger(RoomTrigger):
    """Trigger that fires when the first laptop is plugged in in a room."""

    _name = "Room came into use"
    _value = True


class RoomFreeTrigger(RoomTrigger):
    """Trigger that fires when the last laptop is unplugged in a room."""

    _name = "Room became free"
    _value = False
    _unknown_prevents_all = True


class HubWentOfflineTrigger(HubStateTrigger):
    """Trigger for a hub that loses its connection to Ochno Operated."""

    _name = "Hub went offline"
    _key = "connectivity"
    _value = False
    _unknown_prevents_all = True


class HubCameBackTrigger(HubStateTrigger):
    """Trigger for a hub that is connected to Ochno Operated again."""

    _name = "Hub came back online"
    _key = "connectivity"
    _value = True


class HubTooHotTrigger(HubStateTrigger):
    """Trigger for a hub that overheats."""

    _name = "Hub too hot"
    _key = "overheating"
    _value = True


TRIGGERS: dict[str, type[Trigger]] = {
    "active_port_changed": ActivePortChangedTrigger,
    "hub_came_back": HubCameBackTrigger,
    "hub_too_hot": HubTooHotTrigger,
    "hub_went_offline": HubWentOfflineTrigger,
    "laptop_plugged_in": LaptopPluggedInTrigger,
    "laptop_unplugged": LaptopUnpluggedTrigger,
    "room_free": RoomFreeTrigger,
    "room_in_use": RoomInUseTrigger,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers by key."""
    return TRIGGERS
