"""What a webhook is told, as the cloud might write it."""

from typing import Any

import orjson
import pytest

from custom_components.ochno.operated.delivery import Delivery
from custom_components.ochno.operated.errors import OperatedResponseError


def read(message: Any) -> Delivery:
    return Delivery.from_body(orjson.dumps(message))


@pytest.mark.parametrize(
    ("message", "hub_id", "serial"),
    [
        ({"hubId": "h1"}, "h1", None),
        ({"data": {"hubId": "h1"}}, "h1", None),
        ({"hubId": "h1", "data": {"hubId": "h2"}}, "h1", None),
        ({"serialNumber": "s1"}, None, "s1"),
        ({"data": {"serialNumber": "s1"}}, None, "s1"),
        ({"hubId": 17, "serialNumber": 4}, "17", "4"),
        ({"hubId": ["h1"], "serialNumber": {}}, None, None),
        ({"hubId": "", "data": {"hubId": "h2"}}, "h2", None),
        ({"hubId": "h1", "data": "?"}, "h1", None),
        ({}, None, None),
        ([{"hubId": "h1"}], None, None),
        ("h1", None, None),
        (None, None, None),
    ],
)
def test_hub_is_named_by_id_or_serial_number(
    message: Any, hub_id: str | None, serial: str | None
) -> None:
    delivery = read(message)
    assert (delivery.hub_id, delivery.serial_number) == (hub_id, serial)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"event": "hub:temp"}, "hub:temp"),
        ({"event": ""}, None),
        ({"event": ["hub:temp"]}, None),
        ([{"event": "hub:temp"}], None),
    ],
)
def test_event_is_read_and_all_that_was_delivered_kept(message: Any, event: str | None) -> None:
    assert (read(message).event, read(message).raw) == (event, message)


def test_change_of_state_is_read() -> None:
    message = {"event": "hub:state:change", "hubId": "h1", "data": {"newState": {"active": 2}}}
    assert read(message).new_state == {"active": 2}


@pytest.mark.parametrize(
    "message",
    [
        {"event": "hub:state:change"},
        {"event": "hub:state:change", "data": {}},
        {"event": "hub:state:change", "data": [{"newState": {"active": 2}}]},
        {"event": "hub:state:change", "data": {"newState": None}},
        {"event": "hub:state:change", "data": {"newState": [1]}},
        {"event": "hub:state:change", "data": {"newState": "active"}},
        {"event": "hub:config:change", "data": {"newState": {"active": 2}}},
        {"event": ["hub:state:change"], "data": {"newState": {"active": 2}}},
        {"data": {"newState": {"active": 2}}},
    ],
)
def test_anything_else_says_nothing_of_the_state(message: Any) -> None:
    assert read(message).new_state is None


@pytest.mark.parametrize(
    ("message", "tokens"),
    [
        ({}, ()),
        ({"verificationToken": None}, ()),
        ({"verificationToken": "a"}, ("a",)),
        ({"verificationToken": ""}, ("",)),
        ({"verificationToken": 1}, ("1",)),
        ({"data": {"verificationToken": "b"}}, ("b",)),
        ({"verificationToken": "a", "data": {"verificationToken": "b"}}, ("a", "b")),
    ],
)
def test_verification_tokens_are_read(message: Any, tokens: tuple[str, ...]) -> None:
    assert read(message).verification_tokens == tokens


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"\xff\xfe",
        b'{"hubId": "K\xf6k"}',
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_an_error(body: bytes) -> None:
    with pytest.raises(OperatedResponseError, match=r"^not JSON$"):
        Delivery.from_body(body)
