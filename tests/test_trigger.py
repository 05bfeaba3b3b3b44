"""Triggers: what fires when, at which hubs, and what an automation is told."""

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


def _online(online: bool) -> Callable[[SimHub], None]:
    return lambda hub: setattr(hub, "online", online)


# What happens to a hub, what fires then, what the automation is told, and the entity that says it.
HAPPENINGS = [
    ("laptop_plugged_in", lambda hub: hub.plug(2), {"port": 2}, PORT_2),
    ("laptop_unplugged", lambda hub: hub.unplug(2), {"port": 2}, PORT_2),
    (
        *("active_port_changed", lambda hub: hub.set_active(3)),
        *({"port": 3, "from_port": None}, ACTIVE_PORT),
    ),
    ("room_in_use", lambda hub: hub.plug(2), {}, IN_USE),
    ("room_free", lambda hub: hub.unplug(2), {}, IN_USE),
    ("hub_went_offline", _online(False), {}, CONNECTIVITY),
    ("hub_came_back", _online(True), {}, CONNECTIVITY),
    ("hub_too_hot", lambda hub: hub.set_overheated(True), {}, OVERHEATING),
]


def prepare(hub: SimHub, trigger: str) -> None:
    """Bring a hub to where the trigger can fire."""
    hub.config["autoswitchconnect"] = "disabled"
    if trigger in ("laptop_unplugged", "room_free"):
        hub.plug(2)
    if trigger == "hub_came_back":
        hub.online = False


@pytest.mark.parametrize(("trigger", "happen", "variables", "entity"), HAPPENINGS)
async def test_automation_is_told_what_happened_where(
    home: Home,
    trigger: str,
    happen: Callable[[SimHub], None],
    variables: Config,
    entity: tuple[str, str, str],
) -> None:
    hub = home.simulator.hub(FOCUS)
    prepare(hub, trigger)
    await home.link_account()
    device = home.device(FOCUS)
    assert device is not None
    automation = await create_automation(home, trigger, {"area_id": device.area_id})
    await home.poll()
    assert automation.pop_trigger_variables() == []
    happen(hub)
    await home.poll()
    assert automation.pop_trigger_variables() == [
        {
            "hub": FOCUS,
            "device_id": device.id,
            "area_id": device.area_id,
            "area": FOCUS,
            "entity_id": home.entity_id(*entity),
            **variables,
        }
    ]
    await home.poll()
    assert automation.pop_trigger_variables() == []


@pytest.mark.parametrize("trigger", [trigger for trigger, *_ in HAPPENINGS])
async def test_trigger_is_silent_about_all_else(home: Home, trigger: str) -> None:
    """Each happening in its turn, and back again: only its own one fires."""
    hub = home.simulator.hub(FOCUS)
    hub.config["autoswitchconnect"] = hub.config["autoswitchdisconnect"] = "disabled"
    await home.link_account()
    automation = await create_automation(home, trigger, target_config(home, "area", *IN_USE))
    fired = []
    for name, happen in {
        "hub_too_hot": lambda: hub.set_overheated(True),
        "": lambda: hub.set_overheated(False),
        "active_port_changed": lambda: hub.set_active(3),
        "laptop_plugged_in room_in_use": lambda: hub.plug(2),
        "laptop_plugged_in": lambda: hub.plug(4),
        "laptop_unplugged": lambda: hub.unplug(2),
        "laptop_unplugged room_free": lambda: hub.unplug(4),
        "hub_went_offline": lambda: setattr(hub, "online", False),
        "hub_came_back": lambda: setattr(hub, "online", True),
    }.items():
        happen()
        await home.poll()
        if automation.pop_trigger_variables():
            fired.append(name)
        assert (trigger in name.split()) == (name in fired), name
    assert fired


async def test_every_laptop_is_told_by_itself(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, "area", *IN_USE)
    )
    home.simulator.hub(FOCUS).plug(2)
    home.simulator.hub(FOCUS).plug(4)
    await home.poll()
    assert sorted(automation.pop_ports()) == [2, 4]


async def test_active_port_is_told_with_the_one_before(home: Home, entry: ConfigEntry) -> None:
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE)
    )
    ports = []
    for port in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(port)
        await home.poll()
        ports += [(one["from_port"], one["port"]) for one in automation.pop_trigger_variables()]
    assert ports == [(None, 2), (2, 3), (3, None)]


@pytest.mark.parametrize(("port", "told"), [(3, [3]), ("3", [3]), ("none", [None]), (9, [])])
async def test_active_port_can_be_chosen(
    home: Home, entry: ConfigEntry, port: int | str, told: list[int | None]
) -> None:
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE), port=port
    )
    for active in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
    assert automation.pop_ports() == told


async def test_port_that_a_command_makes_active_is_told(home: Home) -> None:
    home.simulator.settings.command_delay = 0
    await home.link_account(access="control")
    automation = await create_automation(
        home, "active_port_changed", target_config(home, "area", *IN_USE)
    )
    await home.call_action("select", "select_option", FOCUS, "active_port", option="2")
    [told] = automation.pop_trigger_variables()
    assert (told["entity_id"], told["port"]) == (home.entity_id("select", FOCUS, "active_port"), 2)


async def test_port_that_an_automation_selects_comes_after_the_users(home: Home) -> None:
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
    requests = [one.body for one in home.simulator.requests if one.method == "PUT"]
    assert requests == ['{"activeport":3}', '{"activeport":1}']
    assert home.simulator.hub(FOCUS).active == 1
    assert home.state("select", FOCUS, "active_port") == "1"


async def test_push_is_told_at_once(home: Home, entry: ConfigEntry) -> None:
    await home.set_external_url()
    await home.poll()
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, "area", *IN_USE)
    )
    home.simulator.hub(FOCUS).plug(3)
    await home.wait_for_deliveries()
    assert automation.pop_ports() == [3]


# Whom it is about


@pytest.mark.parametrize(
    "kind",
    ["entity", "device", "area", "floor", "label", "label of the device", "label of the entity"],
)
async def test_target_is_a_hub_in_whatever_way(home: Home, entry: ConfigEntry, kind: str) -> None:
    automation = await create_automation(
        home, "laptop_plugged_in", target_config(home, kind, *PORT_2)
    )
    home.simulator.hub("Workshop").plug(2)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert automation.pop_hubs() == [FOCUS]


async def test_hub_that_moves_to_the_area_belongs_to_it(home: Home, entry: ConfigEntry) -> None:
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


async def test_in_use_stands_for_the_laptops_of_its_hub(home: Home, entry: ConfigEntry) -> None:
    in_use = {"entity_id": home.entity_id("binary_sensor", "Boardroom", "in_use")}
    plugged_in = await create_automation(home, "laptop_plugged_in", in_use)
    # Of the room's own system, at port 1, it tells nothing.
    for plug in (lambda hub: hub.unplug(1), lambda hub: hub.plug(1), lambda hub: hub.plug(3)):
        plug(home.simulator.hub("Boardroom"))
        await home.poll()
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    assert [told["port"] for told in plugged_in.pop_trigger_variables()] == [3]


@pytest.mark.parametrize("trigger", ["laptop_plugged_in", "laptop_unplugged"])
async def test_entity_limits_to_its_port(home: Home, entry: ConfigEntry, trigger: str) -> None:
    automation = await create_automation(home, trigger, target_config(home, "entity", *PORT_2))
    hub = home.simulator.hub(FOCUS)
    for change in (hub.plug, hub.unplug):
        for port in (2, 3):
            change(port)
            await home.poll()
    assert automation.pop_ports() == [2]


@pytest.mark.parametrize(
    ("access", "platform", "key", "told"),
    [
        ("read", "sensor", "active_port", [2, 3, None]),
        ("read", "binary_sensor", "port_2_active", [2, 3]),
        ("control", "select", "active_port", [2, 3, None]),
        ("control", "switch", "port_2", [2, 3]),
        ("control", "binary_sensor", "in_use", []),
    ],
)
async def test_active_port_is_told_of_the_entity_that_says_it(
    home: Home, access: str, platform: str, key: str, told: list[int | None]
) -> None:
    await home.link_account(access=access)
    automation = await create_automation(
        home, "active_port_changed", {"entity_id": home.entity_id(platform, FOCUS, key)}
    )
    for active in (2, 3, 0):
        home.simulator.hub(FOCUS).set_active(active)
        await home.poll()
    assert automation.pop_ports() == told


async def test_room_systems_own_port_is_no_laptop(home: Home, entry: ConfigEntry) -> None:
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
@pytest.mark.parametrize("state", [{"mtrmode": False}, {"mtrport": 2}])
async def test_room_is_free_or_in_use_only_by_a_cable(
    home: Home, entry: ConfigEntry, trigger: str, state: Config
) -> None:
    hub = home.simulator.hub("Boardroom")
    in_use = ("binary_sensor", "Boardroom", "in_use")
    automation = await create_automation(home, trigger, target_config(home, "area", *in_use))
    seen = []
    for change in (state, {"mtrmode": True, "mtrport": 1}):
        hub.state.update(change)
        await home.poll()
        seen.append(home.state(*in_use))
    assert seen == ["on", "off"]
    assert automation.pop_trigger_variables() == []
    hub.plug(3)
    await home.poll()
    hub.unplug(3)
    await home.poll()
    assert automation.pop_hubs() == ["Boardroom"]


async def test_room_systems_own_port_is_told_if_it_is_named(home: Home, entry: ConfigEntry) -> None:
    port = ("binary_sensor", "Boardroom", "port_1_connected")
    automation = await create_automation(
        home, "laptop_unplugged", target_config(home, "entity", *port)
    )
    home.simulator.hub("Boardroom").unplug(1)
    await home.poll()
    assert automation.pop_ports() == [1]


async def test_disabled_or_hidden_or_renamed_entities_do_not_matter(
    home: Home, entry: ConfigEntry
) -> None:
    registry = er.async_get(home.hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        registry.async_update_entity(
            entity.entity_id,
            new_entity_id=f"{entity.domain}.{entity.unique_id.lower().strip()}_new",
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
    [told] = automation.pop_trigger_variables()
    assert told["entity_id"].endswith("_connected_new")


async def test_what_is_removed_or_not_a_hub_fires_nothing(home: Home, entry: ConfigEntry) -> None:
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


async def test_hub_goes_by_the_users_name_for_it_and_needs_no_area(
    home: Home, entry: ConfigEntry
) -> None:
    device = home.device(FOCUS)
    assert device is not None
    automation = await create_automation(home, "laptop_plugged_in", {"device_id": device.id})
    registry = dr.async_get(home.hass)
    registry.async_update_device(device.id, name_by_user="Quiet corner", area_id=None)
    home.simulator.hub(FOCUS).plug(2)
    await home.poll()
    [told] = automation.pop_trigger_variables()
    assert (told["hub"], told["area_id"], told["area"]) == ("Quiet corner", None, None)


@pytest.mark.parametrize("access", ["read", "control"])
@pytest.mark.parametrize("kind", ["device", "floor"])
async def test_automation_editor_offers_the_triggers_for_a_hub(
    home: Home, hass_ws_client: WebSocketGenerator, access: str, kind: str
) -> None:
    await home.link_account(access=access)
    await create_automation(home, "room_free", {"area_id": "x"})
    client = await hass_ws_client(home.hass)
    await client.send_json_auto_id(
        {"type": "get_triggers_for_target", "target": target_config(home, kind, *PORT_2)}
    )
    offered = (await client.receive_json())["result"]
    assert {one for one in offered if one.startswith("ochno")} == {
        f"ochno.{trigger}" for trigger, *_ in HAPPENINGS
    }


@pytest.mark.parametrize(
    ("trigger", "target", "options", "error"),
    [
        ("active_port_changed", {"area_id": "x"}, {"port": 0}, "value must be one of ['1', '10'"),
        ("active_port_changed", {"area_id": "x"}, {"port": "x"}, "value must be one of ['1', '10'"),
        ("room_free", {"area_id": "x"}, {"for": "x"}, "options.for"),
        ("hub_too_hot", {"area_id": "x"}, {"for": 5}, "options.for"),
        ("hub_too_hot", {}, {}, "['entity_id', 'device_id', "),
        ("door_opened", {"area_id": "x"}, {}, "Invalid trigger 'ochno.door_opened' specified"),
    ],
)
async def test_automation_that_can_not_work_is_refused(
    home: Home,
    caplog: pytest.LogCaptureFixture,
    trigger: str,
    target: Config,
    options: Config,
    error: str,
) -> None:
    await create_automation(home, trigger, target, **options)
    assert home.hass.states.get("automation.test").state == "unavailable"
    assert error in caplog.text
