"""Triggers: what happened at the hubs of a floor, an area, a label, or at one of them."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, override

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
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN
from .facts import (
    REPORTED,
    Report,
    Target,
    active_keys,
    automation_schema,
    chosen_port,
    port_option,
)


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What happened at a hub.

    `keys` are those of the entities that say it, the one to name in the variables first; `named`
    are those of others that say it as well, but mean more than that.
    """

    report: Report
    keys: tuple[str, ...]
    named: tuple[str, ...] = ()
    variables: Mapping[str, int | None] = field(default_factory=dict)


class HubTrigger(Trigger):
    """A trigger that goes by what hubs report."""

    _schema: ClassVar[probatio.Schema] = automation_schema({})

    @override
    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        validated: ConfigType = cls._schema(config)
        return validated

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
        def take(reports: Iterable[Report]) -> None:
            happenings = [one for report in reports for one in self._happenings(report)]
            if not happenings:
                return
            target = Target(self._hass, self._target)
            for happening in happenings:
                if target.includes(happening.report, *happening.keys, named=happening.named):
                    self._begin(happening, run_action)

        return async_dispatcher_connect(self._hass, REPORTED, take)

    @abstractmethod
    def _happenings(self, report: Report) -> Iterator[Happening]:
        """Find what a report says has happened."""

    def _begin(self, happening: Happening, run_action: TriggerActionRunner) -> None:
        """Run the action, now or later."""
        self._run(happening, run_action)

    def _run(self, happening: Happening, run_action: TriggerActionRunner) -> None:
        hub = happening.report.hub
        device = happening.report.device(self._hass)
        name = (device and device.name_by_user) or hub.name
        area_id = device.area_id if device else None
        area = ar.async_get(self._hass).async_get_area(area_id) if area_id else None
        registry = er.async_get(self._hass)
        entity_ids = (
            registry.async_get_entity_id(platform, DOMAIN, f"{hub.id}_{happening.keys[0]}")
            for platform in ("binary_sensor", "select", "sensor")
        )
        variables = {
            "hub": name,
            "device_id": device.id if device else None,
            "area_id": area_id,
            "area": area.name if area else None,
            "entity_id": next(filter(None, entity_ids), None),
            **happening.variables,
        }
        run_action(variables, name)


class LaptopTrigger(HubTrigger):
    """A laptop is plugged in, or unplugged."""

    _connected: ClassVar[bool]

    @override
    def _happenings(self, report: Report) -> Iterator[Happening]:
        for port in report.hub.ports:
            key = f"port_{port.number}_connected"
            if report.became(key, self._connected):
                yield Happening(
                    report=report,
                    keys=(key,),
                    named=() if port.number == report.hub.fixed_port else ("in_use",),
                    variables={"port": port.number},
                )


class LaptopPluggedIn(LaptopTrigger):
    """A laptop is plugged in."""

    _connected = True


class LaptopUnplugged(LaptopTrigger):
    """A laptop is unplugged."""

    _connected = False


class ActivePortChanged(HubTrigger):
    """Another port owns the room, or none does."""

    _schema = automation_schema(port_option(none=True))

    @override
    def _happenings(self, report: Report) -> Iterator[Happening]:
        before, now = report.before.get("active_port"), report.now.get("active_port")
        if before is None or now is None or before == now:
            return
        if chosen_port(self._options) in (None, now):
            yield Happening(
                report=report,
                keys=("active_port", *active_keys(before), *active_keys(now)),
                variables={"port": now or None, "from_port": before or None},
            )


class FactTrigger(HubTrigger):
    """A fact becomes true, or untrue, and stays so if that is asked for.

    What nobody can tell meanwhile may not have lasted, so the time begins anew after an outage.
    """

    _key: ClassVar[str]
    _value: ClassVar[bool]

    def __init__(self, hass: HomeAssistant, config: TriggerConfig) -> None:
        super().__init__(hass, config)
        self._waiting: dict[str, CALLBACK_TYPE] = {}
        self._interrupted: set[str] = set()

    @override
    async def async_attach_runner(
        self,
        run_action: TriggerActionRunner,
        did_not_trigger: TriggerNotTriggeredReporter | None = None,
    ) -> CALLBACK_TYPE:
        stop_listening = await super().async_attach_runner(run_action, did_not_trigger)

        @callback
        def stop() -> None:
            stop_listening()
            for stop_waiting in self._waiting.values():
                stop_waiting()

        return stop

    @override
    def _happenings(self, report: Report) -> Iterator[Happening]:
        hub_id, now = report.hub.id, report.now.get(self._key)
        if now is None:
            if hub_id in self._waiting:
                self._waiting.pop(hub_id)()
                self._interrupted.add(hub_id)
            return
        interrupted = hub_id in self._interrupted
        self._interrupted.discard(hub_id)
        if now is not self._value:
            if hub_id in self._waiting:
                self._waiting.pop(hub_id)()
        elif interrupted or self._began(report):
            yield Happening(report=report, keys=(self._key,))

    def _began(self, report: Report) -> bool:
        return report.became(self._key, self._value)

    @override
    def _begin(self, happening: Happening, run_action: TriggerActionRunner) -> None:
        if not (duration := self._options.get(CONF_FOR)):
            super()._begin(happening, run_action)
            return
        hub_id = happening.report.hub.id

        @callback
        def lasted(_now: datetime) -> None:
            del self._waiting[hub_id]
            self._run(happening, run_action)

        self._waiting[hub_id] = async_call_later(self._hass, duration, lasted)


LASTING = automation_schema({probatio.Optional(CONF_FOR): cv.positive_time_period})


class RoomTrigger(FactTrigger):
    """The first laptop of a hub is plugged in, or the last one unplugged.

    That another port is the room system's changes what is in use, too, but nobody came or went.
    """

    _schema = LASTING
    _key = "in_use"

    @override
    def _began(self, report: Report) -> bool:
        moved = (
            report.became(f"port_{port.number}_connected", self._value) for port in report.hub.ports
        )
        return super()._began(report) and any(moved)


class RoomInUse(RoomTrigger):
    """The first laptop of a hub is plugged in."""

    _value = True


class RoomFree(RoomTrigger):
    """The last laptop of a hub is unplugged."""

    _value = False


class HubWentOffline(FactTrigger):
    """A hub is no longer connected to Ochno Operated."""

    _schema = LASTING
    _key, _value = "connectivity", False


class HubCameBack(FactTrigger):
    """A hub is connected to Ochno Operated again."""

    _key, _value = "connectivity", True


class HubTooHot(FactTrigger):
    """A hub overheats."""

    _key, _value = "overheating", True


TRIGGERS: dict[str, type[Trigger]] = {
    "active_port_changed": ActivePortChanged,
    "hub_came_back": HubCameBack,
    "hub_too_hot": HubTooHot,
    "hub_went_offline": HubWentOffline,
    "laptop_plugged_in": LaptopPluggedIn,
    "laptop_unplugged": LaptopUnplugged,
    "room_free": RoomFree,
    "room_in_use": RoomInUse,
}


async def async_get_triggers(hass: HomeAssistant) -> dict[str, type[Trigger]]:
    """Return the triggers by key."""
    return TRIGGERS
