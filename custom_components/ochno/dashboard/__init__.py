"""Generated dashboard: dashboard strategy, WebSocket commands and options.

The frontend asks for the list of views first, and for the content of a view when it is opened.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from typing import Any, Final

import probatio

from homeassistant.components import websocket_api
from homeassistant.components.frontend import add_extra_js_url
from homeassistant.components.http import StaticPathConfig
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    entity_registry as er,
    floor_registry as fr,
)
from homeassistant.helpers.translation import async_get_translations
from homeassistant.loader import async_get_integration

from ..const import DOMAIN
from ..rooms import Room, async_rooms
from .cards import Card, DashboardContext, escape, room_path
from .room import room_view
from .usage import usage_view
from .views import MAX_COLUMNS, MAX_ROOMS, View, floors, hubs_view, message, rooms_view

URL: Final = f"/{DOMAIN}/dashboard.js"
FILE: Final = Path(__file__).parents[1] / "frontend" / "dashboard.js"

CONF_AREAS: Final = "areas"
CONF_FLOORS: Final = "floors"
CONF_TITLE: Final = "title"


class DashboardOptionError(Exception):
    """Invalid option of a dashboard. `key` is the key of the text that says what to correct."""

    def __init__(self, key: str, **placeholders: str) -> None:
        super().__init__(key)
        self.key = key
        self.placeholders = placeholders


async def async_setup_dashboard(hass: HomeAssistant) -> None:
    """Serve the dashboard strategy, and register its commands."""
    await hass.http.async_register_static_paths([StaticPathConfig(URL, str(FILE))])
    integration = await async_get_integration(hass, DOMAIN)
    # Browsers cache the file until its address changes.
    add_extra_js_url(hass, f"{URL}?v={integration.version}")
    websocket_api.async_register_command(hass, websocket_dashboard)
    websocket_api.async_register_command(hass, websocket_view)


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/dashboard",
        probatio.Required("language"): str,
        probatio.Required("config"): dict,
    }
)
@websocket_api.async_response
async def websocket_dashboard(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> None:
    """Send a dashboard: its title, its views without their content, and entities to watch."""
    context = await _async_context(hass, connection, msg)
    config: Mapping[str, object] = msg["config"]
    title: object = context.text(CONF_TITLE)
    try:
        _check_options(config)
        title = config.get(CONF_TITLE) or title
        context = replace(context, rooms=_select_rooms(context, config))
        views = list(_views(context, config))
    except DashboardOptionError as err:
        views = [{"title": context.text("rooms"), **_content(_error_view(context, err))}]
    watch = _accounts_not_loaded(context)
    connection.send_result(msg["id"], {"title": title, "views": views, "watch": watch})


@websocket_api.websocket_command(
    {
        probatio.Required("type"): f"{DOMAIN}/dashboard/view",
        probatio.Required("language"): str,
        probatio.Required("config"): {
            probatio.Required("view"): probatio.In(("rooms", "room", "usage", "hubs")),
            probatio.Optional("floor"): str,
            probatio.Optional("page", default=1): int,
            probatio.Optional("room", default=""): str,
            probatio.Optional(CONF_FLOORS): list,
            probatio.Optional(CONF_AREAS): list,
        },
    }
)
@websocket_api.async_response
async def websocket_view(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> None:
    """Send the content of a view."""
    context = await _async_context(hass, connection, msg)
    config = msg["config"]
    try:
        context = replace(context, rooms=_select_rooms(context, config))
        match config["view"]:
            case "rooms":
                view = rooms_view(context, config.get("floor"), config["page"])
            case "room":
                view = room_view(context, config["room"])
            case "usage":
                view = await usage_view(context)
            case _:
                view = hubs_view(context)
    except DashboardOptionError as err:
        view = _error_view(context, err)
    connection.send_result(msg["id"], {"view": _content(view), "watch": view.watch})


async def _async_context(
    hass: HomeAssistant, connection: websocket_api.ActiveConnection, msg: dict[str, Any]
) -> DashboardContext:
    """Return the context of a command, with the rooms of all accounts."""
    texts: dict[str, str] = {}
    for category in ("config_panel", "entity"):
        texts |= await async_get_translations(hass, msg["language"], category, {DOMAIN})
    return DashboardContext(
        hass=hass, texts=texts, rooms=async_rooms(hass), is_admin=connection.user.is_admin
    )


def _content(view: View) -> Card:
    return {"type": "sections", "max_columns": MAX_COLUMNS, "sections": view.sections}


def _error_view(context: DashboardContext, err: DashboardOptionError) -> View:
    placeholders = {key: escape(value) for key, value in err.placeholders.items()}
    return message(context.text(err.key, **placeholders))


def _accounts_not_loaded(context: DashboardContext) -> list[str]:
    """Return sensors of each account that is not loaded. Some can be disabled.

    Their states change when the rooms of the account are known, for example after the internet was
    not available at the start of Home Assistant.
    """
    registry = er.async_get(context.hass)
    sensors = [
        registry.async_get_entity_id(Platform.SENSOR, DOMAIN, f"{entry.unique_id}_{key}")
        for entry in context.hass.config_entries.async_entries(DOMAIN, include_disabled=False)
        if entry.state is not ConfigEntryState.LOADED
        for key in ("rooms_in_use", "rooms_free", "hubs_online", "hubs_offline")
    ]
    return [sensor for sensor in sensors if sensor]


def _views(context: DashboardContext, config: Mapping[str, object]) -> Iterator[Card]:
    """Return the views of a dashboard. Their strategies return the content."""
    filters = {key: config[key] for key in (CONF_FLOORS, CONF_AREAS) if key in config}

    def view(title: str, path: str, **strategy: object) -> Card:
        return {
            "title": title,
            "path": path,
            "strategy": {"type": f"custom:{DOMAIN}", **strategy},
        }

    if not context.rooms:
        text = context.text("no_rooms" if filters else "no_hubs")
        yield {"title": context.text("rooms"), **_content(message(text))}
        return
    if len(context.rooms) <= MAX_ROOMS:
        yield view(context.text("rooms"), "rooms", view="rooms", **filters)
    else:
        for floor in floors(context):
            for page in range(1, ceil(len(floor.rooms) / MAX_ROOMS) + 1):
                title, path = floor.name, f"floor-{floor.key}"
                if page > 1:
                    title, path = f"{title} ({page})", f"{path}-{page}"
                yield view(title, path, view="rooms", floor=floor.key, page=page, **filters)
    for key in ("usage", "hubs"):
        yield view(context.text(key), key, view=key, **filters)
    for room in context.rooms:
        path = room_path(room)
        yield {**view(room.name, path, view="room", room=path), "subview": True}


def _check_options(config: Mapping[str, object]) -> None:
    for option in config:
        if option not in (CONF_TITLE, CONF_FLOORS, CONF_AREAS):
            raise DashboardOptionError("option_unknown", option=option)
    if not isinstance(config.get(CONF_TITLE, ""), str):
        raise DashboardOptionError("title_invalid")


def _select_rooms(context: DashboardContext, config: Mapping[str, object]) -> Sequence[Room]:
    """Return the rooms on the floors and in the areas of the options; without these, all rooms."""
    if CONF_FLOORS not in config and CONF_AREAS not in config:
        return context.rooms
    floors, areas = fr.async_get(context.hass), ar.async_get(context.hass)
    floor_ids, area_ids = set[str](), set[str]()
    for name in _names(config, CONF_FLOORS):
        floor = floors.async_get_floor(name) or floors.async_get_floor_by_name(name)
        if floor is None:
            raise DashboardOptionError("floor_unknown", name=name)
        floor_ids.add(floor.floor_id)
    for name in _names(config, CONF_AREAS):
        area = areas.async_get_area(name) or areas.async_get_area_by_name(name)
        if area is None:
            raise DashboardOptionError("area_unknown", name=name)
        area_ids.add(area.id)
    return [
        room
        for room in context.rooms
        if room.area and (room.area.id in area_ids or room.area.floor_id in floor_ids)
    ]


def _names(config: Mapping[str, object], option: str) -> list[str]:
    names = config.get(option, [])
    if not isinstance(names, list):
        raise DashboardOptionError("list_invalid", option=option)
    return [str(name) for name in names]
