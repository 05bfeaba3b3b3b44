"""The list of hubs beside an earlier one: the same hubs, and only what changed is read."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from custom_components.ochno.operated import models
from custom_components.ochno.operated.errors import OperatedResponseError
from custom_components.ochno.operated.models import HubList

type Json = dict[str, Any]

HUBS: list[Json] = [
    {
        "id": f"hub-{number}",
        "name": f"Room {number}",
        "data": {"state": {"active": 1, "connected": [True, False]}},
    }
    for number in range(6)
]
CHANGED: Json = {"id": "hub-3", "data": {"state": {"active": 2, "connected": [True, True]}}}
NEW: Json = {"id": "hub-6", "name": "New"}


def body(hubs: list[Json]) -> bytes:
    """Write a list as the vendor does."""
    return orjson.dumps(hubs)


@pytest.fixture
def earlier() -> HubList:
    """Return a list that was read before."""
    return HubList.from_body(body(HUBS))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Return all JSON that is read from now on; it is what a poll costs."""
    read: list[bytes] = []

    def decode(text: bytes) -> Any:
        read.append(text)
        return orjson.loads(text)

    monkeypatch.setattr(models, "decode", decode)
    return read


def with_change(position: int) -> list[Json]:
    return [*HUBS[:position], {**CHANGED, "id": HUBS[position]["id"]}, *HUBS[position + 1 :]]


def without(position: int) -> list[Json]:
    return [*HUBS[:position], *HUBS[position + 1 :]]


@pytest.mark.parametrize("position", range(6))
@pytest.mark.parametrize("change", [with_change, without])
def test_hub_list_one_changed_hub_keeps_other_objects(
    earlier: HubList, change: Callable[[int], list[Json]], position: int
) -> None:
    hubs = change(position)
    changed = [hub["id"] for hub in hubs if hub not in HUBS]
    now = HubList.from_body(body(hubs), None, earlier)
    assert list(now.hubs) == [hub["id"] for hub in hubs]
    assert [id_ for id_, hub in now.hubs.items() if hub is not earlier.hubs[id_]] == changed
    assert now == HubList.from_body(body(hubs))


def test_what_is_as_before_amid_changes_is_the_same(earlier: HubList) -> None:
    hubs = [NEW, CHANGED, *reversed(without(3)), {**NEW, "id": "hub-7"}]
    now = HubList.from_body(body(hubs), None, earlier)
    same = {id_ for id_, hub in earlier.hubs.items() if now.hubs[id_] is hub}
    assert same == earlier.hubs.keys() - {"hub-3"}


def test_same_answer_is_the_same_list(earlier: HubList, decoded: list[bytes]) -> None:
    assert HubList.from_body(body(HUBS), None, earlier) is earlier
    later = HubList.from_body(body(with_change(2)), '"2"', earlier)
    assert later is not earlier
    assert later.etag == '"2"'
    decoded.clear()
    assert HubList.from_body(body(with_change(2)), None, later) is later
    assert decoded == []


def test_list_written_in_another_way_is_read_as_a_whole(earlier: HubList) -> None:
    spaced = orjson.dumps(with_change(2), option=orjson.OPT_INDENT_2)
    now = HubList.from_body(spaced, None, earlier)
    assert now.hubs == HubList.from_body(body(with_change(2))).hubs
    assert now.hubs["hub-1"] is earlier.hubs["hub-1"]


@pytest.mark.parametrize(
    "broken",
    [
        lambda text: b"{" + text[1:],
        lambda text: text[:-1] + b"}",
        lambda text: text[1:],
        lambda text: text[:-1],
        lambda text: text.replace(b"},{", b"},,{", 1),
        lambda text: text.replace(b"},{", b"} {", 1),
        lambda text: text[:1] + b"," + text[1:],
        lambda text: text[:-1] + b"," + text[-1:],
    ],
)
def test_broken_list_is_refused_however_much_of_it_is_known(
    earlier: HubList, broken: Callable[[bytes], bytes]
) -> None:
    for hubs in (HUBS, with_change(2)):
        with pytest.raises(OperatedResponseError):
            HubList.from_body(broken(body(hubs)), None, earlier)
