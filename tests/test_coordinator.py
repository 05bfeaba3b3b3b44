"""Polling: how often what is asked, and what failures do; test_init.py has the devices."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.utils import format_datetime
import logging

from aiohttp import web
import orjson
import pytest
from pytest_homeassistant_custom_component.common import async_fire_time_changed

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault
from .test_init import Log, active_port, area, device, log

__all__ = ["log"]

SPACES = "/api/spaces/v1"


def hubs_online(home: Home) -> str | None:
    """Return the state of the account's sensor."""
    registry = er.async_get(home.hass)
    unique_id = f"{home.entry.unique_id}_hubs_online"
    state = home.hass.states.get(
        registry.async_get_entity_id("sensor", "ochno", unique_id) or "sensor.none"
    )
    return state.state if state else None


# What is asked


@pytest.mark.parametrize("more", [0, 40])
async def test_poll_costs_one_request_however_many_hubs_there_are(home: Home, more: int) -> None:
    for number in range(more):
        home.simulator.add_hub(f"Room {number}")
    await home.link_account()
    home.simulator.requests.clear()
    await home.poll(3)
    assert [request.path for request in home.simulator.requests] == [HUBS_PATH] * 3


async def test_account_without_hubs_gets_them_when_they_come(home: Home) -> None:
    hubs = home.simulator.database.hubs
    away = dict(hubs)
    hubs.clear()
    await home.link_account()
    assert hubs_online(home) == "0"
    hubs.update(away)
    await home.poll()
    assert hubs_online(home) == "3"
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_hubs_listed_without_state_are_fetched_four_at_a_time(home: Home) -> None:
    home.simulator.settings.list_state = False
    for number in range(20):
        home.simulator.add_hub(f"Room {number}")
    await home.link_account()
    now = most = 0

    async def misbehave(
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
        _wait: object,
    ) -> web.StreamResponse:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(30):  # until all that would come have come
            await asyncio.sleep(0)
        now -= 1
        return await handler(request)

    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault("counted", misbehave), times=None)
    home.simulator.hub("Workshop").plug(7)
    home.simulator.requests.clear()
    await home.poll()
    assert len(home.simulator.requests) == 1 + 24
    assert most == 4
    assert home.state("binary_sensor", "Workshop", "port_7_connected") == "on"


async def test_hub_whose_details_fail_stays_as_it_was(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    board, focus = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{board.id}", Fault.status(500), times=None)
    board.set_active(2)
    focus.set_active(2)
    await home.poll()
    assert (active_port(home, board), active_port(home, focus)) == ("1", "2")
    home.simulator.clear_faults()
    await home.poll()
    assert active_port(home, board) == "2"


async def test_hub_whose_details_never_came_gets_its_entities_later(home: Home) -> None:
    home.simulator.settings.list_state = False
    board = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{board.id}", Fault.status(500), times=1)
    await home.link_account()
    assert device(home, board) is not None
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "on"
    assert active_port(home, board) is None
    await home.poll()
    assert active_port(home, board) == "1"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault.status(500), "has a problem (status 500)"),
        (Fault.html(), "does not understand"),
        (Fault.reset(), "could not be reached"),
        (Fault.status(403), "lacks the scope hubs:read"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
async def test_details_of_all_hubs_failing_make_all_unavailable(
    home: Home, log: Log, fault: Fault, message: str
) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", fault, times=None)
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert len(log(logging.ERROR, message)) == 1
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_token_that_details_refuse_asks_to_sign_in(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.status(401), times=None)
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert home.flow_sources == ["reauth"]


async def test_token_that_one_hub_refuses_asks_to_sign_in(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    board = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{board.id}", Fault.status(401), times=None)
    await home.poll()
    assert home.flow_sources == ["reauth"]


async def test_details_of_the_only_hub_failing_make_it_unavailable(home: Home, log: Log) -> None:
    home.simulator.settings.list_state = False
    await home.link_account("Second Organisation")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.status(500))
    await home.poll()
    assert home.state("sensor", "Elsewhere", "active_port") == "unavailable"
    assert len(log(logging.ERROR, "has a problem (status 500)")) == 1
    await home.poll()
    assert home.state("sensor", "Elsewhere", "active_port") == "none"


async def test_token_server_failing_amid_details_passes(home: Home, log: Log) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.status(401), times=None)
    home.simulator.add_fault("POST", TOKEN_PATH, Fault.status(503), times=None)
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.flow_sources == []
    assert len(log(logging.ERROR)) == 1


async def test_rate_limit_amid_details_is_heeded(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    board = home.simulator.hub("Boardroom")
    fault = Fault.status(429, {"Retry-After": "300"})
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{board.id}", fault)
    await home.poll()
    asked = home.count_requests(HUBS_PATH)
    await home.advance_time(200)
    assert home.count_requests(HUBS_PATH) == asked


async def test_rate_limit_amid_details_ends_the_other_requests(home: Home, log: Log) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    board, focus = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{board.id}", Fault.hang())
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{focus.id}", Fault.status(429))
    await home.poll()
    assert len(log(logging.ERROR, "asks to wait")) == 1
    home.simulator.clear_faults()
    focus.plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Focus room", "port_2_connected") == "on"


# Spaces


async def test_spaces_are_fetched_at_start_and_hourly(home: Home, entry: ConfigEntry) -> None:
    assert home.count_requests(SPACES) == 1
    await home.poll(5)
    assert home.count_requests(SPACES) == 1
    await home.advance_time(3600)
    assert home.count_requests(SPACES) == 2
    await home.poll(5)
    assert home.count_requests(SPACES) == 2


async def test_spaces_are_not_fetched_again_for_what_was_looked_for(
    home: Home, entry: ConfigEntry
) -> None:
    board, hubs = home.simulator.hub("Boardroom"), home.simulator.database.hubs
    for port in (2, 3, 4):
        board.set_active(port)
        await home.poll()
    focus = hubs.pop(home.simulator.hub("Focus room").id)
    await home.poll()
    hubs[focus.id] = focus
    await home.poll()
    assert home.state("sensor", "Focus room", "active_port") == "none"
    assert home.count_requests(SPACES) == 1


async def test_hubs_that_stay_as_they_are_get_their_area_as_soon_as_the_spaces_are_told(
    home: Home,
) -> None:
    home.simulator.add_fault("GET", SPACES, Fault.status(500))
    await home.link_account()
    assert area(home, "Boardroom") is None
    await home.advance_time(400)
    assert area(home, "Boardroom") == "Boardroom"


async def test_spaces_are_fetched_once_for_an_unknown_id(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_hub("Library")
    await home.poll()
    assert home.count_requests(SPACES) == 2
    assert area(home, "Library") == "Library"
    home.simulator.hub("Library").space_ids = ["nowhere"]
    await home.poll(3)
    assert home.count_requests(SPACES) == 3


@pytest.mark.parametrize(
    "fault",
    [Fault.status(500), Fault.status(403), Fault.status(429), Fault.html(), Fault.reset()],
    ids=["500", "403", "429", "html", "reset"],
)
async def test_spaces_failing_cost_the_area_and_nothing_else(
    home: Home, log: Log, fault: Fault
) -> None:
    home.simulator.add_fault("GET", SPACES, fault, times=None)
    await home.link_account()
    asked = home.count_requests(SPACES)
    await home.poll(3)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert area(home, "Boardroom") is None
    assert log(logging.ERROR) == []
    assert home.count_requests(SPACES) == asked
    home.simulator.clear_faults()
    await home.advance_time(3600)
    home.simulator.add_hub("Library")
    await home.poll()
    assert area(home, "Library") == "Library"


async def test_names_of_spaces_outlive_a_failure(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", SPACES, Fault.status(500), times=None)
    await home.advance_time(3600)
    boardroom = home.simulator.hub("Boardroom").space_ids
    home.simulator.add_hub("Second table", space=boardroom[0])
    await home.poll()
    assert area(home, "Second table") == "Boardroom"


async def test_malformed_hub_is_warned_of_once(home: Home, entry: ConfigEntry, log: Log) -> None:
    workshop = home.simulator.hub("Workshop")
    sound = workshop.json_override
    for times in (1, 2):
        workshop.json_override = ["nonsense"]
        await home.poll(3)
        [*warnings] = log(logging.WARNING, "skipped a hub that could not be read")
        assert len(warnings) == times
        assert "nonsense" not in warnings[-1]
        assert home.state("sensor", "Workshop", "active_port") == "unavailable"
        assert home.state("sensor", "Boardroom", "active_port") == "1"
        workshop.json_override = sound
        await home.poll()
        assert home.state("sensor", "Workshop", "active_port") == "none"


async def test_list_of_nonsense_does_not_flood_the_log(
    home: Home, entry: ConfigEntry, log: Log
) -> None:
    listing = orjson.dumps([*range(1_000), {"id": home.simulator.hub("Boardroom").id}])
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(listing.decode()))
    await home.poll()
    assert len(log(logging.WARNING, "skipped a hub that could not be read")) == 5


# Failures

FAILURES = [
    pytest.param(Fault.status(403), "scope_missing", "lacks the scope hubs:read", id="403"),
    pytest.param(Fault.status(429), "rate_limited", "asks to wait", id="429"),
    pytest.param(Fault.status(404), "server_error", "(status 404)", id="404"),
    pytest.param(Fault.status(503), "server_error", "(status 503)", id="503"),
    pytest.param(Fault.redirect(SPACES), "server_error", "(status 302)", id="redirect"),
    pytest.param(Fault.html(), "answer_not_understood", "does not understand", id="html"),
    pytest.param(Fault.nested(), "answer_not_understood", "does not understand", id="nested"),
    pytest.param(Fault.body("[7]"), "answer_not_understood", "does not understand", id="odd"),
    pytest.param(Fault.reset(), "cannot_connect", "could not be reached", id="reset"),
    pytest.param(Fault.bad_gzip(), "cannot_connect", "could not be reached", id="bad gzip"),
]


@pytest.mark.parametrize(("fault", "_key", "message"), FAILURES)
@pytest.mark.usefixtures("entry")
async def test_failing_poll_is_told_once_and_passes(
    home: Home, log: Log, fault: Fault, _key: str, message: str
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, fault, times=None)
    await home.poll(3)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "unavailable"
    assert hubs_online(home) == "unavailable"
    [error] = log(logging.ERROR)
    assert message in error
    assert "Example Organisation" in error
    assert log(logging.INFO, "recovered") == []
    home.simulator.clear_faults()
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert len(log(logging.INFO, "data recovered")) == 1
    assert home.flow_sources == []


@pytest.mark.parametrize(("fault", "key", "message"), FAILURES)
async def test_failing_setup_says_why_and_is_tried_again(
    home: Home, entry: ConfigEntry, fault: Fault, key: str, message: str
) -> None:
    await home.hass.config_entries.async_unload(entry.entry_id)
    home.simulator.add_fault("GET", HUBS_PATH, fault, times=None)
    await home.hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == key
    assert message in str(entry.reason)
    home.simulator.clear_faults()
    await home.advance_time(60)
    assert entry.state is ConfigEntryState.LOADED
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.flow_sources == []


async def test_poll_that_gets_no_answer_is_given_up(
    home: Home, entry: ConfigEntry, log: Log
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.hang())
    asked = len(home.simulator.requests)
    home.freezer.tick(31)
    async_fire_time_changed(home.hass)
    while len(home.simulator.requests) == asked:
        await asyncio.sleep(0)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    await home.advance_time(25)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert len(log(logging.ERROR, "could not be reached")) == 1
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, 30), ("5", 30), ("300", 300), ("date", 900), ("99999", 3600)],
)
async def test_rate_limit_is_heeded(
    home: Home, entry: ConfigEntry, header: str | None, seconds: int
) -> None:
    if header == "date":
        header = format_datetime(dt_util.utcnow() + timedelta(seconds=31 + seconds), usegmt=True)
    headers = {} if header is None else {"Retry-After": header}
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(429, headers))
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    asked = home.count_requests(HUBS_PATH)
    await home.advance_time(seconds - 3)
    assert home.count_requests(HUBS_PATH) == asked
    await home.advance_time(5)
    assert home.count_requests(HUBS_PATH) == asked + 1
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    await home.poll()
    assert home.count_requests(HUBS_PATH) == asked + 2


async def test_entity_that_fails_does_not_keep_others_from_being_told(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise ValueError

    hub = home.simulator.hub("Boardroom")
    entry.runtime_data.coordinator.async_add_listener(fail, hub.id)
    online = hubs_online(home)
    hub.online = False
    await home.poll()
    assert hubs_online(home) == str(int(online or "") - 1)
    assert f"could not update hub {hub.id}" in caplog.text


async def test_expired_token_is_not_noticed(home: Home, entry: ConfigEntry, log: Log) -> None:
    home.simulator.expire_access_tokens()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert log(logging.ERROR) == []


@pytest.mark.parametrize("when", ["poll", "setup"])
@pytest.mark.parametrize("how", ["refused", "revoked"])
async def test_refused_sign_in_asks_the_user(
    home: Home, entry: ConfigEntry, when: str, how: str
) -> None:
    if how == "refused":
        home.simulator.add_fault("GET", HUBS_PATH, Fault.status(401), times=None)
    else:
        home.simulator.revoke_access()
    if when == "poll":
        await home.poll(2)
    else:
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        assert entry.reason == "Ochno Operated no longer accepts the sign-in"
        await home.wait_until_idle()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert home.flow_sources == ["reauth"]
