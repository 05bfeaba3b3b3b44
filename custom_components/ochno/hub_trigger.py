"""Base of the triggers for hubs: targets, trigger variables and contexts."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, override

from homeassistant.const import CONF_FOR, STATE_OFF, STATE_ON
from homeassistant.core import CALLBACK_TYPE, Context, HomeAssistant, State, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.trigger import (
    NotTriggeredInfo,
    Trigger,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)

from .entity import NO_PORT
from .history import SIGNAL_HUBS_UPDATED, HubSnapshot
from .target import TargetConfigMixin, async_hub_entity

type Variable = str | int | list[str] | None

CONF_FROM_STATE: Final = "from_state"
CONF_TO_STATE: Final = "to_state"


@dataclass(frozen=True, kw_only=True)
class HubEvent:
    """A change of a hub for which a trigger may fire.

    `entity_keys` are the keys of the entities that show the change; the first one is reported in
    the trigger variables. `HubTarget.includes` describes `summary_keys` and `other_keys`. The
    states are None if that entity is not registered.
    """

    snapshot: HubSnapshot
    entity_keys: tuple[str, ...]
    summary_keys: tuple[str, ...] = ()
    other_keys: tuple[str, ...] = ()
    variables: Mapping[str, Variable] = field(default_factory=dict)
    from_state: State | None
    to_state: State | None

    @property
    def context(self) -> Context | None:
        """The context of the state change; None if the entity is not registered."""
        return self.to_state.context if self.to_state else None


class HubTrigger(TargetConfigMixin, Trigger):
    """Base class of the triggers for hubs."""

    # The name of the trigger, as in the English translation.
    _name: ClassVar[str]

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
        self._run_action = run_action
        self._did_not_trigger = did_not_trigger
        return async_dispatcher_connect(self._hass, SIGNAL_HUBS_UPDATED, self._handle_update)

    @callback
    @abstractmethod
    def _handle_update(self, snapshots: Sequence[HubSnapshot]) -> None:
        """Handle an update of hubs."""

    def _event(
        self,
        snapshot: HubSnapshot,
        *entity_keys: str,
        summary_keys: tuple[str, ...] = (),
        other_keys: tuple[str, ...] = (),
        **variables: Variable,
    ) -> HubEvent:
        """Return an event for a change of the value with the first key."""
        key = entity_keys[0]
        entity = async_hub_entity(self._hass, snapshot.hub.id, key)
        from_state, to_state = (
            self._states(entity.entity_id, snapshot, key) if entity else (None,) * 2
        )
        return HubEvent(
            snapshot=snapshot,
            entity_keys=entity_keys,
            summary_keys=summary_keys,
            other_keys=other_keys,
            variables=variables,
            from_state=from_state,
            to_state=to_state,
        )

    def _states(self, entity_id: str, snapshot: HubSnapshot, key: str) -> tuple[State, State]:
        """Return the states of an entity before and after an update, also if it is disabled."""
        before, now = (_state_text(values[key]) for values in (snapshot.previous, snapshot.current))
        state = self._hass.states.get(entity_id)
        # The entity may have a newer state already.
        if state is None or state.state != now:
            state = State(entity_id, now)
        return State(entity_id, before), state

    def _run(
        self,
        event: HubEvent,
        device: dr.DeviceEntry,
        room: str | None = None,
        **variables: Variable,
    ) -> None:
        """Run the action. `variables` override the area; `room` is described instead of the hub."""
        hub = event.snapshot.hub
        entity = async_hub_entity(self._hass, hub.id, event.entity_keys[0])
        area_id = (entity.area_id if entity else None) or device.area_id
        area = ar.async_get(self._hass).async_get_area(area_id) if area_id else None
        name = device.name_by_user or hub.name
        payload = {
            "hub": name,
            "device_id": device.id,
            "area_id": area_id,
            "area": area.name if area else None,
            "entity_id": entity.entity_id if entity else None,
            CONF_FROM_STATE: event.from_state,
            CONF_TO_STATE: event.to_state,
            CONF_FOR: self._options.get(CONF_FOR),
            **event.variables,
            **variables,
        }
        self._run_action(payload, f"{self._name}: {room or name}", event.context)

    def _report(self, reason: str, context: Context | None, **data: Variable) -> None:
        """Report why a change of a targeted hub did not fire the trigger."""
        if self._did_not_trigger is not None:
            self._did_not_trigger(NotTriggeredInfo(reason=reason, data=data), context)


def _state_text(value: bool | int) -> str:
    """Return the state of an entity for a value of the history."""
    if isinstance(value, bool):
        return STATE_ON if value else STATE_OFF
    return str(value or NO_PORT)
