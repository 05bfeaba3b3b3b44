"""Property-based tests of the client with random valid and malformed data."""

from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from urllib.parse import unquote

import aiohttp
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from hypothesis import given, strategies as st
import orjson
import pytest

from custom_components.ochno.operated.accounts import Account, User, read_spaces
from custom_components.ochno.operated.budget import RequestBudget
from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.delivery import Delivery
from custom_components.ochno.operated.errors import OperatedRateLimitError, OperatedResponseError
from custom_components.ochno.operated.evidence import Evidence
from custom_components.ochno.operated.hub_list import HubList
from custom_components.ochno.operated.models import Hub
from custom_components.ochno.operated.types import JSON
from custom_components.ochno.operated.values import Fields, decode, encode

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
from .conftest import static_token_source

pytestmark = pytest.mark.property

VALID_HUB: dict[str, JSON] = {
    "id": "66a1b2c3",
    "name": "Valid",
    "data": {"state": {"connected": [1, 0], "active": 1}, "connections": {"usb1": None}},
}


def encode_generated(value: object) -> bytes:
    """Return a generated value as JSON."""
    return dump_json(value).encode()


def find_texts(value: object) -> list[str]:
    """Return all strings in a value and its keys."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for key, item in value.items() for text in (key, *find_texts(item))]
        case list() | tuple():
            return [text for item in value for text in find_texts(item)]
        case _:
            return []


def check_texts(value: object) -> None:
    """Check that all strings in a value can be shown."""
    for text in find_texts(value):
        assert text.isprintable(), text
        assert text.strip() == text != ""
        assert len(text) <= 200


def check_hub(hub: Hub) -> None:
    """Check that a hub is usable."""
    values = asdict(hub)
    # Diagnostics contain the raw JSON.
    orjson.dumps(decode(values.pop("raw")))
    check_texts(values)
    assert len(hub.ports) <= 64
    assert len(hub.connections) <= 64
    assert hub.in_use in (None, False, True)
    assert hub.overheating in (None, False, True)


@max_examples(300)
@given(hubs=HUB_LISTS, position=st.integers(0, 3))
def test_hub_list_valid_hub_among_random_hubs_is_read(hubs: list[object], position: int) -> None:
    body = encode_generated([*hubs[:position], VALID_HUB, *hubs[position:]])
    hub_list = HubList.from_body(body)
    for hub in hub_list.hubs.values():
        check_hub(hub)
    assert Hub.from_json(VALID_HUB) in hub_list.hubs.values()
    check_texts(hub_list.malformed)
    sent_ids = [str(hub.get("id")) for hub in (*hubs, VALID_HUB) if isinstance(hub, dict)]
    assert set(hub_list.hubs) <= set(sent_ids)
    assert all(id_ == hub.id for id_, hub in hub_list.hubs.items())


@max_examples(300)
@given(hubs=HUB_LISTS, later_hubs=HUB_LISTS, position=st.integers(0, 3))
def test_hub_list_with_random_earlier_list_is_read_as_without(
    hubs: list[object], later_hubs: list[object], position: int
) -> None:
    def encode_list(*items: object) -> bytes:
        return encode(decode(encode_generated(items)))

    other_hub = {**VALID_HUB, "id": "other"}
    earlier = HubList.from_body(encode_list(other_hub, *hubs, VALID_HUB))
    body = encode_list(
        *[other_hub][:position],
        *later_hubs[:position],
        *hubs[position:],
        *later_hubs[position:],
        VALID_HUB,
    )
    assert asdict(HubList.from_body(body, None, earlier)) == asdict(HubList.from_body(body))


@max_examples(300)
@given(message=DELIVERIES, response=HUBS)
def test_hub_random_delivery_and_response_merged_is_usable(
    message: object, response: object
) -> None:
    hub = Hub.from_json(VALID_HUB)
    delivery = Delivery.from_json(decode(encode_generated(message)))
    check_texts([delivery.event, delivery.hub_id, delivery.serial_number])
    hub = hub.with_state(delivery.new_state or {})
    check_hub(hub)
    try:
        newer_json = Fields(decode(encode_generated(response))).json
        newer = Hub.from_json({**newer_json, "id": hub.id})
    except OperatedResponseError:
        return
    check_hub(hub.merged_with(newer))


@max_examples(100)
@given(account=ACCOUNTS, spaces=SPACE_LISTS)
def test_account_user_and_spaces_random_json_are_read_or_raise_response_error(
    account: object, spaces: object
) -> None:
    readers: tuple[tuple[Callable[[JSON], Account | User], object], ...] = (
        (Account.from_json, account),
        (Account.from_json, [account]),
        (User.from_json, account),
    )
    for read, value in readers:
        try:
            check_texts(asdict(read(decode(encode_generated(value)))))
        except OperatedResponseError:
            continue
    try:
        valid_spaces, _ = read_spaces(decode(encode_generated(spaces)))
        check_texts([asdict(space) for space in valid_spaces])
    except OperatedResponseError:
        assert not isinstance(spaces, list)


@max_examples(100)
@given(
    body=st.binary()
    | st.text().map(str.encode)
    | JSON_VALUES.map(lambda value: encode_generated(value)[:-1])
)
def test_decode_random_bytes_returns_json_or_raises_response_error(body: bytes) -> None:
    try:
        json = decode(body)
    except OperatedResponseError:
        return
    orjson.dumps(json)


class StubServer:
    """Server that sends the same response to each request and records the paths."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body = b""
        self.paths: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Record the path of the request and send the response."""
        self.paths.append(request.raw_path)
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@pytest.fixture
async def server(socket_enabled: None) -> AsyncIterator[StubServer]:
    """Return a running server."""
    server = StubServer()
    async with RawTestServer(server.handle) as test_server:
        server.url = str(test_server.make_url("")).rstrip("/")
        yield server


@max_examples(300)
@given(json=IDS)
async def test_request_path_random_id_is_one_encoded_segment_or_id_is_invalid(
    session: aiohttp.ClientSession, server: StubServer, json: object
) -> None:
    client = OperatedClient(session, server.url, static_token_source, Evidence(), RequestBudget())
    server.body = encode_generated({"id": json})
    try:
        id_ = await client.subscribe("https://example.org", "token")
    except OperatedResponseError:
        with pytest.raises(OperatedResponseError):
            Hub.from_json(decode(server.body))
        return
    assert Hub.from_json(decode(server.body)).id == id_ == str(json)
    server.paths.clear()
    await client.hub(id_)
    await client.set_active_port(id_, 1)
    await client.extend_subscription(id_)
    await client.unsubscribe(id_)
    assert [[unquote(segment) for segment in path.split("/")] for path in server.paths] == [
        ["", "api", "hubs", "v1", id_],
        ["", "api", "hubs", "v1", id_, "state"],
        ["", "subscriptions", "v1", id_],
        ["", "subscriptions", "v1", id_],
    ]
    assert not any(character in path for path in server.paths for character in ("?", "#"))


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
async def test_rate_limit_random_retry_after_header_is_duration_or_none(
    session: aiohttp.ClientSession, server: StubServer, header: str
) -> None:
    header = header.encode("latin-1", "ignore").decode("latin-1").replace("\x7f", "")
    server.status, server.headers = 429, {"Retry-After": header}
    with pytest.raises(OperatedRateLimitError) as exc_info:
        await OperatedClient(
            session, server.url, static_token_source, Evidence(), RequestBudget()
        ).hubs()
    assert exc_info.value.retry_after is None or exc_info.value.retry_after >= 0
