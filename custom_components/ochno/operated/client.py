"""Client for the REST API of Ochno Operated."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final
from urllib.parse import quote
from weakref import WeakValueDictionary

import aiohttp

from .accounts import Account, Space, User, read_accounts, read_spaces
from .budget import RequestBudget
from .delivery import EVENTS
from .errors import (
    OperatedError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .evidence import Evidence
from .hub_list import HubList
from .models import Hub
from .redact import shape
from .transport import TokenSource, Transport
from .types import JSON
from .values import decode, identifier, unwrapped_object

# Waiting requests are sent in order. If more of these waited at a time, a request that confirms a
# command would have to wait for all of them.
_MAX_CONCURRENT_DETAILS: Final = 2


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
        self.transport = Transport(session, server, token_source, budget)
        self._hub_locks = WeakValueDictionary[str, asyncio.Lock]()

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
            body, new_etag = await self.transport.request("GET", "/api/hubs/v1", etag=etag)
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
        """Fetch one hub with all its data. Requires the scope `hubs:read`.

        Waits while another request for the same hub is in progress.
        """

        def read(json: JSON) -> Hub:
            return Hub.from_json({**unwrapped_object(json, "hub").json, "id": hub_id})

        async with self._hub_locks.setdefault(hub_id, asyncio.Lock()):
            hub = await self._get(hub_path(hub_id), read, "/api/hubs/v1/{id}")
        self._record_unread("GET /api/hubs/v1/{id}", hub, state_expected=True)
        return hub

    async def hub_details(self, hub_ids: Iterable[str]) -> dict[str, Hub | OperatedError]:
        """Fetch several hubs, one request each.

        Returns the hub or the error of its request, by hub id. A rejected token or a rate limit
        concerns all hubs, so these errors are raised.
        """
        concurrent = asyncio.Semaphore(_MAX_CONCURRENT_DETAILS)

        async def fetch(hub_id: str) -> Hub | OperatedError:
            try:
                async with concurrent:
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
        after the response. `on_start` is called when the request budget allows the request.
        """
        json: JSON = {"activeport": port}
        await self.transport.request("PUT", f"{hub_path(hub_id)}/state", json, on_start=on_start)

    async def subscribe(self, webhook_url: str, verification_token: str) -> str:
        """Subscribe an https URL to all events of the account; return the subscription id.

        A subscription seems to expire after about two hours.
        """
        body: JSON = {
            "event": list(EVENTS),
            "webhookUrl": webhook_url,
            "verificationToken": verification_token,
        }
        response, _ = await self.transport.request("POST", "/subscriptions/v1/", body)
        with self._recorded("POST /subscriptions/v1/"):
            return _subscription_id(decode(response))

    async def extend_subscription(self, subscription_id: str) -> None:
        """Extend a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self.transport.request("PATCH", _subscription_path(subscription_id))

    async def unsubscribe(self, subscription_id: str) -> None:
        """End a subscription. Raises OperatedStatusError 404 or 410 if it has expired."""
        await self.transport.request("DELETE", _subscription_path(subscription_id))

    async def _get[ResultT](
        self, path: str, read: Callable[[JSON], ResultT], name: str | None = None
    ) -> ResultT:
        """Return the response of a path. The evidence has `name` instead of the path, if given."""
        body, _ = await self.transport.request("GET", path)
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
