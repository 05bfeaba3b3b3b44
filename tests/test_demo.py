"""Tests of the demo's building and its simulated usage."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from .live.building import FLOORS, OFFICE_HOURS, UNUSED_HUB, USAGE_DAYS, simulated_usage
from .simulator import Simulator


def test_rooms_of_first_account_are_on_floors_and_one_has_three_hubs() -> None:
    database = Simulator().database
    database.add_building()
    account = database.account().id
    spaces = {space.id: space.name for space in database.spaces_in_account(account)}
    assert sorted(spaces.values()) == sorted(room for rooms in FLOORS.values() for room in rooms)
    hubs = database.hubs_in_account(account)
    assert sum(spaces[hub.space_ids[0]] == "Training room" for hub in hubs) == 3


def test_usage_of_two_weeks_is_in_office_hours_and_ends_with_sum_of_zero() -> None:
    now = datetime(2026, 11, 25, 15, tzinfo=UTC)
    rows = list(simulated_usage("Boardroom", now))
    starts = [datetime.fromisoformat(str(row["start"])) for row in rows]
    assert (starts[1], starts[-1]) == (now - timedelta(days=USAGE_DAYS), now - timedelta(hours=1))
    assert rows[-1]["sum"] == pytest.approx(0)
    changes = [
        (start, float(row["sum"]) - float(last["sum"]))
        for (last, row), start in zip(pairwise(rows), starts[1:], strict=True)
    ]
    assert all(0 <= change <= 1 for _, change in changes)
    used = [start for start, change in changes if change]
    assert used
    assert all(start.weekday() < 5 and start.hour in OFFICE_HOURS for start in used)
    assert {row["sum"] for row in simulated_usage(UNUSED_HUB, now)} == {0}
