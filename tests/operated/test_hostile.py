"""Whatever the cloud sends, it is read or refused, and an id arrives as it is or is not used."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import given, strategies as st
import orjson
import pytest

from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.delivery import Delivery
from custom_components.ochno.operated.errors import OperatedRateLimitError, OperatedResponseError
from custom_components.ochno.operated.models import Account, Hub, HubList, User, read_spaces
from custom_components.ochno.operated.values import decode, encode

from ..strategies import (
    ACCOUNTS,
    DELIVERIES,
    HUB_LISTS,
    HUBS,
    IDS,
    JSON_VALUES,
    SPACE_LISTS,
    dump_json,
    max_examples,
)
from .test_client import _custom_integrations, session, token_source

__all__ = ["_custom_integrations", "session"]

pytestmark = pytest.mark.property

SOUND = {
    "id": "66a1b2c3",
    "name": "Sound",
    "data": {"state": {"connected": [1, 0], "active": 1}, "connections": {"usb1": None}},
}


def texts(value: Any) -> list[str]:
    """Return all texts in what was read."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() for text in (key, *texts(item))]
        case list() | tuple():
            return [text for item in value for text in texts(item)]
        case _:
            return []


def check_texts(read: Any) -> None:
    for text in texts(read):
        assert text.isprintable(), text
        assert text.strip() == text != ""
        assert len(text) <= 200


def check_hub(hub: Hub) -> None:
    facts = asdict(hub)
    # Written to files and sent to browsers as it is.
    orjson.dumps(decode(facts.pop("raw")))
    check_texts(facts)
    assert len(hub.ports) <= 64
    assert len(hub.connections) <= 64
    assert hub.in_use in (None, False, True)
    assert hub.overheating in (None, False, True)


@max_examples(300)
@given(hubs=HUB_LISTS, position=st.integers(0, 3))
def test_sound_hub_is_read_whatever_stands_beside_it(hubs: list[Any], position: int) -> None:
    listing = HubList.from_body(dump_json([*hubs[:position], SOUND, *hubs[position:]]).encode())
    for hub in listing.hubs.values():
        check_hub(hub)
    assert Hub.from_json(SOUND) in listing.hubs.values()
    check_texts(listing.malformed)
    sent = [str(hub.get("id")) for hub in (*hubs, SOUND) if isinstance(hub, dict)]
    assert set(listing.hubs) <= set(sent)
    assert all(id_ == hub.id for id_, hub in listing.hubs.items())


@max_examples(300)
@given(hubs=HUB_LISTS, later=HUB_LISTS, position=st.integers(0, 3))
def test_list_is_read_the_same_whatever_was_listed_before(
    hubs: list[Any], later: list[Any], position: int
) -> None:
    def body(*items: Any) -> bytes:
        return encode(decode(dump_json(items).encode()))

    other = {**SOUND, "id": "other"}
    before = HubList.from_body(body(other, *hubs, SOUND))
    answer = body(
        *[other][:position], *later[:position], *hubs[position:], *later[position:], SOUND
    )
    assert asdict(HubList.from_body(answer, None, before)) == asdict(HubList.from_body(answer))


@max_examples(300)
@given(delivery=DELIVERIES, answer=HUBS)
def test_delivery_is_taken_and_leaves_a_hub(delivery: Any, answer: Any) -> None:
    hub = Hub.from_json(SOUND)
    event = Delivery.from_body(dump_json(delivery).encode())
    check_texts([event.event, event.hub_id, event.serial_number])
    hub = hub.with_state(event.new_state or {})
    check_hub(hub)
    try:
        newer = Hub.from_json({**decode(dump_json(answer).encode()), "id": hub.id})  # type: ignore[dict-item]
    except OperatedResponseError:
        return
    check_hub(hub.merged_with(newer))


@max_examples(100)
@given(json=ACCOUNTS, spaces=SPACE_LISTS)
def test_account_user_and_spaces_are_read_or_refused(json: Any, spaces: Any) -> None:
    for read, value in (
        (Account.from_json, json),
        (Account.from_json, [json]),
        (User.from_json, json),
    ):
        try:
            check_texts(asdict(read(decode(dump_json(value).encode()))))  # type: ignore[call-overload]
        except OperatedResponseError:
            continue
    try:
        check_texts([asdict(space) for space in read_spaces(decode(dump_json(spaces).encode()))])
    except OperatedResponseError:
        assert not isinstance(spaces, list)


@max_examples(100)
@given(
    body=st.binary()
    | st.text().map(str.encode)
    | JSON_VALUES.map(lambda v: dump_json(v)[:-1].encode())
)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        json = decode(body)
    except OperatedResponseError:
        return
    orjson.dumps(json)


class Echo:
    """A server that answers everything alike and remembers what it was asked."""

    def __init__(self) -> None:
        self.answer = web.Response()
        self.paths: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.paths.append(request.raw_path)
        answer, self.answer = (
            self.answer,
            web.Response(
                status=self.answer.status, body=self.answer.body, headers=self.answer.headers
            ),
        )
        return answer


@pytest.fixture
async def echo(socket_enabled: None) -> AsyncIterator[tuple[Echo, str]]:
    echo = Echo()
    async with RawTestServer(echo.handle) as server:
        yield echo, str(server.make_url("")).rstrip("/")


@max_examples(300)
@given(json=IDS)
async def test_id_arrives_as_it_is_in_one_segment_of_the_path_or_is_refused(
    session: aiohttp.ClientSession, echo: tuple[Echo, str], json: Any
) -> None:
    server, url = echo
    client = OperatedClient(session, url, token_source)
    body = dump_json({"id": json})
    server.answer = web.Response(body=body.encode())
    try:
        id_ = await client.subscribe("https://example.org", "token")
    except OperatedResponseError:
        with pytest.raises(OperatedResponseError):
            Hub.from_json(decode(body.encode()))
        return
    assert Hub.from_json(decode(body.encode())).id == id_ == str(json)
    server.paths.clear()
    await client.hub(id_)
    await client.set_active_port(id_, 1)
    await client.extend_subscription(id_)
    await client.unsubscribe(id_)
    assert [[unquote(one) for one in path.split("/")] for path in server.paths] == [
        ["", "api", "hubs", "v1", id_],
        ["", "api", "hubs", "v1", id_, "state"],
        ["", "subscriptions", "v1", id_],
        ["", "subscriptions", "v1", id_],
    ]
    assert not any(mark in path for path in server.paths for mark in ("?", "#"))


DATES = st.tuples(
    st.sampled_from(["Wed, ", "", "Xyz, "]),
    st.integers(),
    st.sampled_from([" Oct ", " Foo ", "-", " "]),
    st.integers(),
    st.sampled_from([" 07:28:00", " 99:99:99", " 07", "T00:00"]),
    st.sampled_from([" GMT", " +9999999999999999999", " -0000", "", "Z"]),
).map(lambda parts: "".join(map(str, parts)))


@max_examples(100)
@given(header=DATES | st.integers().map(str) | st.text(st.characters(min_codepoint=32), max_size=9))
async def test_any_wish_to_wait_is_understood_or_ignored(
    session: aiohttp.ClientSession, echo: tuple[Echo, str], header: str
) -> None:
    server, url = echo
    header = header.encode("latin-1", "ignore").decode("latin-1").replace("\x7f", "")
    server.answer = web.Response(status=429, headers={"Retry-After": header})
    with pytest.raises(OperatedRateLimitError) as failure:
        await OperatedClient(session, url, token_source).hubs()
    assert failure.value.retry_after is None or failure.value.retry_after >= 0
