"""Tests of the blueprints *Hub offline* and *Hub too hot*."""

from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.core import ServiceCall

from ..automation import area_target_config
from ..home import Home
from ..simulator import SimHub
from .blueprint import (
    FOCUS,
    create_blueprint_automation,
    device_id,
    get_notifications,
    pop_call_data,
    recorded_action,
)


async def test_hub_offline_for_default_time_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(home, "hub_offline", hubs={"device_id": device_id(home)})
    home.simulator.hub(FOCUS).online = False
    for seconds in (500, 601):
        assert await get_notifications(home, hass_ws_client) == []
        hub.online = False
        await home.poll()
        await home.advance_time(seconds)
        notifications = await get_notifications(home, hass_ws_client)
        hub.online = True
        await home.poll()
    notification_id = f"ochno_offline_{device_id(home)}"
    assert notifications == [(notification_id, "Hub offline", "Boardroom is offline.")]


async def test_hub_offline_with_custom_time_and_actions_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall], hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(
        home,
        "hub_offline",
        hubs=area_target_config(home, "Boardroom", FOCUS),
        offline_for={"minutes": 2},
        notify=recorded_action(message="{{ trigger.hub }} in {{ trigger.area }}"),
    )
    hub.online = False
    home.simulator.hub(FOCUS).online = False
    await home.poll()
    await home.advance_time(100)
    assert pop_call_data(calls) == []
    await home.advance_time(30)
    messages = sorted(call["message"] for call in pop_call_data(calls))
    assert messages == ["Boardroom in Boardroom", "Focus room in Focus room"]
    assert await get_notifications(home, hass_ws_client) == []


async def test_hub_offline_hub_comes_back_dismisses_its_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    focus = home.simulator.hub(FOCUS)
    await create_blueprint_automation(
        home, "hub_offline", hubs=area_target_config(home, "Boardroom", FOCUS)
    )
    for each_hub in (hub, focus):
        each_hub.online = False
    await home.poll()
    await home.advance_time(600)
    assert len(await get_notifications(home, hass_ws_client)) == 2
    hub.online = True
    await home.poll()
    notifications = await get_notifications(home, hass_ws_client)
    assert [message for _, _, message in notifications] == ["Focus room is offline."]
    focus.online = True
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []


async def test_hub_offline_hub_comes_back_runs_custom_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "hub_offline",
        hubs=area_target_config(home, "Boardroom"),
        back=recorded_action(hub="{{ trigger.hub }}"),
    )
    hub.online = False
    await home.poll()
    assert pop_call_data(calls) == []
    hub.online = True
    await home.poll()
    assert pop_call_data(calls) == [{"hub": "Boardroom"}]


async def test_overheating_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    await create_blueprint_automation(
        home, "overheating", hubs=area_target_config(home, "Boardroom")
    )
    home.simulator.hub(FOCUS).set_overheated(True)
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == []
    hub.set_overheated(True)
    await home.poll()
    assert await get_notifications(home, hass_ws_client) == [
        (
            f"ochno_too_hot_{device_id(home)}",
            "Hub too hot",
            "Boardroom is too hot. Make sure that air can reach it.",
        )
    ]


async def test_overheating_with_custom_actions_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await create_blueprint_automation(
        home,
        "overheating",
        hubs=area_target_config(home, "Boardroom"),
        notify=recorded_action(hub="{{ trigger.hub }}"),
    )
    hub.set_overheated(True)
    await home.poll(2)
    assert pop_call_data(calls) == [{"hub": "Boardroom"}]
