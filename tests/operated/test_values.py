"""Tests of single values that the cloud sends outside of hubs."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import math

from freezegun import freeze_time
import pytest

from custom_components.ochno.operated.values import seconds_from_now

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        ("90", 90),
        ("-1.5", -1.5),
        ("2026-11-30T12:01:30Z", 90),
        ("2026-11-30T12:01:30", 90),
        ("2026-11-30T13:01:30+01:00", 90),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        ("Mon, 30 Nov 2026 12:01:30 -0000", 90),
        ("Mon, 30 Nov 2026 11:59:00 GMT", -60),
    ],
)
def test_seconds_from_now_number_or_date_is_read(value: object, seconds: float) -> None:
    with freeze_time(NOW):
        assert seconds_from_now(value) == seconds


@pytest.mark.parametrize(
    "value", [None, True, "", "soon", "nan", math.inf, "-inf", [90], {"s": 90}]
)
def test_seconds_from_now_other_value_is_none(value: object) -> None:
    assert seconds_from_now(value) is None
