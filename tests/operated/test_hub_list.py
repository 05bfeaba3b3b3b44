"""Tests of reading a hub list when an earlier list is known."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from custom_components.ochno.operated import models
from custom_components.ochno.operated.errors import OperatedResponseError
from custom_components.ochno.operated.hub_list import HubList
from custom_components.ochno.operated.types import JSON

type HubJson = dict[str, Any]

HUBS: list[HubJson] = [
    {
        "id": f"hub-{number}",
        "name": f"Room {number}",
        "data": {"state": {"active": 1, "connected": [True, False]}},
    }
    for number in range(6)
]
CHANGED_HUB: HubJson = {"id": "hub-3", "data": {"state": {"active": 2, "connected": [True, True]}}}
NEW_HUB: HubJson = {"id": "hub-6", "name": "New"}


def encode_list(hubs: list[HubJson]) -> bytes:
    """Return the body of a response with these hubs."""
    return orjson.dumps(hubs)


@pytest.fixture
def earlier() -> HubList:
    """Return the earlier list."""
    return HubList.from_body(encode_list(HUBS))


@pytest.fixture
def decoded_bodies(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return a list to which each decoded body is added."""
    decoded_bodies: list[bytes] = []

    def decode(body: bytes) -> JSON:
        decoded_bodies.append(body)
        document: JSON = orjson.loads(body)
        return document

    monkeypatch.setattr(models, "decode", decode)
    return decoded_bodies


def with_changed_hub(position: int) -> list[HubJson]:
    """Return the hubs with the hub at this position changed."""
    changed = {**CHANGED_HUB, "id": HUBS[position]["id"]}
    return [*HUBS[:position], changed, *HUBS[position + 1 :]]


def without_hub(position: int) -> list[HubJson]:
    """Return the hubs without the hub at this position."""
    return [*HUBS[:position], *HUBS[position + 1 :]]


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("change", [with_changed_hub, without_hub])
def test_hub_list_changed_or_removed_hub_keeps_other_objects(
    earlier: HubList, change: Callable[[int], list[HubJson]], position: int
) -> None:
    hubs = change(position)
    changed_ids = [hub["id"] for hub in hubs if hub not in HUBS]
    later = HubList.from_body(encode_list(hubs), None, earlier)
    assert list(later.hubs) == [hub["id"] for hub in hubs]
    replaced_ids = [id_ for id_, hub in later.hubs.items() if hub is not earlier.hubs[id_]]
    assert replaced_ids == changed_ids
    assert later == HubList.from_body(encode_list(hubs))


def test_hub_list_reordered_changed_and_extended_keeps_unchanged_objects(earlier: HubList) -> None:
    hubs = [NEW_HUB, CHANGED_HUB, *reversed(without_hub(3)), {**NEW_HUB, "id": "hub-7"}]
    later = HubList.from_body(encode_list(hubs), None, earlier)
    kept_ids = {id_ for id_, hub in earlier.hubs.items() if later.hubs[id_] is hub}
    assert kept_ids == earlier.hubs.keys() - {"hub-3"}


def test_hub_list_same_body_has_earlier_hubs_without_decoding(
    earlier: HubList, decoded_bodies: list[bytes]
) -> None:
    assert HubList.from_body(encode_list(HUBS), None, earlier).hubs is earlier.hubs
    later = HubList.from_body(encode_list(with_changed_hub(2)), '"2"', earlier)
    assert later is not earlier
    assert later.etag == '"2"'
    decoded_bodies.clear()
    same = HubList.from_body(encode_list(with_changed_hub(2)), '"3"', later)
    assert same.hubs is later.hubs
    assert same.etag == '"3"'
    assert decoded_bodies == []


def test_hub_list_other_white_space_keeps_unchanged_objects(earlier: HubList) -> None:
    indented = orjson.dumps(with_changed_hub(2), option=orjson.OPT_INDENT_2)
    later = HubList.from_body(indented, None, earlier)
    assert later.hubs == HubList.from_body(encode_list(with_changed_hub(2))).hubs
    assert later.hubs["hub-1"] is earlier.hubs["hub-1"]


@pytest.mark.parametrize(
    "corrupt",
    [
        pytest.param(lambda body: b"{" + body[1:], id="wrong first bracket"),
        pytest.param(lambda body: body[:-1] + b"}", id="wrong last bracket"),
        pytest.param(lambda body: body[1:], id="no first bracket"),
        pytest.param(lambda body: body[:-1], id="no last bracket"),
        pytest.param(lambda body: body.replace(b"},{", b"},,{", 1), id="two commas"),
        pytest.param(lambda body: body.replace(b"},{", b"} {", 1), id="no comma"),
        pytest.param(lambda body: body[:1] + b"," + body[1:], id="comma at the start"),
        pytest.param(lambda body: body[:-1] + b"," + body[-1:], id="comma at the end"),
    ],
)
def test_hub_list_invalid_json_raises_response_error(
    earlier: HubList, corrupt: Callable[[bytes], bytes]
) -> None:
    for hubs in (HUBS, with_changed_hub(2)):
        with pytest.raises(OperatedResponseError):
            HubList.from_body(corrupt(encode_list(hubs)), None, earlier)
