"""Client for the REST API of Ochno Operated.

If the server rejects the access token (401), the token is renewed and the request is repeated once.
A GET is also repeated once if the connection was closed before the response. No other request is.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from .accounts import Account, Space, User, read_accounts, read_spaces
from .budget import RequestBudget
from .delivery import EVENTS
from .errors import (
    OperatedConnectionError,
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .evidence import Evidence
from .models import Hub, HubList
from .redact import shape
from .types import JSON
from .values import decode, identifier, seconds_from_now, unwrapped_object

# Returns an access token. The argument is the token that the server rejected with 401; None if none
# was rejected. May raise errors of its own; the client does not catch them.
type TokenSource = Callable[[str | None], Awaitable[str]]

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
# About five times the size of a list of 3,000 hubs.
_MAX_BODY: Final = 16 * 1024 * 1024


class OperatedClient:
    """Client for the API of one Ochno Operated account.

    All methods raise OperatedConnectionError, OperatedUnauthorizedError, OperatedForbiddenError,
    OperatedRateLimitError, OperatedStatusError or OperatedResponseError, and the errors of the
    token source.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        token_source: TokenSource,
        evidence: Evidence,
        budget: RequestBudget,
    ) -> None:
        """Use `server`, a base URL such as `https://operated.ochno.com`.

        `evidence` records the responses that are not understood, and `budget` limits the requests.
        """
        self.evidence = evidence
        self._budget = budget
        self._session = session
        self._server = server
        self._token_source = token_source

    async def accounts(self) -> tuple[Account, ...]:
        """Fetch the accounts of the user. Requires the scope `accounts:read`.

        The vendor does not document whether this is only the selected account.
        """
        return await self._get("/api/accounts/v1", read_accounts)

    async def user(self) -> User:
        """Fetch the user who signed in. Requires the scope `sub`."""
        return await self._get("/identity/oauth/v2/userinfo", User.from_json)

    async def hubs(self, earlier: HubList | None = None) -> HubList:
        """Fetch all hubs of the account. Requires the scope `hubs:read`.

        With an earlier list, the request is conditional. If the server reports that nothing
        changed (304), or sends the same body, the result has the same `hubs` as the earlier list.
        """
        etag = earlier.etag if earlier else None
        try:
            body, new_etag = await self._request("GET", "/api/hubs/v1", etag=etag)
        except OperatedStatusError as err:
            if earlier is None or etag is None or err.status != HTTPStatus.NOT_MODIFIED:
                raise
            return earlier
        with self._recorded("GET /api/hubs/v1"):
            hub_list = HubList.from_body(body, new_etag, earlier)
        if earlier is None or hub_list.hubs is not earlier.hubs:
            for description in hub_list.malformed:
                self.evidence.record("GET /api/hubs/v1", description)
            # Some servers send no states in the list at all.
            has_states = any(hub.has_state for hub in hub_list.hubs.values())
            for hub in hub_list.hubs.values():
                self._record_unread("GET /api/hubs/v1", hub, state_expected=has_states)
        return hub_list

    async def hub(self, hub_id: str) -> Hub:
        """Fetch one hub with all its data. Requires the scope `hubs:read`."""

        def read(json: JSON) -> Hub:
            return Hub.from_json({**unwrapped_object(json, "hub").json, "id": hub_id})

        hub = await self._get(hub_path(hub_id), read, "/api/hubs/v1/{id}")
        self._record_unread("GET /api/hubs/v1/{id}", hub, state_expected=True)
        return hub

    async def hub_details(self, hub_ids: Iterable[str]) -> dict[str, Hub | OperatedError]:
        """Fetch several hubs, one request each.

        Returns the hub or the error of its request, by hub id. A rejected token or a rate limit
        concerns all hubs, so these errors are raised.
        """

        async def fetch(hub_id: str) -> Hub | OperatedError:
            try:
                return await self.hub(hub_id)
            except OperatedRateLimitError, OperatedUnauthorizedError:
                raise
            except OperatedError as err:
                return err

        try:
            async with asyncio.TaskGroup() as group:
                tasks = {hub_id: group.create_task(fetch(hub_id)) for hub_id in hub_ids}
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        return {hub_id: task.result() for hub_id, task in tasks.items()}

    async def spaces(self) -> tuple[Space, ...]:
        """Fetch all spaces (rooms) of the account."""
        spaces, malformed = await self._get("/api/spaces/v1", read_spaces)
        for description in malformed:
            self.evidence.record("GET /api/spaces/v1", description)
        return spaces

    async def set_active_port(
        self, hub_id: str, port: int, on_start: Callable[[], None] = lambda: None
    ) -> None:
        """Request another active port, 0 for none. Requires the scope `hubs:write`.

        `port` is a number from 0 to the number of ports. The cloud applies the change some time
        after the response. `on_start` is called when the limits of the requests allow this one.
        """
        json: JSON = {"activeport": port}
        await self._request("PUT", f"{hub_path(hub_id)}/state", json, on_start=on_start)

    async def subscribe(self, webhook_url: str, verification_token: str) -> str:
        """Subscribe an https URL to all events of the account; return the subscription id.

        A subscription seems to expire after about two hours.
        """
        body: JSON = {
            "event": list(EVENTS),
            "webhookUrl": webhook_url,
            "verificationToken": verification_token,
        }
        response, _ = await self._request("POST", "/subscriptions/v1/", body)
        with self._recorded("POST /subscriptions/v1/"):
            return _subscription_id(decode(response))

    async def extend_subscription(self, subscription_id: str) -> None:
        """Extend a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self._request("PATCH", _subscription_path(subscription_id))

    async def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self._request("DELETE", _subscription_path(subscription_id))

    async def _get[ResultT](
        self, path: str, read: Callable[[JSON], ResultT], name: str | None = None
    ) -> ResultT:
        """Return the response of a path. The evidence has `name` instead of the path, if given."""
        body, _ = await self._request("GET", path)
        with self._recorded(f"GET {name or path}"):
            return read(decode(body))

    @contextmanager
    def _recorded(self, endpoint: str) -> Iterator[None]:
        """Record an OperatedResponseError as evidence."""
        try:
            yield
        except OperatedResponseError as err:
            self.evidence.record(endpoint, str(err))
            raise

    def _record_unread(self, endpoint: str, hub: Hub, *, state_expected: bool) -> None:
        for description in hub.unread:
            self.evidence.record(endpoint, description)
        if state_expected and not hub.has_state and not hub.offline:
            shape_of_hub = shape(decode(hub.raw))
            self.evidence.record(endpoint, f"expected a state of the hub, got {shape_of_hub}")

    async def _request(
        self,
        method: str,
        path: str,
        json: JSON = None,
        *,
        etag: str | None = None,
        on_start: Callable[[], None] = lambda: None,
    ) -> tuple[bytes, str | None]:
        """Send a request; return the body and the ETag of the response, None without an ETag."""
        rejected_token: str | None = None
        while True:
            async with self._budget.slot(is_command=method == "PUT"):
                on_start()
                token = await self._token_source(rejected_token)
                try:
                    async with self._open(method, path, token, json=json, etag=etag) as response:
                        _raise_for_status(response)
                        return await read_body(response), _etag(response)
                except OperatedUnauthorizedError:
                    if rejected_token is not None:
                        raise
                    rejected_token = token

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, token: str, *, json: JSON = None, etag: str | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request. Raises OperatedConnectionError, also while the body is read."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if etag is not None:
            headers["If-None-Match"] = etag
        if method == "PATCH":
            # The vendor's demo client sends it, although the request has no body.
            headers["Content-Type"] = "application/json"
        # The path is encoded already. yarl must not normalise it again, which could change an id.
        url = URL(f"{self._server}{path}", encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                json=json,
                headers=headers,
                timeout=REQUEST_TIMEOUT,
                # A redirect could send the token to another host.
                allow_redirects=False,
                middlewares=(_limit_retry,),
            ) as response:
                self._budget.requests.record(method, path, response.status)
                if (retry_after := retry_after_of(response)) is not None:
                    self._budget.postpone(retry_after)
                yield response
        except (aiohttp.ClientError, OperatedConnectionError, TimeoutError) as err:
            reason = str(err) if isinstance(err, OperatedConnectionError) else type(err).__name__
            self._budget.requests.record(method, path, reason)
            raise OperatedConnectionError(reason) from err

    async def inspect(self, path: str) -> Inspection:
        """Fetch a path for diagnostics. The result can have any status.

        Raises OperatedConnectionError, OperatedResponseError if the body is larger than 16 MiB, and
        the errors of the token source.
        """
        async with self._budget.slot(is_command=False):
            token = await self._token_source(None)
            async with self._open("GET", path, token) as response:
                return Inspection(
                    status=response.status,
                    content_type=response.headers.get("Content-Type"),
                    body=await read_body(response),
                )


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A response for diagnostics. `content_type` is None without the header."""

    status: int
    content_type: str | None
    body: bytes


def hub_path(hub_id: str) -> str:
    """Return the URL-encoded path of one hub."""
    return f"/api/hubs/v1/{quote(hub_id, safe='')}"


def _subscription_id(json: JSON) -> str:
    """Read the response of a new subscription."""
    fields = unwrapped_object(json, "subscription")
    if (id_ := identifier(fields.get("id", "subscriptionId"))) is None:
        raise OperatedResponseError(f"expected a subscription with an id, got {shape(json)}")
    return id_


def _subscription_path(subscription_id: str) -> str:
    return f"/subscriptions/v1/{quote(subscription_id, safe='')}"


async def _limit_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Middleware that leaves aiohttp's retry to GET.

    The server may have closed an idle connection. aiohttp would also repeat PUT and DELETE.
    """
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as err:
        if request.method == "GET":
            raise
        raise OperatedConnectionError(type(err).__name__) from err


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read the body. Raises OperatedResponseError if it is larger than 16 MiB."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            raise OperatedResponseError("response too long")
    return bytes(body)


def _etag(response: aiohttp.ClientResponse) -> str | None:
    """Return the ETag header; None if it is missing or not ASCII."""
    etag = response.headers.get("ETag")
    return etag if etag and etag.isascii() else None


def retry_after_of(
    response: aiohttp.ClientResponse | aiohttp.ClientResponseError,
) -> float | None:
    """Return the seconds to wait from the Retry-After header of a 429 or 503; None otherwise."""
    if response.status not in (429, 503) or response.headers is None:
        return None
    seconds = seconds_from_now(response.headers.get("Retry-After"))
    return None if seconds is None else max(0.0, seconds)


def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    match response.status:
        case 401:
            raise OperatedUnauthorizedError
        case 403:
            raise OperatedForbiddenError
        case 429:
            raise OperatedRateLimitError(retry_after_of(response))
        case status if not 200 <= status < 300:
            raise OperatedStatusError(status)
