"""Conditions for hubs and rooms."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
import time
from typing import ClassVar, Unpack, override

import probatio

from homeassistant.const import CONF_FOR, CONF_OPTIONS
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.condition import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ANY,
    ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL,
    Condition,
    ConditionCheckParams,
    ConditionConfig,
)
from homeassistant.helpers.dispatcher import async_dispatcher_connect

from .history import SIGNAL_HUBS_UPDATED, HubSnapshot, async_hub_snapshots
from .rooms import Room, any_known
from .target import (
    PORT_OPTION,
    PORT_OR_NONE_OPTION,
    HubTarget,
    TargetConfigMixin,
    active_port_keys,
    selected_port,
)


@dataclass(frozen=True, kw_only=True)
class Match:
    """Whether a hub, a room or a port matches a condition.

    `id` identifies it. `matched` is None if unknown. `since` is the monotonic time from which it
    has been the same without interruption, as far as the present values tell.
    """

    id: Hashable
    matched: bool | None
    since: float


def _any_known_since(values: Iterable[tuple[HubSnapshot, str]]) -> tuple[bool | None, float]:
    """Return whether one of these values is true, and since when; None if that is unknown."""
    known = [(snapshot.current.get(key), snapshot.since.get(key, 0)) for snapshot, key in values]
    if result := any_known(value for value, _ in known):
        return result, min(since for value, since in known if value)
    return result, max(since for _, since in known)


class HubCondition(TargetConfigMixin, Condition):
    """Base class of the conditions for hubs.

    `_unknown_prevents_all`: with the behavior `all`, an unknown value does not match; otherwise it
    is ignored.
    """

    _schema = ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL
    _unknown_prevents_all: ClassVar[bool] = False

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}
        # What matches without interruption, and the monotonic time when that began.
        self._matched_since: dict[Hashable, float] = {}
        self._stop_tracking: CALLBACK_TYPE | None = None

    @override
    async def _async_setup(self) -> None:
        if self._options.get(CONF_FOR):
            self._stop_tracking = async_dispatcher_connect(
                self._hass, SIGNAL_HUBS_UPDATED, self._track
            )
            self._track([])

    @override
    def _async_unload(self) -> None:
        if self._stop_tracking is not None:
            self._stop_tracking()
            self._stop_tracking = None

    @callback
    def _track(self, snapshots: Sequence[HubSnapshot]) -> None:
        """Update since when the hubs match."""
        before = self._matched_since
        self._matched_since = {
            match.id: before.get(match.id, match.since)
            for match in self._matches(HubTarget(self._hass, self._target))
            if match.matched
        }

    @override
    def _async_check(self, **kwargs: Unpack[ConditionCheckParams]) -> bool:
        latest = None
        if duration := self._options.get(CONF_FOR):
            latest = time.monotonic() - duration.total_seconds()
        results = [
            match.matched
            and (latest is None or self._matched_since.get(match.id, match.since) <= latest)
            for match in self._matches(HubTarget(self._hass, self._target))
            if match.matched is not None or self._unknown_prevents_all
        ]
        if self._options[ATTR_BEHAVIOR] == BEHAVIOR_ANY:
            return any(results)
        # all([]) would be True for hubs that are all unavailable.
        return bool(results) and all(results)

    @abstractmethod
    def _matches(self, target: HubTarget) -> Iterator[Match]:
        """Return what the target includes."""


class HubStateCondition(HubCondition):
    """Base class of the conditions for a boolean value of a hub."""

    _key: ClassVar[str]
    _value: ClassVar[bool]

    @override
    def _matches(self, target: HubTarget) -> Iterator[Match]:
        for room in self._find_rooms(target).values():
            value, since = _any_known_since((hub.snapshot, self._key) for hub in room.hubs)
            yield Match(
                id=tuple(hub.device.id for hub in room.hubs),
                matched=None if value is None else value is self._value,
                since=since,
            )

    def _find_rooms(self, target: HubTarget) -> dict[str, Room]:
        """Return the targeted rooms, or each targeted hub as a room of its own, by id."""
        return target.hubs(self._key)


class RoomCondition(HubStateCondition):
    """Base class of the conditions for a room that is in use or free."""

    _key = "in_use"

    @override
    def _find_rooms(self, target: HubTarget) -> dict[str, Room]:
        return target.rooms(self._key)


class RoomInUseCondition(RoomCondition):
    """Condition that a room is in use: a laptop is plugged in."""

    _value = True


class RoomFreeCondition(RoomCondition):
    """Condition that a room is free: all its hubs report that no laptop is plugged in."""

    _value = False
    _unknown_prevents_all = True


class HubOnlineCondition(HubStateCondition):
    """Condition that a hub is connected to Ochno Operated."""

    _key = "connectivity"
    _value = True


class HubOfflineCondition(HubStateCondition):
    """Condition that a hub has no connection to Ochno Operated."""

    _key = "connectivity"
    _value = False
    _unknown_prevents_all = True


class LaptopConnectedCondition(HubCondition):
    """Condition that a laptop is plugged in to a selected port, or to any."""

    _schema = ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL.extend(
        {probatio.Required(CONF_OPTIONS, default={}): PORT_OPTION}
    )

    @override
    def _matches(self, target: HubTarget) -> Iterator[Match]:
        selected = selected_port(self._options)
        for snapshot in async_hub_snapshots(self._hass):
            keys = [
                key
                for port in snapshot.hub.ports
                if selected in (None, port.number)
                and self._includes_port(target, snapshot, key := f"port_{port.number}_connected")
            ]
            # Without a selected port, a whole hub matches if any of its laptops does.
            combined = selected is None and target.includes(snapshot, "in_use")
            for group in [keys] if combined and keys else [[key] for key in keys]:
                matched, since = _any_known_since((snapshot, key) for key in group)
                yield Match(id=(snapshot.hub.id, *group), matched=matched, since=since)

    @staticmethod
    def _includes_port(target: HubTarget, snapshot: HubSnapshot, key: str) -> bool:
        fixed = key == f"port_{snapshot.hub.fixed_port}_connected"
        return target.includes(snapshot, key, summary_keys=() if fixed else ("in_use",))


class PortActiveCondition(HubCondition):
    """Condition on the active port: the selected port, any port, or with `none` no port."""

    _schema = ENTITY_STATE_CONDITION_SCHEMA_ANY_ALL.extend(
        {probatio.Required(CONF_OPTIONS, default={}): PORT_OR_NONE_OPTION}
    )

    @override
    def _matches(self, target: HubTarget) -> Iterator[Match]:
        selected = selected_port(self._options)
        for snapshot in async_hub_snapshots(self._hass):
            active = snapshot.current.get("active_port")
            if active is None or target.excludes(snapshot, "active_port"):
                continue
            ports = [port.number for port in snapshot.hub.ports]
            included = [
                number for number in ports if target.includes(snapshot, *active_port_keys(number))
            ]
            # With the option `none`, the target can also be the entity of any port.
            if target.includes(snapshot, "active_port") or (selected == 0 and included):
                matches: dict[int | None, bool] = {
                    None: active == selected if selected is not None else active > 0
                }
                if target.excludes(snapshot, *active_port_keys(selected or active)):
                    matches = {} if selected else {None: False}
            else:
                matches = {n: active == n for n in included if selected in (None, n)}
            for number, matched in matches.items():
                yield Match(
                    id=(snapshot.hub.id, number),
                    matched=matched,
                    since=snapshot.since["active_port"],
                )


CONDITIONS: dict[str, type[Condition]] = {
    "hub_offline": HubOfflineCondition,
    "hub_online": HubOnlineCondition,
    "laptop_connected": LaptopConnectedCondition,
    "port_active": PortActiveCondition,
    "room_free": RoomFreeCondition,
    "room_in_use": RoomInUseCondition,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions by key."""
    return CONDITIONS
