"""Conditions: how the hubs of a floor, an area, a label are now, or one of them."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Final, Unpack, override

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
from homeassistant.helpers.typing import ConfigType

from .facts import (
    Report,
    Target,
    active_keys,
    async_last_reports,
    automation_schema,
    chosen_port,
    port_option,
)

BEHAVIOR: Final[dict[probatio.Marker, Any]] = {
    probatio.Required(ATTR_BEHAVIOR, default=BEHAVIOR_ANY): probatio.In(
        [BEHAVIOR_ANY, BEHAVIOR_ALL]
    )
}


class HubCondition(Condition):
    """A condition of what is known of hubs now; what is not known counts neither way."""

    _schema: ClassVar[probatio.Schema] = automation_schema(BEHAVIOR)

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        validated: ConfigType = cls._schema(config)
        return validated

    def __init__(self, hass: HomeAssistant, config: ConditionConfig) -> None:
        super().__init__(hass, config)
        self._target = config.target or {}
        self._options = config.options or {}

    @override
    def _async_check(self, **kwargs: Unpack[ConditionCheckParams]) -> bool:
        target = Target(self._hass, self._target)
        answers = [
            answer
            for report in async_last_reports(self._hass)
            for answer in self._answers(report, target)
            if answer is not None
        ]
        if self._options[ATTR_BEHAVIOR] == BEHAVIOR_ANY:
            return any(answers)
        # Of hubs that all are away nothing can be said.
        return bool(answers) and all(answers)

    @abstractmethod
    def _answers(self, report: Report, target: Target) -> Iterator[bool | int | None]:
        """Say for all of a hub that is targeted whether it is so; None is unknown."""


class FactCondition(HubCondition):
    """A fact is true."""

    _key: ClassVar[str]

    @override
    def _answers(self, report: Report, target: Target) -> Iterator[bool | int | None]:
        if target.includes(report, self._key):
            yield report.now.get(self._key)


class RoomInUse(FactCondition):
    """A laptop is plugged in."""

    _key = "in_use"


class HubOnline(FactCondition):
    """A hub is connected to Ochno Operated."""

    _key = "connectivity"


class LaptopConnected(HubCondition):
    """A laptop is plugged in, at a certain port or anywhere."""

    _schema = automation_schema(BEHAVIOR | port_option(none=False))

    @override
    def _answers(self, report: Report, target: Target) -> Iterator[bool | int | None]:
        chosen = chosen_port(self._options)
        if chosen is None and target.includes(report, "in_use"):
            yield report.now.get("in_use")
            return
        for port in report.hub.ports:
            key = f"port_{port.number}_connected"
            if chosen in (None, port.number) and target.includes(report, key):
                yield report.now.get(key)


class PortActive(HubCondition):
    """A certain port owns the room, or any, or none."""

    _schema = automation_schema(BEHAVIOR | port_option(none=True))

    @override
    def _answers(self, report: Report, target: Target) -> Iterator[bool | int | None]:
        active, chosen = report.now.get("active_port"), chosen_port(self._options)
        if active is None:
            return
        # That none is active, the entity of any port can tell.
        ports = report.hub.ports if chosen == 0 else ()
        keys = [key for port in ports for key in active_keys(port.number)]
        if target.includes(report, "active_port", *keys):
            yield active == chosen if chosen is not None else active > 0
            return
        for port in report.hub.ports:
            if chosen in (None, port.number) and target.includes(report, *active_keys(port.number)):
                yield active == port.number


CONDITIONS: dict[str, type[Condition]] = {
    "hub_online": HubOnline,
    "laptop_connected": LaptopConnected,
    "port_active": PortActive,
    "room_in_use": RoomInUse,
}


async def async_get_conditions(hass: HomeAssistant) -> dict[str, type[Condition]]:
    """Return the conditions by key."""
    return CONDITIONS
