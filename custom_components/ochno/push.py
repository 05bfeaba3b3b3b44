"""Instant updates: the webhook subscription of one config entry.

Polling continues with or without a subscription. Subscription errors do not fail the config entry.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta
from http import HTTPStatus
import random
import secrets
from typing import Final, TypedDict

from homeassistant.components import webhook
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EVENT_CORE_CONFIG_UPDATE, EVENT_HOMEASSISTANT_STOP
from homeassistant.core import CALLBACK_TYPE, Event, HomeAssistant, callback
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store

from . import cloudhook
from .const import DOMAIN, LOGGER, PushState
from .coordinator import OchnoCoordinator
from .missed import MissedDeliveries
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedForbiddenError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .problems import async_create_issue, async_delete_issue, error_summary
from .storage import async_load, async_remove
from .webhook import OchnoWebhook

PUSH_POLL_INTERVAL: Final = timedelta(seconds=120)
# A subscription seems to expire after two hours. Half of that leaves time for retries.
EXTEND_INTERVAL: Final = timedelta(minutes=60)
RETRY_INTERVALS: Final = tuple(timedelta(minutes=minutes) for minutes in (1, 2, 5, 15, 60, 360))
# Seconds.
STOP_TIMEOUT: Final = 8
# Seconds between two maintenance runs after a change of the URL.
_EVENT_INTERVAL: Final = 60
_POLLING_REASONS: Final = {
    PushState.NO_URL: "there is no public https URL",
    PushState.FAILING: "a change was not delivered",
}
_GONE: Final = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.GONE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class _StoredSubscription(TypedDict):
    """Content of the storage file."""

    webhook_id: str
    subscription_id: str | None


def _is_usable(stored: _StoredSubscription) -> bool:
    """Return whether a storage file has all keys."""
    subscription_id = stored.get("subscription_id", 0)
    return isinstance(stored.get("webhook_id"), str) and isinstance(subscription_id, str | None)


def _subscription_store(hass: HomeAssistant, entry_id: str) -> Store[_StoredSubscription]:
    return Store(hass, 1, f"{DOMAIN}.{entry_id}", private=True, atomic_writes=True)


class OchnoPush:
    """Webhook subscription of one config entry.

    `state` tells whether it delivers changes, and `reason` why it does not; empty otherwise.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        client: OperatedClient,
        coordinator: OchnoCoordinator,
    ) -> None:
        self.state = PushState.OFF
        self.reason = ""
        self._hass = hass
        self._entry = entry
        self._client = client
        self._coordinator = coordinator
        self._store = _subscription_store(hass, entry.entry_id)
        self._lock = asyncio.Lock()
        self._webhook_id = ""
        self._url: str | None = None
        self._subscription_id: str | None = None
        self._failures = 0
        self._account_unavailable = False
        self._stopped = False
        self._unregistered = False
        self._cancel_next: CALLBACK_TYPE | None = None
        self._missed = MissedDeliveries(hass, self._handle_missed_delivery)
        self.webhook = OchnoWebhook(
            hass, entry, coordinator, self._missed.handle_delivery, self._handle_announced_change
        )
        # Nabu Casa may connect and disconnect often.
        self._maintenance = Debouncer(
            hass,
            LOGGER,
            cooldown=_EVENT_INTERVAL,
            immediate=True,
            function=self._async_maintain,
            background=True,
        )

    async def async_start(self) -> None:
        """Register the webhook, and subscribe when Home Assistant has started."""
        stored = await async_load(self._store, _is_usable)
        self._webhook_id = stored["webhook_id"] if stored else webhook.async_generate_id()
        self._subscription_id = stored["subscription_id"] if stored else None
        if stored is None:
            await self._async_save()
        self.webhook.async_register(self._webhook_id)
        if self._subscription_id is not None:
            # The subscription is from before a crash, and its verification token is lost.
            # Accept only deliveries without a token.
            self.webhook.accept("")
        for stop_listening in (
            self._hass.bus.async_listen(EVENT_CORE_CONFIG_UPDATE, self._handle_url_event),
            self._hass.bus.async_listen_once(EVENT_HOMEASSISTANT_STOP, self._async_handle_stop),
            cloudhook.async_listen_connection_change(self._hass, self._handle_url_event),
            async_at_started(self._hass, self._start_maintenance),
            self._coordinator.async_add_listener(self._handle_coordinator_update),
        ):
            self._entry.async_on_unload(stop_listening)

    async def async_stop(self) -> None:
        """Unsubscribe if that succeeds in time, and unregister the webhook."""
        self._stopped = True
        self.webhook.async_stop()
        self._maintenance.async_shutdown()
        self._schedule_maintenance(None)
        self._missed.async_stop()
        with suppress(Exception):
            async with asyncio.timeout(STOP_TIMEOUT), self._lock:
                await self._async_unsubscribe()
        # Last, because Home Assistant logs the id of a webhook that is not registered.
        self.webhook.async_unregister()
        self._unregistered = True

    async def _async_handle_stop(self, _event: Event) -> None:
        await self.async_stop()

    @callback
    def _handle_url_event(self, _event: object) -> None:
        """Start a maintenance run, because the public URL may have changed."""
        self._maintenance.async_schedule_call()

    @callback
    def _start_maintenance(self, _reason: object = None) -> None:
        """Start a maintenance run now."""
        # Not a task of the entry: a cancelled run could leave a subscription behind.
        self._hass.async_create_background_task(self._async_maintain(), "Ochno subscription")

    @callback
    def _handle_coordinator_update(self) -> None:
        """Expect a delivery for each change that a poll found; retry after an outage."""
        was_unavailable = self._account_unavailable
        self._account_unavailable = not self._coordinator.last_update_success
        if self.state is PushState.ACTIVE or self._missed.hub_ids:
            # A change during an outage could not be delivered.
            changed = set() if was_unavailable else self._coordinator.changed_by_poll
            undelivered = changed - self.webhook.announced_hub_ids
            self._missed.async_handle_poll(undelivered, set(self._coordinator.data))
        if was_unavailable and not self._account_unavailable and self._failures:
            self._start_maintenance()

    async def _async_maintain(self) -> None:
        """Create, extend or end the subscription, and schedule the next run."""
        async with self._lock:
            if self._stopped:
                return
            error: Exception | None = None
            try:
                state = await self._async_subscribe_or_extend()
                self._failures = 0
                if state is PushState.ACTIVE is not self.state:
                    # Changes from before the subscription are not delivered.
                    await self._coordinator.async_refresh()
            except Exception as err:
                state, error = _state_after_error(err), err
            if self._stopped:
                # The run took longer than the stop could wait.
                with suppress(Exception):
                    await self._async_unsubscribe()
                return
            if error is not None:
                self._set_state(state, error_summary(error))
                if state is PushState.REFUSED and self._failures >= len(RETRY_INTERVALS):
                    async_create_issue(self._hass, self._entry, "push_refused")
                if self._failures >= len(RETRY_INTERVALS):
                    # The subscription has expired by now.
                    self._forget_subscription()
                interval = RETRY_INTERVALS[min(self._failures, len(RETRY_INTERVALS) - 1)]
                self._failures += 1
            else:
                self._set_state(state, _POLLING_REASONS.get(state, ""))
                async_delete_issue(self._hass, self._entry, "push_refused")
                interval = EXTEND_INTERVAL
            self._schedule_maintenance(random.uniform(0.9, 1.1) * interval)  # noqa: S311 - no secret

    async def _async_subscribe_or_extend(self) -> PushState:
        url = await self.webhook.async_public_url()
        replace = self._missed.replacement_due
        if self._subscription_id is not None and (replace or url is None or url != self._url):
            await self._async_unsubscribe()
        if replace:
            self._missed.handle_replacement()
        if url is None:
            return PushState.NO_URL
        if self._subscription_id is not None:
            try:
                await self._client.extend_subscription(self._subscription_id)
            except (OperatedForbiddenError, OperatedStatusError) as err:
                if not _is_gone(err):
                    raise
                self._forget_subscription()
        if self._subscription_id is None:
            token = secrets.token_urlsafe(32)
            self._url = url
            self._subscription_id = await self._client.subscribe(url, token)
            if not self._stopped:
                self.webhook.accept(token)
            await self._async_save()
        return PushState.FAILING if self._missed.hub_ids else PushState.ACTIVE

    async def _async_unsubscribe(self) -> None:
        """End the subscription. Its id is kept until the server confirms that it is gone."""
        if self._subscription_id is None:
            return
        try:
            await self._client.unsubscribe(self._subscription_id)
        except (OperatedForbiddenError, OperatedStatusError) as err:
            if not _is_gone(err):
                raise
        self._forget_subscription()
        await self._async_save()

    def _forget_subscription(self) -> None:
        self._subscription_id = None
        self.webhook.accept(None)

    async def _async_save(self) -> None:
        # The entry may be removed by now, or loaded again with another subscription.
        if self._unregistered:
            return
        await self._store.async_save(
            _StoredSubscription(webhook_id=self._webhook_id, subscription_id=self._subscription_id)
        )

    def _set_state(self, state: PushState, reason: str) -> None:
        """Set the state; log it if it changed."""
        self.reason = reason
        if state is self.state:
            return
        if state is PushState.ACTIVE:
            LOGGER.info("%s: instant updates are active", self._entry.title)
        else:
            LOGGER.info("%s: updates arrive by polling: %s", self._entry.title, reason)
        self.state = state
        self._coordinator.async_set_poll_interval(
            PUSH_POLL_INTERVAL if state is PushState.ACTIVE else None
        )
        self._coordinator.async_update_hub_listeners()

    def _schedule_maintenance(self, delay: timedelta | None) -> None:
        """Schedule the next maintenance run; None cancels it."""
        if self._cancel_next is not None:
            self._cancel_next()
        self._cancel_next = (
            None if delay is None else async_call_later(self._hass, delay, self._start_maintenance)
        )

    def _handle_announced_change(self, hub_id: str) -> None:
        """Set the state to active again when the changes of all hubs are delivered."""
        if hub_id in self._missed.hub_ids:
            self._missed.hub_ids.remove(hub_id)
            if not self._missed.hub_ids and self._subscription_id is not None:
                self._set_state(PushState.ACTIVE, "")

    @callback
    def _handle_missed_delivery(self) -> None:
        """Poll as often as without a subscription, and replace it."""
        self._set_state(PushState.FAILING, _POLLING_REASONS[PushState.FAILING])
        if len(self._missed.hub_ids) == 1 and self._missed.replacement_due:
            self._start_maintenance()


def _is_gone(err: OperatedForbiddenError | OperatedStatusError) -> bool:
    """Return whether an error can mean that a subscription no longer exists.

    The vendor does not document this error. If the subscription still exists, it expires within
    two hours, and its deliveries have a token that is not valid any more.
    """
    return isinstance(err, OperatedForbiddenError) or err.status in _GONE


def _state_after_error(err: Exception) -> PushState:
    refusals = (OperatedUnauthorizedError, OperatedForbiddenError)
    return PushState.REFUSED if isinstance(err, refusals) else PushState.FAILING


async def async_remove_push(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the cloudhook and the storage file of an entry that is removed."""
    store = _subscription_store(hass, entry_id)
    if stored := await async_load(store, _is_usable):
        await cloudhook.async_delete(hass, stored["webhook_id"])
    await async_remove(store)
