"""Tests of the triggers: changes of a hub, targets and trigger variables."""

from collections import Counter
from collections.abc import Callable

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.config_entries import ConfigEntry
from homeassistant.helpers import device_registry as dr, entity_registry as er

from .automation import Config, create_automation, target_config
from .home import Home
from .simulator import SimHub

FOCUS = "Focus room"
PORT_2 = ("binary_sensor", FOCUS, "port_2_connected")
ACTIVE_PORT = ("sensor", FOCUS, "active_port")
IN_USE = ("binary_sensor", FOCUS, "in_use")
CONNECTIVITY = ("binary_sensor", FOCUS, "connectivity")
OVERHEATING = ("binary_sensor", FOCUS, "overheating")

type HubChange = Callable[[SimHub], None]
# Platform, hub and key.
type EntityKey = tuple[str, str, str]


def set_offline(hub: SimHub) -> None:
    hub.online = False


def set_online(hub: SimHub) -> None:
    hub.online = True


ON = {"from_state": "off", "to_state": "on"}
OFF = {"from_state": "on", "to_state": "off"}
# Trigger, change that fires it, additional trigger variables, entity in the trigger variables.
TRIGGER_CASES: list[tuple[str, HubChange, Config, EntityKey]] = [
    ("laptop_plugged_in", lambda hub: hub.plug(2), {**ON, "port": 2}, PORT_2),
    ("laptop_unplugged", lambda hub: hub.unplug(2), {**OFF, "port": 2}, PORT_2),
    (
        "active_port_changed",
        lambda hub: hub.set_active(3),
        {"from_state": "none", "to_state": "3", "port": 3, "from_port": None},
        ACTIVE_PORT,
    ),
    ("room_in_use", lambda hub: hub.plug(2), ON, IN_USE),
    ("room_free", lambda hub: hub.unplug(2), OFF, IN_USE),
    ("hub_went_offline", set_offline, OFF, CONNECTIVITY),
    ("hub_came_back", set_online, ON, CONNECTIVITY),
    ("hub_too_hot", lambda hub: hub.set_overheated(True), ON, OVERHEATING),
]
TRIGGER_CHANGES = {trigger: change for trigger, change, *_ in TRIGGER_CASES}


def prepare_hub(hub: SimHub, trigger: str) -> None:
    """Set the state of a hub from which the trigger can fire."""
    hub.config["autoswitchconnect"] = "disabled"
    if trigger in ("laptop_unplugged", "room_free"):
        hub.plug(2)
    if trigger == "hub_came_back":
        hub.online = False


@pytest.mark.parametrize(
    ("trigger", "change", "variables", "entity"), TRIGGER_CASES, ids=TRIGGER_CHANGES
)
async def test_trigger_fires_once_with_variables(
    home: Home,
    trigger: str,
    change: HubChange,
    variables: Config,
    entity: EntityKey,
) -> None:
    hub = home.simulator.hub(FOCUS)
    prepare_hub(hub, trigger)
    await home.link_account()
    device = home.device(FOCUS)
    assert device is not None
    automation = await create_automation(home, trigger, {"area_id": device.area_id})
    await home.poll()
    assert automation.pop_trigger_variables() == []
    change(hub)
    await home.poll()
    room = {"hubs": [FOCUS], "device_ids": [device.id]} if trigger.startswith("room") else {}
    assert automation.pop_trigger_variables() == [
        {
            "hub": FOCUS,
            "device_id": device.id,
            "area_id": device.area_id,
            "area": FOCUS,
            "entity_id": home.entity_id(*entity),
            "for": None,
            **variables,
            **room,
        }
    ]
    await home.poll()
    assert automation.pop_trigger_variables() == []


@pytest.mark.parametrize("trigger", TRIGGER_CHANGES)
async def test_trigger_after_other_changes_does_not_fire(home: Home, trigger: str) -> None:
    hub = home.simulator.hub(FOCUS)
    hub.config["autoswitchconnect"] = hub.config["autoswitchdisconnect"] = "disabled"
    await home.link_account()
    automation = await create_automation(home, trigger, target_config(home, "area", *IN_USE))
    changes: list[tuple[HubChange, set[str]]] = [
        (lambda hub: hub.set_overheated(True), {"hub_too_hot"}),
        (lambda hub: hub.set_overheated(False), set()),
        (lambda hub: hub.set_active(3), {"active_port_changed"}),
        (lambda hub: hub.plug(2), {"laptop_plugged_in", "room_in_use"}),
        (lambda hub: hub.plug(4), {"laptop_plugged_in"}),
        (lambda hub: hub.unplug(2), {"laptop_unplugged"}),
        (lambda hub: hub.unplug(4), {"laptop_unplugged", "room_free"}),
        (set_offline, {"hub_went_offline"}),
        (set_online, {"hub_came_back"}),
    ]
    fired = []
    for change, expected_triggers in changes:
        change(hub)
        await home.poll()
        fired.append(bool(automation.pop_trigger_variables()))
        assert fired[-1] == (trigger in expected_triggers), expected_triggers
    assert any(fired)


async def test_two_laptops_plugged_in_fire_once_each(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, "area", *IN_USE)
    )
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(FOCUS).plug(4)
    await home.poll()
    assert Counter(automation.pop_ports()) == Counter([2, 4])


async def test_active_port_changed_has_new_and_previous_port(
    home: Home, entry: ConfigEntry
) -> None:
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE)
    )
    ports = []
    for port in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(port)
        await home.poll()
        ports += [
            (variables["from_port"], variables["port"])
            for variables in automation.pop_trigger_variables()
        ]
    assert ports == [(None, 2), (2, 3), (3, None)]


@pytest.mark.parametrize(
    ("port", "expected_ports"), [(3, [3]), ("3", [3]), ("none", [None]), (9, [])]
)
async def test_active_port_changed_with_port_option_fires_for_that_port_only(
    home: Home, entry: ConfigEntry, port: int | str, expected_ports: list[int | None]
) -> None:
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE), port=port
    )
    for active in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
    assert automation.pop_ports() == expected_ports


async def test_active_port_changed_by_command_fires(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE)
    )
    await home.call_action("select", "select_option", FOCUS, "active_port", option="2")
    [variables] = automation.pop_trigger_variables()
    assert variables["entity_id"] == home.entity_id("select", FOCUS, "active_port")
    assert variables["port"] == 2


async def test_active_port_selected_by_automation_overrides_port_selected_by_user(
    home: Home,
) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    select_1 = {
        "action": "select.select_option",
        "target": {"entity_id": home.entity_id("select", FOCUS, "active_port")},
        "data": {"option": "1"},
    }
    room = target_config(home, "area", *IN_USE)
    await create_automation(home, "active_port_changed", room, select_1, port=3)
    await home.call_action("select", "select_option", FOCUS, "active_port", option="3")
    await home.wait_until_idle()
    commands = [request.body for request in home.simulator.requests if request.method == "PUT"]
    assert commands == ['{"activeport":3}', '{"activeport":1}']
    assert home.simulator.hub(FOCUS).active == 1
    assert home.state("select", FOCUS, "active_port") == "1"


async def test_trigger_after_delivery_fires_without_poll(home: Home, entry: ConfigEntry) -> None:
    await home.set_external_url()
    await home.poll()
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, "area", *IN_USE)
    )
    home.simulator.hub(FOCUS).plug(3)
    await home.wait_for_deliveries()
    assert automation.pop_ports() == [3]


# Targets


@pytest.mark.parametrize(
    "kind",
    ["entity", "device", "area", "floor", "label", "label of the device", "label of the entity"],
)
async def test_target_of_each_kind_selects_hub(home: Home, entry: ConfigEntry, kind: str) -> None:
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, kind, *PORT_2)
    )
    home.simulator.hub("Workshop").plug(2)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert automation.pop_hubs() == [FOCUS]


async def test_target_floor_includes_hub_that_moved_there(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, "floor", *PORT_2)
    )
    focus, workshop = home.device(FOCUS), home.device("Workshop")
    assert focus is not None
    assert workshop is not None
    dr.async_get(home.hass).async_update_device(workshop.id, area_id=focus.area_id)
    home.simulator.hub("Workshop").plug(2)
    await home.poll()
    assert automation.pop_hubs() == ["Workshop"]


async def test_target_in_use_entity_fires_for_all_laptops_of_hub(
    home: Home, entry: ConfigEntry
) -> None:
    in_use = {"entity_id": home.entity_id("binary_sensor", "Boardroom", "in_use")}
    automation = await create_automation(home, "laptop_plugged_in", in_use)
    hub = home.simulator.hub("Boardroom")
    # Port 1 has the room system, which is not a laptop.
    for change, port in ((hub.unplug, 1), (hub.plug, 1), (hub.plug, 3)):
        change(port)
        await home.poll()
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert automation.pop_ports() == [3]


@pytest.mark.parametrize("trigger", ["laptop_plugged_in", "laptop_unplugged"])
async def test_target_port_entity_fires_for_that_port_only(
    home: Home, entry: ConfigEntry, trigger: str
) -> None:
    automation = await create_automation(home, trigger, target_config(home, "entity", *PORT_2))
    hub = home.simulator.hub(FOCUS)
    for change in (hub.plug, hub.unplug):
        for port in (2, 3):
            change(port)
            await home.poll()
    assert automation.pop_ports() == [2]


@pytest.mark.parametrize(
    ("access", "platform", "key", "expected_ports"),
    [
        ("read", "sensor", "active_port", [2, 3, None]),
        ("read", "binary_sensor", "port_2_active", [2, 3]),
        ("control", "select", "active_port", [2, 3, None]),
        ("control", "switch", "port_2", [2, 3]),
        ("control", "binary_sensor", "in_use", []),
    ],
)
async def test_target_entity_fires_for_active_ports_that_it_shows(
    home: Home, access: str, platform: str, key: str, expected_ports: list[int | None]
) -> None:
    await home.link_account(access=access)
    automation = await create_automation(
        home, "active_port_changed", {"entity_id": home.entity_id(platform, FOCUS, key)}
    )
    for active in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
    assert automation.pop_ports() == expected_ports


async def test_target_area_ignores_port_of_room_system(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(
        home,
        "laptop_unplugged",
        target_config(home, "area", "binary_sensor", "Boardroom", "in_use"),
    )
    home.simulator.hub("Boardroom").plug(2)
    await home.poll()
    home.simulator.hub("Boardroom").unplug(1)
    home.simulator.hub("Boardroom").unplug(2)
    await home.poll()
    assert automation.pop_ports() == [2]


@pytest.mark.parametrize("trigger", ["room_in_use", "room_free"])
@pytest.mark.parametrize(
    "state", [{"mtrmode": False}, {"mtrport": 2}], ids=["no_room_system", "other_port"]
)
async def test_room_trigger_after_change_of_room_system_port_does_not_fire(
    home: Home, entry: ConfigEntry, trigger: str, state: Config
) -> None:
    hub = home.simulator.hub("Boardroom")
    in_use = ("binary_sensor", "Boardroom", "in_use")
    automation = await create_automation(home, trigger, target_config(home, "area", *in_use))
    states = []
    for changes in (state, {"mtrmode": True, "mtrport": 1}):
        hub.state.update(changes)
        await home.poll()
        states.append(home.state(*in_use))
    assert states == ["on", "off"]
    assert automation.pop_trigger_variables() == []
    hub.plug(3)
    await home.poll()
    hub.unplug(3)
    await home.poll()
    assert automation.pop_hubs() == ["Boardroom"]


async def test_target_entity_of_room_system_port_fires(home: Home, entry: ConfigEntry) -> None:
    port = ("binary_sensor", "Boardroom", "port_1_connected")
    automation = await create_automation(
        home, "laptop_unplugged", target_config(home, "entity", *port)
    )
    home.simulator.hub("Boardroom").unplug(1)
    await home.poll()
    assert automation.pop_ports() == [1]


async def test_target_device_with_disabled_hidden_and_renamed_entities_fires(
    home: Home, entry: ConfigEntry
) -> None:
    registry = er.async_get(home.hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        registry.async_update_entity(
            entity.entity_id,
            new_entity_id=f"{entity.domain}.{entity.unique_id.lower()}_new",
            disabled_by=er.RegistryEntryDisabler.USER,
            hidden_by=er.RegistryEntryHider.USER,
        )
    await home.poll()
    assert home.state(*PORT_2) is None
    device = home.device(FOCUS)
    assert device is not None
    automation = await create_automation(home, "laptop_plugged_in", {"device_id": device.id})
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    [variables] = automation.pop_trigger_variables()
    assert variables["entity_id"].endswith("_connected_new")


async def test_target_missing_or_foreign_entity_does_not_fire(
    home: Home, entry: ConfigEntry
) -> None:
    hub_id = home.simulator.hub(FOCUS).id
    foreign = er.async_get(home.hass).async_get_or_create(
        "binary_sensor", "other", f"{hub_id}_port_2_connected"
    )
    automation = await create_automation(
        home,
        "laptop_plugged_in",
        {"entity_id": ["binary_sensor.none", foreign.entity_id], "device_id": "none"},
    )
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert automation.pop_trigger_variables() == []


async def test_trigger_variables_have_custom_device_name_and_no_area(
    home: Home, entry: ConfigEntry
) -> None:
    device = home.device(FOCUS)
    assert device is not None
    automation = await create_automation(home, "laptop_plugged_in", {"device_id": device.id})
    registry = dr.async_get(home.hass)
    registry.async_update_device(device.id, name_by_user="Quiet corner", area_id=None)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    [variables] = automation.pop_trigger_variables()
    assert variables["hub"] == "Quiet corner"
    assert (variables["area_id"], variables["area"]) == (None, None)


@pytest.mark.parametrize("access", ["read", "control"])
@pytest.mark.parametrize("kind", ["device", "floor"])
async def test_automation_editor_offers_triggers_for_hub(
    home: Home, hass_ws_client: WebSocketGenerator, access: str, kind: str
) -> None:
    await home.link_account(access=access)
    await create_automation(home, "room_free", {"area_id": "x"})
    client = await hass_ws_client(home.hass)
    await client.send_json_auto_id(
        {"type": "get_triggers_for_target", "target": target_config(home, kind, *PORT_2)}
    )
    triggers = (await client.receive_json())["result"]
    assert {trigger for trigger in triggers if trigger.startswith("ochno")} == {
        f"ochno.{trigger}" for trigger in TRIGGER_CHANGES
    }


async def test_automation_editor_offers_account_only_for_active_port(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    # docs/automations.md says so. The editor compares the entities of the device with a filter.
    await home.link_account()
    await create_automation(home, "room_free", {"area_id": "x"})
    hub = home.device(FOCUS)
    assert hub is not None
    client = await hass_ws_client(home.hass)
    for kind, offered in (("triggers", "active_port_changed"), ("conditions", "port_active")):
        target = {"device_id": hub.via_device_id}
        await client.send_json_auto_id({"type": f"get_{kind}_for_target", "target": target})
        names = (await client.receive_json())["result"]
        assert [name for name in names if name.startswith("ochno")] == [f"ochno.{offered}"]


@pytest.mark.parametrize(
    ("trigger", "target", "options", "error"),
    [
        ("active_port_changed", {"area_id": "x"}, {"port": 0}, "value must be one of ['1', '10'"),
        ("active_port_changed", {"area_id": "x"}, {"port": "x"}, "value must be one of ['1', '10'"),
        ("room_free", {"area_id": "x"}, {"for": "x"}, "options.for"),
        ("laptop_plugged_in", {"area_id": "x"}, {"for": 5}, "options.for"),
        ("room_free", {"area_id": "x"}, {"behavior": "most"}, "options.behavior"),
        ("hub_too_hot", {}, {}, "['entity_id', 'device_id', "),
        ("door_opened", {"area_id": "x"}, {}, "Invalid trigger 'ochno.door_opened' specified"),
    ],
    ids=[
        "port_zero",
        "port_not_a_number",
        "for_not_a_duration",
        "for_not_supported",
        "behavior_unknown",
        "target_missing",
        "trigger_unknown",
    ],
)
async def test_trigger_invalid_config_makes_automation_unavailable(
    home: Home,
    caplog: pytest.LogCaptureFixture,
    trigger: str,
    target: Config,
    options: Config,
    error: str,
) -> None:
    await create_automation(home, trigger, target, **options)
    state = home.hass.states.get("automation.test")
    assert state is not None
    assert state.state == "unavailable"
    assert error in caplog.text
