"""Tests of reading webhook deliveries."""

import orjson
import pytest

from custom_components.ochno.operated.delivery import Delivery, read_deliveries
from custom_components.ochno.operated.errors import OperatedResponseError


def read_delivery(message: object) -> Delivery:
    """Read a delivery with this message as the body."""
    [delivery] = read_deliveries(orjson.dumps(message))
    return delivery


@pytest.mark.parametrize(
    ("message", "hub_id", "serial_number"),
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
        ([{"hubId": "h1"}], "h1", None),
        ('{"hubId": "h1"}', "h1", None),
        ({"hub": {"id": "h1", "serialNumber": "s1"}}, "h1", "s1"),
        ({"data": {"hub": {"id": "h1"}}}, "h1", None),
        ({"data": {"hub_id": "h1", "serial_number": "s1"}}, "h1", "s1"),
        (1, None, None),
        (None, None, None),
    ],
)
def test_delivery_hub_id_and_serial_number_are_read(
    message: object, hub_id: str | None, serial_number: str | None
) -> None:
    delivery = read_delivery(message)
    assert (delivery.hub_id, delivery.serial_number) == (hub_id, serial_number)


@pytest.mark.parametrize(
    ("message", "event"),
    [
        ({"event": "hub:temp"}, "hub:temp"),
        ({"event": ""}, None),
        ({"event": ["hub:temp"]}, None),
        ({"type": "hub:temp"}, "hub:temp"),
    ],
)
def test_delivery_event_is_read_and_body_is_kept(message: object, event: str | None) -> None:
    delivery = read_delivery(message)
    assert (delivery.event, delivery.raw) == (event, message)


@pytest.mark.parametrize(
    "content",
    [
        {"data": {"newState": {"active": 2}}},
        {"data": {"state": {"active": 2}}},
        {"data": {"newState": {"active": 2}, "state": {"active": 3}}},
        {"newState": {"active": 2}},
        {"state": {"active": 2}},
        {"newState": {"active": 2}, "state": {"active": 3}},
        {"data": {"newState": {"active": 2}}, "newState": {"active": 3}},
    ],
)
def test_delivery_state_change_has_new_state(content: dict[str, object]) -> None:
    message = {"event": "hub:state:change", "hubId": "h1", **content}
    assert read_delivery(message).new_state == {"active": 2}


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
def test_delivery_invalid_or_other_event_has_no_new_state(message: object) -> None:
    assert read_delivery(message).new_state is None


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
def test_delivery_verification_tokens_are_read(message: object, tokens: tuple[str, ...]) -> None:
    assert read_delivery(message).verification_tokens == tokens


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"not JSON", id="text"),
        pytest.param(b"\xff\xfe", id="binary"),
        pytest.param(b'{"hubId": "K\xf6k"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="nested"),
    ],
)
def test_delivery_body_not_json_raises_response_error(body: bytes) -> None:
    with pytest.raises(OperatedResponseError, match=r"^expected JSON, got "):
        read_deliveries(body)


def test_deliveries_list_is_read() -> None:
    body = orjson.dumps([{"hubId": "h1"}, {"hubId": "h2"}])
    assert [delivery.hub_id for delivery in read_deliveries(body)] == ["h1", "h2"]


def test_deliveries_list_of_more_than_100_raises_response_error() -> None:
    assert len(read_deliveries(orjson.dumps([{}] * 100))) == 100
    with pytest.raises(OperatedResponseError, match="expected a delivery, got a list of 101"):
        read_deliveries(orjson.dumps([{}] * 101))
