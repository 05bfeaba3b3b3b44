"""Missed deliveries: changes that a poll found and no delivery announced."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
import time
from typing import Final

from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.helpers.event import async_call_later

# The delivery of a change that a poll found may still arrive within this time.
DELIVERY_GRACE_PERIOD: Final = timedelta(seconds=10)
# Seconds between two replacements of a subscription that misses deliveries.
_REPLACEMENT_INTERVAL: Final = 3600


class MissedDeliveries:
    """The hubs of which a change was not delivered.

    `hub_ids` has their ids. A hub leaves it when a delivery announces one of its changes, or when
    it is not in the account any more.
    """

    def __init__(self, hass: HomeAssistant, on_miss: Callable[[], None]) -> None:
        """`on_miss` is called after each change that was not delivered."""
        self.hub_ids: set[str] = set()
        self._hass = hass
        self._on_miss = on_miss
        self._awaited: dict[str, CALLBACK_TYPE] = {}
        self._next_replacement = time.monotonic()

    @property
    def replacement_due(self) -> bool:
        """Return whether the subscription is to be replaced because of missed deliveries."""
        return bool(self.hub_ids) and time.monotonic() >= self._next_replacement

    def handle_replacement(self) -> None:
        """Keep the new subscription for an hour, also if it misses deliveries."""
        self._next_replacement = time.monotonic() + _REPLACEMENT_INTERVAL

    @callback
    def async_handle_poll(self, changed: set[str], known: set[str]) -> None:
        """Expect a delivery for each changed hub. `known` are the ids of all hubs."""
        self.hub_ids &= known
        for hub_id in changed - self._awaited.keys():
            self._awaited[hub_id] = async_call_later(
                self._hass, DELIVERY_GRACE_PERIOD, partial(self._handle_miss, hub_id)
            )

    def handle_delivery(self, hub_id: str) -> None:
        """Stop waiting for a delivery about a hub."""
        if (cancel := self._awaited.pop(hub_id, None)) is not None:
            cancel()

    @callback
    def async_stop(self) -> None:
        """Stop waiting for deliveries."""
        for hub_id in list(self._awaited):
            self.handle_delivery(hub_id)

    @callback
    def _handle_miss(self, hub_id: str, _now: datetime) -> None:
        del self._awaited[hub_id]
        self.hub_ids.add(hub_id)
        self._on_miss()
