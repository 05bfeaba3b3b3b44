"""The client by itself over real HTTP: what callers get, and which error tells them what."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
import gzip
import json
from socket import SO_LINGER, SOL_SOCKET
import struct
from urllib.parse import quote

import aiohttp
from freezegun.api import FrozenDateTimeFactory
import pytest

from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.errors import (
    OperatedConnectionError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from custom_components.ochno.operated.models import Hub
from tests.home import HUBS

from ..simulator import Fault, Simulator

MAX_BODY = 32 * 1024 * 1024


class Tokens:
    """A token source that asks the simulator and remembers what it was asked."""

    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.asked: list[str | None] = []
        self.token: str | None = None
        self.scope = "hubs:read accounts:read"
        self._simulator = simulator
        self._session = session

    async def __call__(self, refused: str | None) -> str:
        self.asked.append(refused)
        if self.token is None or self.token == refused:
            form = {
                "grant_type": "client_credentials",
                "client_id": "server-to-server",
                "client_secret": "server-to-server-secret",
                "scope": self.scope,
            }
            url = f"{self._simulator.url}/identity/oauth/v2/token"
            async with self._session.post(url, data=form) as answer:
                self.token = str((await answer.json())["access_token"])
        return self.token


@pytest.fixture
def _custom_integrations() -> None:
    """Home Assistant is not needed here."""


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def tokens(simulator: Simulator, session: aiohttp.ClientSession) -> Tokens:
    """Get a token, so that only what follows is on record."""
    tokens = Tokens(simulator, session)
    await tokens(None)
    tokens.asked.clear()
    simulator.requests.clear()
    return tokens


@pytest.fixture
def client(simulator: Simulator, session: aiohttp.ClientSession, tokens: Tokens) -> OperatedClient:
    return OperatedClient(session, simulator.url, tokens)


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncGenerator[str]:
    """Answer every request with these bytes and hang up."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def token_source(_refused: str | None) -> str:
    return "token"


# Calls


async def test_hubs_are_listed_with_their_ports(client: OperatedClient) -> None:
    listing = await client.hubs()
    assert [hub.name for hub in listing.hubs.values()] == [
        "Boardroom",
        "Focus room",
        "Workshop",
        "Reception",
    ]
    assert [len(hub.ports) for hub in listing.hubs.values()] == [4, 4, 10, 4]
    assert listing.malformed == ()


async def test_one_hub_is_fetched(client: OperatedClient, simulator: Simulator) -> None:
    simulator.hub("Workshop").plug(10)
    hub = await client.hub(simulator.hub("Workshop").id)
    assert hub.name == "Workshop"
    assert hub.ports[9].connected


@pytest.mark.parametrize("form", ["object", "array"])
async def test_account_is_fetched(client: OperatedClient, simulator: Simulator, form: str) -> None:
    simulator.settings.update({"accounts_form": form})
    account = await client.account()
    assert account.name == "Example Organisation"
    assert account.id == simulator.cloud.account().id


async def test_spaces_are_fetched(client: OperatedClient, simulator: Simulator) -> None:
    spaces = await client.spaces()
    assert [space.name for space in spaces] == ["Boardroom", "Focus room", "Workshop", "Reception"]
    assert spaces[0].id == simulator.hub("Boardroom").space_ids[0]


async def test_user_is_fetched(client: OperatedClient, simulator: Simulator) -> None:
    me = '{"sub": "5f3e", "email": "anna@example.com", "name": "Anna"}'
    simulator.fail("GET", "/identity/oauth/v2/userinfo", Fault.body(me))
    user = await client.user()
    assert (user.id, user.name) == ("5f3e", "Anna")


async def test_requests_carry_the_token_and_ask_for_json(
    client: OperatedClient, simulator: Simulator, tokens: Tokens
) -> None:
    await client.hubs()
    [request] = simulator.requests
    assert (request.method, request.path) == ("GET", HUBS)
    assert request.headers["Authorization"] == f"Bearer {tokens.token}"
    assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": "another"}], ids=str)
async def test_hub_that_is_fetched_is_the_one_asked_for(
    client: OperatedClient, simulator: Simulator, answer: dict[str, str | None]
) -> None:
    simulator.fail("GET", f"{HUBS}/one", Fault.body(json.dumps({"name": "One", **answer})))
    hub = await client.hub("one")
    assert (hub.id, hub.name) == ("one", "One")


@pytest.mark.parametrize(
    "hub_id",
    [
        *(
            "a/b",
            "../spaces/v1",
            "a b",
            "a?b=1",
            "a#b",
            "100%",
            "a%2Fb",
            "%2e%2e",
            "a..b",
            "..a",
            "X.X",
            "a:b@c",
        ),
        *("+", "a&b;c", "\\", "å", "会議室", "e\u0301", "🖥"),
    ],
)
async def test_any_id_arrives_as_one_segment_of_the_path(
    client: OperatedClient, simulator: Simulator, tokens: Tokens, hub_id: str
) -> None:
    tokens.scope, tokens.token = "hubs:read hubs:write", None
    hub = simulator.hub("Boardroom")
    hub.id = hub_id
    simulator.cloud.hubs[hub_id] = hub
    assert (await client.hub(hub_id)).id == hub_id
    assert simulator.requests[-1].path == f"{HUBS}/{quote(hub_id, safe='')}"
    await client.set_active_port(hub_id, 1)
    assert simulator.requests[-1].path == f"{HUBS}/{quote(hub_id, safe='')}/state"
    with pytest.raises(OperatedStatusError, match="404"):
        await client.extend_subscription(hub_id)
    assert simulator.requests[-1].path == f"/subscriptions/v1/{quote(hub_id, safe='')}"


@pytest.mark.parametrize("hub_id", [".", "..", " .. ", "...."])
async def test_id_that_walks_up_the_path_never_leaves_the_list(
    client: OperatedClient, simulator: Simulator, hub_id: str
) -> None:
    simulator.hub("Boardroom").extra["id"] = hub_id
    listing = await client.hubs()
    assert "Boardroom" not in [hub.name for hub in listing.hubs.values()]
    assert len(listing.malformed) == 1


# Tokens


async def test_refused_token_is_replaced_once(
    client: OperatedClient, simulator: Simulator, tokens: Tokens
) -> None:
    old = tokens.token
    simulator.expire_access_tokens()
    assert (await client.hubs()).hubs
    assert tokens.asked == [None, old]
    requests = [request for request in simulator.requests if request.path == HUBS]
    assert [request.status for request in requests] == [401, 200]
    assert requests[1].headers["Authorization"] == f"Bearer {tokens.token}" != f"Bearer {old}"


async def test_second_refusal_is_final(
    client: OperatedClient, simulator: Simulator, tokens: Tokens
) -> None:
    simulator.fail("GET", HUBS, Fault.status(401), times=None)
    with pytest.raises(OperatedUnauthorizedError):
        await client.hubs()
    assert [request.status for request in simulator.requests if request.path == HUBS] == [401, 401]
    assert len(tokens.asked) == 2


async def test_failure_after_a_renewed_token_keeps_its_kind(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.fail("GET", HUBS, Fault.status(401))
    simulator.fail("GET", HUBS, Fault.status(503))
    with pytest.raises(OperatedStatusError, match="503"):
        await client.hubs()


async def test_error_of_the_token_source_passes_through(
    simulator: Simulator, session: aiohttp.ClientSession
) -> None:
    async def broken(_refused: str | None) -> str:
        raise LookupError("no token")

    with pytest.raises(LookupError, match="no token"):
        await OperatedClient(session, simulator.url, broken).hubs()
    assert simulator.requests == []


# Status


async def test_missing_scope_is_told_apart(client: OperatedClient, tokens: Tokens) -> None:
    tokens.scope, tokens.token = "accounts:read", None
    with pytest.raises(OperatedForbiddenError):
        await client.hubs()
    assert tokens.asked == [None]


@pytest.mark.parametrize(
    "status", [300, 304, 400, 404, 405, 409, 410, 418, 500, 502, 503, 504, 599, 999]
)
async def test_any_other_status_is_told(
    client: OperatedClient, simulator: Simulator, status: int
) -> None:
    simulator.fail("GET", HUBS, Fault.status(status, text="[]"))
    with pytest.raises(OperatedStatusError) as failure:
        await client.hubs()
    assert failure.value.status == status
    assert str(failure.value) == f"status {status}"
    assert not isinstance(failure.value, OperatedRateLimitError)
    assert len(simulator.requests) == 1  # nothing is repeated


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(
    client: OperatedClient, simulator: Simulator, status: int
) -> None:
    async with Simulator() as trap:
        simulator.fail("GET", HUBS, Fault.redirect(f"{trap.url}{HUBS}", status))
        with pytest.raises(OperatedStatusError, match=f"status {status}"):
            await client.hubs()
        assert trap.requests == []


@pytest.mark.parametrize("url", ["/api/spaces/v1", "http://[::", ""])
async def test_redirect_on_the_same_server_is_not_followed_either(
    client: OperatedClient, simulator: Simulator, url: str
) -> None:
    simulator.fail("GET", HUBS, Fault.redirect(url))
    with pytest.raises(OperatedStatusError, match="302"):
        await client.hubs()
    assert len(simulator.requests) == 1


NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=900)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param(None, None, id="absent"),
        pytest.param("", None, id="empty"),
        pytest.param("120", 120, id="seconds"),
        pytest.param("0", 0, id="zero"),
        pytest.param("9" * 400, float("inf"), id="more than a float holds"),
        pytest.param(format_datetime(LATER, usegmt=True), 900, id="date"),
        pytest.param(f"{LATER:%a, %d %b %Y %H:%M:%S}", 900, id="date without zone, which is UTC"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0, id="date in the past"),
        pytest.param("soon", None, id="word"),
        pytest.param("-5", None, id="negative"),
        pytest.param("1.5", None, id="fraction"),
        pytest.param("²", None, id="superscript digit"),
        pytest.param("Wed, 99 Foo 2015 99:99:99 +99999999", None, id="impossible date"),
    ],
)
async def test_rate_limit_says_how_long_to_wait(
    client: OperatedClient,
    simulator: Simulator,
    freezer: FrozenDateTimeFactory,
    header: str | None,
    seconds: float | None,
) -> None:
    freezer.move_to(NOW)
    headers = {} if header is None else {"Retry-After": header}
    simulator.fail("GET", HUBS, Fault.status(429, headers))
    with pytest.raises(OperatedRateLimitError) as failure:
        await client.hubs()
    assert failure.value.retry_after == seconds
    assert failure.value.status == 429
    assert repr(failure.value) == "OperatedRateLimitError(429)"


# Connection


@pytest.mark.parametrize(
    "fault", [Fault.hang(), Fault.delay(60), Fault.slow(60)], ids=lambda fault: fault.kind
)
async def test_answer_that_takes_too_long(
    client: OperatedClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    name = "custom_components.ochno.operated.client.REQUEST_TIMEOUT"
    monkeypatch.setattr(name, aiohttp.ClientTimeout(total=0.1))
    simulator.fail("GET", HUBS, fault)
    with pytest.raises(OperatedConnectionError, match="Timeout"):
        await client.hubs()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.reset(), "^(ServerDisconnectedError|ClientOSError)$"),
        (Fault.bad_gzip(), "^ClientPayloadError$"),
    ],
    ids=["reset", "bad gzip"],
)
async def test_answer_that_breaks(
    client: OperatedClient, simulator: Simulator, fault: Fault, reason: str
) -> None:
    simulator.fail("GET", HUBS, fault, times=None)
    with pytest.raises(OperatedConnectionError, match=reason):
        await client.hubs()


async def test_server_that_is_not_there(client: OperatedClient, simulator: Simulator) -> None:
    await simulator.stop()
    with pytest.raises(OperatedConnectionError):
        await client.hubs()
    await simulator.start()
    assert (await client.hubs()).hubs


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + b"Content-Length: 100\r\n\r\n[1,", id="body cut short"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[1,", id="chunk cut short"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n", id="no chunk"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n[]", id="negative length"),
        pytest.param(OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n[]", id="brotli"),
        pytest.param(OK + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\n[]", id="zstd"),
        pytest.param(OK + b"X: " + b"x" * 50_000 + b"\r\n\r\n[]", id="endless header"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", id="no HTTP"),
    ],
)
async def test_answer_that_is_not_sound_http(
    session: aiohttp.ClientSession, socket_enabled: None, answer: bytes
) -> None:
    async with raw_server(answer) as url:
        with pytest.raises(OperatedConnectionError):
            await OperatedClient(session, url, token_source).hubs()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_request_is_not_repeated_when_a_connection_in_use_breaks(
    session: aiohttp.ClientSession, socket_enabled: None, reset: bool
) -> None:
    requests = 0

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 2\r\n\r\n[]")
        await reader.readuntil(b"\r\n\r\n")
        requests += 1
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = OperatedClient(session, url, token_source)
        await client.hubs()
        reason = "ClientOSError" if reset else "ServerDisconnectedError"
        with pytest.raises(OperatedConnectionError, match=reason):
            await client.hubs()
    assert requests == 1


# Content


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault.html(), id="html"),
        pytest.param(Fault.empty(), id="empty"),
        pytest.param(Fault.truncated(), id="truncated"),
        pytest.param(Fault.nested(), id="nested"),
        pytest.param(Fault.bad_utf8(), id="bad utf-8"),
        pytest.param(Fault.status(204), id="no content"),
        pytest.param(Fault.body("[NaN]"), id="NaN"),
        pytest.param(Fault.body("null"), id="null"),
        pytest.param(Fault.body("true"), id="boolean"),
        pytest.param(Fault.body("1"), id="number"),
        pytest.param(Fault.body("1.5"), id="fraction"),
        pytest.param(Fault.body('"hubs"'), id="text"),
        pytest.param(Fault.body('{"hubs": []}'), id="object"),
    ],
)
@pytest.mark.parametrize("call", ["hubs", "spaces"])
async def test_list_that_makes_no_sense(
    client: OperatedClient, simulator: Simulator, fault: Fault, call: str
) -> None:
    simulator.fail("GET", f"/api/{call}/v1", fault)
    with pytest.raises(OperatedResponseError):
        await getattr(client, call)()


@pytest.mark.parametrize(
    "body", ["null", "[]", "{}", '[{"id": "1"}, {"id": "2"}]', '{"id": null}', '"1"', "[[]]"]
)
async def test_account_without_an_id(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.fail("GET", "/api/accounts/v1", Fault.body(body))
    reason = r"^(not one account with an id|a (list|text) where an object belongs)$"
    with pytest.raises(OperatedResponseError, match=reason):
        await client.account()


@pytest.mark.parametrize("body", ["[]", '"anna"', "1"])
async def test_user_that_is_no_object(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.fail("GET", "/identity/oauth/v2/userinfo", Fault.body(body))
    with pytest.raises(OperatedResponseError):
        await client.user()


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        (r'"A\ud800"', "A\ufffd"),
        (r'"\udc00\ud83d\ude00A\ud83d"', "\ufffd\U0001f600A\ufffd"),
        (r'"\\ud800"', r"\ud800"),
        ("1e999", "a"),
        ("-1" + "0" * 400, "a"),
        ("1" * 9_000, "a"),
        ("36893488147419103232", "a"),
        (r'"A", "product\ud800": 1e999, "customid": "B"', "A"),
    ],
    ids=lambda value: value[:12],
)
async def test_one_hub_with_what_only_javascript_can_read_leaves_the_others(
    client: OperatedClient, simulator: Simulator, odd: str, shown: str
) -> None:
    sound = '{"id": "b", "data": {"state": {"active": 2, "connected": [0, 1]}, "presence": true}}'
    simulator.fail("GET", HUBS, Fault.body(f'[{{"id": "a", "name": {odd}}}, {sound}]'))
    listing = await client.hubs()
    assert [hub.name for hub in listing.hubs.values()] == [shown, "b"]
    assert listing.hubs["b"] == Hub.from_json(json.loads(sound))
    assert listing.malformed == ()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_number_that_json_does_not_have_is_not_read_beside_what_is_odd(
    client: OperatedClient, simulator: Simulator, number: str
) -> None:
    simulator.fail("GET", HUBS, Fault.body(rf'[{{"id": "a", "name": "\ud800", "x": {number}}}]'))
    with pytest.raises(OperatedResponseError, match=r"^not JSON$"):
        await client.hubs()


@pytest.mark.parametrize("subscription_id", ["..", " 1", "a\nb", "x" * 201, "\ufffd", "", None])
async def test_subscription_that_could_not_be_named_again_is_refused(
    client: OperatedClient, simulator: Simulator, subscription_id: str | None
) -> None:
    body = json.dumps({"id": subscription_id})
    simulator.fail("POST", "/subscriptions/v1/", Fault.body(body))
    with pytest.raises(OperatedResponseError, match=r"^a subscription without an id$"):
        await client.subscribe("https://example.org", "token")


async def test_hubs_of_any_content_type_are_read(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.fail("GET", HUBS, Fault.body('[{"id": "1"}]', "text/plain; charset=utf-16"))
    assert list((await client.hubs()).hubs) == ["1"]


async def test_body_up_to_the_limit_is_read_and_no_longer_one(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.fail("GET", HUBS, Fault.huge(MAX_BODY))
    assert (await client.hubs()).hubs == {}
    simulator.fail("GET", HUBS, Fault.huge(MAX_BODY + 1))
    with pytest.raises(OperatedResponseError, match=r"^too long$"):
        await client.hubs()


async def test_compressed_body_is_measured_as_it_unfolds(
    session: aiohttp.ClientSession, socket_enabled: None
) -> None:
    body = gzip.compress(b"[" + b" " * (2 * MAX_BODY) + b"]", 1)
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with raw_server(head + body) as url:
        with pytest.raises(OperatedResponseError, match=r"^too long$"):
            await OperatedClient(session, url, token_source).hubs()


# What is known already


def asked(simulator: Simulator) -> list[tuple[str | None, int | None]]:
    """Return what each request named as known, and how it was answered."""
    return [(one.headers.get("If-None-Match"), one.status) for one in simulator.requests]


async def test_answer_is_not_sent_again_when_nothing_changed(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    assert await client.hubs(earlier) is earlier
    assert asked(simulator) == [(None, 200), (earlier.etag, 304)]


async def test_hub_that_changed_is_read_and_the_others_stay(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    changed = simulator.hub("Focus room")
    changed.plug(2)
    listing = await client.hubs(earlier)
    assert {hub.id for hub in listing.hubs.values() if hub is not earlier.hubs[hub.id]} == {
        changed.id
    }
    port = listing.hubs[changed.id].port(2)
    assert port
    assert port.connected
    assert listing.etag not in (None, earlier.etag)
    assert asked(simulator) == [(None, 200), (earlier.etag, 200)]


async def test_known_answer_is_named_again_with_a_renewed_token(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    simulator.expire_access_tokens()
    simulator.requests.clear()
    assert await client.hubs(earlier) is earlier
    assert [one for one in asked(simulator) if one[0]] == [(earlier.etag, 401), (earlier.etag, 304)]


async def test_server_that_names_no_answer_is_asked_for_the_whole_each_time(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.settings.etags = False
    earlier = await client.hubs()
    listing = await client.hubs(earlier)
    assert earlier.etag is None
    assert listing is earlier
    assert asked(simulator) == [(None, 200)] * 2
    simulator.fail("GET", HUBS, Fault.status(304))
    with pytest.raises(OperatedStatusError, match="304"):
        await client.hubs(earlier)


@pytest.mark.parametrize("etag", [b"", "W/\u201cname\u201d".encode(), b"W/\xff"])
async def test_name_of_an_answer_that_can_not_be_sent_back_is_forgotten(
    session: aiohttp.ClientSession, socket_enabled: None, etag: bytes
) -> None:
    answer = OK + b"Connection: close\r\nContent-Length: 2\r\nETag: " + etag + b"\r\n\r\n[]"
    async with raw_server(answer) as url:
        client = OperatedClient(session, url, token_source)
        earlier = await client.hubs()
        assert earlier.etag is None
        assert (await client.hubs(earlier)).hubs == {}


async def test_other_failure_is_told_though_an_answer_is_known(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    simulator.fail("GET", HUBS, Fault.status(412))
    with pytest.raises(OperatedStatusError, match="412"):
        await client.hubs(earlier)
