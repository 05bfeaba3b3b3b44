"""Helpers that set up automations with the triggers and conditions of the integration."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pytest_homeassistant_custom_component.common import async_mock_service

from homeassistant.core import ServiceCall
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    label_registry as lr,
)
from homeassistant.setup import async_setup_component

from .home import Home
from .simulator import SimHub

type Config = dict[str, Any]

# Home Assistant cannot turn the text of a State or a timedelta into an object again.
TRIGGER_VARIABLES = """{{ dict(
    trigger,
    from_state=trigger.from_state.state,
    to_state=trigger.to_state.state,
    **{"for": trigger.for.total_seconds() if trigger.for else none}
) }}"""
# Trigger variables that Home Assistant adds to every trigger.
COMMON_VARIABLES = {"id", "idx", "alias", "platform", "description"}


@dataclass
class Automation:
    """Automation that records the trigger variables of each run."""

    calls: list[ServiceCall]

    def pop_trigger_variables(self) -> list[Config]:
        """Return the trigger variables of each run since the last call, without common ones."""
        runs: list[Config] = [call.data["trigger"] for call in self.calls]
        self.calls.clear()
        return [{key: run[key] for key in run.keys() - COMMON_VARIABLES} for run in runs]

    @property
    def descriptions(self) -> list[str]:
        """The description of the trigger of each run since the last call of a `pop` method."""
        return [call.data["trigger"]["description"] for call in self.calls]

    def pop_ports(self) -> list[int | None]:
        """Return the variable `port` of each run since the last call."""
        return [variables["port"] for variables in self.pop_trigger_variables()]

    def pop_hubs(self) -> list[str]:
        """Return the variable `hub` of each run since the last call."""
        return [variables["hub"] for variables in self.pop_trigger_variables()]


async def create_automation(
    home: Home, trigger: str, target: Config, action: Config | None = None, **options: Any
) -> Automation:
    """Set up an automation with one trigger and, if given, an additional action."""
    calls = async_mock_service(home.hass, "test", "record")
    record = {"action": "test.record", "data": {"trigger": TRIGGER_VARIABLES}}
    automation = {
        "id": "test",
        "alias": "Test",
        "mode": "parallel",
        "triggers": [{"trigger": f"ochno.{trigger}", "target": target, "options": options}],
        "actions": [record, *([action] if action else [])],
    }
    assert await async_setup_component(home.hass, "automation", {"automation": [automation]})
    await home.wait_until_idle()
    return Automation(calls)


def condition_config(key: str, target: Config, **options: Any) -> Config:
    """Return the configuration of a condition."""
    return {"condition": f"ochno.{key}", "target": target, "options": options}


async def create_condition_automations(
    home: Home, *conditions: Config
) -> Callable[[], Awaitable[list[bool]]]:
    """Set up an automation per condition; return a function that checks all conditions."""
    calls = async_mock_service(home.hass, "test", "pass")
    automations = [
        {
            "alias": f"Test {number}",
            "triggers": [{"trigger": "event", "event_type": "check"}],
            "conditions": [config],
            "actions": [{"action": "test.pass", "data": {"number": number}}],
        }
        for number, config in enumerate(conditions)
    ]
    assert await async_setup_component(home.hass, "automation", {"automation": automations})
    await home.wait_until_idle()

    async def check_conditions() -> list[bool]:
        home.hass.bus.async_fire("check")
        await home.wait_until_idle()
        passed = {call.data["number"] for call in calls}
        calls.clear()
        return [number in passed for number in range(len(conditions))]

    return check_conditions


def target_config(home: Home, kind: str, platform: str, hub: str, key: str) -> Config:
    """Return the configuration of a target that contains one entity of a hub."""
    device = home.device(hub)
    assert device is not None
    devices, entities = dr.async_get(home.hass), er.async_get(home.hass)
    areas, floors = ar.async_get(home.hass), fr.async_get(home.hass)
    area_id = device.area_id
    assert area_id is not None
    entity_id = home.entity_id(platform, hub, key)
    assert entity_id is not None
    label = lr.async_get(home.hass).async_create("Test").label_id
    match kind:
        case "entity":
            return {"entity_id": entity_id}
        case "device":
            return {"device_id": device.id}
        case "area":
            return {"area_id": area_id}
        case "floor":
            floor = floors.async_create("Second floor")
            areas.async_update(area_id, floor_id=floor.floor_id)
            return {"floor_id": floor.floor_id}
        case "label of the entity":
            entities.async_update_entity(entity_id, labels={label})
        case "label of the device":
            devices.async_update_device(device.id, labels={label})
        case _:
            areas.async_update(area_id, labels={label})
    return {"label_id": label}


def area_target_config(home: Home, *hubs: str) -> Config:
    """Return the configuration of a target with the areas of hubs."""
    devices = [home.device(hub) for hub in hubs]
    return {"area_id": [device.area_id for device in devices if device]}


def add_rooms(home: Home, count: int) -> list[SimHub]:
    """Add rooms with one hub each to the simulator."""
    return [home.simulator.add_hub(f"Room {number:02}") for number in range(1, count + 1)]


def move_all_areas_to_floor(home: Home) -> None:
    """Put all areas on the floor with the id `second_floor`."""
    areas = ar.async_get(home.hass)
    floor = fr.async_get(home.hass).async_create("Second floor")
    for area in list(areas.async_list_areas()):
        areas.async_update(area.id, floor_id=floor.floor_id)


class SlowAction:
    """Action that records its calls. All calls run until `async_finish`."""

    def __init__(self, home: Home, domain: str, name: str) -> None:
        self._home = home
        self._finished = asyncio.Event()
        self._calls: list[ServiceCall] = []
        home.hass.services.async_register(domain, name, self._async_handle)

    async def _async_handle(self, call: ServiceCall) -> None:
        self._calls.append(call)
        await self._finished.wait()

    async def async_wait_for_calls(self, count: int) -> list[ServiceCall]:
        """Wait until this number of calls run at the same time, and return them."""
        await self._home.wait_until(lambda: len(self._calls) >= count)
        return self._calls

    async def async_finish(self) -> None:
        """Let all calls end."""
        self._finished.set()
        await self._home.wait_until_idle()
