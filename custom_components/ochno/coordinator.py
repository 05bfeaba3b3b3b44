"""Polling and commanding the hubs of one account; the only place where they are replaced."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, repeat
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestReauthError,
    ServiceValidationError,
)
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util

from .commands import Command, PendingCommands
from .const import DOMAIN, LOGGER, PushState
from .devices import OchnoDevices
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedUnauthorizedError,
)
from .operated.models import Hub, HubList
from .operated.values import JSON
from .problems import (
    async_note_answer,
    async_report_issue,
    async_settle_issue,
    command_failed,
    overruled,
    update_failed,
)

type OchnoConfigEntry = ConfigEntry[OchnoCoordinator]

POLL_INTERVAL: Final = timedelta(seconds=30)
PUSH_POLL_INTERVAL: Final = timedelta(seconds=120)
SPACES_INTERVAL: Final = timedelta(hours=1)
SPACES_RETRY: Final = timedelta(minutes=5)
_DETAILS_AT_ONCE: Final = 4
# Of a list that is nothing but nonsense, the first few tell enough.
_MALFORMED_TOLD: Final = 5
# A command shows for so many seconds at the most before the cloud is believed again.
COMMAND_TIMEOUT: Final = 10
# Deliveries about one hub come in bursts.
FETCH_DELAY: Final = timedelta(seconds=1)
# The first answer comes too early to confirm, but tells what was active before.
CONFIRM_PAUSES: Final = (0, 0.5, 0.5, 1, 2)


class OchnoCoordinator(DataUpdateCoordinator[dict[str, Hub]]):
    """The hubs of one account, by id.

    A listener that gives a hub's id as its context is told of changes of that hub only, so that a
    change costs as much as it changes, however many hubs there are. `changed` holds the ids of
    the hubs that the last update changed, those that left included, and all if it made them
    available or unavailable; `presence` counts the hubs that are online (True), offline (False)
    or do not say (None).
    """

    config_entry: OchnoConfigEntry

    def __init__(
        self, hass: HomeAssistant, entry: OchnoConfigEntry, client: OperatedClient
    ) -> None:
        super().__init__(
            hass, LOGGER, config_entry=entry, name=entry.title, update_interval=POLL_INTERVAL
        )
        self.data = {}
        self.client = client
        self._space_names: dict[str, str] = {}
        # Looked for already, so that an id that no space has costs one request and not one a poll.
        self._space_ids: set[str] = set()
        self._spaces_due = dt_util.utcnow()
        self.devices = OchnoDevices(hass, entry)
        self._pending: dict[str, PendingCommands] = {}
        self._listing: HubList | None = None
        self.changed: set[str] = set()
        self.presence: Counter[bool | None] = Counter()
        self._listeners_by_hub: defaultdict[str, list[CALLBACK_TYPE]] = defaultdict(list)
        self._told_success = True
        self.push_state = PushState.OFF
        self.last_delivery: datetime | None = None
        # By event, the last delivery that told nothing of the state of a known hub.
        self.not_understood: dict[str | None, JSON] = {}
        self.last_poll: datetime | None = None
        # Told the id of a hub whose ports a poll found changed.
        self.on_change_by_poll: Callable[[str], None] | None = None
        self._due: set[str] = set()
        self._cancel_fetch: CALLBACK_TYPE | None = None
        # Requests are numbered as they begin: an answer yields to that of a later request.
        self._last_request = 0
        self._listed_by = 0
        self._fetched_by: dict[str, int] = {}

    @override
    async def _async_update_data(self) -> dict[str, Hub]:
        """Fetch all hubs: one request, unless the list comes without their state."""
        request = self._begin_request()
        spaces_due = dt_util.utcnow() >= self._spaces_due
        try:
            # As a whole once an hour: nobody says what an ETag of the list stands for.
            listing = await self.client.hubs(None if spaces_due else self._listing)
            hubs = listing.hubs
            if hubs and not any(hub.has_state for hub in hubs.values()):
                hubs = await self._with_details(hubs)
            if spaces_due or listing is not self._listing:
                await self._update_spaces(hubs)
        except (OperatedUnauthorizedError, OAuth2TokenRequestReauthError) as err:
            # Home Assistant's own handling of the latter would leave the states as they were.
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="unauthorized"
            ) from err
        except OperatedError as err:
            if isinstance(err, OperatedForbiddenError):
                async_report_issue(self.hass, self.config_entry, "scope_missing")
            if isinstance(err, OperatedResponseError):
                async_note_answer(self.hass, self.config_entry, understood=False)
            raise update_failed(err) from err
        self.last_poll = dt_util.utcnow()
        async_settle_issue(self.hass, self.config_entry, "scope_missing")
        async_note_answer(self.hass, self.config_entry, understood=not listing.malformed)
        told = self._listing.malformed if self._listing else ()
        for problem in sorted(set(listing.malformed) - set(told))[:_MALFORMED_TOLD]:
            LOGGER.warning("%s: a hub could not be read and is left out: %s", self.name, problem)
        self._listing = listing
        self._listed_by = request
        known = self.data
        # A hub that is listed as it is shown is the same object; nothing is to be done for it.
        fresh = {id_: hub for id_, hub in hubs.items() if known.get(id_) is not hub}
        self.devices.update(fresh, self._space_names)
        # An empty answer is more likely a fault than an account that lost all its hubs at once.
        complete = hubs and not listing.malformed
        removed = self.devices.remove_gone(hubs) if complete else set[str]()
        shown = {hub_id: self._as_polled(hub, request) for hub_id, hub in fresh.items()}
        changed = {hub_id for hub_id, hub in shown.items() if hub != known.get(hub_id)}
        self.changed = removed | (known.keys() - hubs.keys()) | changed
        hubs = hubs | shown
        if self.changed:
            self.presence = Counter(hub.online for hub in hubs.values())
        return hubs

    @callback
    @override
    def async_add_listener(
        self, update_callback: CALLBACK_TYPE, context: str | None = None
    ) -> CALLBACK_TYPE:
        if context is None:
            return super().async_add_listener(update_callback)
        listeners = self._listeners_by_hub[context]
        listeners.append(update_callback)
        return partial(list.remove, listeners, update_callback)

    @callback
    @override
    def async_update_listeners(self) -> None:
        """Tell those who listen to a changed hub or to the account."""
        if self.last_update_success != self._told_success:
            self._told_success = self.last_update_success
            self.changed = self.changed | self.data.keys()
        for hub_id in self.changed:
            for update_callback in list(self._listeners_by_hub.get(hub_id, ())):
                try:
                    update_callback()
                except Exception:
                    LOGGER.exception("%s: hub %s could not be updated", self.name, hub_id)
        super().async_update_listeners()

    async def async_refresh_hub(self, hub_id: str) -> None:
        """Fetch one hub alone. Raises OperatedError, and whatever a token refresh raises."""
        request = self._begin_request()
        hub = await self.client.hub(hub_id)
        if request > max(self._listed_by, self._fetched_by.get(hub_id, 0)) and hub_id in self.data:
            self._take(self._reported(hub_id).updated(hub), request)

    @callback
    def async_push_state(self, hub_id: str, changes: dict[str, JSON]) -> None:
        """Merge what the cloud says has changed of a hub's state."""
        self._take(self._reported(hub_id).with_state(changes), self._begin_request())

    @callback
    def async_fetch_soon(self, hub_id: str) -> None:
        """Fetch a hub once, within a second, however often this is called meanwhile."""
        self._due.add(hub_id)
        if self._cancel_fetch is None:
            self._cancel_fetch = async_call_later(self.hass, FETCH_DELAY, self._fetch_due)

    async def _fetch_due(self, _now: datetime) -> None:
        self._cancel_fetch = None
        due, self._due = self._due, set()
        if len(due) > _DETAILS_AT_ONCE:
            await self.async_refresh()
            return
        for hub_id in due:
            # What keeps the hub from being read will show in the next poll of the account.
            with suppress(OperatedError, OAuth2TokenRequestBaseError):
                await self.async_refresh_hub(hub_id)

    @callback
    def async_set_push_state(self, state: PushState) -> None:
        """Poll less often while changes arrive at once."""
        self.push_state = state
        interval = PUSH_POLL_INTERVAL if state is PushState.ACTIVE else POLL_INTERVAL
        if interval != self.update_interval:
            self.update_interval = interval
            # Else the server may have said when to ask again.
            if self.last_update_success:
                self._schedule_refresh()
        self.changed = set()
        self.async_update_listeners()

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        if self._cancel_fetch is not None:
            self._cancel_fetch()

    @callback
    def async_forget(self, hub_id: str) -> None:
        """Forget a hub whose device the user deletes."""
        self.devices.forget(hub_id)
        self.changed = {hub_id}
        self.async_update_listeners()

    def find_hub(self, hub_id: str | None, serial_number: str | None) -> Hub | None:
        """Return the hub with this id, else with this serial number."""
        if hub_id in self.data:
            return self.data[hub_id]
        if serial_number is None:
            return None
        return next((hub for hub in self.data.values() if hub.serial_number == serial_number), None)

    async def async_set_active_port(self, hub_id: str, port: int) -> None:
        """Make a port active, 0 for none; return when the cloud reports that, or a button pressed.

        The port shows as active at once, and for as long as this takes. Raises
        HomeAssistantError, with what the cloud reports shown again.
        """
        hub = self.data[hub_id]
        if not 0 <= port <= len(hub.ports):
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="unknown_port",
                translation_placeholders={"hub": hub.name, "port": str(port)},
            )
        pending = self._pending.setdefault(hub_id, PendingCommands(hub))
        command = pending.add(port)
        self._show(hub_id, pending)
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT):
                async with pending.sending:
                    if command.settled.is_set():
                        raise overruled(hub, port)
                    command.sent_after = self._last_request
                    await self.client.set_active_port(hub_id, port)
                async_settle_issue(self.hass, self.config_entry, "control_scope_missing")
                await self._confirm(hub_id, command)
        except (TimeoutError, OperatedError, OAuth2TokenRequestBaseError) as err:
            if isinstance(err, TimeoutError) and pending.reported.active_port == port:
                return
            if isinstance(err, OperatedUnauthorizedError):
                self.config_entry.async_start_reauth(self.hass)
            if isinstance(err, OperatedForbiddenError):
                async_report_issue(self.hass, self.config_entry, "control_scope_missing")
            raise command_failed(err, hub) from err
        finally:
            pending.drop(command)
            if not pending:
                del self._pending[hub_id]
            self._show(hub_id, pending)

    async def _confirm(self, hub_id: str, command: Command) -> None:
        """Ask for the hub until it shows the effect of the command."""
        pauses = chain(CONFIRM_PAUSES, repeat(CONFIRM_PAUSES[-1]))
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(next(pauses)):
                    await command.settled.wait()
                    return
            # What keeps the hub from being read will show in the next poll of the account.
            with suppress(OperatedError, OAuth2TokenRequestBaseError):
                try:
                    await self.async_refresh_hub(hub_id)
                except OperatedRateLimitError:
                    await command.settled.wait()

    def _begin_request(self) -> int:
        self._last_request += 1
        return self._last_request

    def _take(self, hub: Hub, request: int) -> None:
        """Replace one hub by what a request of this number brought."""
        self._fetched_by[hub.id] = request
        self._replace(self._as_shown(hub, request))

    def _replace(self, hub: Hub) -> None:
        known, self.data[hub.id] = self.data[hub.id], hub
        if known != hub:
            self.presence.subtract((known.online,))
            self.presence.update((hub.online,))
            self.changed = {hub.id}
            self.async_update_listeners()

    def _reported(self, hub_id: str) -> Hub:
        """Return the hub as the cloud reported it last, without pending commands."""
        pending = self._pending.get(hub_id)
        return pending.reported if pending else self.data[hub_id]

    def _as_shown(self, hub: Hub, request: int) -> Hub:
        """Take a hub as the cloud reports it; return it as it is to be shown."""
        if (pending := self._pending.get(hub.id)) is None:
            return hub
        pending.report(hub, request)
        return pending.shown

    def _as_polled(self, hub: Hub, request: int) -> Hub:
        """Take a hub as a poll found it; return it as it is to be shown."""
        if hub.id in self.data:
            if self._fetched_by.get(hub.id, 0) > request:
                hub = self._reported(hub.id)
            elif self.on_change_by_poll and self._reported(hub.id).ports != hub.ports:
                self.on_change_by_poll(hub.id)
        return self._as_shown(hub, request)

    def _show(self, hub_id: str, pending: PendingCommands) -> None:
        if hub_id in self.data:
            self._replace(pending.shown)

    async def _with_details(self, hubs: dict[str, Hub]) -> dict[str, Hub]:
        """Fetch each hub; of one that fails alone, what the list does not say stays as it was."""
        limit = asyncio.Semaphore(_DETAILS_AT_ONCE)

        async def details(hub: Hub) -> Hub | OperatedError:
            try:
                async with limit:
                    return await self.client.hub(hub.id)
            except OperatedRateLimitError, OperatedUnauthorizedError:
                raise
            except OperatedError as err:
                return err

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(details(hub)) for hub in hubs.values()]
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        answers = [task.result() for task in tasks]
        if errors := [answer for answer in answers if isinstance(answer, OperatedError)]:
            LOGGER.debug("%s: %s of %s hubs could not be read", self.name, len(errors), len(hubs))
        if len(errors) == len(hubs):
            raise errors[0]
        return {
            hub.id: self._known(hub).updated(hub)
            if isinstance(answer, OperatedError)
            else hub.updated(answer)
            for hub, answer in zip(hubs.values(), answers, strict=True)
        }

    def _known(self, hub: Hub) -> Hub:
        return self._reported(hub.id) if hub.id in self.data else hub

    async def _update_spaces(self, hubs: dict[str, Hub]) -> None:
        """Fetch the spaces' names at first, for an unknown id, and hourly.

        Without them hubs lack an area and nothing else, so a failure is not pressing.
        """
        space_ids = {space_id for hub in hubs.values() for space_id in hub.space_ids}
        if dt_util.utcnow() < self._spaces_due and space_ids <= self._space_ids:
            return
        self._space_ids = space_ids
        self._spaces_due = dt_util.utcnow() + SPACES_INTERVAL
        try:
            spaces = await self.client.spaces()
        except OperatedError as err:
            LOGGER.debug("%s: no spaces: %r", self.name, err)
            self._spaces_due = dt_util.utcnow() + SPACES_RETRY
            return
        self._space_names = {space.id: space.name for space in spaces}
