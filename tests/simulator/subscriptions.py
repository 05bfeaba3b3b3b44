"""Webhook subscriptions and their deliveries."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
import ipaddress
import random
import secrets
import time

import aiohttp
from aiohttp import web
from yarl import URL

from .hub import CONFIG_CHANGE, CONNECTION_CHANGE, STATE_CHANGE, JsonObject, SimHub
from .oauth import OAuthServer
from .responses import ApiError, dump_json, json_response, read_json_object
from .settings import Settings
from .tasks import BackgroundTasks

EVENTS = (STATE_CHANGE, CONFIG_CHANGE, CONNECTION_CHANGE, "hub:charging", "hub:temp")
REORDER_DELAY = 0.5


@dataclass(eq=False, kw_only=True)
class Subscription:
    """A webhook subscription, which expires at `expires` of time.time().

    `last_deliveries` has the last delivery about each hub.
    """

    id: str
    account_id: str
    events: list[str]
    webhook_url: str
    token: str
    expires: float
    delivery_count: int = 0
    last_deliveries: dict[str, asyncio.Task[None]] = field(default_factory=dict)


@dataclass(eq=False, kw_only=True)
class Delivery:
    """A POST request to a webhook.

    `status` is the HTTP status of the response. `error` is the reason if there is no response.
    """

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
    """The webhook subscriptions. They stay valid when the access token expires."""

    def __init__(self, oauth: OAuthServer, settings: Settings, tasks: BackgroundTasks) -> None:
        self.deliveries: list[Delivery] = []
        self._oauth = oauth
        self._settings = settings
        self._tasks = tasks
        self._subscriptions: dict[str, Subscription] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the HTTP session for deliveries."""
        connector = aiohttp.TCPConnector(force_close=True)
        timeout = aiohttp.ClientTimeout(total=10)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)

    async def stop(self) -> None:
        """Close the HTTP session. Cancel the background tasks first."""
        if self._session:
            await self._session.close()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.post("/subscriptions/v1/", self._create)
        yield web.patch("/subscriptions/v1/{id}", self._renew)
        yield web.delete("/subscriptions/v1/{id}", self._delete)

    def active(self) -> list[Subscription]:
        """Return the subscriptions that have not expired."""
        now = time.time()
        for subscription in list(self._subscriptions.values()):
            if now >= subscription.expires:
                del self._subscriptions[subscription.id]
        return list(self._subscriptions.values())

    def handle_hub_change(self, hub: SimHub, event: str | None, changes: JsonObject) -> None:
        """Send an event to the subscriptions of the hub's account."""
        subscriptions = [
            subscription
            for subscription in self.active()
            if subscription.account_id == hub.account_id and event in subscription.events
        ]
        if event is None or not subscriptions:
            return
        partial = self._settings.delivery_partial
        match event:
            case "hub:state:change":
                data = {"newState": changes if partial else hub.state}
            case "hub:config:change":
                data = {"newConfig": changes if partial else hub.config}
            case _:
                data = {"connections": changes}
        for subscription in subscriptions:
            for _ in range(1 + self._settings.delivery_repeat):
                delivery = self._create_delivery(subscription, hub, event, data)
                self._start_delivery(subscription, delivery)

    async def deliver(
        self,
        hub: SimHub,
        event: str,
        data: object,
        *,
        token: str | None = None,
        body: str | None = None,
    ) -> list[Delivery]:
        """Send a custom event to all active subscriptions of the hub's account.

        `token` replaces the verification token, `body` replaces the JSON text. The settings that
        drop, delay, repeat or reorder deliveries do not apply. Return the deliveries when all
        have a response or an error.
        """
        deliveries = []
        for subscription in self.active():
            if subscription.account_id == hub.account_id:
                delivery = self._create_delivery(subscription, hub, event, data, token)
                delivery.body = delivery.body if body is None else body
                self.deliveries.append(delivery)
                deliveries.append(delivery)
                await self._send(delivery)
        return deliveries

    async def _create(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request, "hubs:read")
        body = await read_json_object(request)
        if body.keys() != {"event", "webhookUrl", "verificationToken"}:
            text = "The body must have event, webhookUrl and verificationToken, and nothing else."
            raise ApiError(400, "bad_request", text)
        events, url, token = body["event"], body["webhookUrl"], body["verificationToken"]
        if (
            not isinstance(events, list)
            or not events
            or any(event not in EVENTS for event in events)
        ):
            raise ApiError(400, "bad_request", "event must be a list of known events.")
        if not isinstance(url, str) or not url.startswith("https://") or not URL(url).host:
            raise ApiError(400, "bad_request", "webhookUrl must be an https URL.")
        if not isinstance(token, str) or not token:
            raise ApiError(400, "bad_request", "verificationToken must be a text.")
        subscription = Subscription(
            id=f"sub-{secrets.token_hex(8)}",
            account_id=grant.account_id,
            events=events,
            webhook_url=url,
            token=token,
            expires=self._new_expiry(),
        )
        self._subscriptions[subscription.id] = subscription
        return json_response(request, {"id": subscription.id}, 201)

    async def _renew(self, request: web.Request) -> web.Response:
        subscription = self._find_subscription(request)
        if await request.read():
            raise ApiError(400, "bad_request", "There must be no body.")
        subscription.expires = self._new_expiry()
        return json_response(request, {"id": subscription.id})

    async def _delete(self, request: web.Request) -> web.Response:
        del self._subscriptions[self._find_subscription(request).id]
        return web.Response(status=204)

    def _new_expiry(self) -> float:
        return time.time() + self._settings.subscription_lifetime

    def _find_subscription(self, request: web.Request) -> Subscription:
        grant = self._oauth.authorize(request, "hubs:read")
        for subscription in self.active():
            if (subscription.id, subscription.account_id) == (
                request.match_info["id"],
                grant.account_id,
            ):
                return subscription
        raise ApiError(404, "not_found", "There is no such subscription.")

    def _create_delivery(
        self,
        subscription: Subscription,
        hub: SimHub,
        event: str,
        data: object,
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
            server = URL(settings.deliver_to)
            url = url.with_scheme(server.scheme).with_host(server.host or "")
            url = url.with_port(server.port)
        headers = {"Content-Type": settings.delivery_content_type}
        token = token or subscription.token
        match settings.delivery_token:
            case "verificationToken":
                message["verificationToken"] = token
            case "header":
                headers["X-Verification-Token"] = token
            case "query":
                url = url.update_query(verificationToken=token)
        return Delivery(
            subscription_id=subscription.id,
            event=event,
            hub_id=hub.id,
            url=str(url),
            headers=headers,
            body=dump_json(message).decode(),
        )

    def _start_delivery(self, subscription: Subscription, delivery: Delivery) -> None:
        """Send a delivery after the previous one about the same hub.

        The setting delivery_reorder delays every other delivery, so that the next one overtakes
        it.
        """
        self.deliveries.append(delivery)
        settings = self._settings
        if random.random() < settings.delivery_drop:
            delivery.error = "dropped by delivery_drop"
            return
        delay = settings.delivery_delay
        previous = subscription.last_deliveries.get(delivery.hub_id)
        if settings.delivery_reorder:
            previous = None
            delay += REORDER_DELAY if subscription.delivery_count % 2 == 0 else 0
        subscription.delivery_count += 1
        subscription.last_deliveries[delivery.hub_id] = self._tasks.create(
            self._send_delayed(delivery, delay, previous)
        )

    async def _send_delayed(
        self, delivery: Delivery, delay: float, previous: asyncio.Task[None] | None
    ) -> None:
        if delay:
            await asyncio.sleep(delay)
        if previous and not previous.done():
            await asyncio.wait([previous])
        await self._send(delivery)

    async def _send(self, delivery: Delivery) -> None:
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
            ) as response:
                await response.read()
                delivery.status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            delivery.error = f"{type(error).__name__}: {error}"
