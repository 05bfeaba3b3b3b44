"""Tests of the generated dashboard, through its commands."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
import re
from typing import Any

import hass_frontend
import pytest
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)
from pytest_homeassistant_custom_component.typing import (
    ClientSessionGenerator,
    MockHAClientWebSocket,
    WebSocketGenerator,
)

from custom_components.ochno.history import async_remove_history
from homeassistant.components.recorder.core import Recorder
from homeassistant.components.recorder.models import StatisticMeanType
from homeassistant.components.recorder.statistics import async_import_statistics
from homeassistant.config_entries import ConfigEntryState
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
)
from homeassistant.loader import async_get_integration
from homeassistant.util import dt as dt_util

from .home import HUBS_PATH, Home
from .simulator import Fault
from .test_translations import LANGUAGES, read_json

type Config = dict[str, Any]

FRONTEND = Path(hass_frontend.where()) / "frontend_latest"


class Dashboard:
    """A dashboard of one user."""

    def __init__(self, websocket: MockHAClientWebSocket, language: str = "en") -> None:
        self.websocket = websocket
        self._language = language

    async def command(self, type_: str, config: Config) -> Config:
        """Return the result of a command."""
        await self.websocket.send_json_auto_id(
            {"type": type_, "language": self._language, "config": config}
        )
        response = await self.websocket.receive_json()
        assert response["success"], response
        result: Config = response["result"]
        return result

    async def generate(self, **options: object) -> Config:
        """Return the dashboard with the list of its views."""
        return await self.command("ochno/dashboard", options)

    async def paths(self, **options: object) -> list[str | None]:
        """Return the paths of the views."""
        return [view.get("path") for view in (await self.generate(**options))["views"]]

    async def open(self, path: str, **options: object) -> Config:
        """Return the content of a view, and the entities that it depends on."""
        views = (await self.generate(**options))["views"]
        [strategy] = [view["strategy"] for view in views if view.get("path") == path]
        assert strategy.pop("type") == "custom:ochno"
        return await self.command("ochno/dashboard/view", strategy)

    async def cards(self, path: str, **options: object) -> list[list[Config]]:
        """Return the cards of a view by section."""
        view = (await self.open(path, **options))["view"]
        return [section["cards"] for section in view["sections"]]

    async def message(self, **options: object) -> str:
        """Return the text of a dashboard that only has a text."""
        [view] = (await self.generate(**options))["views"]
        [section] = view["sections"]
        [card] = section["cards"]
        content: str = card["content"]
        return content


@pytest.fixture
async def dashboard(home: Home, hass_ws_client: WebSocketGenerator) -> Dashboard:
    """Return the dashboard of an administrator, for an account with read and control access."""
    await home.link_account(access="control")
    return Dashboard(await hass_ws_client(home.hass))


def walk(config: object) -> Iterator[Config]:
    """Return all objects of a configuration."""
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from walk(value)
    elif isinstance(config, list):
        for value in config:
            yield from walk(value)


def entities(config: object) -> set[str]:
    """Return the ids of all entities in a configuration."""
    return {str(item["entity"]) for item in walk(config) if "entity" in item}


def headings(cards: list[Config]) -> list[str]:
    """Return the texts of the headings."""
    return [card["heading"] for card in cards if card["type"] == "heading"]


def assign_floor(home: Home, area: str, floor: str, level: int | None = None) -> str:
    """Assign an area to a floor, and return the id of the floor."""
    floors, areas = fr.async_get(home.hass), ar.async_get(home.hass)
    entry = floors.async_get_floor_by_name(floor) or floors.async_create(floor, level=level)
    areas.async_update(areas.async_get_or_create(area).id, floor_id=entry.floor_id)
    return entry.floor_id


def move_hub(home: Home, hub: str, area: str | None) -> None:
    """Choose the area of a hub."""
    device = home.device(hub)
    assert device is not None
    area_id = ar.async_get(home.hass).async_get_or_create(area).id if area else None
    dr.async_get(home.hass).async_update_device(device.id, area_id=area_id)


def update_entity(home: Home, platform: str, hub: str, key: str, **changes: Any) -> str:
    """Change an entity in the registry, and return its id."""
    entity_id = home.entity_id(platform, hub, key)
    assert entity_id is not None
    return er.async_get(home.hass).async_update_entity(entity_id, **changes).entity_id


def frontend_elements() -> set[str]:
    """Return the names of the elements of dashboards in the installed frontend."""
    return {
        name
        for file in FRONTEND.glob("*.js")
        for name in re.findall(r'"(hui-[a-z-]+)"', file.read_text(encoding="utf-8"))
    }


# Frontend


async def test_strategy_file_is_loaded_with_version_of_integration(
    home: Home, dashboard: Dashboard, hass_client: ClientSessionGenerator
) -> None:
    integration = await async_get_integration(home.hass, "ochno")
    [url] = [url for url in home.hass.data["frontend_extra_module_url"].urls if "ochno" in url]
    assert url == f"/ochno/dashboard.js?v={integration.version}"
    async with home.client.get(url) as response:
        assert response.status == 200
        assert "javascript" in response.headers["Content-Type"]
        assert "max-age" in response.headers["Cache-Control"]
        text = await response.text()
    for name in ("window.customStrategies", '"ochno/dashboard"', '"ochno/dashboard/view"'):
        assert name in text


async def test_views_contain_only_cards_of_the_installed_frontend(
    home: Home, dashboard: Dashboard
) -> None:
    elements = frontend_elements()
    paths = [path for path in await dashboard.paths() if path]
    views = [(await dashboard.open(path))["view"] for path in paths]
    cards = [card for view in views for section in view["sections"] for card in section["cards"]]
    assert {"heading", "tile", "history-graph", "markdown"} <= {card["type"] for card in cards}
    assert {f"hui-{card['type']}-card" for card in cards} <= elements
    badges = [badge for card in cards for badge in card.get("badges", ())]
    assert {f"hui-{badge['type']}-heading-badge" for badge in badges} <= elements
    assert {view["type"] for view in views} == {"sections"}
    assert {section["type"] for view in views for section in view["sections"]} == {"grid"}
    assert "hui-sections-view" in elements
    assert entities(views) == entities(views) & set(home.hass.states.async_entity_ids())
    actions = [item["tap_action"] for item in walk(views) if "tap_action" in item]
    assert {action["action"] for action in actions} == {"navigate", "perform-action"}
    targets = {action.get("navigation_path", "/config") for action in actions}
    assert {target for target in targets if not target.startswith("/config")} <= set(paths)


async def test_reload_and_second_account_keep_one_dashboard_for_all(
    home: Home, dashboard: Dashboard
) -> None:
    first = home.entry
    await home.run_user_flow("Second Organisation")
    await home.hass.config_entries.async_reload(first.entry_id)
    await home.wait_until_idle()
    titles = [view["title"] for view in (await dashboard.generate())["views"]]
    assert {"Boardroom", "Elsewhere"} <= set(titles)
    urls = home.hass.data["frontend_extra_module_url"].urls
    assert len([url for url in urls if "ochno" in url]) == 1
    accounts = (await dashboard.cards("hubs"))[2:]
    assert [headings(cards)[0] for cards in accounts] == [
        "Example Organisation",
        "Second Organisation",
    ]


async def test_user_without_admin_rights_has_dashboard_without_settings(
    home: Home,
    dashboard: Dashboard,
    hass_ws_client: WebSocketGenerator,
    hass_read_only_access_token: str,
) -> None:
    other = Dashboard(await hass_ws_client(home.hass, hass_read_only_access_token))
    assert await other.paths() == await dashboard.paths()
    path = "room-boardroom"
    for user, is_admin in ((dashboard, True), (other, False)):
        [title, *_], _ = await user.cards(path)
        assert ("tap_action" in title) is is_admin
        # Only an administrator can assign areas to floors.
        [rooms] = await user.cards("rooms")
        assert (rooms[-1]["type"] == "markdown") is is_admin


# Rooms


async def test_rooms_are_grouped_by_floor_from_lowest_to_highest(
    home: Home, dashboard: Dashboard
) -> None:
    assign_floor(home, "Workshop", "Attic")
    assign_floor(home, "Focus room", "Top", 2)
    assign_floor(home, "Boardroom", "Ground", 0)
    move_hub(home, "Reception", None)
    home.simulator.hub("Reception").online = True
    home.simulator.add_hub("Lobby")
    await home.poll()
    sections = await dashboard.cards("rooms")
    assert [headings(cards) for cards in sections] == [
        ["Ground", "Boardroom"],
        ["Top", "Focus room"],
        ["Attic", "Workshop"],
        ["Without a floor", "Lobby"],
        ["Without an area", "Reception"],
    ]
    assert "assign their areas to floors" in sections[3][-1]["content"]
    assert "choose an area for each hub" in sections[4][-1]["content"]


async def test_rooms_without_floors_are_one_section_with_a_hint(dashboard: Dashboard) -> None:
    [cards] = await dashboard.cards("rooms")
    # The hub in the reception is offline.
    assert headings(cards) == ["Reception", "Boardroom", "Focus room", "Workshop"]
    assert "assign their areas to floors" in cards[-1]["content"]


async def test_room_with_problem_is_first_and_watched(home: Home, dashboard: Dashboard) -> None:
    home.simulator.hub("Workshop").set_overheated(True)
    home.simulator.hub("Reception").online = True
    await home.poll()
    view = await dashboard.open("rooms")
    [section] = view["view"]["sections"]
    assert headings(section["cards"]) == ["Workshop", "Boardroom", "Focus room", "Reception"]
    assert set(view["watch"]) == {
        home.entity_id("binary_sensor", hub, key)
        for hub in ("Boardroom", "Focus room", "Reception", "Workshop")
        for key in ("connectivity", "overheating", "room_system")
    }


async def test_room_of_three_hubs_is_in_use_if_one_hub_is(home: Home, dashboard: Dashboard) -> None:
    hubs = ("Boardroom", "Focus room", "Workshop")
    for hub in hubs:
        move_hub(home, hub, "Hall")
    [cards] = await dashboard.cards("rooms")
    assert headings(cards) == ["Reception", "Hall"]
    badges = cards[1]["badges"]
    in_use = [home.entity_id("binary_sensor", hub, "in_use") for hub in hubs]
    visibility = [
        [(it["entity"], it.get("state"), it.get("state_not")) for it in badge["visibility"]]
        for badge in badges
        if badge.get("entity") in in_use
    ]
    assert visibility == [
        [(in_use[0], "on", None)],
        [(in_use[1], "on", None), (in_use[0], None, ["on"])],
        [(in_use[2], "on", None), (in_use[0], None, ["on"]), (in_use[1], None, ["on"])],
        [(entity_id, "off", None) for entity_id in in_use],
    ]
    ports = {home.entity_id("select", hub, "active_port") for hub in hubs}
    assert ports <= entities(badges)
    sections = await dashboard.cards("room-hall")
    assert [headings(section)[0] for section in sections[:-1]] == list(hubs)
    titles = [f"{hub}: Last 24 hours" for hub in hubs]
    assert headings(sections[-1]) == [*titles, "Hours in use per day"]
    assert not sections[-1][-1]["hide_legend"]


async def test_offline_badge_is_visible_while_hub_is_disconnected(
    home: Home, dashboard: Dashboard
) -> None:
    [[reception, *_]] = await dashboard.cards("rooms")
    [badge] = [badge for badge in reception["badges"] if badge["type"] == "button"]
    assert badge["text"] == "Offline"
    entity_id = home.entity_id("binary_sensor", "Reception", "connectivity")
    assert badge["visibility"] == [{"condition": "state", "entity": entity_id, "state": "off"}]
    assert home.state("binary_sensor", "Reception", "connectivity") == "off"


async def test_room_whose_hubs_are_unavailable_has_one_badge_that_says_so(
    home: Home, dashboard: Dashboard
) -> None:
    move_hub(home, "Workshop", "Focus room")
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500), times=None)
    await home.poll()
    first, second = (
        home.entity_id("binary_sensor", hub, "connectivity") for hub in ("Focus room", "Workshop")
    )
    assert home.state("binary_sensor", "Workshop", "connectivity") == "unavailable"
    [cards] = await dashboard.cards("rooms")
    [room] = [card for card in cards if card.get("heading") == "Focus room"]
    badges = [it for it in room["badges"] if it.get("entity") in (first, second)]
    assert {(it["name"], it["state_content"]) for it in badges} == {("Unavailable", "name")}
    assert [it["visibility"] for it in badges] == [
        [{"condition": "state", "entity": first, "state": "unavailable"}],
        [
            {"condition": "state", "entity": second, "state": "unavailable"},
            {"condition": "state", "entity": first, "state_not": ["unavailable"]},
        ],
    ]


async def test_active_port_badge_is_hidden_while_no_port_is_active(
    home: Home, dashboard: Dashboard
) -> None:
    [cards] = await dashboard.cards("rooms")
    entity_id = home.entity_id("select", "Focus room", "active_port")
    [badge] = [
        it for card in cards for it in card.get("badges", ()) if it.get("entity") == entity_id
    ]
    assert badge["visibility"] == [
        {
            "condition": "state",
            "entity": entity_id,
            "state_not": ["unavailable", "unknown", "none"],
        }
    ]
    assert home.state("select", "Focus room", "active_port") == "none"


async def test_active_port_badge_names_the_room_system(home: Home, dashboard: Dashboard) -> None:
    # The room system of the boardroom is plugged in to port 1, and is on the screen.
    [cards] = await dashboard.cards("rooms")
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    room_system, port = [
        it for card in cards for it in card.get("badges", ()) if it.get("entity") == entity_id
    ]
    assert room_system["visibility"] == [
        {"condition": "state", "entity": entity_id, "state": "1"},
    ]
    assert (room_system["name"], room_system["state_content"]) == ("Room system", "name")
    assert room_system["icon"] == "mdi:video"
    assert port["visibility"] == [
        {
            "condition": "state",
            "entity": entity_id,
            "state_not": ["unavailable", "unknown", "none", "1"],
        }
    ]
    assert "name" not in port


@pytest.mark.timeout(240)
async def test_many_rooms_have_pages_of_their_floors(home: Home, dashboard: Dashboard) -> None:
    home.simulator.add_hub("Hall")
    for number in range(1_000):
        home.simulator.add_hub(f"Room {number:04}", ports=1)
    await home.poll()
    floor_id = assign_floor(home, "Hall", "Ground")
    paths = await dashboard.paths()
    pages = [path for path in paths if path and path.startswith("floor-")]
    assert pages == [f"floor-{floor_id}", "floor-no-floor"] + [
        f"floor-no-floor-{page}" for page in range(2, 12)
    ]
    assert len(paths) == len(pages) + 2 + 1_005
    titles = [view["title"] for view in (await dashboard.generate())["views"]]
    assert titles[:3] == ["Ground", "Without a floor", "Without a floor (2)"]
    shown = []
    for page in pages:
        for cards in await dashboard.cards(page):
            assert len(cards) <= 102
            shown += [card["heading"] for card in cards if "tap_action" in card]
    assert len(shown) == len(set(shown)) == 1_005
    # A problem is on the first page.
    home.simulator.hub("Room 0900").online = False
    await home.poll()
    [cards] = await dashboard.cards("floor-no-floor")
    assert headings(cards)[:2] == ["Reception", "Room 0900"]


# One room


def visible_cards(home: Home, cards: list[Config]) -> list[Config]:
    """Return the cards that are visible in the current states."""

    def is_met(condition: Config) -> bool:
        state = home.hass.states.get(condition["entity"])
        assert state is not None
        if "state" in condition:
            return bool(state.state == condition["state"])
        return state.state not in condition["state_not"]

    return [card for card in cards if all(map(is_met, card.get("visibility", ())))]


async def test_room_has_occupancy_active_port_buttons_and_history(
    home: Home, dashboard: Dashboard
) -> None:
    cards, graphs = await dashboard.cards("room-boardroom")
    assert headings(cards) == ["Boardroom", "Switch the screen to"]
    plugs = [home.entity_id("binary_sensor", "Boardroom", f"port_{n}_connected") for n in (1, 2, 3)]
    tiles = [
        (card["entity"], card["name"])
        for card in visible_cards(home, cards)
        if card["type"] == "tile"
    ]
    assert tiles[:5] == [
        (home.entity_id("binary_sensor", "Boardroom", "in_use"), "Occupancy"),
        (home.entity_id("select", "Boardroom", "active_port"), "Active port"),
        (plugs[0], "Room system: Port 1"),
        (plugs[1], "Port 2"),
        (plugs[2], "Port 3"),
    ]
    assert len(tiles) == 6
    assert not any("features" in card for card in cards)
    assert headings(graphs) == ["Last 24 hours", "Hours in use per day"]
    assert entities(graphs[1]) == {
        home.entity_id("binary_sensor", "Boardroom", "in_use"),
        home.entity_id("select", "Boardroom", "active_port"),
    }
    assert entities(graphs[3]) == {home.entity_id("sensor", "Boardroom", "time_in_use")}
    assert graphs[3]["hide_legend"]


async def test_port_buttons_show_what_is_plugged_in_and_the_active_port(
    home: Home, dashboard: Dashboard
) -> None:
    cards, _ = await dashboard.cards("room-boardroom")
    for active, icons in (
        (1, ["mdi:monitor-share", None, None, None]),
        (2, ["mdi:video", "mdi:monitor-share", None, None]),
    ):
        home.simulator.hub("Boardroom").set_active(active)
        await home.poll()
        buttons = [card for card in visible_cards(home, cards) if "icon_tap_action" in card]
        assert [button.get("icon") for button in buttons] == icons
        states = [home.hass.states.get(button["entity"]) for button in buttons]
        assert [state and state.state for state in states] == ["on", "off", "off", "off"]


async def test_port_button_without_connected_sensor_shows_the_switch(
    home: Home, dashboard: Dashboard
) -> None:
    for port in (1, 2):
        key = f"port_{port}_connected"
        hidden_by = er.RegistryEntryHider.USER
        update_entity(home, "binary_sensor", "Boardroom", key, hidden_by=hidden_by)
    cards, _ = await dashboard.cards("room-boardroom")
    buttons = [card for card in visible_cards(home, cards) if "icon_tap_action" in card]
    assert [(button["entity"], button["name"]) for button in buttons[:2]] == [
        (home.entity_id("switch", "Boardroom", "port_1"), "Room system: Port 1"),
        (home.entity_id("switch", "Boardroom", "port_2"), "Port 2"),
    ]


async def test_active_port_tile_has_icon_of_the_room_system(
    home: Home, dashboard: Dashboard
) -> None:
    cards, _ = await dashboard.cards("room-boardroom")
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    for active, icon in ((1, "mdi:video"), (2, None)):
        home.simulator.hub("Boardroom").set_active(active)
        await home.poll()
        [tile] = [card for card in visible_cards(home, cards) if card.get("entity") == entity_id]
        assert tile.get("icon") == icon


async def test_room_follows_room_system_that_is_turned_off(
    home: Home, dashboard: Dashboard
) -> None:
    view = await dashboard.open("room-boardroom")
    assert view["watch"] == [home.entity_id("binary_sensor", "Boardroom", "room_system")]
    home.simulator.hub("Boardroom").change_state(mtrmode=False)
    await home.poll()
    names = [item.get("name") for item in walk(await dashboard.cards("room-boardroom"))]
    assert "Port 1" in names
    assert "Room system: Port 1" not in names


async def test_room_with_online_hub_has_no_badge(home: Home, dashboard: Dashboard) -> None:
    # "Connected" beside "Free" would look like a laptop.
    cards, _ = await dashboard.cards("room-boardroom")
    assert visible_cards(home, cards[0]["badges"]) == []
    cards, _ = await dashboard.cards("room-reception")
    [badge] = visible_cards(home, cards[0]["badges"])
    assert badge["text"] == "Offline"


async def test_room_with_read_access_has_no_buttons(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await home.link_account(access="read")
    dashboard = Dashboard(await hass_ws_client(home.hass))
    cards, _ = await dashboard.cards("room-boardroom")
    assert headings(cards) == ["Boardroom", "Plugged in"]
    assert home.entity_id("sensor", "Boardroom", "active_port") in entities(cards)
    assert {entity_id.partition(".")[0] for entity_id in entities(cards)} == {
        "binary_sensor",
        "sensor",
    }
    assert not any("features" in card for card in cards)
    names = [card["name"] for card in cards if card.get("entity", "").endswith("_connected")]
    assert names == ["Room system: Port 1 connected", *(f"Port {n} connected" for n in (2, 3, 4))]


async def test_room_without_switches_switches_with_select(home: Home, dashboard: Dashboard) -> None:
    for port in range(1, 5):
        update_entity(
            home, "switch", "Boardroom", f"port_{port}", disabled_by=er.RegistryEntryDisabler.USER
        )
    cards, _ = await dashboard.cards("room-boardroom")
    assert headings(cards) == ["Boardroom", "Plugged in"]
    assert cards[2]["features"] == cards[3]["features"] == [{"type": "select-options"}]
    assert "hui-select-options-card-feature" in frontend_elements()


async def test_renamed_disabled_and_hidden_entities_are_followed(
    home: Home, dashboard: Dashboard
) -> None:
    renamed = update_entity(
        home,
        "switch",
        "Boardroom",
        "port_1",
        name="Room system",
        new_entity_id="switch.room_system",
    )
    disabled = update_entity(
        home,
        "binary_sensor",
        "Boardroom",
        "in_use",
        disabled_by=er.RegistryEntryDisabler.USER,
    )
    hidden = update_entity(
        home,
        "binary_sensor",
        "Boardroom",
        "port_2_connected",
        hidden_by=er.RegistryEntryHider.USER,
    )
    shown = [await dashboard.cards(path) for path in ("rooms", "room-boardroom")]
    assert {disabled, hidden}.isdisjoint(entities(shown))
    [button, *_] = [item for item in walk(shown) if "icon_tap_action" in item]
    assert button["name"] == "Room system"
    assert button["tap_action"]["target"] == {"entity_id": "switch.room_system"}
    assert renamed == "switch.room_system"


async def test_port_button_tapped_twice_activates_the_port_and_leaves_it_active(
    home: Home, dashboard: Dashboard
) -> None:
    home.simulator.settings.command_delay = 0
    hub = home.simulator.hub("Boardroom")
    shown = [await dashboard.cards("room-boardroom")]
    buttons = [item for item in walk(shown) if "icon_tap_action" in item]
    assert len(buttons) == 8
    for button in buttons:
        for action in (button["tap_action"], button["icon_tap_action"]):
            domain, name = action["perform_action"].split(".")
            await home.hass.services.async_call(
                domain, name, {}, target=action["target"], blocking=True
            )
            active = home.entity_id("binary_sensor", "Boardroom", f"port_{hub.active}_connected")
            assert active == button["entity"]


async def test_room_without_enabled_entities_has_only_its_name(
    home: Home, dashboard: Dashboard
) -> None:
    device = home.device("Boardroom")
    assert device is not None
    registry = er.async_get(home.hass)
    for entry in er.async_entries_for_device(registry, device.id):
        registry.async_update_entity(entry.entity_id, hidden_by=er.RegistryEntryHider.USER)
    [cards] = await dashboard.cards("room-boardroom")
    assert headings(cards) == ["Boardroom"]
    assert len(cards) == 1
    [rooms] = await dashboard.cards("rooms")
    assert [card["badges"] for card in rooms if card.get("heading") == "Boardroom"] == [[]]


async def test_renamed_device_and_area_are_followed(home: Home, dashboard: Dashboard) -> None:
    device = home.device("Boardroom")
    assert device is not None
    assert device.area_id is not None
    dr.async_get(home.hass).async_update_device(device.id, name_by_user="The big hub")
    ar.async_get(home.hass).async_update(device.area_id, name="Board")
    [rooms] = await dashboard.cards("rooms")
    assert "Board" in headings(rooms)
    cards, _ = await dashboard.cards("room-boardroom")
    assert cards[0]["heading"] == "The big hub"


async def test_view_of_removed_room_says_what_to_check(dashboard: Dashboard) -> None:
    response = await dashboard.command(
        "ochno/dashboard/view", {"view": "room", "room": "room-gone"}
    )
    [section] = response["view"]["sections"]
    assert section["cards"][0]["content"].startswith("There is no room to show here.")


# Hubs


async def test_hubs_view_lists_problems_firmware_and_accounts(
    home: Home, dashboard: Dashboard
) -> None:
    home.simulator.hub("Workshop").set_overheated(True)
    await home.poll()
    problems, firmware, account = await dashboard.cards("hubs")
    assert [(card["entity"], card["name"]) for card in problems[1:]] == [
        (home.entity_id("binary_sensor", "Reception", "connectivity"), "Reception"),
        (home.entity_id("binary_sensor", "Workshop", "overheating"), "Workshop"),
    ]
    assert firmware[1]["content"] == "- 4&#46;2&#46;1: 4"
    assert headings(account) == ["Example Organisation"]
    registry = er.async_get(home.hass)
    sensors = {
        key: registry.async_get_entity_id("sensor", "ochno", f"{home.entry.unique_id}_{key}")
        for key in ("rooms_in_use", "rooms_free", "hubs_online", "hubs_offline")
    }
    assert [(card["name"], card["entity"]) for card in account if card["type"] == "tile"] == [
        (name, sensors[key])
        for name, key in (
            ("Rooms in use", "rooms_in_use"),
            ("Rooms free", "rooms_free"),
            ("Hubs online", "hubs_online"),
            ("Hubs offline", "hubs_offline"),
        )
    ]
    *_, push, occupancy = account
    assert push["content"] == "Instant updates: Polling: no public https address"
    assert occupancy["type"] == "statistics-graph"
    assert occupancy["title"] == "Rooms in use"
    assert occupancy["entities"] == [sensors["rooms_in_use"]]


async def test_hubs_view_without_problems_says_so(home: Home, dashboard: Dashboard) -> None:
    home.simulator.hub("Reception").online = True
    await home.poll()
    [_, text], *_ = await dashboard.cards("hubs")
    assert text["content"] == "No hub is offline or overheating."


async def test_hubs_view_account_not_reachable_lists_hubs_as_problems(
    home: Home, dashboard: Dashboard
) -> None:
    home.simulator.hub("Reception").online = True
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(500), times=None)
    await home.poll()
    [[title, *tiles], *_] = await dashboard.cards("hubs")
    assert title["heading"] == "Problems"
    hubs = ("Boardroom", "Focus room", "Reception", "Workshop")
    assert [(tile["name"], tile["entity"]) for tile in tiles] == [
        (hub, home.entity_id("binary_sensor", hub, "connectivity")) for hub in hubs
    ]


async def test_hubs_view_hidden_account_sensor_is_not_shown(
    home: Home, dashboard: Dashboard
) -> None:
    registry = er.async_get(home.hass)
    unique_id = f"{home.entry.unique_id}_rooms_in_use"
    entity_id = registry.async_get_entity_id("sensor", "ochno", unique_id)
    assert entity_id is not None
    registry.async_update_entity(entity_id, hidden_by=er.RegistryEntryHider.USER)
    *_, account = await dashboard.cards("hubs")
    assert "Rooms in use" not in [card.get("name") for card in account]
    assert "statistics-graph" not in [card["type"] for card in account]


async def test_hubs_view_shows_limited_number_of_problems(
    home: Home, dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("custom_components.ochno.dashboard.views.MAX_PROBLEMS", 1)
    home.simulator.hub("Boardroom").online = False
    home.simulator.hub("Workshop").online = False
    await home.poll()
    problems, *_ = await dashboard.cards("hubs")
    assert [card.get("name") for card in problems] == [None, "Boardroom", None]
    assert problems[-1]["content"] == "There are 2 more."


async def test_hubs_view_shows_enabled_sensor_of_instant_updates(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    home.enable_instant_updates_sensor()
    await home.link_account()
    dashboard = Dashboard(await hass_ws_client(home.hass))
    *_, account = await dashboard.cards("hubs")
    tiles = [card["name"] for card in account if card["type"] == "tile"]
    assert tiles[-1] == "Instant updates"
    assert not [card for card in account if card["type"] == "markdown"]


async def test_firmware_that_is_not_reported_is_unknown(home: Home, dashboard: Dashboard) -> None:
    device = home.device("Workshop")
    assert device is not None
    dr.async_get(home.hass).async_update_device(device.id, sw_version=None)
    _, firmware, _ = await dashboard.cards("hubs")
    assert firmware[1]["content"] == "- 4&#46;2&#46;1: 3\n- Unknown: 1"


# Options and texts


async def test_options_select_floors_and_areas_by_name_and_id(
    home: Home, dashboard: Dashboard
) -> None:
    floor_id = assign_floor(home, "Workshop", "Ground floor")
    rooms = ["rooms", "usage", "hubs"]
    for floor in (floor_id, "Ground floor", "ground FLOOR"):
        assert await dashboard.paths(floors=[floor]) == [*rooms, "room-workshop"]
    for area in ("boardroom", "Boardroom"):
        assert await dashboard.paths(areas=[area]) == [*rooms, "room-boardroom"]
    options = {"floors": ["Ground floor"], "areas": ["Focus room"], "title": "Ours"}
    generated = await dashboard.generate(**options)
    assert generated["title"] == "Ours"
    assert [view["title"] for view in generated["views"][3:]] == ["Focus room", "Workshop"]
    home.simulator.hub("Boardroom").online = False
    await home.poll()
    [*floors] = await dashboard.cards("rooms", **options)
    assert [headings(cards) for cards in floors] == [
        ["Ground floor", "Workshop"],
        ["Without a floor", "Focus room"],
    ]
    [_, text], firmware, _ = await dashboard.cards("hubs", **options)
    assert text["content"] == "No hub is offline or overheating."
    assert firmware[1]["content"] == "- 4&#46;2&#46;1: 2"


async def test_area_without_hubs_gives_a_sentence(home: Home, dashboard: Dashboard) -> None:
    ar.async_get(home.hass).async_create("Kitchen")
    text = await dashboard.message(areas=["Kitchen"])
    assert text.startswith("There is no room to show here. Check the options")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"floor": "x"}, "This dashboard has no option floor. Use only title, floors and areas."),
        ({"title": 5}, "The option title must be text. Enter the title of this dashboard."),
        (
            {"floors": "Ground"},
            "The option floors must be a list. Enter one name or ID on each line.",
        ),
        (
            {"floors": [7]},
            "There is no floor 7. Correct the option floors, or add the floor.",
        ),
        (
            {"areas": ["{{ 1 }}"]},
            "There is no area &#123;&#123; 1 &#125;&#125;. "
            "Correct the option areas, or add the area.",
        ),
    ],
)
async def test_invalid_option_gives_a_sentence(
    dashboard: Dashboard, options: Config, text: str
) -> None:
    assert await dashboard.message(**options) == text


async def test_floor_of_options_deleted_later_gives_a_sentence_in_open_view(
    home: Home, dashboard: Dashboard
) -> None:
    floor_id = assign_floor(home, "Boardroom", "Ground")
    views = (await dashboard.generate(floors=["Ground"]))["views"]
    fr.async_get(home.hass).async_delete(floor_id)
    config = {key: value for key, value in views[0]["strategy"].items() if key != "type"}
    view = await dashboard.command("ochno/dashboard/view", config)
    [section] = view["view"]["sections"]
    assert section["cards"][0]["content"].startswith("There is no floor Ground.")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hidden_by": er.RegistryEntryHider.USER},
        {"disabled_by": er.RegistryEntryDisabler.USER},
    ],
)
async def test_account_not_loaded_after_start_is_watched_until_its_rooms_are_known(
    home: Home, dashboard: Dashboard, changes: Config
) -> None:
    entry = home.entry
    registry = er.async_get(home.hass)
    key = f"{entry.unique_id}_rooms_in_use"
    rooms_in_use = registry.async_get_entity_id("sensor", "ochno", key)
    assert rooms_in_use is not None
    registry.async_update_entity(rooms_in_use, **changes)
    await home.hass.config_entries.async_unload(entry.entry_id)
    # Home Assistant has no history after its start.
    async_remove_history(home.hass, entry.entry_id)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.reset(), times=None)
    await home.hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    result = await dashboard.generate()
    assert len(result["views"]) == 1
    before = [home.hass.states.get(entity_id) for entity_id in result["watch"]]
    home.simulator.clear_faults()
    await home.advance_time(60)
    after = [home.hass.states.get(entity_id) for entity_id in result["watch"]]
    assert {state.state for state in before if state} == {"unavailable"}
    assert any(state.state.isdecimal() for state in after if state)
    result = await dashboard.generate()
    assert "Boardroom" in {view["title"] for view in result["views"]}
    assert result["watch"] == []


async def test_account_without_hubs_gives_a_sentence(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    for hub_id in list(home.simulator.database.hubs):
        home.simulator.remove_hub(hub_id)
    await home.link_account()
    dashboard = Dashboard(await hass_ws_client(home.hass))
    assert (await dashboard.message()).startswith(
        "There are no hubs yet. Add the Ochno integration"
    )


@pytest.mark.parametrize("path", LANGUAGES, ids=lambda path: path.stem)
async def test_dashboard_is_in_language_of_user(
    home: Home, hass_ws_client: WebSocketGenerator, path: Path
) -> None:
    await home.link_account()
    texts = read_json(path)["config_panel"]["dashboard"]
    dashboard = Dashboard(await hass_ws_client(home.hass), path.stem)
    generated = await dashboard.generate()
    assert generated["title"] == texts["title"]
    assert [view["title"] for view in generated["views"][:3]] == [
        texts["rooms"],
        texts["usage"],
        texts["hubs"],
    ]
    problems, firmware, _ = await dashboard.cards("hubs")
    assert [*headings(problems), *headings(firmware)] == [texts["problems"], texts["firmware"]]
    room_system = read_json(path)["entity"]["binary_sensor"]["room_system"]["name"]
    names = {item.get("name") for item in walk(await dashboard.cards("room-boardroom"))}
    assert f"{room_system}: Port 1 connected" in names


async def test_unknown_language_gives_english(
    home: Home, hass_ws_client: WebSocketGenerator
) -> None:
    await home.link_account()
    dashboard = Dashboard(await hass_ws_client(home.hass), "xx")
    assert (await dashboard.generate())["title"] == "Meeting rooms"


# Usage


def usage_sensor(home: Home, hub: str) -> str:
    """Return the entity id of *Time in use* of a hub."""
    entity_id = home.entity_id("sensor", hub, "time_in_use")
    assert entity_id is not None
    return entity_id


async def import_usage(home: Home, entity_id: str, hours: float) -> None:
    """Add statistics of the last days, with these hours in use yesterday."""
    today = dt_util.start_of_local_day()
    async_import_statistics(
        home.hass,
        {
            "mean_type": StatisticMeanType.NONE,
            "has_sum": True,
            "name": None,
            "source": "recorder",
            "statistic_id": entity_id,
            "unit_class": "duration",
            "unit_of_measurement": "h",
        },
        [
            # The hours of eight days ago do not count.
            {"start": today - timedelta(days=8), "state": 50, "sum": 50},
            {"start": today - timedelta(days=1), "state": 50 + hours, "sum": 50 + hours},
        ],
    )
    await async_wait_recording_done(home.hass)


async def test_usage_without_sensors_says_what_to_enable(home: Home, dashboard: Dashboard) -> None:
    for hub in ("Boardroom", "Focus room", "Reception", "Workshop"):
        update_entity(home, "sensor", hub, "time_in_use", disabled_by=er.RegistryEntryDisabler.USER)
    [[text]] = await dashboard.cards("usage")
    assert text["content"].startswith("The hours in use of these rooms are not recorded.")


async def test_usage_without_recorder_says_that_nothing_is_recorded(
    home: Home, dashboard: Dashboard
) -> None:
    [[text]] = await dashboard.cards("usage")
    assert text["content"].startswith("No hours in use were recorded")


@pytest.fixture
def mock_recorder_before_hass(async_test_recorder: object) -> None:
    """Create the database before Home Assistant starts."""


async def test_usage_shows_bars_busiest_and_unused_rooms(
    recorder_mock: Recorder, home: Home, dashboard: Dashboard
) -> None:
    assign_floor(home, "Boardroom", "Ground")
    for hub in ("Focus room", "Workshop"):
        move_hub(home, hub, "Training *room*")
    [[text]] = await dashboard.cards("usage")
    assert text["content"].startswith("No hours in use were recorded")
    sensors = {
        hub: usage_sensor(home, hub) for hub in ("Boardroom", "Focus room", "Reception", "Workshop")
    }
    for hub, hours in (("Boardroom", 0.4), ("Focus room", 3.6), ("Workshop", 2), ("Reception", 0)):
        await import_usage(home, sensors[hub], hours)
    busiest, unused, ground, other = await dashboard.cards("usage")
    assert busiest[1]["content"] == (
        "1. [Training &#42;room&#42;](room-training_room): 4 h\n"
        "1. [Boardroom](room-boardroom): 24 min"
    )
    assert unused[1]["content"] == "- [Reception](room-reception)"
    assert headings(ground) == ["Ground: Hours in use per day"]
    assert ground[1]["entities"] == [{"entity": sensors["Boardroom"], "name": "Boardroom"}]
    assert other[1]["entities"] == [{"entity": sensors["Focus room"], "name": "Training *room*"}]
    assert (ground[1]["chart_type"], ground[1]["period"]) == ("bar", "day")
    assert (ground[1]["stat_types"], ground[1]["days_to_show"]) == (["change"], 6)
    *_, graphs = await dashboard.cards("room-training_room")
    assert graphs[-1]["type"] == "statistics-graph"
    assert graphs[-1]["entities"] == [
        {"entity": sensors[hub], "name": hub} for hub in ("Focus room", "Workshop")
    ]
    assert graphs[-1]["days_to_show"] == 13


async def test_usage_lists_are_limited(
    recorder_mock: Recorder,
    home: Home,
    dashboard: Dashboard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("custom_components.ochno.dashboard.usage.MAX_UNUSED", 1)
    for hub in ("Boardroom", "Focus room", "Workshop"):
        await import_usage(home, usage_sensor(home, hub), 0)
    [[_, unused]] = await dashboard.cards("usage")
    assert unused["content"] == "- [Boardroom](room-boardroom)\n\nThere are 2 more."
