"""Tests of commands that switch ports: optimistic state, order, confirmation and errors."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
import json
from typing import Literal
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import MockUser, async_capture_events

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_STATE_CHANGED
from homeassistant.core import Context, Event, EventStateChangedData, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.setup import async_setup_component

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault, SimHub

PACKAGE = "custom_components.ochno"


@pytest.fixture
def freezer() -> None:
    """Do not freeze time, because commands depend on the event loop's clock."""


@pytest.fixture(autouse=True)
def _short_intervals() -> Iterator[None]:
    """Poll every second, and wait 2 seconds for a confirmation."""
    with (
        patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(seconds=1)),
        patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 2),
        patch(f"{PACKAGE}.control.CONFIRM_INTERVALS", (0.05,)),
    ):
        yield


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with access to control, and return its config entry."""
    home.simulator.settings.command_delay = 0.1
    return await home.link_account(access="control")


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub *Boardroom*. Port 1 is active and has the room system."""
    hub = home.simulator.hub("Boardroom")
    assert hub.active == 1
    return hub


async def select(home: Home, option: str, hub: str = "Boardroom") -> None:
    """Select the active port as the frontend does."""
    await home.call_action("select", "select_option", hub, "active_port", option=option)


async def wait_for_next_poll(home: Home) -> None:
    """Wait until a poll that has not started yet is done."""
    polls = home.count_requests(HUBS_PATH)
    async with asyncio.timeout(30):
        while home.count_requests(HUBS_PATH) == polls:
            await asyncio.sleep(0.01)
        requests = [request for request in home.simulator.requests if request.path == HUBS_PATH]
        while requests[polls].status is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


def shown_port(home: Home, hub: str = "Boardroom") -> str | None:
    """Return the active port that Home Assistant shows."""
    return home.state("select", hub, "active_port")


def command_bodies(home: Home) -> list[str]:
    """Return the bodies of the commands that the simulator received."""
    return [request.body for request in home.simulator.requests if request.method == "PUT"]


def shown_ports(events: list[Event[EventStateChangedData]], home: Home) -> list[str]:
    """Return the states of the select *Active port* of the boardroom, in order."""
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    states = [event.data["new_state"] for event in events if event.data["entity_id"] == entity_id]
    return [state.state for state in states if state is not None]


def contexts(home: Home, hub: str = "Boardroom") -> dict[str, Context]:
    """Return the contexts of the select *Active port* and the port switches, by key."""
    keys = {"active_port": "select", **{f"port_{port}": "switch" for port in (1, 2, 3, 4)}}
    states = {
        key: home.hass.states.get(home.entity_id(platform, hub, key) or "")
        for key, platform in keys.items()
    }
    return {key: state.context for key, state in states.items() if state is not None}


async def test_select_port_activates_it(home: Home, hub: SimHub) -> None:
    await select(home, "3")
    assert hub.active == 3
    assert shown_port(home) == "3"
    assert command_bodies(home) == ['{"activeport":3}']


async def test_select_none_deactivates_all_ports(home: Home, hub: SimHub) -> None:
    await select(home, "none")
    assert hub.active == 0
    assert shown_port(home) == "none"


async def test_switch_turned_on_turns_other_switches_off(home: Home, hub: SimHub) -> None:
    assert home.state("switch", "Boardroom", "port_1") == "on"
    await home.call_action("switch", "turn_on", "Boardroom", "port_2")
    assert hub.active == 2
    assert [home.state("switch", "Boardroom", f"port_{port}") for port in (1, 2, 3, 4)] == [
        "off",
        "on",
        "off",
        "off",
    ]


async def test_switch_of_active_port_turned_off_deactivates_all_ports(
    home: Home, hub: SimHub
) -> None:
    await home.call_action("switch", "turn_off", "Boardroom", "port_1")
    assert hub.active == 0
    assert home.state("switch", "Boardroom", "port_1") == "off"


async def test_switch_of_inactive_port_turned_off_sends_no_command(home: Home, hub: SimHub) -> None:
    await home.call_action("switch", "turn_off", "Boardroom", "port_2")
    assert command_bodies(home) == []
    assert hub.active == 1


async def test_command_after_cancelled_update_of_entity_is_sent(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    await async_setup_component(hass, "homeassistant", {})
    await wait_for_next_poll(home)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.delay(0.2))
    polls = home.count_requests(HUBS_PATH)
    target = {"entity_id": home.entity_id("select", "Boardroom", "active_port")}
    update = asyncio.create_task(
        hass.services.async_call("homeassistant", "update_entity", target, blocking=True)
    )
    await home.wait_until(lambda: home.count_requests(HUBS_PATH) > polls)
    update.cancel()
    await asyncio.wait([update])
    await select(home, "3")
    assert command_bodies(home) == ['{"activeport":3}']


async def call_switch_action_for_area(home: Home, action: str, *hubs: str) -> list[tuple[str, str]]:
    """Turn on or off an area with these hubs; return the hub and the body of each command."""
    registry = dr.async_get(home.hass)
    for hub in hubs:
        device = home.device(hub)
        assert device is not None
        registry.async_update_device(device.id, area_id="boardroom")
    home.simulator.requests.clear()
    await home.hass.services.async_call(
        "switch", action, {}, target={"area_id": "boardroom"}, blocking=True
    )
    return sorted(
        (home.simulator.hub(request.path.split("/")[-2]).name, request.body)
        for request in home.simulator.requests
        if request.method == "PUT"
    )


async def test_area_turned_on_sends_one_command_per_hub_and_keeps_the_active_ports(
    home: Home, hub: SimHub
) -> None:
    home.simulator.hub("Focus room").set_active(3)
    await wait_for_next_poll(home)
    commands = await call_switch_action_for_area(home, "turn_on", "Boardroom", "Focus room")
    assert commands == [("Boardroom", '{"activeport":1}'), ("Focus room", '{"activeport":3}')]


async def test_area_turned_on_without_active_port_activates_the_first_port(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    hub.set_active(0)
    await wait_for_next_poll(home)
    events = async_capture_events(hass, EVENT_STATE_CHANGED)
    commands = await call_switch_action_for_area(home, "turn_on", "Boardroom", "Workshop")
    assert commands == [("Boardroom", '{"activeport":1}'), ("Workshop", '{"activeport":1}')]
    assert shown_ports(events, home) == ["1"]


async def test_area_turned_off_sends_one_command_per_hub_with_active_port(
    home: Home, hub: SimHub
) -> None:
    home.simulator.hub("Focus room").set_active(3)
    await wait_for_next_poll(home)
    commands = await call_switch_action_for_area(
        home, "turn_off", "Boardroom", "Focus room", "Workshop"
    )
    assert commands == [("Boardroom", '{"activeport":0}'), ("Focus room", '{"activeport":0}')]


async def test_area_turned_on_lost_command_raises_error(home: Home, hub: SimHub) -> None:
    hub.set_active(0)
    await wait_for_next_poll(home)
    home.simulator.settings.command_mode = "lose"
    with pytest.raises(HomeAssistantError, match="Boardroom did not switch in time"):
        await call_switch_action_for_area(home, "turn_on", "Boardroom")
    assert shown_port(home) == "none"


async def test_switch_turned_on_and_cancelled_at_once_can_be_turned_on_again(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    target = {"entity_id": home.entity_id("switch", "Boardroom", "port_2")}
    action = hass.services.async_call("switch", "turn_on", target=target, blocking=True)
    asyncio.create_task(action, eager_start=True).cancel()
    await asyncio.sleep(0.05)
    await home.call_action("switch", "turn_on", "Boardroom", "port_2")
    assert hub.active == 2


@pytest.fixture
def context(hass_admin_user: MockUser) -> Context:
    """Return the context of an action that a user calls."""
    return Context(user_id=hass_admin_user.id)


async def call_with_context(
    home: Home, context: Context, platform: str, action: str, key: str, **data: str
) -> None:
    """Call an action on an entity of the boardroom's hub."""
    target = {"entity_id": home.entity_id(platform, "Boardroom", key)}
    await home.hass.services.async_call(
        platform, action, data, blocking=True, context=context, target=target
    )


@pytest.mark.parametrize(
    ("platform", "action", "key", "data"),
    [
        ("select", "select_option", "active_port", {"option": "2"}),
        ("switch", "turn_on", "port_2", {}),
    ],
)
async def test_command_of_user_sets_context_of_all_changed_entities_of_hub(
    home: Home,
    hub: SimHub,
    context: Context,
    platform: str,
    action: str,
    key: str,
    data: dict[str, str],
) -> None:
    before = contexts(home)
    await call_with_context(home, context, platform, action, key, **data)
    assert shown_port(home) == "2"
    changed = dict.fromkeys(("active_port", "port_1", "port_2"), context)
    assert contexts(home) == before | changed
    await wait_for_next_poll(home)
    assert contexts(home) == before | changed


async def test_switch_turned_off_by_user_sets_context_of_active_port(
    home: Home, hub: SimHub, context: Context
) -> None:
    await call_with_context(home, context, "switch", "turn_off", "port_1")
    assert shown_port(home) == "none"
    assert contexts(home)["active_port"] is context


@pytest.mark.parametrize("command_mode", ["apply", "lose"])
async def test_button_press_soon_after_command_of_user_has_another_context(
    home: Home, hub: SimHub, context: Context, command_mode: Literal["apply", "lose"]
) -> None:
    home.simulator.settings.command_mode = command_mode
    command = asyncio.create_task(
        call_with_context(home, context, "select", "select_option", "active_port", option="2")
    )
    await asyncio.sleep(0.1)
    assert contexts(home)["active_port"] is context
    if command_mode == "apply":
        await command
    hub.press(3)
    await wait_for_next_poll(home)
    await command
    assert shown_port(home) == "3"
    states = contexts(home)
    assert {states[key].user_id for key in ("active_port", "port_2", "port_3")} == {None}


async def test_laptop_plugged_in_during_command_of_user_has_another_context(
    home: Home, hub: SimHub, context: Context
) -> None:
    home.simulator.settings.command_mode = "lose"
    hub.config["autoswitchconnect"] = "disabled"
    command = asyncio.create_task(
        call_with_context(home, context, "select", "select_option", "active_port", option="2")
    )
    await asyncio.sleep(0.05)
    hub.plug(4)
    await wait_for_next_poll(home)
    assert shown_port(home) == "2"
    state = home.hass.states.get(home.entity_id("binary_sensor", "Boardroom", "in_use") or "")
    assert state is not None
    assert (state.state, state.context.user_id) == ("on", None)
    with pytest.raises(HomeAssistantError):
        await command


async def test_command_is_shown_before_hub_switches(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_delay = 0.5
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    assert shown_port(home) == "2"
    assert hub.active == 1
    await command
    assert hub.active == 2


async def test_command_with_delayed_effect_changes_state_only_once(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    events = async_capture_events(hass, EVENT_STATE_CHANGED)
    home.simulator.settings.command_delay = 0.4
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    await wait_for_next_poll(home)
    assert shown_port(home) == "2"
    await command
    await wait_for_next_poll(home)
    assert shown_ports(events, home) == ["2"]


async def test_confirmation_requests_only_the_commanded_hub(home: Home) -> None:
    with patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(minutes=1)):
        await home.link_account(access="control")
    hub = home.simulator.hub("Boardroom")
    polls = home.count_requests(HUBS_PATH)
    await select(home, "2")
    assert home.count_requests(HUBS_PATH) == polls
    assert home.count_requests(f"{HUBS_PATH}/{hub.id}") > 0
    assert home.count_requests(f"{HUBS_PATH}/{home.simulator.hub('Workshop').id}") == 0


async def test_lost_command_restores_state_and_raises_error(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_mode = "lose"
    with pytest.raises(HomeAssistantError, match="Boardroom did not switch in time"):
        await select(home, "2")
    assert shown_port(home) == "1"
    assert len(command_bodies(home)) == 1


async def test_command_applied_after_timeout_is_shown_by_next_poll(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_mode = "late"
    home.simulator.settings.late_delay = 2.3
    with pytest.raises(HomeAssistantError):
        await select(home, "2")
    assert shown_port(home) == "1"
    await asyncio.sleep(0.5)
    await wait_for_next_poll(home)
    assert shown_port(home) == "2"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Fault.status(403), "hubs:write", id="403"),
        pytest.param(Fault.status(404), "status 404", id="404"),
        pytest.param(Fault.status(409), "may be offline", id="409"),
        pytest.param(Fault.status(500), "status 500", id="500"),
        pytest.param(Fault.status(503), "status 503", id="503"),
        pytest.param(Fault.redirect("http://127.0.0.1:1/"), "status 302", id="redirect"),
        pytest.param(Fault.reset(), "could not be reached", id="reset"),
        pytest.param(Fault.hang(), "did not switch in time", id="hang"),
    ],
)
async def test_failed_command_raises_error_and_is_not_repeated(
    home: Home, hub: SimHub, fault: Fault, message: str
) -> None:
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", fault, times=None)
    with pytest.raises(HomeAssistantError, match=message):
        await select(home, "2")
    assert shown_port(home) == "1"
    assert len(command_bodies(home)) == 1
    home.simulator.clear_faults()
    await wait_for_next_poll(home)
    assert len(command_bodies(home)) == 1
    assert hub.active == 1


async def test_rate_limited_command_raises_error_and_is_not_repeated(
    home: Home, hub: SimHub
) -> None:
    fault = Fault.status(429, {"Retry-After": "60"})
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", fault, times=None)
    for _ in range(2):
        with pytest.raises(HomeAssistantError, match="does not accept more requests"):
            await select(home, "2")
    assert shown_port(home) == "1"
    assert len(command_bodies(home)) == 1


async def test_command_to_offline_hub_raises_error(home: Home, hub: SimHub) -> None:
    hub.online = False
    with pytest.raises(HomeAssistantError, match="may be offline"):
        await select(home, "2")
    assert shown_port(home) == "1"


async def test_command_ignores_body_of_response(home: Home, hub: SimHub) -> None:
    """The body is not documented, and the vendor's demo ignores it."""
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.html())
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    hub.set_active(2)
    await command
    assert shown_port(home) == "2"


async def test_command_for_missing_port_raises_error_and_is_not_sent(
    home: Home, hub: SimHub
) -> None:
    # The entity of port 4 remains when the hub reports fewer ports.
    hub.state["connected"] = [1, 0]
    await wait_for_next_poll(home)
    with pytest.raises(HomeAssistantError, match="Boardroom has no port 4"):
        await home.call_action("switch", "turn_on", "Boardroom", "port_4")
    assert home.state("switch", "Boardroom", "port_4") == "unknown"
    assert command_bodies(home) == []


async def test_command_with_expired_token_is_repeated_once_with_new_token(
    home: Home, hub: SimHub
) -> None:
    home.simulator.expire_access_tokens()
    await select(home, "2")
    assert hub.active == 2
    statuses = [request.status for request in home.simulator.requests if request.method == "PUT"]
    assert statuses == [401, 200]
    assert home.count_requests(TOKEN_PATH, "POST") == 2


async def test_command_after_revoked_access_starts_reauth(home: Home, hub: SimHub) -> None:
    home.simulator.revoke_access()
    with pytest.raises(HomeAssistantError, match="no longer accepts the sign-in"):
        await select(home, "2")
    assert shown_port(home) == "1"
    assert home.flow_sources == ["reauth"]


async def test_command_with_rejected_new_token_raises_error_without_reauth(
    home: Home, hub: SimHub
) -> None:
    fault = Fault.status(401)
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", fault, times=None)
    with pytest.raises(HomeAssistantError, match="no longer accepts the sign-in"):
        await select(home, "2")
    assert len(command_bodies(home)) == 2
    assert home.flow_sources == []


async def test_command_with_failing_token_refresh_raises_error(home: Home, hub: SimHub) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    with pytest.raises(HomeAssistantError, match="could not be reached"):
        await select(home, "2")
    assert shown_port(home) == "1"


async def test_commands_to_one_hub_are_sent_in_order(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.delay(0.3), times=1)
    first = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(select(home, "3"))
    await asyncio.sleep(0.05)
    assert shown_port(home) == "3"
    await asyncio.gather(first, second)
    assert command_bodies(home) == ['{"activeport":2}', '{"activeport":3}']
    assert hub.active == 3
    assert shown_port(home) == "3"


async def test_failed_command_shows_port_of_previous_pending_command(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_delay = 0.5
    first = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.status(500))
    with pytest.raises(HomeAssistantError):
        await select(home, "3")
    assert shown_port(home) == "2"
    await first
    assert hub.active == 2


async def test_hanging_command_does_not_delay_command_to_another_hub(
    home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.hang(), times=None)
    hanging = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    await select(home, "4", "Workshop")
    assert home.simulator.hub("Workshop").active == 4
    assert not hanging.done()
    with pytest.raises(HomeAssistantError):
        await hanging


async def test_button_press_overrides_pending_command(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    events = async_capture_events(hass, EVENT_STATE_CHANGED)
    home.simulator.settings.command_mode = "lose"
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    hub.press(4)
    await command
    assert shown_port(home) == "4"
    assert shown_ports(events, home) == ["2", "4"]


async def test_contradicted_command_applied_later_is_shown_after_one_more_request(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_mode = "late"
    home.simulator.settings.late_delay = 0.5
    home.simulator.add_fault("GET", HUBS_PATH, Fault.hang(), times=None)
    with patch(f"{PACKAGE}.control._CHECK_DELAY", 1):
        command = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.1)
        hub.press(4)
        await command
    assert shown_port(home) == "4"
    async with asyncio.timeout(30):
        while shown_port(home) != "2":
            await asyncio.sleep(0.05)


async def test_button_press_cancels_command_that_was_not_sent_yet(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.delay(3.5), times=1)
    home.simulator.settings.command_mode = "lose"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(select(home, "3"))
        await wait_for_next_poll(home)
        assert shown_port(home) == "3"
        hub.press(4)
        await wait_for_next_poll(home)
        assert shown_port(home) == "4"
        await first
        with pytest.raises(
            HomeAssistantError,
            match="did not switch Boardroom, because somebody pressed a button",
        ):
            await second
    assert command_bodies(home) == ['{"activeport":2}']


async def test_button_press_not_yet_reported_does_not_cancel_later_command(
    home: Home, hub: SimHub
) -> None:
    await select(home, "4")
    home.simulator.settings.command_delay = 0.5
    hub.press(3)
    await select(home, "2")
    assert hub.active == 2
    assert shown_port(home) == "2"


async def test_confirmation_with_failing_token_refresh_is_retried(home: Home, hub: SimHub) -> None:
    # The next poll must not get one of the errors.
    await wait_for_next_poll(home)
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(401))
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=2)
    await select(home, "2")
    assert shown_port(home) == "2"
    assert home.count_requests(TOKEN_PATH, "POST") == 4
    assert home.flow_sources == []


async def test_command_back_to_previous_port_is_sent_after_pending_command(
    home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("PUT", f"{HUBS_PATH}/{hub.id}/state", Fault.delay(1.4), times=1)
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(select(home, "1"))
        await wait_for_next_poll(home)
        assert shown_port(home) == "1"
        await asyncio.gather(first, second)
    assert command_bodies(home) == ['{"activeport":2}', '{"activeport":1}']
    assert hub.active == 1
    assert shown_port(home) == "1"


async def test_command_back_to_previous_port_succeeds_if_both_commands_are_lost(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_mode = "lose"
    # The first command has failed as well, but the second one counts.
    await asyncio.gather(select(home, "2"), select(home, "1"))
    assert shown_port(home) == "1"


async def test_command_for_active_port_is_confirmed_by_first_request(
    home: Home, hub: SimHub
) -> None:
    await select(home, "1")
    assert command_bodies(home) == ['{"activeport":1}']
    # A poll can confirm it too.
    assert home.count_requests(f"{HUBS_PATH}/{hub.id}") <= 1


async def test_confirmed_command_does_not_end_later_commands(home: Home, hub: SimHub) -> None:
    path = f"{HUBS_PATH}/{hub.id}/state"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.02)
        # The first command is confirmed while the request of the second one is still open.
        home.simulator.add_fault("PUT", path, Fault.delay(0.6), times=1)
        second = asyncio.create_task(select(home, "3"))
        await first
        third = asyncio.create_task(select(home, "4"))
        await asyncio.gather(second, third)
    assert [json.loads(body)["activeport"] for body in command_bodies(home)] == [2, 3, 4]
    assert hub.active == 4
    assert shown_port(home) == "4"


async def test_confirmation_with_rate_limit_is_not_requested_again(home: Home, hub: SimHub) -> None:
    fault = Fault.status(429, {"Retry-After": "600"})
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", fault, times=None)
    with pytest.raises(HomeAssistantError, match="did not switch in time"):
        await select(home, "2")
    assert home.count_requests(f"{HUBS_PATH}/{hub.id}") == 1


async def test_poll_started_before_command_does_not_undo_its_confirmation(
    home: Home, hub: SimHub
) -> None:
    # An unchanged list would be a 304 without a body.
    home.simulator.hub("Focus room").plug(2)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.slow(0.8))
    polls = home.count_requests(HUBS_PATH)
    poll = asyncio.create_task(wait_for_next_poll(home))
    while home.count_requests(HUBS_PATH) == polls:
        await asyncio.sleep(0.01)
    await select(home, "2")
    assert not poll.done()
    await poll
    assert shown_port(home) == "2"


async def test_confirmation_started_before_poll_does_not_undo_the_poll(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_mode = "lose"
    path = f"{HUBS_PATH}/{hub.id}"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 6):
        command = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0)
    while not home.count_requests(path):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    home.simulator.add_fault("GET", path, Fault.slow(1.6))
    while home.count_requests(path) < 2:
        await asyncio.sleep(0.01)
    hub.press(4)
    await wait_for_next_poll(home)
    assert shown_port(home) == "4"
    await asyncio.sleep(1.6)
    assert shown_port(home) == "4"
    await command


async def test_confirmation_with_server_error_is_retried(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(500), times=3)
    await select(home, "2")
    assert shown_port(home) == "2"


async def test_hub_that_leaves_during_command_stays_unavailable(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_mode = "lose"
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    assert entity_id is not None
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    home.simulator.remove_hub("Boardroom")
    await wait_for_next_poll(home)
    with pytest.raises(HomeAssistantError):
        await command
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.state == "unavailable"


async def test_lost_command_does_not_disable_instant_updates(home: Home) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    with (
        patch(f"{PACKAGE}.push.PUSH_POLL_INTERVAL", timedelta(seconds=0.5)),
        patch(f"{PACKAGE}.missed.DELIVERY_GRACE_PERIOD", timedelta(seconds=0.2)),
    ):
        await home.link_account(access="control")
        await home.wait_until_idle()
        home.simulator.settings.command_mode = "lose"
        polls = home.count_requests(HUBS_PATH)
        with pytest.raises(HomeAssistantError):
            await select(home, "2")
        assert home.count_requests(HUBS_PATH) > polls
        assert home.instant_updates_state == "active"
