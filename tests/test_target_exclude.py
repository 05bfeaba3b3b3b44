"""Tests of targets: `exclude`, entities with an area of their own, and the account's device."""

import probatio
import pytest

from custom_components.ochno.condition import CONDITIONS
from custom_components.ochno.target import TargetConfigMixin
from custom_components.ochno.trigger import TRIGGERS
from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import (
    area_registry as ar,
    condition as condition_helper,
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
    label_registry as lr,
)
from homeassistant.helpers.trigger import models as trigger_models

from .automation import (
    Config,
    area_target_config,
    condition_config,
    create_automation,
    create_condition_automations,
)
from .home import Home

FOCUS = "Focus room"
WORKSHOP = "Workshop"
IN_USE = ("binary_sensor", FOCUS, "in_use")
PORT_2 = ("binary_sensor", FOCUS, "port_2_connected")


@pytest.fixture
def exclude(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept `exclude` in targets, as Home Assistant does from 2026.11."""
    if "exclude" in cv.TARGET_FIELDS:
        return
    fields = {**cv.TARGET_FIELDS, probatio.Optional("exclude"): cv.TARGET_FIELDS}
    for module, name in (
        (trigger_models, "_TRIGGER_SCHEMA"),
        (condition_helper, "_CONDITION_SCHEMA"),
    ):
        schema = getattr(module, name).extend({probatio.Optional("target"): fields})
        monkeypatch.setattr(module, name, schema)
    for cls in (*TRIGGERS.values(), *CONDITIONS.values()):
        assert issubclass(cls, TargetConfigMixin)
        schema = cls._schema.extend({probatio.Required("target"): fields})
        monkeypatch.setattr(cls, "_schema", schema)


def label(home: Home, entity_id: str | None, *, hidden: bool) -> str:
    """Add a label to an entity, hide it if requested, and return the label."""
    assert entity_id is not None
    label_id = lr.async_get(home.hass).async_create("No automation").label_id
    er.async_get(home.hass).async_update_entity(
        entity_id,
        labels={label_id},
        hidden_by=er.RegistryEntryHider.USER if hidden else None,
    )
    return label_id


def exclude_entity(home: Home, kind: str, platform: str, hub: str, key: str) -> Config:
    """Return the configuration that excludes an entity, or its label if it is hidden."""
    entity_id = home.entity_id(platform, hub, key)
    if kind == "entity":
        return {"entity_id": entity_id}
    return {"label_id": label(home, entity_id, hidden=kind == "label of hidden entity")}


EXCLUDED_BY = pytest.mark.parametrize(
    "kind", ["entity", "label of entity", "label of hidden entity"]
)


# Triggers


@EXCLUDED_BY
@pytest.mark.usefixtures("entry", "exclude")
@pytest.mark.parametrize("trigger", ["room_in_use", "laptop_plugged_in"])
async def test_trigger_excluded_in_use_does_not_fire(home: Home, kind: str, trigger: str) -> None:
    target = area_target_config(home, FOCUS, WORKSHOP)
    automation = await create_automation(
        home, trigger, {**target, "exclude": exclude_entity(home, kind, *IN_USE)}
    )
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    assert automation.pop_hubs() == [WORKSHOP]


@EXCLUDED_BY
@pytest.mark.usefixtures("entry", "exclude")
async def test_trigger_excluded_port_does_not_fire(home: Home, kind: str) -> None:
    target = area_target_config(home, FOCUS)
    automation = await create_automation(
        home, "laptop_plugged_in", {**target, "exclude": exclude_entity(home, kind, *PORT_2)}
    )
    for port in (2, 3):
        home.simulator.hub(FOCUS).plug(port)
    await home.poll()
    assert automation.pop_ports() == [3]


@pytest.mark.usefixtures("entry", "exclude")
async def test_trigger_included_in_use_and_excluded_port_does_not_fire(home: Home) -> None:
    target = {
        "entity_id": home.entity_id(*IN_USE),
        "exclude": {"entity_id": home.entity_id(*PORT_2)},
    }
    automation = await create_automation(home, "laptop_plugged_in", target)
    for port in (2, 3):
        home.simulator.hub(FOCUS).plug(port)
    await home.poll()
    assert automation.pop_ports() == [3]


@pytest.mark.usefixtures("exclude")
@pytest.mark.parametrize(
    ("excluded", "expected"),
    [(("switch", "port_2"), [3, 1, None]), (("select", "active_port"), [])],
)
async def test_active_port_changed_excluded_port_does_not_fire(
    home: Home, excluded: tuple[str, str], expected: list[int | None]
) -> None:
    await home.link_account(access="control")
    platform, key = excluded
    target = area_target_config(home, FOCUS)
    automation = await create_automation(
        home,
        "active_port_changed",
        {**target, "exclude": {"entity_id": home.entity_id(platform, FOCUS, key)}},
    )
    for active in (2, 0, 2, 3, 1, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
    assert automation.pop_ports() == expected


@pytest.mark.usefixtures("entry", "exclude")
@pytest.mark.parametrize("kind", ["area", "device"])
async def test_trigger_excluded_hub_does_not_fire(home: Home, kind: str) -> None:
    device = home.device(FOCUS)
    assert device is not None
    excluded = {"area": {"area_id": device.area_id}, "device": {"device_id": device.id}}[kind]
    target = area_target_config(home, FOCUS, WORKSHOP)
    automation = await create_automation(home, "laptop_plugged_in", {**target, "exclude": excluded})
    for hub in (FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    assert automation.pop_hubs() == [WORKSHOP]


@pytest.mark.usefixtures("entry", "exclude")
async def test_room_without_excluded_hub_becomes_free(home: Home) -> None:
    focus, workshop = home.device(FOCUS), home.device(WORKSHOP)
    assert focus is not None
    assert workshop is not None
    dr.async_get(home.hass).async_update_device(workshop.id, area_id=focus.area_id)
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    automation = await create_automation(
        home,
        "room_free",
        {"area_id": focus.area_id, "exclude": {"device_id": workshop.id}},
    )
    home.simulator.hub(FOCUS).unplug(2)
    await home.poll()
    [variables] = automation.pop_trigger_variables()
    assert variables["hubs"] == [FOCUS]


# Conditions


@EXCLUDED_BY
@pytest.mark.usefixtures("entry", "exclude")
async def test_condition_excluded_in_use_does_not_pass(home: Home, kind: str) -> None:
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    area = area_target_config(home, FOCUS)
    excluding = {**area, "exclude": exclude_entity(home, kind, *IN_USE)}
    check_conditions = await create_condition_automations(
        home,
        condition_config("room_in_use", area),
        condition_config("laptop_connected", area),
        condition_config("room_in_use", excluding),
        condition_config("laptop_connected", excluding),
        condition_config("laptop_connected", excluding, port=2),
    )
    assert await check_conditions() == [True, True, False, False, False]


@EXCLUDED_BY
@pytest.mark.usefixtures("entry", "exclude")
async def test_condition_excluded_port_does_not_pass(home: Home, kind: str) -> None:
    excluded = exclude_entity(home, kind, *PORT_2)
    area = {**area_target_config(home, FOCUS), "exclude": excluded}
    in_use = {"entity_id": home.entity_id(*IN_USE), "exclude": excluded}
    check_conditions = await create_condition_automations(
        home,
        condition_config("laptop_connected", area),
        condition_config("laptop_connected", area, behavior="all"),
        condition_config("laptop_connected", area, port=2),
        condition_config("laptop_connected", in_use),
    )
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert await check_conditions() == [False] * 4
    home.simulator.hub(FOCUS).plug(3)
    await home.poll()
    assert await check_conditions() == [True, True, False, True]


@pytest.mark.usefixtures("exclude")
async def test_port_active_excluded_port_does_not_pass(home: Home) -> None:
    await home.link_account(access="control")
    area = area_target_config(home, FOCUS)
    port_2, active_port = (
        {**area, "exclude": {"entity_id": home.entity_id(platform, FOCUS, key)}}
        for platform, key in (("switch", "port_2"), ("select", "active_port"))
    )
    check_conditions = await create_condition_automations(
        home,
        condition_config("port_active", port_2),
        condition_config("port_active", port_2, port=2),
        condition_config("port_active", port_2, port=3),
        condition_config("port_active", port_2, port="none"),
        condition_config("port_active", active_port),
    )
    results = []
    for active in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
        results.append(await check_conditions())
    assert results == [
        [False] * 5,
        [True, False, True, False, False],
        [False, False, False, True, False],
    ]


# Entities with an area of their own


async def test_port_in_its_own_area_reports_that_area(home: Home, entry: ConfigEntry) -> None:
    desk = ar.async_get(home.hass).async_create("Desk").id
    entity_id = home.entity_id(*PORT_2)
    assert entity_id is not None
    er.async_get(home.hass).async_update_entity(entity_id, area_id=desk)
    automation = await create_automation(home, "laptop_plugged_in", {"area_id": desk})
    for port in (2, 3):
        home.simulator.hub(FOCUS).plug(port)
    await home.poll()
    [variables] = automation.pop_trigger_variables()
    assert (variables["port"], variables["area_id"], variables["area"]) == (2, desk, "Desk")


async def test_port_in_its_own_area_is_not_in_area_of_hub(home: Home, entry: ConfigEntry) -> None:
    desk = ar.async_get(home.hass).async_create("Desk").id
    entity_id = home.entity_id(*PORT_2)
    assert entity_id is not None
    er.async_get(home.hass).async_update_entity(entity_id, area_id=desk)
    automation = await create_automation(home, "laptop_plugged_in", area_target_config(home, FOCUS))
    for port in (2, 3):
        home.simulator.hub(FOCUS).plug(port)
    await home.poll()
    assert automation.pop_ports() == [3]


def move_entities_to_desk(home: Home) -> None:
    """Move all entities of all hubs to an area of their own."""
    desk = ar.async_get(home.hass).async_get_or_create("Desk").id
    registry = er.async_get(home.hass)
    for entity in er.async_entries_for_config_entry(registry, home.entry.entry_id):
        registry.async_update_entity(entity.entity_id, area_id=desk)


@pytest.mark.parametrize("access", ["read", "control"])
async def test_trigger_active_port_in_its_own_area_is_not_in_area_of_hub(
    home: Home, access: str
) -> None:
    await home.link_account(access=access)
    automation = await create_automation(
        home, "active_port_changed", area_target_config(home, FOCUS)
    )
    for port, expected in ((2, [2]), (3, [])):
        home.simulator.hub(FOCUS).set_active(port)
        await home.poll()
        assert automation.pop_ports() == expected
        move_entities_to_desk(home)


@pytest.mark.parametrize("access", ["read", "control"])
async def test_condition_active_port_in_its_own_area_is_not_in_area_of_hub(
    home: Home, access: str
) -> None:
    await home.link_account(access=access)
    target = area_target_config(home, FOCUS)
    check_conditions = await create_condition_automations(
        home,
        condition_config("port_active", target),
        condition_config("port_active", target, port=2),
    )
    home.simulator.hub(FOCUS).set_active(2)
    await home.poll()
    assert await check_conditions() == [True, True]
    move_entities_to_desk(home)
    assert await check_conditions() == [False, False]


# The device of the account


@pytest.mark.parametrize("kind", ["device", "label of device"])
async def test_account_device_selects_all_hubs_of_account(
    home: Home, entry: ConfigEntry, kind: str
) -> None:
    registry = dr.async_get(home.hass)
    account = registry.async_get_device_by_identifier(("ochno", entry.entry_id), entry.entry_id)
    focus = home.device(FOCUS)
    assert account is not None
    assert focus is not None
    registry.async_update_device(focus.id, area_id=None)
    target: Config = {"device_id": account.id}
    if kind == "label of device":
        label_id = lr.async_get(home.hass).async_create("Building").label_id
        registry.async_update_device(account.id, labels={label_id})
        target = {"label_id": label_id}
    automation = await create_automation(home, "laptop_plugged_in", target)
    for hub in (FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    assert sorted(automation.pop_hubs()) == [FOCUS, WORKSHOP]


async def test_area_of_account_device_does_not_select_hubs_elsewhere(
    home: Home, entry: ConfigEntry
) -> None:
    registry = dr.async_get(home.hass)
    account = registry.async_get_device_by_identifier(("ochno", entry.entry_id), entry.entry_id)
    focus = home.device(FOCUS)
    assert account is not None
    assert focus is not None
    registry.async_update_device(account.id, area_id=focus.area_id)
    automation = await create_automation(home, "laptop_plugged_in", {"area_id": focus.area_id})
    for hub in (FOCUS, WORKSHOP):
        home.simulator.hub(hub).plug(2)
    await home.poll()
    assert automation.pop_hubs() == [FOCUS]


async def test_account_device_as_condition_target_checks_all_hubs(
    home: Home, entry: ConfigEntry
) -> None:
    registry = dr.async_get(home.hass)
    account = registry.async_get_device_by_identifier(("ochno", entry.entry_id), entry.entry_id)
    assert account is not None
    check_conditions = await create_condition_automations(
        home, condition_config("room_in_use", {"device_id": account.id})
    )
    assert await check_conditions() == [False]
    home.simulator.hub(WORKSHOP).plug(2)
    await home.poll()
    assert await check_conditions() == [True]
