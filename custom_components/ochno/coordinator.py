"""Polling and commanding the hubs of one account; the only place where they are replaced."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import chain, repeat
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    HomeAssistantError,
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestReauthError,
    ServiceValidationError,
)
from homeassistant.helpers import area_registry as ar, device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.event import async_call_later
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .commands import Command, PendingCommands
from .const import CONF_SERVER, DOMAIN, LOGGER, PushState
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .operated.models import Hub
from .operated.values import JSON

type OchnoConfigEntry = ConfigEntry[OchnoCoordinator]

MANUFACTURER: Final = "Ochno"
PRODUCT_NAMES: Final = {"O-PC-4": "Power Conference 4"}

POLL_INTERVAL: Final = timedelta(seconds=30)
PUSH_POLL_INTERVAL: Final = timedelta(seconds=120)
SPACES_INTERVAL: Final = timedelta(hours=1)
SPACES_RETRY: Final = timedelta(minutes=5)
# A hub has left the account only when this many complete listings in a row say so.
GONE_AFTER: Final = 5
_LONGEST_WAIT: Final = 3600
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
    the hubs that the last update changed, those that left included.
    """

    config_entry: OchnoConfigEntry

    def __init__(
        self, hass: HomeAssistant, entry: OchnoConfigEntry, client: OperatedClient
    ) -> None:
        super().__init__(
            hass, LOGGER, config_entry=entry, name=entry.title, update_interval=POLL_INTERVAL
        )
        self._client = client
        self._space_names: dict[str, str] = {}
        # Looked for already, so that an id that no space has costs one request and not one a poll.
        self._space_ids: set[str] = set()
        self._spaces_due = dt_util.utcnow()
        self._malformed: set[str] = set()
        # As registered, by hub; a hub that left stays until its device goes too.
        self.devices: dict[str, DeviceInfo] = {}
        self._missing: Counter[str] = Counter()
        self._pending: dict[str, PendingCommands] = {}
        self.changed: set[str] = set()
        self._listeners_by_hub: defaultdict[str | None, dict[int, CALLBACK_TYPE]] = defaultdict(
            dict
        )
        self._told_success = True
        self.push_state = PushState.OFF
        self.last_delivery: datetime | None = None
        # Told the id of a hub whose ports a poll found changed.
        self.on_change_by_poll: Callable[[str], None] | None = None
        self._due: set[str] = set()
        self._cancel_fetch: CALLBACK_TYPE | None = None
        # Requests are numbered as they begin: an answer yields to that of a later request.
        self._last_request = 0
        self._listed_by = 0
        self._fetched_by: dict[str, int] = {}
        self._account_device = dr.async_get(hass).async_get_or_create(
            config_entry_id=entry.entry_id,
            entry_type=DeviceEntryType.SERVICE,
            identifiers={(DOMAIN, account_identifier(entry))},
            manufacturer=MANUFACTURER,
            model="Ochno Operated",
            name=entry.title,
            configuration_url=entry.data[CONF_SERVER],
        )

    @override
    async def _async_update_data(self) -> dict[str, Hub]:
        """Fetch all hubs: one request, unless the list comes without their state."""
        request = self._begin_request()
        try:
            listing = await self._client.hubs()
            hubs = {hub.id: hub for hub in listing.hubs}
            if hubs and not any(hub.has_state for hub in listing.hubs):
                hubs = await self._with_details(hubs)
            await self._update_spaces(hubs)
        except (OperatedUnauthorizedError, OAuth2TokenRequestReauthError) as err:
            # Home Assistant's own handling of the latter would leave the states as they were.
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="unauthorized"
            ) from err
        except OperatedError as err:
            raise update_failed(err) from err
        for problem in sorted(set(listing.malformed) - self._malformed)[:_MALFORMED_TOLD]:
            LOGGER.warning("%s: a hub could not be read and is left out: %s", self.name, problem)
        self._malformed = set(listing.malformed)
        self._update_devices(hubs)
        # An empty answer is more likely a fault than an account that lost all its hubs at once.
        complete = hubs and not listing.malformed
        removed = self._remove_gone_devices(hubs) if complete else set[str]()
        self._listed_by = request
        known = self.data or {}
        for hub_id in hubs.keys() & known.keys():
            if self._fetched_by.get(hub_id, 0) > request:
                hubs[hub_id] = self._reported(hub_id)
            elif self.on_change_by_poll and self._reported(hub_id).ports != hubs[hub_id].ports:
                self.on_change_by_poll(hub_id)
        shown = {hub_id: self._as_shown(hub, request) for hub_id, hub in hubs.items()}
        self.changed = removed | {
            hub_id
            for hub_id in known.keys() | shown.keys()
            if known.get(hub_id) != shown.get(hub_id)
        }
        return shown

    @callback
    @override
    def async_add_listener(
        self, update_callback: CALLBACK_TYPE, context: str | None = None
    ) -> CALLBACK_TYPE:
        remove = super().async_add_listener(update_callback, context)
        listeners = self._listeners_by_hub[context]
        listeners[id(remove)] = update_callback

        @callback
        def remove_both() -> None:
            remove()
            del listeners[id(remove)]

        return remove_both

    @callback
    @override
    def async_update_listeners(self) -> None:
        """Tell those who listen to a changed hub or to the account; all if availability changed."""
        if self.last_update_success != self._told_success:
            self._told_success = self.last_update_success
            super().async_update_listeners()
            return
        for context in (*self.changed, None):
            for update_callback in list(self._listeners_by_hub[context].values()):
                update_callback()

    async def async_refresh_hub(self, hub_id: str) -> None:
        """Fetch one hub alone. Raises OperatedError, and whatever a token refresh raises."""
        request = self._begin_request()
        hub = await self._client.hub(hub_id)
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
            self._schedule_refresh()
        self.changed = set()
        self.async_update_listeners()

    @override
    async def async_shutdown(self) -> None:
        await super().async_shutdown()
        if self._cancel_fetch is not None:
            self._cancel_fetch()

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
                    await self._client.set_active_port(hub_id, port)
                await self._confirm(hub_id, command)
        except (TimeoutError, OperatedError, OAuth2TokenRequestBaseError) as err:
            if isinstance(err, TimeoutError) and pending.reported.active_port == port:
                return
            if isinstance(err, OperatedUnauthorizedError):
                self.config_entry.async_start_reauth(self.hass)
            raise command_failed(err, hub, port) from err
        finally:
            pending.drop(command)
            if not pending:
                self._pending.pop(hub_id, None)
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

    def _show(self, hub_id: str, pending: PendingCommands) -> None:
        if hub_id in self.data:
            self._replace(pending.shown)

    async def _with_details(self, hubs: dict[str, Hub]) -> dict[str, Hub]:
        """Fetch each hub; of one that fails alone, what the list does not say stays as it was."""
        limit = asyncio.Semaphore(_DETAILS_AT_ONCE)

        async def details(hub: Hub) -> Hub | OperatedError:
            try:
                async with limit:
                    return await self._client.hub(hub.id)
            except OperatedRateLimitError:
                raise
            except OperatedUnauthorizedError:
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
        return self._reported(hub.id) if self.data and hub.id in self.data else hub

    async def _update_spaces(self, hubs: dict[str, Hub]) -> None:
        """Fetch the spaces' names at first, for an unknown id, and hourly.

        Without them hubs lack an area and nothing else, so a failure is not pressing.
        """
        space_ids = {space_id for hub in hubs.values() for space_id in hub.space_ids}
        if dt_util.utcnow() < self._spaces_due and space_ids <= self._space_ids:
            return
        self._space_ids |= space_ids
        self._spaces_due = dt_util.utcnow() + SPACES_INTERVAL
        try:
            spaces = await self._client.spaces()
        except OperatedError as err:
            LOGGER.debug("%s: no spaces: %r", self.name, err)
            self._spaces_due = dt_util.utcnow() + SPACES_RETRY
            return
        self._space_names = {space.id: space.name for space in spaces}

    def _update_devices(self, hubs: dict[str, Hub]) -> None:
        """Register hubs that are new, and those whose name, firmware or such changed."""
        registry = dr.async_get(self.hass)
        for hub in hubs.values():
            device = DeviceInfo(
                identifiers={(DOMAIN, hub.id)},
                manufacturer=MANUFACTURER,
                model=PRODUCT_NAMES.get(hub.product or "", hub.product),
                model_id=hub.product,
                name=hub.name,
                serial_number=hub.serial_number,
                sw_version=hub.firmware,
                hw_version=hub.hardware_version,
                configuration_url=self.config_entry.data[CONF_SERVER],
                suggested_area=next(
                    (self._space_names[id_] for id_ in hub.space_ids if id_ in self._space_names),
                    None,
                ),
                via_device_id=self._account_device.id,
            )
            if (before := self.devices.get(hub.id)) == device:
                continue
            self.devices[hub.id] = device
            registered = registry.async_get_or_create(
                config_entry_id=self.config_entry.entry_id, **device
            )
            # Home Assistant heeds a suggestion only when it creates a device.
            area = device["suggested_area"]
            if before and not before["suggested_area"] and area and not registered.area_id:
                area_id = ar.async_get(self.hass).async_get_or_create(area).id
                registry.async_update_device(registered.id, area_id=area_id)

    def _remove_gone_devices(self, hubs: dict[str, Hub]) -> set[str]:
        """Remove the devices of hubs that were missing from several complete listings in a row."""
        removed = set()
        registry = dr.async_get(self.hass)
        for device in dr.async_entries_for_config_entry(registry, self.config_entry.entry_id):
            if device.id == self._account_device.id:
                continue
            hub_id = next(id_ for domain, id_ in device.identifiers if domain == DOMAIN)
            if hub_id in hubs:
                self._missing.pop(hub_id, None)
                continue
            self._missing[hub_id] += 1
            if self._missing[hub_id] >= GONE_AFTER:
                LOGGER.info("%s: hub %s has left the account", self.name, device.name)
                registry.async_remove_device(device.id)
                self._missing.pop(hub_id)
                self.devices.pop(hub_id, None)
                removed.add(hub_id)
        return removed

    @callback
    def async_forget(self, hub_id: str) -> None:
        """Forget a hub whose device the user deletes."""
        self.devices.pop(hub_id, None)
        self._missing.pop(hub_id, None)
        self.changed = {hub_id}
        self.async_update_listeners()


def account_identifier(entry: OchnoConfigEntry) -> str:
    """Return what the account's device goes by: no hub can, whose ids do not end in a space."""
    return f"account_{entry.unique_id} "


def update_failed(err: OperatedError) -> UpdateFailed:
    """Say in words what went wrong, and when to try again."""
    placeholders: dict[str, str] | None = None
    retry_after: float | None = None
    match err:
        case OperatedForbiddenError():
            key = "scope_missing"
        case OperatedRateLimitError():
            key = "rate_limited"
            retry_after = min(
                max(err.retry_after or 0, POLL_INTERVAL.total_seconds()), _LONGEST_WAIT
            )
        case OperatedStatusError():
            key = "server_error"
            placeholders = {"status": str(err.status)}
        case OperatedResponseError():
            key = "answer_not_understood"
        case _:
            key = "cannot_connect"
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders=placeholders,
        retry_after=retry_after,
    )


def overruled(hub: Hub, port: int) -> HomeAssistantError:
    """Say in words why a command was not even sent."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="overruled",
        translation_placeholders={"hub": hub.name, "port": str(port)},
    )


def command_failed(err: Exception, hub: Hub, port: int) -> HomeAssistantError:
    """Say in words why a port was not made active."""
    placeholders = {"hub": hub.name, "port": str(port)}
    match err:
        case TimeoutError():
            key = "not_confirmed"
        case OperatedUnauthorizedError() | OAuth2TokenRequestReauthError():
            key = "unauthorized"
        case OperatedForbiddenError():
            key = "control_scope_missing"
        case OperatedRateLimitError():
            key = "rate_limited"
        case OperatedStatusError():
            key = "command_refused"
            placeholders["status"] = str(err.status)
        case _:
            key = "cannot_connect"
    return HomeAssistantError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )
