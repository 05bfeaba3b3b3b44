"""Webhook of one config entry: receives deliveries, verifies them, and updates the coordinator."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
import hmac
from ipaddress import ip_address
from typing import Final

from aiohttp.web import Request, RequestPayloadError
from yarl import URL

from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers.network import NoURLAvailableError
from homeassistant.util import dt as dt_util

from . import cloudhook
from .const import DOMAIN, LOGGER
from .coordinator import OchnoCoordinator
from .fetches import Fetches
from .operated.delivery import (
    EVENTS_WITHOUT_STATE,
    MEASUREMENT_EVENTS,
    Delivery,
    read_deliveries,
)
from .operated.errors import OperatedResponseError
from .operated.models import Hub
from .operated.redact import redact, shape
from .operated.values import Fields, canonical_name, text, texts
from .problems import error_summary
from .session import async_get_evidence

# Bytes.
_MAX_BODY: Final = 256 * 1024
# Seconds until a body must have arrived.
_BODY_TIMEOUT: Final = 10
# Limits of what is kept for diagnostics.
_MAX_EVENTS: Final = 15
_MAX_DELIVERIES: Final = 20
# Canonical names of headers and query parameters.
_TOKEN_NAMES: Final = ("verificationtoken", "xverificationtoken")


@dataclass(frozen=True, kw_only=True)
class DeliveryRecord:
    """What diagnostics show about a delivery.

    `headers` are names. `token_found_in` has the places of verification tokens: `body`, `header` or
    `query`. `problem` describes what was not understood; None if nothing.
    """

    time: datetime
    content_type: str | None
    headers: list[str]
    token_found_in: list[str]
    problem: str | None


class OchnoWebhook:
    """Webhook of one config entry.

    `last_delivery` is the time of the last accepted delivery, None before it. `deliveries` has the
    last deliveries of each event, for diagnostics.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        coordinator: OchnoCoordinator,
        on_delivery: Callable[[str], None],
        on_change: Callable[[str], None],
    ) -> None:
        """Both functions are called with a hub id.

        `on_delivery` is called for each accepted delivery about a known hub. `on_change` is called
        if the delivery has the verification token, or if the fetch after it found a change.
        """
        self.last_delivery: datetime | None = None
        self.deliveries: dict[str, deque[DeliveryRecord]] = {}
        self._hass = hass
        self._entry = entry
        self._coordinator = coordinator
        self._on_delivery = on_delivery
        self._on_change = on_change
        self._webhook_id = ""
        self._verification_token: str | None = None
        # The vendor does not document whether deliveries have the token. If one has, all have.
        self._token_required = False
        self._fetches = Fetches(hass, entry, coordinator, on_change)

    def async_register(self, webhook_id: str) -> None:
        """Register the webhook. Deliveries are dropped until `accept` is called."""
        self._webhook_id = webhook_id
        webhook.async_register(
            self._hass,
            DOMAIN,
            self._entry.title,
            webhook_id,
            self._handle_request,
            allowed_methods=("POST",),
        )

    def async_unregister(self) -> None:
        """Unregister the webhook."""
        webhook.async_unregister(self._hass, self._webhook_id)

    def accept(self, verification_token: str | None) -> None:
        """Accept deliveries with this verification token, and without any. None drops all.

        After the first delivery with the token, deliveries without a token are dropped. An empty
        string means that the token is not known.
        """
        self._verification_token = verification_token

    def async_stop(self) -> None:
        """Drop all deliveries from now on, and cancel the fetches that are due."""
        self.accept(None)
        self._fetches.async_stop()

    @property
    def announced_hub_ids(self) -> set[str]:
        """The ids of the hubs that are still to be fetched after a delivery."""
        return self._fetches.pending

    def async_request_list(self) -> None:
        """Fetch the list soon, because a delivery was lost."""
        self._fetches.async_add_unknown_hub("")

    async def async_public_url(self) -> str | None:
        """Return the webhook's public https URL; None if there is none."""
        if url := await cloudhook.async_get_or_create_url(self._hass, self._webhook_id):
            return url
        try:
            url = webhook.async_generate_url(self._hass, self._webhook_id, allow_internal=False)
        except NoURLAvailableError:
            return None
        return url if _is_public(URL(url)) else None

    async def _handle_request(self, hass: HomeAssistant, webhook_id: str, request: Request) -> None:
        """Handle a delivery. The response is always 200 with an empty body."""
        if (verification_token := self._verification_token) is None:
            return
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                body = await _read_body(request)
            deliveries = read_deliveries(body)
        except (TimeoutError, RequestPayloadError, OperatedResponseError) as err:
            LOGGER.debug("%s: dropped a delivery: %s", self._entry.title, err)
            async_get_evidence(self._hass).record("delivery", error_summary(err))
            return
        for delivery in deliveries:
            tokens = [token for _, token in _sent_tokens(delivery, request)]
            verified = bool(tokens and verification_token)
            if not _all_match(tokens, verification_token) or (
                self._token_required and not verified
            ):
                LOGGER.debug("%s: dropped a delivery without its token", self._entry.title)
                continue
            self._token_required |= verified
            self._handle_delivery(request, delivery, verified=verified)

    def _handle_delivery(self, request: Request, delivery: Delivery, *, verified: bool) -> None:
        if self._verification_token is None:
            # The entry was unloaded while the body was read. It may be loaded again by now.
            if self._entry.state is ConfigEntryState.LOADED:
                self._entry.runtime_data.push.webhook.async_request_list()
            return
        self.last_delivery = dt_util.utcnow()
        hub = self._find_hub(delivery)
        self._record(request, delivery, hub)
        # No entity shows these values, and they can arrive every few seconds.
        if delivery.event in MEASUREMENT_EVENTS:
            return
        if hub is None:
            self._fetches.async_add_unknown_hub(delivery.hub_id or delivery.serial_number or "")
            return
        self._on_delivery(hub.id)
        # Anybody who knows the address can send a delivery without the token.
        if verified:
            self._on_change(hub.id)
            if delivery.new_state is not None:
                self._coordinator.async_merge_state(hub.id, delivery.new_state)
        self._fetches.async_add_hub(hub.id)

    def _find_hub(self, delivery: Delivery) -> Hub | None:
        hubs = self._coordinator.data
        if delivery.hub_id in hubs:
            return hubs[delivery.hub_id]
        if (serial := delivery.serial_number) is None:
            return None
        return next((hub for hub in hubs.values() if hub.serial_number == serial), None)

    def _record(self, request: Request, delivery: Delivery, hub: Hub | None) -> None:
        """Keep what diagnostics show about a delivery."""
        # Anybody who knows the address can send any text as the event.
        event = text(Fields(redact({"event": delivery.event})).get("event")) or ""
        if event not in self.deliveries and len(self.deliveries) >= _MAX_EVENTS:
            return
        problem = None
        if hub is None:
            problem = f"expected the id or serial number of a hub, got {shape(delivery.raw)}"
        elif delivery.new_state is None and delivery.event not in EVENTS_WITHOUT_STATE:
            problem = f"expected a known event and its state, got {shape(delivery.raw)}"
        if problem is not None:
            async_get_evidence(self._hass).record("delivery", problem)
        self.deliveries.setdefault(event, deque(maxlen=_MAX_DELIVERIES)).append(
            DeliveryRecord(
                time=dt_util.utcnow(),
                content_type=text(request.headers.get("Content-Type")),
                headers=texts([*sorted(request.headers)]),
                token_found_in=[place for place, _ in _sent_tokens(delivery, request)],
                problem=problem,
            )
        )


def _is_public(url: URL) -> bool:
    """Return whether the internet may be able to reach an https URL."""
    host = url.host or ""
    try:
        return url.scheme == "https" and ip_address(host).is_global
    except ValueError:
        return url.scheme == "https" and not host.endswith((".local", "localhost"))


async def _read_body(request: Request) -> bytes:
    """Read the body. Raises OperatedResponseError if it is longer than `_MAX_BODY`."""
    body = bytearray()
    # A cloudhook's request returns a new stream each time its content is read.
    content = request.content
    while chunk := await content.read(_MAX_BODY):
        body += chunk
        if len(body) > _MAX_BODY:
            raise OperatedResponseError("delivery too long")
    return bytes(body)


def _all_match(tokens: list[str], verification_token: str) -> bool:
    expected = verification_token.encode()
    return all(hmac.compare_digest(token.encode(errors="replace"), expected) for token in tokens)


def _sent_tokens(delivery: Delivery, request: Request) -> list[tuple[str, str]]:
    """Return all verification tokens of a delivery, with the place where each was found."""
    return [
        *(("body", token) for token in delivery.verification_tokens),
        *(
            (place, value)
            for place, fields in (("header", request.headers), ("query", request.query))
            for name, value in fields.items()
            if canonical_name(name) in _TOKEN_NAMES
        ),
    ]
