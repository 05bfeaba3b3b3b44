"""HTTP requests to Ochno Operated: token, limits and errors.

A request is repeated once in each of these cases:

- The server rejects the access token (401). The repeated request has a new token.
- The server refuses the request (429) without a time to wait. It is repeated a second later.
- The connection is closed before the response to a GET.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from .budget import RequestBudget
from .errors import (
    OperatedConnectionError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .types import JSON
from .values import seconds_from_now

# Returns an access token. The argument is the token that the server rejected with 401; None if none
# was rejected. May raise errors of its own; the client does not catch them.
type TokenSource = Callable[[str | None], Awaitable[str]]

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=20)
# About five times the size of a list of 3,000 hubs.
_MAX_BODY: Final = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A response for diagnostics. `content_type` is None without the header."""

    status: int
    content_type: str | None
    body: bytes


class Transport:
    """Sends requests with an access token, within the budget of the account."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        server: str,
        token_source: TokenSource,
        budget: RequestBudget,
    ) -> None:
        """Use `server`, a base URL such as `https://operated.ochno.com`."""
        self._budget = budget
        self._session = session
        self._server = server
        self._token_source = token_source

    async def request(
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
        refused = False
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
                except OperatedRateLimitError as err:
                    if refused or err.retry_after:
                        raise
                    refused = True
                    self._budget.pause()

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


async def _limit_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Middleware that limits aiohttp's retry to GET.

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
