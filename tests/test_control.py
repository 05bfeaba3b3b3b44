"""Switching ports: what the user who granted control sees, in order and under failure."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
import json
from typing import Any
from unittest.mock import patch

import pytest
from pytest_homeassistant_custom_component.common import async_capture_events

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault, SimHub

PACKAGE = "custom_components.ochno"


@pytest.fixture
def freezer() -> None:
    """Let time run: commands race with the cloud here."""


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    """Poll every second, and wait two for a confirmation, not ten."""
    with (
        patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(seconds=1)),
        patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 2),
        patch(f"{PACKAGE}.control.CONFIRM_INTERVALS", (0.05,)),
    ):
        yield


@pytest.fixture
async def entry(home: Home) -> ConfigEntry:
    """Link the first account with control."""
    home.simulator.settings.command_delay = 0.1
    return await home.link_account(access="control")


@pytest.fixture
def hub(home: Home, entry: ConfigEntry) -> SimHub:
    """Return the hub of the boardroom: port 1 is active, its device is the room system."""
    hub = home.simulator.hub("Boardroom")
    assert hub.active == 1
    return hub


async def select(home: Home, option: str, hub: str = "Boardroom") -> None:
    """Choose the active port as the frontend does."""
    await home.call_action("select", "select_option", hub, "active_port", option=option)


async def next_poll(home: Home) -> None:
    """Wait until a poll that begins from now on has ended."""
    polls = home.count_requests(HUBS_PATH)
    async with asyncio.timeout(5):
        while home.count_requests(HUBS_PATH) == polls:
            await asyncio.sleep(0.01)
        polling = [r for r in home.simulator.requests if r.path == HUBS_PATH][polls]
        while polling.status is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)


def active(home: Home, hub: str = "Boardroom") -> str | None:
    """Return what Home Assistant shows as the active port."""
    return home.state("select", hub, "active_port")


def commands(home: Home) -> list[str]:
    """Return the bodies of all commands that the simulator got."""
    return [request.body for request in home.simulator.requests if request.method == "PUT"]


def history(events: list[Any], home: Home) -> list[str]:
    """Return the states that the boardroom's select went through."""
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    changes = [event.data for event in events if event.data["entity_id"] == entity_id]
    return [change["new_state"].state for change in changes]


async def test_select_makes_a_port_active(home: Home, hub: SimHub) -> None:
    await select(home, "3")
    assert hub.active == 3
    assert active(home) == "3"
    assert commands(home) == ['{"activeport":3}']


async def test_select_none_makes_no_port_active(home: Home, hub: SimHub) -> None:
    await select(home, "none")
    assert hub.active == 0
    assert active(home) == "none"


async def test_switch_on_turns_the_others_off(home: Home, hub: SimHub) -> None:
    assert home.state("switch", "Boardroom", "port_1") == "on"
    await home.call_action("switch", "turn_on", "Boardroom", "port_2")
    assert hub.active == 2
    assert [home.state("switch", "Boardroom", f"port_{n}") for n in (1, 2, 3, 4)] == [
        "off",
        "on",
        "off",
        "off",
    ]


async def test_switch_off_makes_no_port_active(home: Home, hub: SimHub) -> None:
    await home.call_action("switch", "turn_off", "Boardroom", "port_1")
    assert hub.active == 0
    assert home.state("switch", "Boardroom", "port_1") == "off"


async def test_switch_off_of_a_port_that_is_off_sends_nothing(home: Home, hub: SimHub) -> None:
    await home.call_action("switch", "turn_off", "Boardroom", "port_2")
    assert commands(home) == []
    assert hub.active == 1


async def test_commanded_port_shows_at_once(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_delay = 0.5
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    assert active(home) == "2"
    assert hub.active == 1
    await command
    assert hub.active == 2


async def test_state_does_not_bounce_while_the_cloud_catches_up(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    events = async_capture_events(hass, "state_changed")
    home.simulator.settings.command_delay = 0.4
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    await next_poll(home)
    assert active(home) == "2"
    await command
    await next_poll(home)
    assert history(events, home) == ["2"]


async def test_confirmation_asks_for_that_hub_alone(home: Home) -> None:
    with patch(f"{PACKAGE}.coordinator.POLL_INTERVAL", timedelta(minutes=1)):
        await home.link_account(access="control")
    hub = home.simulator.hub("Boardroom")
    before = home.count_requests(HUBS_PATH)
    await select(home, "2")
    assert home.count_requests(HUBS_PATH) == before
    assert home.count_requests(f"/api/hubs/v1/{hub.id}") > 0
    assert home.count_requests(f"/api/hubs/v1/{home.simulator.hub('Workshop').id}") == 0


async def test_lost_command_falls_back_and_tells_the_user(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_mode = "lose"
    with pytest.raises(HomeAssistantError, match="Boardroom did not switch in time"):
        await select(home, "2")
    assert active(home) == "1"
    assert len(commands(home)) == 1


async def test_command_applied_after_the_wait_shows_with_the_next_poll(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_mode = "late"
    home.simulator.settings.late_delay = 2.3
    with pytest.raises(HomeAssistantError):
        await select(home, "2")
    assert active(home) == "1"
    await asyncio.sleep(0.5)
    await next_poll(home)
    assert active(home) == "2"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        pytest.param(Fault.status(403), "hubs:write", id="403"),
        pytest.param(Fault.status(404), "status 404", id="404"),
        pytest.param(Fault.status(409), "may be offline", id="409"),
        pytest.param(Fault.status(429, {"Retry-After": "5"}), "wait", id="429"),
        pytest.param(Fault.status(500), "status 500", id="500"),
        pytest.param(Fault.status(503), "status 503", id="503"),
        pytest.param(Fault.redirect("http://127.0.0.1:1/"), "status 302", id="redirect"),
        pytest.param(Fault.reset(), "could not be reached", id="reset"),
        pytest.param(Fault.hang(), "did not switch in time", id="hang"),
    ],
)
async def test_failed_command_is_told_and_not_repeated(
    home: Home, hub: SimHub, fault: Fault, sentence: str
) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", fault, times=None)
    with pytest.raises(HomeAssistantError, match=sentence):
        await select(home, "2")
    assert active(home) == "1"
    assert len(commands(home)) == 1
    home.simulator.clear_faults()
    await next_poll(home)
    assert len(commands(home)) == 1
    assert hub.active == 1


async def test_hub_that_went_offline_refuses(home: Home, hub: SimHub) -> None:
    hub.online = False
    with pytest.raises(HomeAssistantError, match="may be offline"):
        await select(home, "2")
    assert active(home) == "1"


async def test_answer_of_the_command_does_not_matter(home: Home, hub: SimHub) -> None:
    """Nobody has documented it, and the vendor's demo ignores it."""
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.html())
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    hub.set_active(2)
    await command
    assert active(home) == "2"


async def test_unknown_port_sends_nothing(home: Home, hub: SimHub) -> None:
    """A hub that shrank: its entity is still there."""
    hub.state["connected"] = [1, 0]
    await next_poll(home)
    with pytest.raises(HomeAssistantError, match="Boardroom has no port 4"):
        await home.call_action("switch", "turn_on", "Boardroom", "port_4")
    assert home.state("switch", "Boardroom", "port_4") == "unknown"
    assert commands(home) == []


async def test_expired_token_is_refreshed_and_the_command_repeated_once(
    home: Home, hub: SimHub
) -> None:
    home.simulator.expire_access_tokens()
    await select(home, "2")
    assert hub.active == 2
    statuses = [request.status for request in home.simulator.requests if request.method == "PUT"]
    assert statuses == [401, 200]
    assert home.count_requests(TOKEN_PATH, "POST") == 2


async def test_revoked_access_asks_to_sign_in_again(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    home.simulator.revoke_access()
    with pytest.raises(HomeAssistantError, match="no longer accepts the sign-in"):
        await select(home, "2")
    assert active(home) == "1"
    [flow] = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == "reauth"


async def test_token_refused_for_good_asks_to_sign_in_again(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.status(401), times=None)
    with pytest.raises(HomeAssistantError, match="no longer accepts the sign-in"):
        await select(home, "2")
    assert len(commands(home)) == 2
    [flow] = hass.config_entries.flow.async_progress()
    assert flow["context"]["source"] == "reauth"


async def test_token_that_can_not_be_refreshed_is_told(home: Home, hub: SimHub) -> None:
    home.simulator.expire_access_tokens()
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    with pytest.raises(HomeAssistantError, match="could not be reached"):
        await select(home, "2")
    assert active(home) == "1"


async def test_commands_to_one_hub_do_not_overtake_each_other(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.delay(0.3), times=1)
    first = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(select(home, "3"))
    await asyncio.sleep(0.05)
    assert active(home) == "3"
    await asyncio.gather(first, second)
    assert commands(home) == ['{"activeport":2}', '{"activeport":3}']
    assert hub.active == 3
    assert active(home) == "3"


async def test_failure_of_the_last_command_shows_the_one_before(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_delay = 0.5
    first = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.status(500))
    with pytest.raises(HomeAssistantError):
        await select(home, "3")
    assert active(home) == "2"
    await first
    assert hub.active == 2


async def test_slow_hub_does_not_hold_up_another(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.hang(), times=None)
    slow = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.05)
    await select(home, "4", "Workshop")
    assert home.simulator.hub("Workshop").active == 4
    assert not slow.done()
    with pytest.raises(HomeAssistantError):
        await slow


async def test_button_in_the_room_wins_over_a_pending_command(
    hass: HomeAssistant, home: Home, hub: SimHub
) -> None:
    events = async_capture_events(hass, "state_changed")
    home.simulator.settings.command_mode = "lose"
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    hub.press(4)
    await command
    assert active(home) == "4"
    assert history(events, home) == ["2", "4"]


async def test_button_in_the_room_wins_over_a_command_that_was_not_sent_yet(
    home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.delay(3.5), times=1)
    home.simulator.settings.command_mode = "lose"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(select(home, "3"))
        await next_poll(home)
        assert active(home) == "3"
        hub.press(4)
        await next_poll(home)
        assert active(home) == "4"
        await first
        with pytest.raises(HomeAssistantError, match="pressed a button at Boardroom before port 3"):
            await second
    assert commands(home) == ['{"activeport":2}']


async def test_button_that_home_assistant_had_not_seen_does_not_end_a_later_command(
    home: Home, hub: SimHub
) -> None:
    await select(home, "4")
    home.simulator.settings.command_delay = 0.5
    hub.press(3)
    await select(home, "2")
    assert hub.active == 2
    assert active(home) == "2"


async def test_token_server_failing_while_a_command_is_confirmed_passes(
    home: Home, hub: SimHub
) -> None:
    home.simulator.add_fault("GET", f"/api/hubs/v1/{hub.id}", Fault.status(401))
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=2)
    await select(home, "2")
    assert active(home) == "2"
    assert home.count_requests(TOKEN_PATH, "POST") == 4
    assert home.flow_sources == []


async def test_there_and_back_again_sends_both(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("PUT", f"/api/hubs/v1/{hub.id}/state", Fault.delay(1.4), times=1)
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(select(home, "1"))
        await next_poll(home)
        assert active(home) == "1"
        await asyncio.gather(first, second)
    assert commands(home) == ['{"activeport":2}', '{"activeport":1}']
    assert hub.active == 1
    assert active(home) == "1"


async def test_there_and_back_again_is_no_failure_if_neither_was_carried_out(
    home: Home, hub: SimHub
) -> None:
    home.simulator.settings.command_mode = "lose"
    there, back = await asyncio.gather(select(home, "2"), select(home, "1"), return_exceptions=True)
    assert isinstance(there, HomeAssistantError)
    assert back is None
    assert active(home) == "1"


async def test_port_that_is_active_already_is_confirmed_at_once(home: Home, hub: SimHub) -> None:
    await select(home, "1")
    assert commands(home) == ['{"activeport":1}']
    assert home.count_requests(f"/api/hubs/v1/{hub.id}") == 1


async def test_command_that_ends_leaves_those_after_it_alone(home: Home, hub: SimHub) -> None:
    """One report confirms the first while the second is still being sent, and a third comes."""
    path = f"/api/hubs/v1/{hub.id}/state"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 5):
        first = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0.02)
        home.simulator.add_fault("PUT", path, Fault.delay(0.6), times=1)
        second = asyncio.create_task(select(home, "3"))
        await first
        third = asyncio.create_task(select(home, "4"))
        await asyncio.gather(second, third)
    assert [json.loads(body)["activeport"] for body in commands(home)] == [2, 3, 4]
    assert hub.active == 4
    assert active(home) == "4"


async def test_busy_server_is_not_asked_again_for_a_confirmation(home: Home, hub: SimHub) -> None:
    busy = Fault.status(429, {"Retry-After": "600"})
    home.simulator.add_fault("GET", f"/api/hubs/v1/{hub.id}", busy, times=None)
    await select(home, "2")
    assert active(home) == "2"
    assert home.count_requests(f"/api/hubs/v1/{hub.id}") == 1


async def test_old_list_does_not_undo_a_confirmed_command(home: Home, hub: SimHub) -> None:
    """The list was asked for before the command and answered after its confirmation."""
    # Or else there would be no list in the answer.
    home.simulator.hub("Focus room").plug(2)
    home.simulator.add_fault("GET", HUBS_PATH, Fault.slow(0.8))
    polls = home.count_requests(HUBS_PATH)
    poll = asyncio.create_task(next_poll(home))
    while home.count_requests(HUBS_PATH) == polls:
        await asyncio.sleep(0.01)
    await select(home, "2")
    assert not poll.done()
    await poll
    assert active(home) == "2"


async def test_old_answer_about_the_hub_does_not_undo_a_later_poll(home: Home, hub: SimHub) -> None:
    """The hub was asked for before the list and answered after it."""
    home.simulator.settings.command_mode = "lose"
    with patch(f"{PACKAGE}.control.COMMAND_TIMEOUT", 6):
        command = asyncio.create_task(select(home, "2"))
        await asyncio.sleep(0)
    while not home.count_requests(f"/api/hubs/v1/{hub.id}"):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.02)
    home.simulator.add_fault("GET", f"/api/hubs/v1/{hub.id}", Fault.slow(1.6))
    while home.count_requests(f"/api/hubs/v1/{hub.id}") < 2:
        await asyncio.sleep(0.01)
    hub.press(4)
    await next_poll(home)
    assert active(home) == "4"
    await asyncio.sleep(1.6)
    assert active(home) == "4"
    await command


async def test_confirmation_that_fails_to_be_read_is_tried_again(home: Home, hub: SimHub) -> None:
    home.simulator.add_fault("GET", f"/api/hubs/v1/{hub.id}", Fault.status(500), times=3)
    await select(home, "2")
    assert active(home) == "2"


async def test_hub_that_leaves_during_a_command_stays_gone(home: Home, hub: SimHub) -> None:
    home.simulator.settings.command_mode = "lose"
    entity_id = home.entity_id("select", "Boardroom", "active_port")
    assert entity_id is not None
    command = asyncio.create_task(select(home, "2"))
    await asyncio.sleep(0.1)
    home.simulator.remove_hub("Boardroom")
    await next_poll(home)
    with pytest.raises(HomeAssistantError):
        await command
    state = home.hass.states.get(entity_id)
    assert state is not None
    assert state.state == "unavailable"


async def test_lost_command_is_no_reason_to_doubt_instant_updates(home: Home) -> None:
    home.enable_instant_updates_sensor()
    await home.set_external_url()
    with (
        patch(f"{PACKAGE}.push.PUSH_POLL_INTERVAL", timedelta(seconds=0.5)),
        patch(f"{PACKAGE}.push.DELIVERY_GRACE_PERIOD", timedelta(seconds=0.2)),
    ):
        await home.link_account(access="control")
        await home.wait_until_idle()
        home.simulator.settings.command_mode = "lose"
        polls = home.count_requests(HUBS_PATH)
        with pytest.raises(HomeAssistantError):
            await select(home, "2")
        assert home.count_requests(HUBS_PATH) > polls
        assert home.instant_updates_state == "active"
