"""Automations as a user writes them, and what they are told."""

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

type Config = dict[str, Any]

# What every trigger has, whoever made it.
COMMON = {"id", "idx", "alias", "platform", "description"}


@dataclass
class Automation:
    """An automation that does nothing but tell its trigger's variables."""

    calls: list[ServiceCall]

    @property
    def told(self) -> list[Config]:
        """What each run since the last look was told, without what every trigger has."""
        told = [dict(call.data["trigger"]) for call in self.calls]
        self.calls.clear()
        return [{key: one[key] for key in one.keys() - COMMON} for one in told]

    @property
    def ports(self) -> list[Any]:
        """The ports that the runs since the last look were told."""
        return [one["port"] for one in self.told]

    @property
    def hubs(self) -> list[Any]:
        """The hubs that the runs since the last look were told."""
        return [one["hub"] for one in self.told]


async def automate(
    home: Home, trigger: str, target: Config, action: Config | None = None, **options: Any
) -> Automation:
    """Set up an automation with one trigger, that may do something of its own as well."""
    calls = async_mock_service(home.hass, "test", "tell")
    tell = {"action": "test.tell", "data": {"trigger": "{{ trigger }}"}}
    automation = {
        "alias": "Test",
        "mode": "parallel",
        "triggers": [{"trigger": f"ochno.{trigger}", "target": target, "options": options}],
        "actions": [tell, *([action] if action else [])],
    }
    assert await async_setup_component(home.hass, "automation", {"automation": [automation]})
    await home.settle()
    return Automation(calls)


def condition(key: str, target: Config, **options: Any) -> Config:
    """Write down a condition."""
    return {"condition": f"ochno.{key}", "target": target, "options": options}


async def automate_conditions(
    home: Home, *conditions: Config
) -> Callable[[], Awaitable[list[bool]]]:
    """Set up an automation for each condition; return a function that tells which pass."""
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
    await home.settle()

    async def passing() -> list[bool]:
        home.hass.bus.async_fire("check")
        await home.settle()
        passed = {call.data["number"] for call in calls}
        calls.clear()
        return [number in passed for number in range(len(conditions))]

    return passing


def target(home: Home, kind: str, platform: str, hub: str, key: str) -> Config:
    """Target a hub in one of the ways that there are."""
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


def areas(home: Home, *hubs: str) -> Config:
    """Target hubs by their areas."""
    devices = [home.device(hub) for hub in hubs]
    return {"area_id": [device.area_id for device in devices if device]}
