"""Tests of the API client: requests, responses and errors."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
import gzip
import json
from socket import SO_LINGER, SOL_SOCKET
import struct
from urllib.parse import quote

import aiohttp
from freezegun.api import FrozenDateTimeFactory
import pytest

from custom_components.ochno.operated.budget import RequestBudget
from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.errors import (
    OperatedConnectionError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from custom_components.ochno.operated.evidence import Evidence
from custom_components.ochno.operated.models import Hub

from ..home import HUBS_PATH
from ..simulator import Fault, Simulator
from .conftest import SimulatorTokenSource, static_token_source

MAX_BODY = 16 * 1024 * 1024


@asynccontextmanager
async def raw_server(response: bytes) -> AsyncGenerator[str]:
    """Run a server that sends these bytes and closes the connection; return its URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


# Calls


async def test_hubs_valid_response_returns_hubs_with_ports(client: OperatedClient) -> None:
    hub_list = await client.hubs()
    assert [hub.name for hub in hub_list.hubs.values()] == [
        "Boardroom",
        "Focus room",
        "Workshop",
        "Reception",
    ]
    assert [len(hub.ports) for hub in hub_list.hubs.values()] == [4, 4, 10, 4]
    assert hub_list.malformed == frozenset()


async def test_hub_valid_response_returns_hub(client: OperatedClient, simulator: Simulator) -> None:
    simulator.hub("Workshop").plug(10)
    hub = await client.hub(simulator.hub("Workshop").id)
    assert hub.name == "Workshop"
    assert hub.ports[9].connected


@pytest.mark.parametrize("form", ["object", "array"])
async def test_account_object_or_array_returns_account(
    client: OperatedClient, simulator: Simulator, form: str
) -> None:
    simulator.settings.update({"accounts_form": form})
    [account] = await client.accounts()
    assert account.name == "Example Organisation"
    assert account.id == simulator.database.account().id


async def test_accounts_several_in_response_returns_all(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.settings.accounts_form = "all"
    accounts = await client.accounts()
    assert {account.name for account in accounts} >= {"Example Organisation", "Second Organisation"}


async def test_hubs_and_spaces_with_account_id_have_account_id(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.settings.send_account_id = True
    account_id = simulator.database.account().id
    hub_list = await client.hubs()
    assert {hub.account_id for hub in hub_list.hubs.values()} == {account_id}
    assert {space.account_id for space in await client.spaces()} == {account_id}


async def test_spaces_valid_response_returns_spaces(
    client: OperatedClient, simulator: Simulator
) -> None:
    spaces = await client.spaces()
    assert [space.name for space in spaces] == ["Boardroom", "Focus room", "Workshop", "Reception"]
    assert spaces[0].id == simulator.hub("Boardroom").space_ids[0]


async def test_user_valid_response_returns_user(
    client: OperatedClient, simulator: Simulator
) -> None:
    body = '{"sub": "5f3e", "email": "anna@example.com", "name": "Anna"}'
    simulator.add_fault("GET", "/identity/oauth/v2/userinfo", Fault.body(body))
    user = await client.user()
    assert (user.id, user.name) == ("5f3e", "Anna")


async def test_request_headers_contain_token_and_json_media_type(
    client: OperatedClient, simulator: Simulator, token_source: SimulatorTokenSource
) -> None:
    await client.hubs()
    [request] = simulator.requests
    assert (request.method, request.path) == ("GET", HUBS_PATH)
    assert request.headers["Authorization"] == f"Bearer {token_source.token}"
    assert request.headers["Accept"] == "application/json"


@pytest.mark.parametrize("response", [{}, {"id": None}, {"id": "another"}], ids=str)
async def test_hub_response_with_another_id_keeps_requested_id(
    client: OperatedClient, simulator: Simulator, response: dict[str, str | None]
) -> None:
    body = json.dumps({"name": "One", **response})
    simulator.add_fault("GET", f"{HUBS_PATH}/one", Fault.body(body))
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
async def test_request_path_id_with_special_characters_is_one_encoded_segment(
    client: OperatedClient,
    simulator: Simulator,
    token_source: SimulatorTokenSource,
    hub_id: str,
) -> None:
    token_source.scope, token_source.token = "hubs:read hubs:write", None
    hub = simulator.hub("Boardroom")
    hub.id = hub_id
    simulator.database.hubs[hub_id] = hub
    assert (await client.hub(hub_id)).id == hub_id
    assert simulator.requests[-1].path == f"{HUBS_PATH}/{quote(hub_id, safe='')}"
    await client.set_active_port(hub_id, 1)
    assert simulator.requests[-1].path == f"{HUBS_PATH}/{quote(hub_id, safe='')}/state"
    with pytest.raises(OperatedStatusError, match="404"):
        await client.extend_subscription(hub_id)
    assert simulator.requests[-1].path == f"/subscriptions/v1/{quote(hub_id, safe='')}"


@pytest.mark.parametrize("hub_id", [".", "..", " .. ", "...."])
async def test_hubs_id_of_only_dots_is_malformed(
    client: OperatedClient, simulator: Simulator, hub_id: str
) -> None:
    simulator.hub("Boardroom").extra["id"] = hub_id
    hub_list = await client.hubs()
    assert "Boardroom" not in [hub.name for hub in hub_list.hubs.values()]
    assert len(hub_list.malformed) == 1


# Tokens


async def test_request_with_rejected_token_is_repeated_once_with_renewed_token(
    client: OperatedClient, simulator: Simulator, token_source: SimulatorTokenSource
) -> None:
    old_token = token_source.token
    simulator.expire_access_tokens()
    assert (await client.hubs()).hubs
    assert token_source.calls == [None, old_token]
    requests = [request for request in simulator.requests if request.path == HUBS_PATH]
    assert [request.status for request in requests] == [401, 200]
    assert (
        requests[1].headers["Authorization"]
        == f"Bearer {token_source.token}"
        != f"Bearer {old_token}"
    )


async def test_request_with_rejected_renewed_token_raises_unauthorized_error(
    client: OperatedClient, simulator: Simulator, token_source: SimulatorTokenSource
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.status(401), times=None)
    with pytest.raises(OperatedUnauthorizedError):
        await client.hubs()
    statuses = [request.status for request in simulator.requests if request.path == HUBS_PATH]
    assert statuses == [401, 401]
    assert len(token_source.calls) == 2


async def test_request_with_renewed_token_failing_raises_status_error(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.status(401))
    simulator.add_fault("GET", HUBS_PATH, Fault.status(503))
    with pytest.raises(OperatedStatusError, match="503"):
        await client.hubs()


async def test_request_token_source_error_is_raised_and_nothing_sent(
    simulator: Simulator, session: aiohttp.ClientSession
) -> None:
    async def failing_token_source(_rejected: str | None) -> str:
        raise LookupError("no token")

    with pytest.raises(LookupError, match="no token"):
        await OperatedClient(
            session, simulator.url, failing_token_source, Evidence(), RequestBudget()
        ).hubs()
    assert simulator.requests == []


# Status


async def test_request_without_scope_raises_forbidden_error_and_renews_no_token(
    client: OperatedClient, token_source: SimulatorTokenSource
) -> None:
    token_source.scope, token_source.token = "accounts:read", None
    with pytest.raises(OperatedForbiddenError):
        await client.hubs()
    assert token_source.calls == [None]


@pytest.mark.parametrize(
    "status", [300, 304, 400, 404, 405, 409, 410, 418, 500, 502, 503, 504, 599, 999]
)
async def test_request_error_status_raises_status_error_and_is_not_repeated(
    client: OperatedClient, simulator: Simulator, status: int
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.status(status, text="[]"))
    with pytest.raises(OperatedStatusError) as exc_info:
        await client.hubs()
    assert exc_info.value.status == status
    assert str(exc_info.value) == f"status {status}"
    assert not isinstance(exc_info.value, OperatedRateLimitError)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_to_another_server_raises_status_error_and_is_not_followed(
    client: OperatedClient, simulator: Simulator, status: int
) -> None:
    async with Simulator() as other_server:
        redirect = Fault.redirect(f"{other_server.url}{HUBS_PATH}", status)
        simulator.add_fault("GET", HUBS_PATH, redirect)
        with pytest.raises(OperatedStatusError, match=f"status {status}"):
            await client.hubs()
        assert other_server.requests == []


@pytest.mark.parametrize("url", ["/api/spaces/v1", "http://[::", ""])
async def test_redirect_to_same_server_or_invalid_url_raises_status_error_and_is_not_followed(
    client: OperatedClient, simulator: Simulator, url: str
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.redirect(url))
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
        pytest.param("9" * 400, None, id="above the largest float"),
        pytest.param(format_datetime(LATER, usegmt=True), 900, id="date"),
        pytest.param(f"{LATER:%a, %d %b %Y %H:%M:%S}", 900, id="date without time zone"),
        pytest.param("Wed, 21 Oct 2015 07:28:00 GMT", 0, id="date in the past"),
        pytest.param("soon", None, id="word"),
        pytest.param("-5", 0, id="negative"),
        pytest.param("1.5", 1.5, id="fraction"),
        pytest.param("²", None, id="superscript digit"),
        pytest.param("Wed, 99 Foo 2015 99:99:99 +99999999", None, id="impossible date"),
    ],
)
async def test_rate_limit_retry_after_header_is_converted_to_seconds(
    client: OperatedClient,
    simulator: Simulator,
    freezer: FrozenDateTimeFactory,
    header: str | None,
    seconds: float | None,
) -> None:
    freezer.move_to(NOW)
    headers = {} if header is None else {"Retry-After": header}
    simulator.add_fault("GET", HUBS_PATH, Fault.status(429, headers), times=None)
    with pytest.raises(OperatedRateLimitError) as exc_info:
        await client.hubs()
    # Without a time to wait, the request is sent again.
    assert len(simulator.requests) == (1 if seconds else 2)
    assert exc_info.value.retry_after == seconds
    assert exc_info.value.status == 429
    assert repr(exc_info.value) == "OperatedRateLimitError(429)"


# Connection


@pytest.mark.parametrize(
    "fault", [Fault.hang(), Fault.delay(60), Fault.slow(60)], ids=lambda fault: fault.kind
)
async def test_request_timeout_raises_connection_error(
    client: OperatedClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    name = "custom_components.ochno.operated.transport.REQUEST_TIMEOUT"
    monkeypatch.setattr(name, aiohttp.ClientTimeout(total=0.1))
    simulator.add_fault("GET", HUBS_PATH, fault)
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
async def test_request_broken_response_raises_connection_error(
    client: OperatedClient, simulator: Simulator, fault: Fault, reason: str
) -> None:
    simulator.add_fault("GET", HUBS_PATH, fault, times=None)
    with pytest.raises(OperatedConnectionError, match=reason):
        await client.hubs()


async def test_request_server_not_running_raises_connection_error_until_it_runs(
    client: OperatedClient, simulator: Simulator
) -> None:
    await simulator.stop()
    with pytest.raises(OperatedConnectionError):
        await client.hubs()
    await simulator.start()
    assert (await client.hubs()).hubs


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(OK + b"Content-Length: 100\r\n\r\n[1,", id="body cut short"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n[1,", id="chunk cut short"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n[]\r\n", id="invalid chunk length"
        ),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n[]", id="negative length"),
        pytest.param(OK + b"Content-Encoding: br\r\nContent-Length: 2\r\n\r\n[]", id="brotli"),
        pytest.param(OK + b"Content-Encoding: zstd\r\nContent-Length: 2\r\n\r\n[]", id="zstd"),
        pytest.param(OK + b"X: " + b"x" * 50_000 + b"\r\n\r\n[]", id="long header"),
        pytest.param(b"", id="empty"),
        pytest.param(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", id="not HTTP"),
    ],
)
async def test_request_invalid_http_response_raises_connection_error(
    session: aiohttp.ClientSession, socket_enabled: None, response: bytes
) -> None:
    async with raw_server(response) as url:
        with pytest.raises(OperatedConnectionError):
            await OperatedClient(
                session, url, static_token_source, Evidence(), RequestBudget()
            ).hubs()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
async def test_request_on_reused_connection_that_breaks_is_repeated_only_if_it_is_a_get(
    session: aiohttp.ClientSession, socket_enabled: None, reset: bool
) -> None:
    failed_requests = 0

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal failed_requests
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 2\r\n\r\n[]")
        await reader.readuntil(b"\r\n\r\n")
        failed_requests += 1
        if reset:
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, linger)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        client = OperatedClient(session, url, static_token_source, Evidence(), RequestBudget())
        await client.hubs()
        await client.hubs()
        assert failed_requests == 1
        reason = "ClientOSError" if reset else "ServerDisconnectedError"
        changes = (partial(client.set_active_port, "1", 2), partial(client.unsubscribe, "1"))
        for change in changes:
            with pytest.raises(OperatedConnectionError, match=reason):
                await change()
            assert failed_requests == 2
            failed_requests = 1
            await client.hubs()
        server.close_clients()


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
        pytest.param(Fault.body("null"), id="null"),
        pytest.param(Fault.body("true"), id="boolean"),
        pytest.param(Fault.body("1"), id="number"),
        pytest.param(Fault.body("1.5"), id="fraction"),
        pytest.param(Fault.body('"hubs"'), id="string"),
        pytest.param(Fault.body('{"errors": []}'), id="object"),
    ],
)
@pytest.mark.parametrize("call", ["hubs", "spaces"])
async def test_list_request_body_not_a_list_raises_response_error(
    client: OperatedClient, simulator: Simulator, fault: Fault, call: str
) -> None:
    simulator.add_fault("GET", f"/api/{call}/v1", fault)
    with pytest.raises(OperatedResponseError):
        await getattr(client, call)()


@pytest.mark.parametrize(
    "body", ["null", "{}", '[{"id": "1"}, {"name": "2"}]', '{"id": null}', '"1"', "[[]]"]
)
async def test_account_without_id_raises_response_error(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.add_fault("GET", "/api/accounts/v1", Fault.body(body))
    reason = r"^expected (an account with an id|an object|a list), got "
    with pytest.raises(OperatedResponseError, match=reason):
        await client.accounts()


@pytest.mark.parametrize("body", ["[]", '"anna"', "1"])
async def test_user_not_an_object_raises_response_error(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.add_fault("GET", "/identity/oauth/v2/userinfo", Fault.body(body))
    with pytest.raises(OperatedResponseError):
        await client.user()


@pytest.mark.parametrize(
    ("name_json", "name"),
    [
        pytest.param(r'"A\ud800"', "A\ufffd", id="lone surrogate"),
        pytest.param(
            r'"\udc00\ud83d\ude00A\ud83d"', "\ufffd\U0001f600A\ufffd", id="surrogate pair and lone"
        ),
        pytest.param(r'"\\ud800"', r"\ud800", id="escaped backslash"),
        pytest.param("1e999", "a", id="infinite number"),
        pytest.param("-1" + "0" * 400, "a", id="number of 401 digits"),
        pytest.param("1" * 9_000, "a", id="number of 9000 digits"),
        pytest.param("36893488147419103232", "a", id="number above 64 bits"),
        pytest.param(r'"A", "product\ud800": 1e999, "customid": "B"', "A", id="surrogate in a key"),
    ],
)
async def test_hubs_value_rejected_by_orjson_affects_no_other_hub(
    client: OperatedClient, simulator: Simulator, name_json: str, name: str
) -> None:
    valid = '{"id": "b", "data": {"state": {"active": 2, "connected": [0, 1]}, "presence": true}}'
    body = f'[{{"id": "a", "name": {name_json}}}, {valid}]'
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    hub_list = await client.hubs()
    assert [hub.name for hub in hub_list.hubs.values()] == [name, "b"]
    assert hub_list.hubs["b"] == Hub.from_json(json.loads(valid))
    assert hub_list.malformed == frozenset()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
async def test_hubs_number_that_json_does_not_have_is_unknown(
    client: OperatedClient, simulator: Simulator, number: str
) -> None:
    body = (
        f'[{{"id": "a", "data": {{"state": {{"active": 2, "mtrport": {number}}}}}}}, {{"id": "b"}}]'
    )
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    hubs = (await client.hubs()).hubs
    assert list(hubs) == ["a", "b"]
    assert (hubs["a"].active_port, hubs["a"].room_system_port) == (2, None)


async def test_hubs_byte_order_mark_is_ignored(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.body('\ufeff[{"id": "a", "name": "Ä"}]'))
    assert (await client.hubs()).hubs["a"].name == "Ä"


async def test_hubs_list_of_10001_items_raises_response_error(
    client: OperatedClient, simulator: Simulator
) -> None:
    hubs = [{"id": str(number)} for number in range(10_001)]
    simulator.add_fault("GET", HUBS_PATH, Fault.body(json.dumps(hubs[1:])))
    assert len((await client.hubs()).hubs) == 10_000
    simulator.add_fault("GET", HUBS_PATH, Fault.body(json.dumps(hubs)))
    with pytest.raises(OperatedResponseError, match=r"^expected up to 10000 hubs, got 10001$"):
        await client.hubs()


async def test_hubs_many_malformed_items_are_reported_up_to_100(
    client: OperatedClient, simulator: Simulator
) -> None:
    hubs = [{"id": "a"}, *({"name": [0] * length} for length in range(200))]
    simulator.add_fault("GET", HUBS_PATH, Fault.body(json.dumps(hubs)))
    hub_list = await client.hubs()
    assert (list(hub_list.hubs), len(hub_list.malformed)) == (["a"], 100)


@pytest.mark.parametrize(
    "subscription_id",
    [
        "..",
        " 1",
        "a\nb",
        pytest.param("x" * 201, id="201 characters"),
        "\ufffd",
        pytest.param("", id="empty"),
        None,
    ],
)
async def test_subscribe_response_with_unusable_id_raises_response_error(
    client: OperatedClient, simulator: Simulator, subscription_id: str | None
) -> None:
    body = json.dumps({"id": subscription_id})
    simulator.add_fault("POST", "/subscriptions/v1/", Fault.body(body))
    with pytest.raises(OperatedResponseError, match=r"^expected a subscription with an id, got "):
        await client.subscribe("https://example.org", "token")


async def test_hubs_wrong_content_type_is_ignored(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.body('[{"id": "1"}]', "text/plain; charset=utf-16"))
    assert list((await client.hubs()).hubs) == ["1"]


async def test_response_longer_than_limit_raises_response_error(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.huge(MAX_BODY))
    assert (await client.hubs()).hubs == {}
    simulator.add_fault("GET", HUBS_PATH, Fault.huge(MAX_BODY + 1))
    with pytest.raises(OperatedResponseError, match=r"^response too long$"):
        await client.hubs()


async def test_compressed_response_longer_than_limit_raises_response_error(
    session: aiohttp.ClientSession, socket_enabled: None
) -> None:
    body = gzip.compress(b"[" + b" " * (2 * MAX_BODY) + b"]", 1)
    headers = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with raw_server(headers + body) as url:
        with pytest.raises(OperatedResponseError, match=r"^response too long$"):
            await OperatedClient(
                session, url, static_token_source, Evidence(), RequestBudget()
            ).hubs()


# Conditional requests


def etags_and_statuses(simulator: Simulator) -> list[tuple[str | None, int | None]]:
    """Return the If-None-Match header and the response status of each request."""
    return [
        (request.headers.get("If-None-Match"), request.status) for request in simulator.requests
    ]


async def test_conditional_request_unchanged_list_returns_earlier_list(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    assert await client.hubs(earlier) is earlier
    assert etags_and_statuses(simulator) == [(None, 200), (earlier.etag, 304)]


async def test_conditional_request_changed_hub_replaces_only_this_hub(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    changed = simulator.hub("Focus room")
    changed.plug(2)
    hub_list = await client.hubs(earlier)
    assert {hub.id for hub in hub_list.hubs.values() if hub is not earlier.hubs[hub.id]} == {
        changed.id
    }
    port = hub_list.hubs[changed.id].port(2)
    assert port
    assert port.connected
    assert hub_list.etag not in (None, earlier.etag)
    assert etags_and_statuses(simulator) == [(None, 200), (earlier.etag, 200)]


async def test_conditional_request_with_renewed_token_sends_etag_again(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    simulator.expire_access_tokens()
    simulator.requests.clear()
    assert await client.hubs(earlier) is earlier
    conditional = [(etag, status) for etag, status in etags_and_statuses(simulator) if etag]
    assert conditional == [(earlier.etag, 401), (earlier.etag, 304)]


async def test_hubs_server_without_etags_sends_unconditional_requests(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.settings.etags = False
    earlier = await client.hubs()
    hub_list = await client.hubs(earlier)
    assert earlier.etag is None
    assert hub_list.hubs is earlier.hubs
    assert etags_and_statuses(simulator) == [(None, 200)] * 2
    simulator.add_fault("GET", HUBS_PATH, Fault.status(304))
    with pytest.raises(OperatedStatusError, match="304"):
        await client.hubs(earlier)


@pytest.mark.parametrize(
    "etag",
    [
        pytest.param(b"", id="empty"),
        pytest.param("W/\u201cname\u201d".encode(), id="not ASCII"),
        pytest.param(b"W/\xff", id="not UTF-8"),
    ],
)
async def test_hubs_unusable_etag_is_ignored(
    session: aiohttp.ClientSession, socket_enabled: None, etag: bytes
) -> None:
    response = OK + b"Connection: close\r\nContent-Length: 2\r\nETag: " + etag + b"\r\n\r\n[]"
    async with raw_server(response) as url:
        client = OperatedClient(session, url, static_token_source, Evidence(), RequestBudget())
        earlier = await client.hubs()
        assert earlier.etag is None
        assert (await client.hubs(earlier)).hubs == {}


async def test_conditional_request_error_status_raises_status_error(
    client: OperatedClient, simulator: Simulator
) -> None:
    earlier = await client.hubs()
    simulator.add_fault("GET", HUBS_PATH, Fault.status(412))
    with pytest.raises(OperatedStatusError, match="412"):
        await client.hubs(earlier)
