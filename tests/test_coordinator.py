"""Tests of the coordinator: requests of a poll, errors and recovery."""

import asyncio
from datetime import timedelta
from email.utils import format_datetime
import logging

from aiohttp import web
import orjson
import pytest

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.helpers import entity_registry as er
from homeassistant.util import dt as dt_util

from .home import HUBS_PATH, TOKEN_PATH, Home
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.responses import Handler
from .test_devices import active_port, hub_device, log_messages

# A fault of the hub list, the translation key of the error, and a part of its message.
FAILURES = [
    pytest.param(Fault.status(403), "scope_missing", "does not have the scope hubs:read", id="403"),
    pytest.param(Fault.status(429), "rate_limited", "does not accept more requests", id="429"),
    pytest.param(Fault.status(404), "server_error", "(status 404)", id="404"),
    pytest.param(Fault.status(503), "server_error", "(status 503)", id="503"),
    pytest.param(Fault.redirect("/api/spaces/v1"), "server_error", "(status 302)", id="redirect"),
    pytest.param(Fault.html(), "answer_not_understood", "does not understand", id="html"),
    pytest.param(Fault.nested(), "answer_not_understood", "does not understand", id="nested"),
    pytest.param(Fault.body("[7]"), "answer_not_understood", "does not understand", id="malformed"),
    pytest.param(Fault.reset(), "cannot_connect", "could not be reached", id="reset"),
    pytest.param(Fault.bad_gzip(), "cannot_connect", "could not be reached", id="bad gzip"),
]


def hubs_online(home: Home) -> str | None:
    """Return the state of the account's sensor *Hubs online*."""
    unique_id = f"{home.entry.unique_id}_hubs_online"
    entity_id = er.async_get(home.hass).async_get_entity_id("sensor", "ochno", unique_id)
    state = home.hass.states.get(entity_id) if entity_id else None
    return state.state if state else None


@pytest.mark.parametrize("additional_hubs", [0, 40])
async def test_poll_sends_one_request_for_any_number_of_hubs(
    home: Home, additional_hubs: int
) -> None:
    for number in range(additional_hubs):
        home.simulator.add_hub(f"Room {number}")
    await home.link_account()
    home.simulator.requests.clear()
    await home.poll(3)
    assert [request.path for request in home.simulator.requests] == [HUBS_PATH] * 3


async def test_poll_of_account_without_hubs_adds_hubs_that_come_later(home: Home) -> None:
    hubs = home.simulator.database.hubs
    later_hubs = dict(hubs)
    hubs.clear()
    await home.link_account()
    assert hubs_online(home) == "0"
    hubs.update(later_hubs)
    await home.poll()
    assert hubs_online(home) == "3"
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_poll_without_states_in_list_fetches_two_hubs_at_a_time(home: Home) -> None:
    home.simulator.settings.list_state = False
    for number in range(20):
        home.simulator.add_hub(f"Room {number}")
    await home.link_account()
    running = max_running = 0

    async def count(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
        nonlocal running, max_running
        running += 1
        max_running = max(max_running, running)
        # Enough time for all concurrent requests to arrive.
        for _ in range(30):
            await asyncio.sleep(0)
        running -= 1
        return await handler(request)

    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault("count", count), times=None)
    home.simulator.hub("Workshop").plug(7)
    home.simulator.requests.clear()
    await home.poll()
    assert len(home.simulator.requests) == 1 + 24
    assert max_running == 2
    assert home.state("binary_sensor", "Workshop", "port_7_connected") == "on"


async def test_details_error_of_one_hub_keeps_its_state(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    boardroom, focus_room = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{boardroom.id}", Fault.status(500), times=None)
    boardroom.set_active(2)
    focus_room.set_active(2)
    await home.poll()
    assert (active_port(home, boardroom), active_port(home, focus_room)) == ("1", "2")
    home.simulator.clear_faults()
    await home.poll()
    assert active_port(home, boardroom) == "2"


async def test_details_error_at_setup_adds_entities_at_next_poll(home: Home) -> None:
    home.simulator.settings.list_state = False
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(500), times=1)
    await home.link_account()
    assert hub_device(home, hub) is not None
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "on"
    assert active_port(home, hub) is None
    await home.poll()
    assert active_port(home, hub) == "1"


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        pytest.param(Fault.status(500), "reported an error (status 500)", id="500"),
        pytest.param(Fault.html(), "does not understand", id="html"),
        pytest.param(Fault.reset(), "could not be reached", id="reset"),
        pytest.param(Fault.status(403), "does not have the scope hubs:read", id="403"),
    ],
)
async def test_details_error_of_all_hubs_makes_all_unavailable(
    home: Home, caplog: pytest.LogCaptureFixture, fault: Fault, message: str
) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", fault, times=None)
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert len(log_messages(caplog, logging.ERROR, message)) == 1
    home.simulator.clear_faults()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


async def test_details_error_of_only_hub_makes_it_unavailable(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.settings.list_state = False
    await home.link_account("Second Organisation")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.status(500))
    await home.poll()
    assert home.state("sensor", "Elsewhere", "active_port") == "unavailable"
    assert len(log_messages(caplog, logging.ERROR, "reported an error (status 500)")) == 1
    await home.poll()
    assert home.state("sensor", "Elsewhere", "active_port") == "none"


async def test_details_of_all_hubs_rejecting_token_make_hubs_unavailable(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    home.simulator.add_fault("GET", f"{HUBS_PATH}/*", Fault.status(401), times=None)
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.poll(11)
    assert home.flow_sources == ["reauth"]


async def test_details_of_one_hub_rejecting_token_make_hubs_unavailable(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", Fault.status(401), times=None)
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    await home.poll(11)
    assert home.flow_sources == ["reauth"]


async def test_details_with_failing_token_refresh_recover_without_reauth(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
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
    assert len(log_messages(caplog, logging.ERROR)) == 1


async def test_details_rate_limit_delays_next_poll(home: Home) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    hub = home.simulator.hub("Boardroom")
    fault = Fault.status(429, {"Retry-After": "300"})
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{hub.id}", fault)
    await home.poll()
    requests = home.count_requests(HUBS_PATH)
    await home.advance_time(200)
    assert home.count_requests(HUBS_PATH) == requests


async def test_details_rate_limit_cancels_other_requests(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.settings.list_state = False
    await home.link_account()
    boardroom, focus_room = home.simulator.hub("Boardroom"), home.simulator.hub("Focus room")
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{boardroom.id}", Fault.hang())
    home.simulator.add_fault("GET", f"{HUBS_PATH}/{focus_room.id}", Fault.status(429), times=2)
    await home.poll()
    assert len(log_messages(caplog, logging.ERROR, "does not accept more requests")) == 1
    home.simulator.clear_faults()
    focus_room.plug(2)
    await home.poll()
    assert home.state("binary_sensor", "Focus room", "port_2_connected") == "on"


async def test_malformed_hub_is_unavailable_and_logged_once(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    workshop = home.simulator.hub("Workshop")
    no_override = workshop.json_override
    for _ in range(2):
        workshop.json_override = ["malformed value"]
        await home.poll(3)
        [warning] = log_messages(caplog, logging.WARNING, "not understood (GET /api/hubs/v1)")
        assert "malformed value" not in warning
        assert home.state("sensor", "Workshop", "active_port") == "unavailable"
        assert home.state("sensor", "Boardroom", "active_port") == "1"
        workshop.json_override = no_override
        await home.poll()
        assert home.state("sensor", "Workshop", "active_port") == "none"


async def test_list_with_many_malformed_hubs_logs_ten_warnings(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    malformed = ({f"key_{number}": 1} for number in range(1_000))
    hub_list = orjson.dumps([*malformed, {"id": home.simulator.hub("Boardroom").id}])
    home.simulator.add_fault("GET", HUBS_PATH, Fault.body(hub_list.decode()))
    await home.poll()
    warnings = log_messages(caplog, logging.WARNING, "not understood (GET /api/hubs/v1)")
    assert len(warnings) == 10


@pytest.mark.parametrize(("fault", "_key", "message"), FAILURES)
@pytest.mark.usefixtures("entry")
async def test_poll_error_is_logged_once_and_recovers(
    home: Home, caplog: pytest.LogCaptureFixture, fault: Fault, _key: str, message: str
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, fault, times=None)
    await home.poll(3)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert home.state("binary_sensor", "Boardroom", "connectivity") == "unavailable"
    assert hubs_online(home) == "unavailable"
    [error] = log_messages(caplog, logging.ERROR)
    assert message in error
    assert "Example Organisation" in error
    assert log_messages(caplog, logging.INFO, "recovered") == []
    home.simulator.clear_faults()
    await home.poll(2)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert len(log_messages(caplog, logging.INFO, "data recovered")) == 1
    assert home.flow_sources == []


@pytest.mark.parametrize(("fault", "key", "message"), FAILURES)
async def test_setup_error_has_reason_and_is_retried(
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
    assert home.hass.config_entries.async_loaded_entries("ochno") == [entry]
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert home.flow_sources == []


async def test_poll_without_response_times_out(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.add_fault("GET", HUBS_PATH, Fault.hang())
    requests = len(home.simulator.requests)
    home.fire_time_changed(31)
    while len(home.simulator.requests) == requests:
        await asyncio.sleep(0)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    await home.advance_time(25)
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert len(log_messages(caplog, logging.ERROR, "could not be reached")) == 1
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"


@pytest.mark.parametrize(
    ("retry_after", "times", "seconds"),
    [(None, 2, 30), ("5", 1, 30), ("300", 1, 300), ("date", 1, 900), ("99999", 1, 3600)],
)
async def test_poll_rate_limit_delays_next_poll(
    home: Home, entry: ConfigEntry, retry_after: str | None, times: int, seconds: int
) -> None:
    if retry_after == "date":
        date = dt_util.utcnow() + timedelta(seconds=31 + seconds)
        retry_after = format_datetime(date, usegmt=True)
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    home.simulator.add_fault("GET", HUBS_PATH, Fault.status(429, headers), times=times)
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    requests = home.count_requests(HUBS_PATH)
    await home.advance_time(seconds - 3)
    assert home.count_requests(HUBS_PATH) == requests
    await home.advance_time(5)
    assert home.count_requests(HUBS_PATH) == requests + 1
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    await home.poll()
    assert home.count_requests(HUBS_PATH) == requests + 2


async def test_listener_error_does_not_prevent_other_updates(
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


async def test_poll_with_expired_token_refreshes_it_without_error(
    home: Home, entry: ConfigEntry, caplog: pytest.LogCaptureFixture
) -> None:
    home.simulator.expire_access_tokens()
    await home.poll()
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert log_messages(caplog, logging.ERROR) == []


@pytest.mark.parametrize("occasion", ["poll", "setup"])
async def test_revoked_access_makes_hubs_unavailable_and_starts_reauth(
    home: Home, entry: ConfigEntry, occasion: str
) -> None:
    home.simulator.revoke_access()
    if occasion == "poll":
        await home.poll(2)
    else:
        await home.hass.config_entries.async_reload(entry.entry_id)
        assert entry.state is ConfigEntryState.SETUP_ERROR
        assert entry.reason == (
            "Ochno Operated no longer accepts the sign-in. "
            "Sign in again when Home Assistant asks you to"
        )
        await home.wait_until_idle()
    assert home.state("sensor", "Boardroom", "active_port") == "unavailable"
    assert home.flow_sources == ["reauth"]
