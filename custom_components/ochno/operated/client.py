"""The calls of the Ochno Operated API.

Nothing is retried but a request whose access token was refused, once, with a renewed token.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from .delivery import EVENTS
from .errors import (
    OperatedConnectionError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .models import Account, Hub, HubList, Space, User, read_spaces
from .values import JSON, as_object, decode, identifier

# Called without an argument for an access token to use; called with one that was just refused
# (401) for another. May raise errors of its own, which pass through the client.
type TokenSource = Callable[[str | None], Awaitable[str]]

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
# About ten times what 3,000 hubs take.
_MAX_BODY: Final = 32 * 1024 * 1024


class OperatedClient:
    """Ochno Operated, as the API answers one account.

    All methods raise OperatedConnectionError, OperatedUnauthorizedError, OperatedForbiddenError,
    OperatedRateLimitError, OperatedStatusError or OperatedResponseError, and whatever the token
    source raises.
    """

    def __init__(
        self, session: aiohttp.ClientSession, server: str, token_source: TokenSource
    ) -> None:
        """Use `server`, a base URL such as `https://operated.ochno.com`."""
        self._session = session
        self._server = server
        self._token_source = token_source

    async def get(self, path: str) -> JSON:
        """Fetch what the API answers at a path, uninterpreted."""
        body, _ = await self._request("GET", path)
        return decode(body)

    async def account(self) -> Account:
        """Fetch the account that the user selected; needs the scope `accounts:read`."""
        return Account.from_json(await self.get("/api/accounts/v1"))

    async def user(self) -> User:
        """Fetch the user who signed in; needs the scope `sub`."""
        return User.from_json(await self.get("/identity/oauth/v2/userinfo"))

    async def hubs(self, earlier: HubList | None = None) -> HubList:
        """Fetch all hubs of the account; needs the scope `hubs:read`.

        What is as in an earlier answer is taken from there: hubs, or the answer as a whole if the
        server says so (304), which it need not be able to.
        """
        etag = earlier.etag if earlier else None
        try:
            body, new_etag = await self._request("GET", "/api/hubs/v1", etag=etag)
        except OperatedStatusError as err:
            if earlier is None or etag is None or err.status != HTTPStatus.NOT_MODIFIED:
                raise
            return earlier
        return HubList.from_body(body, new_etag, earlier)

    async def hub(self, hub_id: str) -> Hub:
        """Fetch one hub with everything known of it; needs the scope `hubs:read`."""
        hub = as_object(await self.get(hub_path(hub_id)))
        return Hub.from_json({**hub, "id": hub_id})

    async def spaces(self) -> tuple[Space, ...]:
        """Fetch all spaces (rooms) of the account."""
        return read_spaces(await self.get("/api/spaces/v1"))

    async def set_active_port(self, hub_id: str, port: int) -> None:
        """Ask for a port to become active, 0 for none; needs the scope `hubs:write`.

        The cloud applies it some time after it answered, if at all.
        """
        await self._request("PUT", f"{hub_path(hub_id)}/state", {"activeport": port})

    async def subscribe(self, webhook_url: str, verification_token: str) -> str:
        """Have all events of the account posted to an https URL; return the subscription's id.

        A subscription seems to live for about two hours.
        """
        body: JSON = {
            "event": list(EVENTS),
            "webhookUrl": webhook_url,
            "verificationToken": verification_token,
        }
        created, _ = await self._request("POST", "/subscriptions/v1/", body)
        answer = as_object(decode(created))
        if (subscription_id := identifier(answer.get("id"))) is None:
            raise OperatedResponseError("a subscription without an id")
        return subscription_id

    async def extend_subscription(self, subscription_id: str) -> None:
        """Let a subscription live on; OperatedStatusError 404 or 410 if it is gone."""
        await self._request("PATCH", _subscription_path(subscription_id))

    async def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription."""
        await self._request("DELETE", _subscription_path(subscription_id))

    async def _request(
        self, method: str, path: str, json: JSON = None, etag: str | None = None
    ) -> tuple[bytes, str | None]:
        """Return the body of the answer, and its ETag if it has one."""
        token = await self._token_source(None)
        try:
            return await self._send(method, path, json, etag, token)
        except OperatedUnauthorizedError:
            return await self._send(method, path, json, etag, await self._token_source(token))

    async def _send(
        self, method: str, path: str, json: JSON, etag: str | None, token: str
    ) -> tuple[bytes, str | None]:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if etag is not None:
            headers["If-None-Match"] = etag
        # Encoded already: an id must reach the server as it is, whatever it contains.
        url = URL(f"{self._server}{path}", encoded=True)
        try:
            async with self._session.request(
                method,
                url,
                json=json,
                headers=headers,
                timeout=REQUEST_TIMEOUT,
                # A redirect would carry the token to another host.
                allow_redirects=False,
                middlewares=(_send_once,),
            ) as response:
                _raise_for_status(response)
                return await read_body(response), _etag(response)
        except (aiohttp.ClientError, TimeoutError) as err:
            raise OperatedConnectionError(type(err).__name__) from err


def hub_path(hub_id: str) -> str:
    """Return the path of one hub."""
    return f"/api/hubs/v1/{quote(hub_id, safe='')}"


def _subscription_path(subscription_id: str) -> str:
    return f"/subscriptions/v1/{quote(subscription_id, safe='')}"


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or GET whose connection broke."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as err:
        raise OperatedConnectionError(type(err).__name__) from err


async def read_body(response: aiohttp.ClientResponse) -> bytes:
    """Read the whole body. Raises OperatedResponseError if it is longer than any answer can be."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _MAX_BODY:
            raise OperatedResponseError("too long")
    return bytes(body)


def _etag(response: aiohttp.ClientResponse) -> str | None:
    """Return the ETag; None if there is none, or none that could be sent back."""
    etag = response.headers.get("ETag")
    return etag if etag and etag.isascii() else None


def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    match response.status:
        case 401:
            raise OperatedUnauthorizedError
        case 403:
            raise OperatedForbiddenError
        case 429:
            raise OperatedRateLimitError(_retry_after(response.headers.get("Retry-After", "")))
        case status if not 200 <= status < 300:
            raise OperatedStatusError(status)


def _retry_after(header: str) -> float | None:
    """Read seconds or a date; None if it is neither."""
    if header.strip().isdecimal():
        return float(header)
    try:
        until = parsedate_to_datetime(header)
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
