"""Conditions for hubs."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Final, Unpack, override

import probatio

from homeassistant.core import HomeAssistant
from homeassistant.helpers.condition import (
    ATTR_BEHAVIOR,
    BEHAVIOR_ALL,
    BEHAVIOR_ANY,
    Condition,
    ConditionCheckParams,
    ConditionConfig,
)

from .history import HubSnapshot, async_hub_snapshots
from .target import (
    PORT_OPTION,
    PORT_OR_NONE_OPTION,
    HubTarget,
    OptionsSchema,
    TargetConfigMixin,
    active_port_keys,
    selected_port,
)

BEHAVIOR_OPTION: Final[OptionsSchema] = {
    probatio.Required(ATTR_BEHAVIOR, default=BEHAVIOR_ANY): probatio.In(
        [BEHAVIOR_ANY, BEHAVIOR_ALL]
    )
}


class HubCondition(TargetConfigMixin, Condition):
    """Base class of the conditions for hubs. Unknown values are ignored."""

    _options_schema = BEHAVIOR_OPTION

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}

    @override
    def _async_check(self, **kwargs: Unpack[ConditionCheckParams]) -> bool:
        target = HubTarget(self._hass, self._target)
        values = [
            value
            for snapshot in async_hub_snapshots(self._hass)
            for value in self._values(snapshot, target)
            if value is not None
        ]
        if self._options[ATTR_BEHAVIOR] == BEHAVIOR_ANY:
            return any(values)
        # all([]) would be True for hubs that are all unavailable.
        return bool(values) and all(values)

    @abstractmethod
    def _values(self, snapshot: HubSnapshot, target: HubTarget) -> Iterator[bool | int | None]:
        """Return a value for each targeted entity of a hub; None is unknown."""


class HubStateCondition(HubCondition):
    """Base class of the conditions for a boolean value of a hub."""

    _key: ClassVar[str]

    @override
    def _values(self, snapshot: HubSnapshot, target: HubTarget) -> Iterator[bool | int | None]:
        if target.includes(snapshot, self._key):
            yield snapshot.current.get(self._key)


class RoomInUseCondition(HubStateCondition):
    """Condition that a room is in use: a laptop is plugged in."""

    _key = "in_use"


class HubOnlineCondition(HubStateCondition):
    """Condition that a hub is connected to Ochno Operated."""

    _key = "connectivity"


class LaptopConnectedCondition(HubCondition):
    """Condition that a laptop is plugged in to a selected port, or to any."""

    _options_schema = BEHAVIOR_OPTION | PORT_OPTION

    @override
    def _values(self, snapshot: HubSnapshot, target: HubTarget) -> Iterator[bool | int | None]:
        selected = selected_port(self._options)
        if selected is None and target.includes(snapshot, "in_use"):
            yield snapshot.current.get("in_use")
            return
        for port in snapshot.hub.ports:
            key = f"port_{port.number}_connected"
            if selected in (None, port.number) and target.includes(snapshot, key):
                yield snapshot.current.get(key)


class PortActiveCondition(HubCondition):
    """Condition on the active port: the selected port, any port, or with `none` no port."""

    _options_schema = BEHAVIOR_OPTION | PORT_OR_NONE_OPTION

    @override
    def _values(self, snapshot: HubSnapshot, target: HubTarget) -> Iterator[bool | int | None]:
        active = snapshot.current.get("active_port")
        selected = selected_port(self._options)
        if active is None:
            return
        # With the option `none`, the target can be the entity of any port.
        ports = snapshot.hub.ports if selected == 0 else ()
        keys = [key for port in ports for key in active_port_keys(port.number)]
        if target.includes(snapshot, "active_port", *keys):
            yield active == selected if selected is not None else active > 0
            return
        for port in snapshot.hub.ports:
            if selected in (None, port.number) and target.includes(
                snapshot, *active_port_keys(port.number)
            ):
                yield active == port.number


CONDITIONS: dict[str, type[Condition]] = {
    "hub_online": HubOnlineCondition,
    "laptop_connected": LaptopConnectedCondition,
    "port_active": PortActiveCondition,
    "room_in_use": RoomInUseCondition,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions by key."""
    return CONDITIONS
