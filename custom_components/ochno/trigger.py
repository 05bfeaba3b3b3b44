"""Triggers for hubs."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Final, override

import probatio

from homeassistant.const import CONF_FOR
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers import (
    area_registry as ar,
    config_validation as cv,
    entity_registry as er,
)
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.trigger import (
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)

from .const import DOMAIN
from .history import SIGNAL_HUBS_UPDATED, HubSnapshot
from .target import (
    PORT_OR_NONE_OPTION,
    HubTarget,
    OptionsSchema,
    TargetConfigMixin,
    active_port_keys,
    selected_port,
)

FOR_OPTION: Final[OptionsSchema] = {probatio.Optional(CONF_FOR): cv.positive_time_period}


@dataclass(frozen=True, kw_only=True)
class HubEvent:
    """A change of a hub for which a trigger may fire.

    `entity_keys` are the keys of the entities that show the change; the first one is reported in
    the trigger variables. `direct_entity_keys` are keys of entities that show a summary of the
    change, for example `in_use`. They count only if the target names them directly.
    """

    snapshot: HubSnapshot
    entity_keys: tuple[str, ...]
    direct_entity_keys: tuple[str, ...] = ()
    variables: Mapping[str, int | None] = field(default_factory=dict)


class HubTrigger(TargetConfigMixin, Trigger):
    """Base class of the triggers for hubs."""

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        @callback
        def handle_update(snapshots: Iterable[HubSnapshot]) -> None:
            events = [event for snapshot in snapshots for event in self._events(snapshot)]
            if not events:
                return
            target = HubTarget(self._hass, self._target)
            for event in events:
                if target.includes(
                    event.snapshot, *event.entity_keys, direct_keys=event.direct_entity_keys
                ):
                    self._handle_event(event, run_action)

        return async_dispatcher_connect(self._hass, SIGNAL_HUBS_UPDATED, handle_update)

    @abstractmethod
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        """Return the events in an update of a hub, and update the state of the trigger."""

    def _handle_event(self, event: HubEvent, run_action: TriggerActionRunner) -> None:
        """Run the action for an event of a targeted hub."""
        self._run_action(event, run_action)

    def _run_action(self, event: HubEvent, run_action: TriggerActionRunner) -> None:
        hub = event.snapshot.hub
        device = event.snapshot.device(self._hass)
        if device is not None and device.disabled:
            return
        name = (device and device.name_by_user) or hub.name
        area_id = device.area_id if device else None
        area = ar.async_get(self._hass).async_get_area(area_id) if area_id else None
        registry = er.async_get(self._hass)
        entity_ids = (
            registry.async_get_entity_id(platform, DOMAIN, f"{hub.id}_{event.entity_keys[0]}")
            for platform in ("binary_sensor", "select", "sensor")
        )
        variables = {
            "hub": name,
            "device_id": device.id if device else None,
            "area_id": area_id,
            "area": area.name if area else None,
            "entity_id": next(filter(None, entity_ids), None),
            **event.variables,
        }
        run_action(variables, name)


class LaptopTrigger(HubTrigger):
    """Base class of the triggers for a laptop that is plugged in or unplugged."""

    _connected: ClassVar[bool]

    @override
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        for port in snapshot.hub.ports:
            key = f"port_{port.number}_connected"
            if snapshot.changed_to(key, self._connected):
                yield HubEvent(
                    snapshot=snapshot,
                    entity_keys=(key,),
                    direct_entity_keys=(
                        () if port.number == snapshot.hub.fixed_port else ("in_use",)
                    ),
                    variables={"port": port.number},
                )


class LaptopPluggedInTrigger(LaptopTrigger):
    """Trigger for a laptop that is plugged in."""

    _connected = True


class LaptopUnpluggedTrigger(LaptopTrigger):
    """Trigger for a laptop that is unplugged."""

    _connected = False


class ActivePortChangedTrigger(HubTrigger):
    """Trigger for a change of the active port."""

    _options_schema = PORT_OR_NONE_OPTION

    @override
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        before = snapshot.previous.get("active_port")
        now = snapshot.current.get("active_port")
        if before is None or now is None or before == now:
            return
        if selected_port(self._options) in (None, now):
            yield HubEvent(
                snapshot=snapshot,
                entity_keys=("active_port", *active_port_keys(before), *active_port_keys(now)),
                variables={"port": now or None, "from_port": before or None},
            )


class HubStateTrigger(HubTrigger):
    """Base class of the triggers for a boolean value of a hub, with the option `for`.

    If the value becomes unknown, the timer of `for` is cancelled. It restarts from zero when the
    value is known again.
    """

    _key: ClassVar[str]
    _value: ClassVar[bool]

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        super().__init__(hass, config)
        self._timers: dict[str, CALLBACK_TYPE] = {}
        # Hubs whose timer was cancelled because the value became unknown.
        self._interrupted_hub_ids: set[str] = set()

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        stop_listening = await super().async_attach_runner(run_action, did_not_trigger)

        @callback
        def detach() -> None:
            stop_listening()
            for cancel_timer in self._timers.values():
                cancel_timer()

        return detach

    @override
    def _events(self, snapshot: HubSnapshot) -> Iterator[HubEvent]:
        hub_id, value = snapshot.hub.id, snapshot.current.get(self._key)
        if value is None:
            if self._cancel_timer(hub_id):
                self._interrupted_hub_ids.add(hub_id)
            return
        interrupted = hub_id in self._interrupted_hub_ids
        self._interrupted_hub_ids.discard(hub_id)
        if value is not self._value:
            self._cancel_timer(hub_id)
        elif interrupted or self._changed(snapshot):
            yield HubEvent(snapshot=snapshot, entity_keys=(self._key,))

    def _changed(self, snapshot: HubSnapshot) -> bool:
        """Return whether the value changed to the one that the trigger waits for."""
        return snapshot.changed_to(self._key, self._value)

    def _cancel_timer(self, hub_id: str) -> bool:
        """Cancel the timer of `for`; return whether there was one."""
        if (cancel_timer := self._timers.pop(hub_id, None)) is None:
            return False
        cancel_timer()
        return True

    @override
    def _handle_event(self, event: HubEvent, run_action: TriggerActionRunner) -> None:
        if not (duration := self._options.get(CONF_FOR)):
            super()._handle_event(event, run_action)
            return
        hub_id = event.snapshot.hub.id

        @callback
        def handle_timer(_now: datetime) -> None:
            del self._timers[hub_id]
            self._run_action(event, run_action)

        self._timers[hub_id] = async_call_later(self._hass, duration, handle_timer)


class RoomTrigger(HubStateTrigger):
    """Base class of the triggers for a room that becomes in use or free.

    A change of the room system's port can also change `in_use`. Therefore the trigger fires only
    if the same update reports a laptop that was plugged in or unplugged.
    """

    _options_schema = FOR_OPTION
    _key = "in_use"

    @override
    def _changed(self, snapshot: HubSnapshot) -> bool:
        return super()._changed(snapshot) and any(
            snapshot.changed_to(f"port_{port.number}_connected", self._value)
            for port in snapshot.hub.ports
        )


class RoomInUseTrigger(RoomTrigger):
    """Trigger that fires when the first laptop is plugged in to a hub."""

    _value = True


class RoomFreeTrigger(RoomTrigger):
    """Trigger that fires when the last laptop is unplugged from a hub."""

    _value = False


class HubWentOfflineTrigger(HubStateTrigger):
    """Trigger for a hub that loses its connection to Ochno Operated."""

    _options_schema = FOR_OPTION
    _key = "connectivity"
    _value = False


class HubCameBackTrigger(HubStateTrigger):
    """Trigger for a hub that is connected to Ochno Operated again."""

    _key = "connectivity"
    _value = True


class HubTooHotTrigger(HubStateTrigger):
    """Trigger for a hub that overheats."""

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
