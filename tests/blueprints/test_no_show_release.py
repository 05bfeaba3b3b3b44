"""Tests of the blueprint *No-show release*."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from pytest_homeassistant_custom_component.typing import WebSocketGenerator

from homeassistant.components.calendar import CalendarEvent
from homeassistant.core import ServiceCall
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util

from ..automation import target_config
from ..home import Home
from ..simulator import SimHub
from .blueprint import (
    FOCUS,
    RoomCalendar,
    add_calendars,
    advance_time_to,
    create_blueprint_automation,
    device_id,
    get_notifications,
    pop_call_data,
    put_in_boardroom,
    recorded_action,
    restart,
    trigger_manually,
)


async def create_no_show_automation(home: Home, calendar: RoomCalendar, **inputs: Any) -> None:
    """Set up an automation for a calendar that records the events of no-shows."""
    await create_blueprint_automation(
        home,
        "no_show_release",
        calendars={"entity_id": calendar.entity_id},
        no_show=recorded_action(
            event="{{ trigger.calendar_event.summary }}", area_id="{{ area_id }}", area="{{ area }}"
        ),
        **inputs,
    )


BOARDROOM_NO_SHOW = [{"event": "Review", "area_id": "boardroom", "area": "Boardroom"}]


async def test_no_show_nobody_plugged_in_runs_actions_after_the_time(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    home.simulator.hub(FOCUS).plug(2)
    await create_no_show_automation(home, calendar, after={"minutes": 15})
    await home.advance_time(5 * 60)
    await home.advance_time(14 * 60)
    assert pop_call_data(calls) == []
    await home.advance_time(61)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW
    await home.advance_time(3600)
    assert pop_call_data(calls) == []


async def test_no_show_default_action_creates_notification(
    home: Home, hub: SimHub, hass_ws_client: WebSocketGenerator
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    floor = target_config(home, "floor", "binary_sensor", "Boardroom", "in_use")
    await create_blueprint_automation(home, "no_show_release", calendars=floor)
    await home.advance_time(15 * 60 + 1)
    assert await get_notifications(home, hass_ws_client) == [
        ("ochno_no_show_boardroom", "Nobody came", "Nobody plugged in for Review in Boardroom.")
    ]


async def test_no_show_laptop_of_meeting_before_left_in_time_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    hub.plug(2)
    await home.poll()
    hub.unplug(2)
    await home.poll()
    await home.advance_time(15 * 60)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW


async def test_no_show_back_to_back_events_each_count_from_their_own_start(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book(minutes=30)
    [first] = calendar.events
    end = first.end_datetime_local + timedelta(minutes=30)
    calendar.events.append(CalendarEvent(start=first.end, end=end, summary="Retrospective"))
    await create_no_show_automation(home, calendar)
    await home.advance_time(5 * 60)
    hub.plug(2)
    await home.poll()
    await home.advance_time(20 * 60)
    hub.unplug(2)
    await home.poll()
    await home.advance_time(18 * 60)
    assert pop_call_data(calls) == []
    await home.advance_time(60)
    assert [call["event"] for call in pop_call_data(calls)] == ["Retrospective"]


async def came(home: Home, hub: SimHub) -> None:
    """Plug in a laptop."""
    hub.plug(2)
    await home.poll()


async def came_and_left(home: Home, hub: SimHub) -> None:
    """Plug in a laptop and unplug it."""
    await came(home, hub)
    hub.unplug(2)
    await home.poll()


async def came_to_another_hub(home: Home, hub: SimHub) -> None:
    """Plug in a laptop at another hub in the room."""
    put_in_boardroom(home, FOCUS).plug(2)
    await home.poll()


async def went_offline(home: Home, hub: SimHub) -> None:
    """Let the hub go offline."""
    hub.online = False
    await home.poll()


async def was_offline(home: Home, hub: SimHub) -> None:
    """Let the hub go offline and come back."""
    await went_offline(home, hub)
    hub.online = True
    await home.poll()


async def other_hub_is_offline(home: Home, hub: SimHub) -> None:
    """Let another hub in the room be offline."""
    await went_offline(home, put_in_boardroom(home, FOCUS))


async def became_unknown(home: Home, hub: SimHub) -> None:
    """Let the hub not report whether a laptop is plugged in."""
    hub.state["connected"] = [1, None, None, None]
    await home.poll()


async def other_in_use_is_disabled(home: Home, hub: SimHub) -> None:
    """Disable In use of another hub in the room."""
    put_in_boardroom(home, FOCUS)
    er.async_get(home.hass).async_update_entity(
        home.entity_id("binary_sensor", FOCUS, "in_use") or "",
        disabled_by=er.RegistryEntryDisabler.USER,
    )
    await home.poll()


async def home_assistant_restarted(home: Home, hub: SimHub) -> None:
    """Restart Home Assistant."""
    await restart(home)


async def room_lost_its_hub(home: Home, hub: SimHub) -> None:
    """Move the hub to another area, and the account to this one."""
    registry = dr.async_get(home.hass)
    device = registry.async_update_device(device_id(home), area_id=None)
    assert device is not None
    assert device.via_device_id is not None
    registry.async_update_device(device.via_device_id, area_id="boardroom")


async def calendar_lost_its_area(home: Home, hub: SimHub) -> None:
    """Remove the area of the calendar."""
    er.async_get(home.hass).async_update_entity("calendar.boardroom", area_id=None)


@pytest.mark.parametrize(
    "happen",
    [
        came,
        came_and_left,
        came_to_another_hub,
        went_offline,
        was_offline,
        other_hub_is_offline,
        became_unknown,
        other_in_use_is_disabled,
        home_assistant_restarted,
        room_lost_its_hub,
        calendar_lost_its_area,
    ],
)
async def test_no_show_somebody_came_or_unknown_since_start_runs_no_actions(
    home: Home,
    hub: SimHub,
    calls: list[ServiceCall],
    happen: Callable[[Home, SimHub], Awaitable[None]],
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    await home.advance_time(5 * 60 + 1)
    await happen(home, hub)
    await home.advance_time(15 * 60)
    assert pop_call_data(calls) == []


async def test_no_show_restart_before_start_runs_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book()
    await create_no_show_automation(home, calendar)
    await restart(home)
    await home.advance_time(5 * 60)
    await home.advance_time(10 * 60 + 1)
    assert pop_call_data(calls) == BOARDROOM_NO_SHOW


async def test_no_show_event_that_ended_before_the_time_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    calendar.book(minutes=10)
    await create_no_show_automation(home, calendar)
    await home.advance_time(15 * 60 + 1)
    assert pop_call_data(calls) == []


async def test_no_show_all_day_event_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall]
) -> None:
    await advance_time_to(home, 23)
    [calendar] = await add_calendars(home, "Boardroom")
    today = dt_util.now().date()
    day = timedelta(days=1)
    calendar.events.append(CalendarEvent(start=today + day, end=today + 2 * day, summary="Holiday"))
    await create_no_show_automation(home, calendar)
    await home.advance_time(50 * 60)
    await home.advance_time(21 * 60)
    assert home.hass.states.get("automation.test").attributes["last_triggered"]  # type: ignore[union-attr]
    assert pop_call_data(calls) == []


async def test_no_show_triggered_manually_runs_no_actions(
    home: Home, hub: SimHub, calls: list[ServiceCall], caplog: pytest.LogCaptureFixture
) -> None:
    [calendar] = await add_calendars(home, "Boardroom")
    await create_no_show_automation(home, calendar)
    caplog.clear()
    await trigger_manually(home)
    assert calls == []
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
