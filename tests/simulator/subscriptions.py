"""Webhook subscriptions, and the deliveries to them, which never leave this machine."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
import ipaddress
import random
import secrets
import time
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from .answers import Refused, dump, json_answer, json_object
from .background import Background
from .hub import CONFIG_CHANGE, CONNECTION_CHANGE, STATE_CHANGE, JsonObject, SimHub
from .identity import Identity
from .settings import Settings

EVENTS = (STATE_CHANGE, CONFIG_CHANGE, CONNECTION_CHANGE, "hub:charging", "hub:temp")
REORDER_DELAY = 0.5


@dataclass(eq=False)
class Subscription:
    """Who wants to hear what; lapses at `expires` (time.time())."""

    id: str
    account_id: str
    events: list[str]
    webhook_url: str
    token: str
    expires: float
    sent: int = 0
    last: asyncio.Task[None] | None = None


@dataclass(eq=False)
class Delivery:
    """One POST: `status` is None until it is answered, `error` says why it never will be."""

    subscription_id: str
    event: str
    hub_id: str
    url: str
    headers: dict[str, str]
    body: str
    status: int | None = None
    error: str | None = None


def _is_loopback(url: URL) -> bool:
    if url.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(url.host or "").is_loopback
    except ValueError:
        return False


class Subscriptions:
    """All subscriptions. They outlive the tokens they were made with, until they lapse."""

    def __init__(self, identity: Identity, settings: Settings, background: Background) -> None:
        self.deliveries: list[Delivery] = []
        self._identity = identity
        self._settings = settings
        self._background = background
        self._subscriptions: dict[str, Subscription] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Be ready to deliver."""
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def stop(self) -> None:
        """Close the connections; the tasks that deliver are over by now."""
        if self._session:
            await self._session.close()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.post("/subscriptions/v1/", self._create)
        yield web.patch("/subscriptions/v1/{id}", self._extend)
        yield web.delete("/subscriptions/v1/{id}", self._end)

    def live(self) -> list[Subscription]:
        """Return the subscriptions that have not lapsed."""
        now = time.time()
        for subscription in list(self._subscriptions.values()):
            if now >= subscription.expires:
                del self._subscriptions[subscription.id]
        return list(self._subscriptions.values())

    def hub_changed(self, hub: SimHub, event: str | None, changes: JsonObject) -> None:
        """Tell everybody who subscribed to the event."""
        listening = [
            subscription
            for subscription in self.live()
            if subscription.account_id == hub.account_id and event in subscription.events
        ]
        if event is None or not listening:
            return
        partial = self._settings.delivery_partial
        match event:
            case "hub:state:change":
                data = {"newState": changes if partial else hub.state}
            case "hub:config:change":
                data = {"newConfig": changes if partial else hub.config}
            case _:
                data = {"connections": changes}
        for subscription in listening:
            delivery = self._prepare(subscription, hub, event, data)
            for one in [
                delivery,
                *(replace(delivery) for _ in range(self._settings.delivery_repeat)),
            ]:
                self._start(subscription, one)

    async def deliver(
        self,
        hub: SimHub,
        event: str,
        data: Any,
        *,
        token: str | None = None,
        body: str | None = None,
    ) -> list[Delivery]:
        """Deliver something made up to every live subscription of the hub's account.

        `token` replaces the subscription's own where settings.delivery_token puts it; `body`
        replaces the whole JSON text. Nothing is dropped, delayed or repeated; returns when all
        are answered.
        """
        deliveries = []
        for subscription in self.live():
            if subscription.account_id == hub.account_id:
                delivery = self._prepare(subscription, hub, event, data, token)
                delivery.body = delivery.body if body is None else body
                self.deliveries.append(delivery)
                deliveries.append(delivery)
                await self._post(delivery)
        return deliveries

    async def _create(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request, "hubs:read")
        body = await json_object(request)
        if body.keys() != {"event", "webhookUrl", "verificationToken"}:
            text = "The body must have event, webhookUrl and verificationToken, and nothing else."
            raise Refused(400, "bad_request", text)
        events, url, token = body["event"], body["webhookUrl"], body["verificationToken"]
        if not isinstance(events, list) or not events or any(one not in EVENTS for one in events):
            raise Refused(400, "bad_request", "event must be a list of known events.")
        if not isinstance(url, str) or not url.startswith("https://") or not URL(url).host:
            raise Refused(400, "bad_request", "webhookUrl must be an https URL.")
        if not isinstance(token, str) or not token:
            raise Refused(400, "bad_request", "verificationToken must be a text.")
        subscription = Subscription(
            f"sub-{secrets.token_hex(8)}", grant.account_id, events, url, token, self._end_of_life()
        )
        self._subscriptions[subscription.id] = subscription
        return json_answer(request, {"id": subscription.id}, 201)

    async def _extend(self, request: web.Request) -> web.Response:
        subscription = self._find(request)
        if await request.read():
            raise Refused(400, "bad_request", "There must be no body.")
        subscription.expires = self._end_of_life()
        return json_answer(request, {"id": subscription.id})

    async def _end(self, request: web.Request) -> web.Response:
        del self._subscriptions[self._find(request).id]
        return web.Response(status=204)

    def _end_of_life(self) -> float:
        return time.time() + self._settings.subscription_lifetime

    def _find(self, request: web.Request) -> Subscription:
        grant = self._identity.grant(request, "hubs:read")
        for subscription in self.live():
            if (subscription.id, subscription.account_id) == (
                request.match_info["id"],
                grant.account_id,
            ):
                return subscription
        raise Refused(404, "not_found", "There is no such subscription.")

    def _prepare(
        self,
        subscription: Subscription,
        hub: SimHub,
        event: str,
        data: Any,
        token: str | None = None,
    ) -> Delivery:
        settings = self._settings
        message: JsonObject = {"event": event, "data": data}
        match settings.delivery_id:
            case "hubId":
                message["hubId"] = hub.id
            case "serialNumber":
                message["serialNumber"] = hub.serial
            case "data.hubId" if isinstance(data, dict):
                message["data"] = {"hubId": hub.id, **data}
        url = URL(subscription.webhook_url)
        if settings.deliver_to:
            here = URL(settings.deliver_to)
            url = url.with_scheme(here.scheme).with_host(here.host or "").with_port(here.port)
        headers = {"Content-Type": settings.delivery_content_type}
        token = token or subscription.token
        match settings.delivery_token:
            case "verificationToken":
                message["verificationToken"] = token
            case "header":
                headers["X-Verification-Token"] = token
            case "query":
                url = url.update_query(verificationToken=token)
        body = dump(message).decode()
        return Delivery(subscription.id, event, hub.id, str(url), headers, body)

    def _start(self, subscription: Subscription, delivery: Delivery) -> None:
        """Deliver in order, unless delivery_reorder lets every second one overtake the first."""
        self.deliveries.append(delivery)
        settings = self._settings
        if random.random() < settings.delivery_drop:
            delivery.error = "dropped by delivery_drop"
            return
        delay, before = settings.delivery_delay, subscription.last
        if settings.delivery_reorder:
            before = None
            delay += REORDER_DELAY if subscription.sent % 2 == 0 else 0
        subscription.sent += 1
        subscription.last = self._background.start(self._deliver(delivery, delay, before))

    async def _deliver(
        self, delivery: Delivery, delay: float, before: asyncio.Task[None] | None
    ) -> None:
        if delay:
            await asyncio.sleep(delay)
        if before and not before.done():
            await asyncio.wait([before])
        await self._post(delivery)

    async def _post(self, delivery: Delivery) -> None:
        if not _is_loopback(URL(delivery.url)):
            delivery.error = "not delivered: not this machine"
            return
        if self._session is None:
            delivery.error = "not delivered: the simulator does not run"
            return
        try:
            async with self._session.post(
                delivery.url,
                data=delivery.body.encode(),
                headers=delivery.headers,
                allow_redirects=False,
            ) as answer:
                await answer.read()
                delivery.status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
