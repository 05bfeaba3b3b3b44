"""Base of the triggers for a state of hubs or rooms, with the options `behavior` and `for`."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, override

from homeassistant.const import CONF_FOR
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.trigger import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ALL,
    BEHAVIOR_EACH,
    ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR,
    TriggerActionRunner,
    TriggerConfig,
    TriggerNotTriggeredReporter,
)

from .history import HubSnapshot
from .hub_trigger import HubEvent, HubTrigger
from .rooms import Room, RoomHub, any_known
from .target import HubTarget

_REGISTRY_EVENTS = (
    ar.EVENT_AREA_REGISTRY_UPDATED,
    dr.EVENT_DEVICE_REGISTRY_UPDATED,
    er.EVENT_ENTITY_REGISTRY_UPDATED,
)
# Attributes of devices and entities that decide which targets and rooms include them.
_TARGET_ATTRIBUTES = frozenset(
    {
        "area_id",
        "config_entry_id",
        "disabled_by",
        "entity_id",
        "identifiers",
        "labels",
        "unique_id",
        "via_device_id",
    }
)


def _may_change_targets(event: Event[Any]) -> bool:
    """Return whether a hub may leave or join a target because a registry changed."""
    if (changes := event.data.get("changes")) is not None:
        return not _TARGET_ATTRIBUTES.isdisjoint(changes)
    # What is created was in no group.
    return bool(event.data["action"] != "create")


@dataclass(kw_only=True)
class _Group:
    """The rooms or hubs whose state a trigger combines.

    With the behavior `each`, this is one room or hub, otherwise all of the target. `matched`:
    whether the combined state is the one that the trigger waits for; None if that is unknown.
    `cause` is the last change of a hub to the value that the trigger waits for, if the combined
    state has been unknown since then. `waiting` is the change whose action runs after the duration
    of `for`. Its timer is stopped while the combined state is unknown.
    """

    rooms: list[Room] = field(default_factory=list)
    matched: bool | None = None
    cause: HubEvent | None = None
    waiting: HubEvent | None = None
    cancel_timer: CALLBACK_TYPE | None = None

    def set_rooms(self, rooms: list[Room]) -> None:
        """Set the rooms. A hub that joins or leaves the group is not a change of its state."""
        known_ids, self.rooms = self.hubs.keys(), rooms
        if self.hubs.keys() != known_ids:
            self.matched = self.cause = None

    def stop_timer(self) -> None:
        """Stop the timer, if there is one."""
        if self.cancel_timer is not None:
            self.cancel_timer()
            self.cancel_timer = None

    @property
    def hubs(self) -> dict[str, tuple[Room, RoomHub]]:
        """The hubs with their rooms, by hub id."""
        return {hub.snapshot.hub.id: (room, hub) for room in self.rooms for hub in room.hubs}


class HubStateTrigger(HubTrigger):
    """Base class of the triggers for a boolean value of a hub.

    If a value becomes unknown, the time of `for` starts again when it is known.
    `_unknown_prevents_all`: with the behavior `all`, an unknown value does not match; otherwise it
    is ignored.
    """

    _schema = ENTITY_STATE_TRIGGER_SCHEMA_WITH_BEHAVIOR
    _key: ClassVar[str]
    _value: ClassVar[bool]
    _unknown_prevents_all: ClassVar[bool] = False

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        super().__init__(hass, config)
        self._behavior: str = self._options[ATTR_BEHAVIOR]
        self._groups: dict[str, _Group] = {}

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        unsubscribes = [
            await super().async_attach_runner(run_action, did_not_trigger),
            *(
                self._hass.bus.async_listen(event_type, self._handle_registry_update)
                for event_type in _REGISTRY_EVENTS
            ),
        ]

        @callback
        def detach() -> None:
            for unsubscribe in unsubscribes:
                unsubscribe()
            for group in self._groups.values():
                group.stop_timer()

        return detach

    def _find_rooms(self, target: HubTarget, hub_ids: Set[str] | None) -> dict[str, Room]:
        """Return the targeted rooms, or each targeted hub as a room of its own, by id.

        With `hub_ids`, only those with one of these hubs.
        """
        return target.hubs(self._key, hub_ids)

    def _is_cause(self, snapshot: HubSnapshot) -> bool:
        """Return whether the value of a hub changed to the one that the trigger waits for."""
        return snapshot.changed_to(self._key, self._value)

    def _run_room(self, event: HubEvent, room: Room, hub: RoomHub) -> None:
        """Run the action for a change of a hub in a room."""
        self._run(event, hub.device)

    def _find_groups(self, hub_ids: Set[str] | None = None) -> dict[str, list[Room]]:
        target = HubTarget(self._hass, self._target)
        if self._behavior == BEHAVIOR_EACH:
            rooms = self._find_rooms(target, hub_ids)
            return {room_id: [room] for room_id, room in rooms.items()}
        return {self._behavior: list(self._find_rooms(target, None).values())}

    @callback
    @override
    def _handle_update(self, snapshots: Sequence[HubSnapshot]) -> None:
        if not any(self._key in snapshot.changed for snapshot in snapshots):
            return
        updated = {snapshot.hub.id: snapshot for snapshot in snapshots}
        for group_id, rooms in self._find_groups(updated.keys()).items():
            group = self._groups.setdefault(group_id, _Group())
            group.set_rooms(rooms)
            self._update_group(group, updated)

    @callback
    def _handle_registry_update(self, event: Event[Any]) -> None:
        """Cancel the timers of what the target does not include any more."""
        if _may_change_targets(event):
            # A hub may leave a group, change, and return.
            for group in self._groups.values():
                group.matched = None
        if not any(group.waiting for group in self._groups.values()):
            return
        found = self._find_groups()
        for group_id, group in self._groups.items():
            if group.waiting is not None:
                group.set_rooms(found.get(group_id, []))
                self._check_waiting(group)

    def _update_group(self, group: _Group, updated: dict[str, HubSnapshot]) -> None:
        """Update the state of a group, and fire if it changed to a match."""
        matched_before = self._matched_before(group, updated)
        event = None
        for room in group.rooms:
            for hub in room.hubs:
                snapshot = updated.get(hub.snapshot.hub.id)
                if snapshot is not None and self._is_cause(snapshot):
                    event = group.cause = self._event(snapshot, self._key)
        matched = self._check_waiting(group)
        if event is not None and (matched_before or not matched):
            self._report_others(event, group, matched)
        if matched is None:
            return
        event, group.cause = group.cause, None
        if matched and not matched_before and event is not None:
            group.matched = True
            if self._options.get(CONF_FOR):
                self._start_timer(group, event)
            else:
                self._fire(group, event)

    def _check_waiting(self, group: _Group) -> bool | None:
        """Return whether a group matches, and stop or restart its timer."""
        matches = [self._matches(room) for room in group.rooms]
        matched = self._combine(matches)
        # An ignored room or hub may have changed when it is known again.
        group.matched = None if None in matches else matched
        if (event := group.waiting) is None:
            return matched
        if event.snapshot.hub.id not in group.hubs:
            self._stop_waiting(group, event, "left_target")
        elif matched is False:
            self._stop_waiting(group, event, "changed")
        elif matched is None:
            group.stop_timer()
        elif group.cancel_timer is None:
            self._start_timer(group, event)
        return matched

    def _stop_waiting(self, group: _Group, event: HubEvent, reason: str) -> None:
        group.stop_timer()
        group.waiting = None
        self._report(reason, event.context, hub=event.snapshot.hub.name)

    def _start_timer(self, group: _Group, event: HubEvent) -> None:
        @callback
        def handle_timer(_now: datetime) -> None:
            group.waiting = group.cancel_timer = None
            self._fire(group, event)

        # The timer of an earlier change may have just restarted after an outage.
        group.stop_timer()
        group.waiting = event
        group.cancel_timer = async_call_later(self._hass, self._options[CONF_FOR], handle_timer)

    def _fire(self, group: _Group, event: HubEvent) -> None:
        self._run_room(event, *group.hubs[event.snapshot.hub.id])

    def _report_others(self, event: HubEvent, group: _Group, matched: bool | None) -> None:
        """Report the other hubs of a group because of which a change did not fire."""
        if matched is None:
            reason, value = "unknown", None
        elif matched:
            reason, value = "not_first", self._value
        else:
            reason, value = "not_all", not self._value
        others = [
            hub.name
            for hub_id, (_, hub) in group.hubs.items()
            if hub_id != event.snapshot.hub.id and hub.snapshot.current.get(self._key) is value
        ]
        self._report(reason, event.context, hub=event.snapshot.hub.name, others=others)

    def _matches(self, room: Room) -> bool | None:
        """Return whether the state of a room is the one to wait for; None if unknown."""
        return self._matches_values(hub.snapshot.current.get(self._key) for hub in room.hubs)

    def _matches_values(self, values: Iterable[bool | int | None]) -> bool | None:
        value = any_known(values)
        return None if value is None else value is self._value

    def _matched_before(self, group: _Group, updated: dict[str, HubSnapshot]) -> bool:
        """Return whether a group matched before an update.

        If that is unknown, the last known values of the hubs that changed count.
        """
        if group.matched is not None:
            return group.matched
        if group.cause is not None:
            return False

        def value_before(snapshot: HubSnapshot) -> bool | int | None:
            # The hub may have a newer snapshot than the one of this update.
            if (update := updated.get(snapshot.hub.id)) is None:
                values = snapshot.current
            else:
                values = update.previous if self._key in update.changed else update.current
            return values.get(self._key)

        values = (
            self._matches_values(value_before(hub.snapshot) for hub in room.hubs)
            for room in group.rooms
        )
        return self._combine(values) is True

    def _combine(self, matches: Iterable[bool | None]) -> bool | None:
        """Return whether a group matches, by its rooms or hubs; None if unknown."""
        values = set(matches)
        if self._behavior != BEHAVIOR_ALL:
            return any_known(values)
        if False in values:
            return False
        if not self._unknown_prevents_all:
            values.discard(None)
        return None if not values or None in values else True
