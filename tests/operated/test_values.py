"""Tests of values and wrappers in responses of the cloud."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import math

from freezegun import freeze_time
import orjson
import pytest

from custom_components.ochno.operated.errors import OperatedResponseError
from custom_components.ochno.operated.types import JSON
from custom_components.ochno.operated.values import (
    decode,
    seconds_from_now,
    unwrapped_list,
    unwrapped_object,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def json_text(value: object) -> str:
    """Return JSON as the id of a test."""
    return orjson.dumps(value).decode()


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


INNER: JSON = {"id": "a", "x": 1}


@pytest.mark.parametrize(
    "json",
    [
        INNER,
        [INNER],
        {"hub": INNER},
        {"hub": [INNER]},
        [{"hub": INNER}],
        {"data": INNER},
        {"data": [INNER]},
        {"item": INNER},
        {"result": INNER},
        {"data": {"x": 1}, "item": INNER},
    ],
    ids=json_text,
)
def test_unwrapped_object_wrapped_object_is_found(json: JSON) -> None:
    assert unwrapped_object(json, "hub").json == INNER


@pytest.mark.parametrize(
    ("json", "expected"),
    [
        # An object with an id is not a wrapper.
        ({"id": "b", "data": INNER}, {"id": "b", "data": INNER}),
        ({"data": {"x": 1}}, {"data": {"x": 1}}),
        ({"data": [INNER, INNER]}, {"data": [INNER, INNER]}),
        # The name is enough.
        ({"hub": {"x": 1}}, {"x": 1}),
        ({"odd": INNER}, {"odd": INNER}),
    ],
    ids=json_text,
)
def test_unwrapped_object_other_object_is_kept(json: JSON, expected: JSON) -> None:
    assert unwrapped_object(json, "hub").json == expected


def test_unwrapped_object_other_id_name_decides() -> None:
    assert unwrapped_object([{"data": {"sub": "a"}}], "user", "sub").json == {"sub": "a"}
    assert unwrapped_object({"sub": "a", "data": {"sub": "b"}}, "user", "sub").json["sub"] == "a"


@pytest.mark.parametrize("json", [[INNER, INNER], [], 1, "a"], ids=json_text)
def test_unwrapped_object_no_object_raises_error(json: JSON) -> None:
    with pytest.raises(OperatedResponseError, match="expected an object, got "):
        unwrapped_object(json, "hub")


@pytest.mark.parametrize(
    "json",
    [
        [1],
        {"hubs": [1]},
        {"data": [1]},
        {"items": [1]},
        {"results": [1]},
        {"data": {"hubs": [1]}},
        {"data": {"items": [1]}},
    ],
    ids=json_text,
)
def test_unwrapped_list_wrapped_list_is_found(json: JSON) -> None:
    assert unwrapped_list(json, "hubs") == [1]


@pytest.mark.parametrize(
    ("json", "shape"),
    [
        ({"odd": [1]}, "{odd: [1]}"),
        ({"items": {"hubs": [1]}}, "{items: {hubs: [number]}}"),
        ({"data": {"x": 1}}, "{x: 1}"),
        (True, "true"),
        (None, "null"),
    ],
    ids=json_text,
)
def test_unwrapped_list_no_list_raises_error_with_shape(json: JSON, shape: str) -> None:
    with pytest.raises(OperatedResponseError) as error:
        unwrapped_list(json, "hubs")
    assert str(error.value) == f"expected a list, got {shape}"


@pytest.mark.parametrize(
    ("body", "json"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'["\\ud800", "\xc3\xb6"]', ["\ufffd", "\xf6"]),
        (b'["\\ud83d\\ude00", "\\ud800"]', ["\U0001f600", "\ufffd"]),
        (
            b"[NaN, 1, 1.5, 18446744073709551616, 1e999]",
            [None, 1, 1.5, 1.8446744073709552e19, None],
        ),
    ],
    ids=["plain", "byte order mark", "lone surrogate", "surrogate pair", "numbers"],
)
def test_decode_document_with_unusual_values_is_read(body: bytes, json: JSON) -> None:
    assert decode(body) == json


@pytest.mark.parametrize(
    ("body", "begin"),
    [
        (b"<html>", "6 bytes that begin with a tag"),
        (b" \n<html> ", "9 bytes that begin with a tag"),
        (b"html <a>", "8 bytes that begin with another character"),
        (b"", "0 bytes that begin with another character"),
        (b"[" * 100_000, "100000 bytes that begin with another character"),
    ],
    ids=["tag", "spaces and tag", "text", "empty", "nested"],
)
def test_decode_no_json_raises_error_with_its_begin(body: bytes, begin: str) -> None:
    with pytest.raises(OperatedResponseError) as error:
        decode(body)
    assert str(error.value) == f"expected JSON, got {begin}"
