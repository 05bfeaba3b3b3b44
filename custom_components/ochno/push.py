"""Instant updates: a webhook subscription that tells the coordinator what polling would see later.

Nothing here is needed for the integration to work, and no failure here reaches it.
"""

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta
import hmac
from http import HTTPStatus
import random
import secrets
from typing import Final, TypedDict

from aiohttp.web import Request, RequestPayloadError

from homeassistant.components import webhook
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.network import NoURLAvailableError
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util

from . import cloudhook
from .const import DOMAIN, LOGGER, PushState
from .coordinator import OchnoConfigEntry, OchnoCoordinator
from .operated.client import OperatedClient
from .operated.delivery import EVENTS, Delivery
from .operated.errors import (
    OperatedForbiddenError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .problems import async_report_issue, async_settle_issue, name_of

# A subscription seems to live for two hours; half of that leaves room for failures.
EXTEND_AFTER: Final = timedelta(minutes=60)
PAUSES: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60, 360))
# A change that a poll finds may have been pushed in the same moment.
GRACE: Final = timedelta(seconds=10)
STOP_TIMEOUT: Final = 8
_WHY_POLLING: Final = {
    PushState.NO_URL: "there is no https address that the internet can reach",
    PushState.FAILING: "a change was not delivered",
}
_MAX_BODY: Final = 256 * 1024
# So many events; the documented ones have a place in any case.
_KEPT: Final = 10
_GONE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)
_TOKEN_NAMES: Final = ("verificationtoken", "xverificationtoken")


class _Remembered(TypedDict):
    """What must survive a crash."""

    webhook_id: str
    subscription_id: str | None


def push_store(hass: HomeAssistant, entry_id: str) -> Store[_Remembered]:
    """Return where the webhook and the subscription of an entry are remembered."""
    return Store(hass, 1, f"{DOMAIN}.{entry_id}", private=True)


class OchnoPush:
    """The webhook of one entry and its subscription."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: OchnoConfigEntry,
        client: OperatedClient,
        coordinator: OchnoCoordinator,
    ) -> None:
        self._hass = hass
        self._entry = entry
        self._client = client
        self._coordinator = coordinator
        self._store = push_store(hass, entry.entry_id)
        self._lock = asyncio.Lock()
        self._webhook_id = ""
        self._url: str | None = None
        self._token = ""
        self._subscription_id: str | None = None
        self._failures = 0
        self._away = False
        self._stopped = False
        self._ended = False
        self._cancel_next: CALLBACK_TYPE | None = None
        # Set when a change was not delivered, until a delivery shows that they arrive after all.
        self._doubtful = False
        self._unannounced: dict[str, CALLBACK_TYPE] = {}

    async def async_start(self) -> None:
        """Register the webhook; subscribe as soon as Home Assistant can answer deliveries."""
        remembered = await self._store.async_load()
        self._webhook_id = remembered["webhook_id"] if remembered else webhook.async_generate_id()
        # One that a crash left behind is of no use: nobody knows its verification token any more.
        self._subscription_id = remembered["subscription_id"] if remembered else None
        if remembered is None:
            await self._remember()
        webhook.async_register(
            self._hass,
            DOMAIN,
            self._entry.title,
            self._webhook_id,
            self._handle,
            allowed_methods=("POST",),
        )
        self._coordinator.on_change_by_poll = self._change_by_poll
        for stop_listening in (
            self._hass.bus.async_listen(EVENT_CORE_CONFIG_UPDATE, self._look_again),
            self._hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._stop_with_hass),
            cloudhook.async_listen(self._hass, self._look_again),
            async_at_started(self._hass, self._look_again),
            self._coordinator.async_add_listener(self._polled),
        ):
            self._entry.async_on_unload(stop_listening)

    async def async_stop(self) -> None:
        """Unsubscribe, as far as that succeeds in time, and take the webhook away."""
        self._stopped = True
        self._schedule(None)
        self._forget_unannounced()
        self._coordinator.on_change_by_poll = None
        with suppress(Exception):
            async with asyncio.timeout(STOP_TIMEOUT), self._lock:
                await self._unsubscribe()
        # Not before: Home Assistant logs the id of a webhook that a delivery does not find.
        webhook.async_unregister(self._hass, self._webhook_id)
        self._ended = True

    async def _stop_with_hass(self, _event: Event) -> None:
        await self.async_stop()

    @callback
    def _look_again(self, _reason: object = None) -> None:
        """See at once whether there is something to do."""
        # Not the entry's own task: cancelled halfway, it could leave a subscription behind.
        self._hass.async_create_background_task(self._maintain(), "Ochno subscription")

    @callback
    def _polled(self) -> None:
        """When the cloud is back, do not wait until a long pause is over."""
        was_away, self._away = self._away, not self._coordinator.last_update_success
        if was_away and not self._away and self._failures:
            self._look_again()

    async def _maintain(self) -> None:
        """Bring the subscription to where it should be, and see to it again later."""
        async with self._lock:
            if self._stopped:
                return
            try:
                state = await self._subscribe_or_extend()
            except Exception as err:
                state = _state_after(err)
                self._report(state, name_of(err))
                if state is PushState.REFUSED and self._failures >= len(PAUSES):
                    async_report_issue(self._hass, self._entry, "push_refused")
                if self._failures >= len(PAUSES):
                    # It has ended by itself, if it was ever there.
                    self._subscription_id = None
                pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
                self._failures += 1
            else:
                self._failures = 0
                if state is PushState.ACTIVE is not self._coordinator.push_state:
                    # What changed before will not be delivered.
                    await self._coordinator.async_refresh()
                self._report(state, _WHY_POLLING.get(state, ""))
                async_settle_issue(self._hass, self._entry, "push_refused")
                pause = EXTEND_AFTER
            if self._stopped:
                # It took longer than whoever stopped this could wait.
                with suppress(Exception):
                    await self._unsubscribe()
                return
            self._schedule(random.uniform(0.9, 1.1) * pause)  # noqa: S311 - not a secret

    async def _subscribe_or_extend(self) -> PushState:
        url = await self._reachable_url()
        if self._subscription_id is not None and (url is None or url != self._url):
            await self._unsubscribe()
        if url is None:
            return PushState.NO_URL
        if self._subscription_id is not None:
            try:
                await self._client.extend_subscription(self._subscription_id)
            except (OperatedForbiddenError, OperatedStatusError) as err:
                if not _is_gone(err):
                    raise
                self._subscription_id = None
        if self._subscription_id is None:
            self._token = secrets.token_urlsafe(32)
            self._url = url
            self._subscription_id = await self._client.subscribe(url, self._token)
            await self._remember()
        return PushState.FAILING if self._doubtful else PushState.ACTIVE

    async def _unsubscribe(self) -> None:
        """End the subscription; it is forgotten only when the answer says that it is gone."""
        if self._subscription_id is None:
            return
        try:
            await self._client.unsubscribe(self._subscription_id)
        except (OperatedForbiddenError, OperatedStatusError) as err:
            if not _is_gone(err):
                raise
        self._subscription_id = None
        await self._remember()

    async def _remember(self) -> None:
        # By now the entry may have been removed, or loaded anew with another subscription.
        if self._ended:
            return
        await self._store.async_save(
            _Remembered(webhook_id=self._webhook_id, subscription_id=self._subscription_id)
        )

    async def _reachable_url(self) -> str | None:
        """Return the webhook's address on the internet; None if there is none with https."""
        if (url := await cloudhook.async_url(self._hass, self._webhook_id)) is not None:
            return url
        try:
            url = webhook.async_generate_url(self._hass, self._webhook_id, allow_internal=False)
        except NoURLAvailableError:
            return None
        return url if url.startswith("https://") else None

    def _report(self, state: PushState, reason: str) -> None:
        """Tell the coordinator, and the log once, how updates arrive now."""
        if state is self._coordinator.push_state:
            return
        if state is PushState.ACTIVE:
            LOGGER.info("%s: changes arrive at once", self._entry.title)
        else:
            LOGGER.info("%s: changes arrive by polling: %s", self._entry.title, reason)
        self._coordinator.async_set_push_state(state)

    def _schedule(self, pause: timedelta | None) -> None:
        if self._cancel_next is not None:
            self._cancel_next()
        self._cancel_next = (
            None if pause is None else async_call_later(self._hass, pause, self._look_again)
        )

    async def _handle(self, hass: HomeAssistant, webhook_id: str, request: Request) -> None:
        """Take a delivery. It is answered 200 whatever it holds."""
        if self._stopped or self._subscription_id is None:
            return
        body = bytearray()
        # Each look at the content of a cloudhook's request begins anew.
        content = request.content
        try:
            while chunk := await content.read(_MAX_BODY):
                body += chunk
                if len(body) > _MAX_BODY:
                    LOGGER.debug("%s: dropped a delivery that is too long", self._entry.title)
                    return
            delivery = Delivery.from_body(bytes(body))
        except (RequestPayloadError, OperatedResponseError) as err:
            LOGGER.debug("%s: dropped a delivery: %s", self._entry.title, err)
            return
        tokens = [
            *delivery.verification_tokens,
            *(
                value
                for name, value in (*request.headers.items(), *request.query.items())
                if name.lower().replace("-", "").replace("_", "") in _TOKEN_NAMES
            ),
        ]
        if not all(
            hmac.compare_digest(token.encode(errors="replace"), self._token.encode())
            for token in tokens
        ):
            LOGGER.debug("%s: dropped a delivery with a wrong token", self._entry.title)
            return
        self._coordinator.last_delivery = dt_util.utcnow()
        hub = self._coordinator.find_hub(delivery.hub_id, delivery.serial_number)
        if hub is None:
            self._keep(delivery)
            self._entry.async_create_background_task(
                hass, self._coordinator.async_request_refresh(), "Ochno refresh"
            )
            return
        if (cancel := self._unannounced.pop(hub.id, None)) is not None:
            cancel()
        if self._doubtful:
            self._doubtful = False
            self._report(PushState.ACTIVE, "")
        if delivery.new_state is not None:
            self._coordinator.async_push_state(hub.id, delivery.new_state)
        else:
            self._keep(delivery)
        self._coordinator.async_fetch_soon(hub.id)

    def _keep(self, delivery: Delivery) -> None:
        """Keep for diagnostics what was not understood."""
        kept = self._coordinator.not_understood
        if delivery.event in (*EVENTS, *kept) or len(kept) < _KEPT:
            kept[delivery.event] = delivery.raw

    @callback
    def _change_by_poll(self, hub_id: str) -> None:
        """Doubt the subscription if a change that a poll found is not pushed as well."""
        if self._coordinator.push_state is PushState.ACTIVE and hub_id not in self._unannounced:
            self._unannounced[hub_id] = async_call_later(self._hass, GRACE, self._doubt)

    @callback
    def _doubt(self, _now: datetime) -> None:
        """Poll as often as before, and subscribe anew."""
        self._forget_unannounced()
        self._doubtful = True
        self._report(PushState.FAILING, _WHY_POLLING[PushState.FAILING])
        self._url = None
        self._look_again()

    def _forget_unannounced(self) -> None:
        while self._unannounced:
            _, cancel = self._unannounced.popitem()
            cancel()


def _is_gone(err: OperatedForbiddenError | OperatedStatusError) -> bool:
    """Whether the answer about a subscription can mean that it is not there, or no longer ours.

    Nobody says how the vendor answers then. If it is there after all, it ends within two hours,
    and what it delivers has a token that is no longer known.
    """
    return isinstance(err, OperatedForbiddenError) or err.status in _GONE


def _state_after(err: Exception) -> PushState:
    refusals = (OperatedUnauthorizedError, OperatedForbiddenError)
    return PushState.REFUSED if isinstance(err, refusals) else PushState.FAILING


async def async_forget_push(hass: HomeAssistant, entry_id: str) -> None:
    """Leave nothing behind when an entry is removed."""
    store = push_store(hass, entry_id)
    if remembered := await store.async_load():
        await cloudhook.async_delete(hass, remembered["webhook_id"])
    await store.async_remove()
