"""Tests of the spaces: when they are fetched, and the areas that they set."""

from datetime import timedelta
import logging
from unittest.mock import patch

import pytest

from homeassistant.config_entries import ConfigEntry
from homeassistant.util import dt as dt_util

from .home import HUBS_PATH, Home
from .simulator import Fault
from .test_devices import hub_area, log_messages

SPACES_PATH = "/api/spaces/v1"


async def test_spaces_are_fetched_at_setup_and_hourly(home: Home, entry: ConfigEntry) -> None:
    assert home.count_requests(SPACES_PATH) == 1
    await home.poll(5)
    assert home.count_requests(SPACES_PATH) == 1
    await home.advance_time(3600)
    assert home.count_requests(SPACES_PATH) == 2
    await home.poll(5)
    assert home.count_requests(SPACES_PATH) == 2


async def test_spaces_are_not_fetched_for_changed_and_returning_hubs(
    home: Home, entry: ConfigEntry
) -> None:
    boardroom, hubs = home.simulator.hub("Boardroom"), home.simulator.database.hubs
    for port in (2, 3, 4):
        boardroom.set_active(port)
        await home.poll()
    focus_room = hubs.pop(home.simulator.hub("Focus room").id)
    await home.poll()
    hubs[focus_room.id] = focus_room
    await home.poll()
    assert home.state("sensor", "Focus room", "active_port") == "none"
    assert home.count_requests(SPACES_PATH) == 1


async def test_spaces_fetched_after_error_set_area_of_unchanged_hubs(home: Home) -> None:
    home.simulator.add_fault("GET", SPACES_PATH, Fault.status(500))
    await home.link_account()
    assert hub_area(home, "Boardroom") is None
    await home.advance_time(400)
    assert hub_area(home, "Boardroom") == "Boardroom"


async def test_spaces_are_fetched_once_for_unknown_space_id(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_hub("Library")
    await home.poll()
    assert home.count_requests(SPACES_PATH) == 2
    assert hub_area(home, "Library") == "Library"
    home.simulator.hub("Library").space_ids = ["unknown"]
    await home.poll(3)
    assert home.count_requests(SPACES_PATH) == 3


@pytest.mark.parametrize(
    "fault",
    [Fault.status(500), Fault.status(403), Fault.status(429), Fault.html(), Fault.reset()],
    ids=["500", "403", "429", "html", "reset"],
)
async def test_spaces_error_leaves_area_empty_and_entities_available(
    home: Home, caplog: pytest.LogCaptureFixture, fault: Fault
) -> None:
    home.simulator.add_fault("GET", SPACES_PATH, fault, times=None)
    await home.link_account()
    requests = home.count_requests(SPACES_PATH)
    await home.poll(3)
    assert home.state("sensor", "Boardroom", "active_port") == "1"
    assert hub_area(home, "Boardroom") is None
    assert log_messages(caplog, logging.ERROR) == []
    assert home.count_requests(SPACES_PATH) == requests
    home.simulator.clear_faults()
    await home.advance_time(3600)
    home.simulator.add_hub("Library")
    await home.poll()
    assert hub_area(home, "Library") == "Library"


async def test_spaces_error_keeps_known_names(home: Home, entry: ConfigEntry) -> None:
    home.simulator.add_fault("GET", SPACES_PATH, Fault.status(500), times=None)
    await home.advance_time(3600)
    [space_id] = home.simulator.hub("Boardroom").space_ids
    home.simulator.add_hub("Second table", space=space_id)
    await home.poll()
    assert hub_area(home, "Second table") == "Boardroom"


async def test_clock_ahead_at_setup_and_corrected_later_fetches_spaces_and_full_list_hourly(
    home: Home,
) -> None:
    # The frozen clock of the tests would also move the monotonic clock.
    now = dt_util.utcnow
    with patch("homeassistant.util.dt.utcnow", lambda: now() + timedelta(days=400)):
        await home.link_account()
        await home.wait_until_idle()
    await home.poll()
    home.simulator.requests.clear()
    for _ in range(2):
        await home.advance_time(3600)
        await home.poll(5)
    assert home.count_requests(SPACES_PATH) == 2
    statuses = [request.status for request in home.simulator.requests if request.path == HUBS_PATH]
    assert statuses.count(200) == 2
    assert statuses.count(304) == len(statuses) - 2
