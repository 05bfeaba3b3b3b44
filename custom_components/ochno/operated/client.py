"""Client for the REST API of Ochno Operated.

If the server rejects the access token (401), the token is renewed and the request is repeated once.
No other request is repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from .accounts import Account, Space, User, read_accounts, read_spaces
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
from .models import Hub, HubList
from .values import JSON, as_object, decode, identifier, seconds_from_now

# Returns an access token. The argument is the token that the server rejected with 401; None if none
# was rejected. May raise errors of its own; the client does not catch them.
type TokenSource = Callable[[str | None], Awaitable[str]]

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
# About five times the size of a list of 3,000 hubs.
_MAX_BODY: Final = 16 * 1024 * 1024
_MAX_CONCURRENT_DETAILS: Final = 4


class OperatedClient:
    """Client for the API of one Ochno Operated account.

    All methods raise OperatedConnectionError, OperatedUnauthorizedError, OperatedForbiddenError,
    OperatedRateLimitError, OperatedStatusError or OperatedResponseError, and the errors of the
    token source.
    """

    def __init__(
        self, session: aiohttp.ClientSession, server: str, token_source: TokenSource
    ) -> None:
        """Use `server`, a base URL such as `https://operated.ochno.com`."""
        self._session = session
        self._server = server
        self._token_source = token_source

    async def get(self, path: str) -> JSON:
        """Return the decoded JSON of a path."""
        body, _ = await self._request("GET", path)
        return decode(body)

    async def accounts(self) -> tuple[Account, ...]:
        """Fetch the accounts of the user. Requires the scope `accounts:read`.

        The vendor does not document whether this is only the selected account.
        """
        return read_accounts(await self.get("/api/accounts/v1"))

    async def user(self) -> User:
        """Fetch the user who signed in. Requires the scope `sub`."""
        return User.from_json(await self.get("/identity/oauth/v2/userinfo"))

    async def hubs(self, earlier: HubList | None = None) -> HubList:
        """Fetch all hubs of the account. Requires the scope `hubs:read`.

        With an earlier list, the request is conditional. If the server reports that nothing
        changed (304), or sends the same body, the result is the earlier list itself.
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
        """Fetch one hub with all its data. Requires the scope `hubs:read`."""
        hub = as_object(await self.get(hub_path(hub_id)))
        return Hub.from_json({**hub, "id": hub_id})

    async def hub_details(self, hub_ids: Iterable[str]) -> dict[str, Hub | OperatedError]:
        """Fetch several hubs, one request each, at most four at a time.

        Returns the hub or the error of its request, by hub id. A rejected token or a rate limit
        concerns all hubs, so these errors are raised.
        """
        limit = asyncio.Semaphore(_MAX_CONCURRENT_DETAILS)

        async def fetch(hub_id: str) -> Hub | OperatedError:
            try:
                async with limit:
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
        return read_spaces(await self.get("/api/spaces/v1"))

    async def set_active_port(self, hub_id: str, port: int) -> None:
        """Request another active port, 0 for none. Requires the scope `hubs:write`.

        `port` is a number from 0 to the number of ports. The cloud applies the change some time
        after the response.
        """
        await self._request("PUT", f"{hub_path(hub_id)}/state", {"activeport": port})

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
        subscription = as_object(decode(response))
        if (subscription_id := identifier(subscription.get("id"))) is None:
            raise OperatedResponseError("expected a subscription with an id")
        return subscription_id

    async def extend_subscription(self, subscription_id: str) -> None:
        """Extend a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self._request("PATCH", _subscription_path(subscription_id))

    async def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self._request("DELETE", _subscription_path(subscription_id))

    async def _request(
        self, method: str, path: str, json: JSON = None, etag: str | None = None
    ) -> tuple[bytes, str | None]:
        """Send a request; return the body and the ETag of the response, None without an ETag."""
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
                middlewares=(_disable_retry,),
            ) as response:
                _raise_for_status(response)
                return await read_body(response), _etag(response)
        except (aiohttp.ClientError, TimeoutError) as err:
            raise OperatedConnectionError(type(err).__name__) from err


def hub_path(hub_id: str) -> str:
    """Return the URL-encoded path of one hub."""
    return f"/api/hubs/v1/{quote(hub_id, safe='')}"


def _subscription_path(subscription_id: str) -> str:
    return f"/subscriptions/v1/{quote(subscription_id, safe='')}"


async def _disable_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Middleware that disables aiohttp's own retry of GET and PUT."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as err:
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


def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    match response.status:
        case 401:
            raise OperatedUnauthorizedError
        case 403:
            raise OperatedForbiddenError
        case 429:
            retry_after = seconds_from_now(response.headers.get("Retry-After"))
            raise OperatedRateLimitError(None if retry_after is None else max(0.0, retry_after))
        case status if not 200 <= status < 300:
            raise OperatedStatusError(status)
