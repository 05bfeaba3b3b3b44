"""Requests after deliveries: which hubs are fetched, and how often."""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
import time
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import OAuth2TokenRequestBaseError
from homeassistant.helpers.event import async_call_later

from .coordinator import OchnoCoordinator
from .operated.errors import OperatedError
from .operated.models import Hub

# Seconds. Deliveries about one hub often arrive together. One fetch after this time covers them.
FETCH_DELAY: Final = 1
# A hub is fetched as often as this in a row, and then once in this number of seconds.
_BURST: Final = 5
_HUB_INTERVAL: Final = 10
# If more hubs must be fetched, the hub list is fetched instead, at most once in these seconds.
# A list without states does not help, because each hub of the account must be fetched after it.
_MAX_SINGLE_FETCHES: Final = 4
_LIST_INTERVAL: Final = 15
# Seconds until an unknown hub causes another list, and the number of unknown hubs remembered.
_UNKNOWN_HUB_INTERVAL: Final = 3600
_MAX_UNKNOWN_HUBS: Final = 100


class Fetches:
    """Fetches the hubs that deliveries were about.

    The number of requests is limited, however many deliveries arrive.
    """

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        coordinator: OchnoCoordinator,
        on_change: Callable[[str], None],
    ) -> None:
        """`on_change` is called with the id of each hub for which a fetch found a change."""
        self._on_change = on_change
        self._hass = hass
        self._entry = entry
        self._coordinator = coordinator
        self._due: set[str] = set()
        self._in_progress: set[str] = set()
        self._list_due = False
        self._running = False
        # The times of the last fetches of each hub.
        self._fetched: dict[str, list[float]] = {}
        self._next_list = self._next_start = time.monotonic()
        self._unknown_until: dict[str, float] = {}
        self._cancel: CALLBACK_TYPE | None = None
        entry.async_on_unload(coordinator.async_add_listener(self._forget_missing))

    @property
    def pending(self) -> set[str]:
        """The ids of the hubs whose fetch is due or in progress."""
        return self._due | self._in_progress

    @callback
    def _forget_missing(self) -> None:
        for hub_id in self._coordinator.changed - self._coordinator.data.keys():
            self._fetched.pop(hub_id, None)

    @callback
    def async_add_hub(self, hub_id: str) -> None:
        """Fetch a hub soon: a delivery may contain only a part of its state."""
        self._due.add(hub_id)
        self._schedule(max(FETCH_DELAY, self._seconds_left(hub_id, time.monotonic())))

    @callback
    def async_add_unknown_hub(self, hub_id: str) -> None:
        """Fetch the list soon: the hub may be new. A hub of another account stays unknown."""
        now = time.monotonic()
        if now < self._unknown_until.get(hub_id, now):
            return
        while len(self._unknown_until) >= _MAX_UNKNOWN_HUBS:
            del self._unknown_until[next(iter(self._unknown_until))]
        self._unknown_until[hub_id] = now + _UNKNOWN_HUB_INTERVAL
        self._list_due = True
        self._schedule(FETCH_DELAY)

    @callback
    def async_stop(self) -> None:
        """Cancel all fetches that are due."""
        self._due.clear()
        self._list_due = False
        if self._cancel is not None:
            self._cancel()
            self._cancel = None

    def _schedule(self, delay: float) -> None:
        """Schedule the next run. A run that is scheduled already can only become earlier."""
        start = time.monotonic() + delay
        if self._running or (self._cancel is not None and self._next_start <= start):
            return
        if self._cancel is not None:
            self._cancel()
        self._next_start = start
        self._cancel = async_call_later(self._hass, delay, self._start)

    @callback
    def _start(self, _now: datetime) -> None:
        self._cancel = None
        # While the account is unavailable, only the polls try again.
        if self._coordinator.last_update_success:
            self._entry.async_create_background_task(self._hass, self._async_run(), "Ochno fetch")
        else:
            self.async_stop()

    async def _async_run(self) -> None:
        self._running = True
        try:
            await self._async_fetch_due()
        finally:
            self._running = False
            self._in_progress.clear()
        if self._due or self._list_due:
            self._schedule(max(FETCH_DELAY, self._seconds_until_next()))

    async def _async_fetch_due(self) -> None:
        now = time.monotonic()
        hubs = self._coordinator.data
        self._due &= hubs.keys()
        ready = [hub_id for hub_id in self._due if self._seconds_left(hub_id, now) <= 0]
        before = {hub_id: hubs[hub_id] for hub_id in self._due}
        use_list = len(ready) > _MAX_SINGLE_FETCHES and self._coordinator.list_has_states
        if self._list_due or use_list:
            if now >= self._next_list:
                self._next_list = now + _LIST_INTERVAL
                self._in_progress, self._due = self._due, set()
                self._list_due = False
                await self._coordinator.async_refresh()
                self._report_changes(before)
            return
        self._in_progress.update(ready)
        for hub_id in ready:
            self._due.discard(hub_id)
            fetched = self._fetched.get(hub_id, [])[1 - _BURST :]
            self._fetched[hub_id] = [*fetched, time.monotonic()]
            # A persistent error is reported by the next poll.
            with suppress(OperatedError, OAuth2TokenRequestBaseError):
                await self._coordinator.async_refresh_hub(hub_id)
        self._report_changes({hub_id: before[hub_id] for hub_id in ready})

    def _report_changes(self, before: dict[str, Hub]) -> None:
        for hub_id, hub in before.items():
            if self._coordinator.data.get(hub_id, hub) != hub:
                self._on_change(hub_id)

    def _seconds_left(self, hub_id: str, now: float) -> float:
        """Return the seconds until a hub may be fetched again."""
        fetched = self._fetched.get(hub_id, [])
        if len(fetched) < _BURST or now - fetched[0] >= _BURST * _HUB_INTERVAL:
            return 0
        return fetched[-1] + _HUB_INTERVAL - now

    def _seconds_until_next(self) -> float:
        now = time.monotonic()
        if self._list_due:
            return self._next_list - now
        return min(self._seconds_left(hub_id, now) for hub_id in self._due)
