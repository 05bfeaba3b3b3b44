"""Data update coordinator: polls the hubs of one account and notifies listeners of changes."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import CALLBACK_TYPE, HomeAssistant, callback
from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestReauthError,
)
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator
from homeassistant.util import dt as dt_util

from .const import DOMAIN, LOGGER
from .devices import OchnoDevices
from .moves import HubMoves
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedResponseError,
    OperatedUnauthorizedError,
)
from .operated.hub_list import HubList
from .operated.models import Hub
from .operated.types import JSON
from .ports import RegisteredPorts
from .problems import (
    REAUTH_POLL_INTERVAL,
    async_create_issue,
    async_delete_issue,
    async_handle_accepted_token,
    async_handle_rejected_token,
    async_start_reauth,
    async_update_response_issue,
    update_failed,
)
from .spaces import SpaceNames

POLL_INTERVAL: Final = timedelta(seconds=30)

# Called with a hub that a poll, a single request or a delivery reported, and with the number of the
# request.
type ReportListener = Callable[[Hub, int], None]


class OchnoCoordinator(DataUpdateCoordinator[dict[str, Hub]]):
    """Coordinator of one account. `data` has the hubs as the cloud last reported them, by id.

    A listener with a hub id as its context is only called when that hub changed. During an
    update of the listeners, these attributes describe the change:

    - `changed`: ids of the hubs that changed or left. If the account became available or
      unavailable, all ids.
    - `changed_by_poll`: ids of the hubs whose ports changed in this poll.

    `hubs_by_connectivity` has the ids of the hubs that are online (True), offline (False) or do not
    report their connectivity (None), without those of disabled devices. `last_poll` is the UTC time
    of the last successful poll. `last_request` is the number of the last request that began. A
    response that is older than the newest applied request is discarded. `list_has_states` tells
    whether one request fetches the states of all hubs.
    """

    config_entry: ConfigEntry

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry, client: OperatedClient) -> None:
        super().__init__(
            hass, LOGGER, config_entry=entry, name=entry.title, update_interval=POLL_INTERVAL
        )
        self.data = {}
        self.client = client
        self.devices = OchnoDevices(hass, entry)
        self.changed: set[str] = set()
        self.changed_by_poll: set[str] = set()
        self.hubs_by_connectivity = defaultdict[bool | None, set[str]](set)
        self.last_poll: datetime | None = None
        self.last_request = 0
        self.list_has_states = False
        self._moves = HubMoves(hass, self)
        self._ports = RegisteredPorts(hass, entry)
        self._spaces = SpaceNames(client)
        self._hub_list: HubList | None = None
        self._hub_listeners: defaultdict[str, list[CALLBACK_TYPE]] = defaultdict(list)
        self._report_listeners: dict[str, ReportListener] = {}
        self._notified_update_success = True
        # Numbers of the requests that were applied last, for all hubs and for single ones.
        self._applied_poll = 0
        self._applied: dict[str, int] = {}

    @callback
    def async_start(self) -> None:
        """Follow the device registry and the other accounts until the entry is unloaded."""
        self._moves.async_start()
        self.config_entry.async_on_unload(self.devices.async_listen(self._handle_disabled_changed))

    @override
    async def _async_update_data(self) -> dict[str, Hub]:
        """Fetch all hubs: one request, unless the list comes without the state of the hubs."""
        self.changed, self.changed_by_poll = set(), set()
        request = self._begin_request()
        # The longer polling interval of instant updates would delay the recovery.
        retry_after = POLL_INTERVAL.total_seconds()
        try:
            # Send no ETag once an hour, because the vendor does not document what it covers.
            earlier = None if self._spaces.update_due else self._hub_list
            hub_list = await self.client.hubs(earlier)
            hubs = await self._async_add_details(hub_list.hubs)
            if earlier is None or hub_list.hubs is not earlier.hubs:
                await self._spaces.async_update(hubs.values())
        except OAuth2TokenRequestReauthError as err:
            async_start_reauth(self.hass, self.config_entry)
            # For the original error, Home Assistant does not call the listeners.
            raise ConfigEntryAuthFailed(
                translation_domain=DOMAIN, translation_key="unauthorized"
            ) from err
        except OperatedUnauthorizedError as err:
            # ConfigEntryAuthFailed would end polling, but the API may recover.
            must_sign_in = async_handle_rejected_token(self.hass, self.config_entry)
            raise update_failed(err, REAUTH_POLL_INTERVAL if must_sign_in else retry_after) from err
        except (OperatedError, OAuth2TokenRequestBaseError) as err:
            if isinstance(err, OperatedForbiddenError):
                async_create_issue(self.hass, self.config_entry, "scope_missing")
            if isinstance(err, OperatedResponseError):
                async_update_response_issue(self.hass, self.config_entry, understood=False)
            raise update_failed(err, retry_after) from err
        self.last_poll = dt_util.utcnow()
        self._check_hub_list(hub_list)
        self._hub_list = hub_list
        return self._apply_poll(hubs, request, complete=not hub_list.malformed)

    def _apply_poll(self, hubs: dict[str, Hub], request: int, *, complete: bool) -> dict[str, Hub]:
        """Apply a poll: update the devices, the changed hubs and the report listeners.

        Returns the new `data`. A hub with a newer response keeps it. `complete` is False if the
        list had malformed items.
        """
        self._applied_poll = request
        self._applied = {
            hub_id: applied for hub_id, applied in self._applied.items() if applied > request
        }
        known = self.data
        newer_ids = self._applied.keys() & hubs.keys() & known.keys()
        reported, hubs = hubs, hubs | {hub_id: known[hub_id] for hub_id in newer_ids}
        hubs = self._moves.async_claim(hubs, complete=complete)
        # An unchanged hub is the same object as before.
        fresh = {hub_id: hub for hub_id, hub in hubs.items() if known.get(hub_id) is not hub}
        self.devices.async_update(fresh, self._spaces.names)
        # An empty list is more likely an error than an account that lost all hubs at once.
        complete = complete and bool(hubs)
        # A hub may have moved to an account that cannot be read at present.
        count_missing = complete and self._moves.others_up_to_date
        removed = self.devices.async_remove_missing(hubs) if count_missing else set[str]()
        for hub_id in removed:
            self._forget_hub(hub_id)
        self._ports.async_update(fresh, hubs, complete=complete)
        changed = {hub_id for hub_id, hub in fresh.items() if hub != known.get(hub_id)}
        missing = known.keys() - hubs.keys()
        if missing or (count_missing and self.devices.missing):
            self._moves.async_refresh_other_accounts()
        self.changed = removed | missing | changed
        self.changed_by_poll = {
            hub_id for hub_id in changed & known.keys() if known[hub_id].ports != hubs[hub_id].ports
        }
        if self.changed:
            self._group_hubs(hubs)
        for hub_id in self._report_listeners.keys() & reported.keys() - newer_ids:
            self._report_listeners[hub_id](reported[hub_id], request)
        return hubs

    @callback
    def async_release_hub(self, hub_id: str) -> None:
        """Forget a hub whose device is deleted or moves; its entities remove themselves."""
        self.devices.async_forget(hub_id)
        self._forget_hub(hub_id)
        self.data.pop(hub_id, None)
        self._group_hubs(self.data)
        self.async_update_hub_listeners(hub_id)

    def _forget_hub(self, hub_id: str) -> None:
        self._ports.async_forget(hub_id)
        self._applied.pop(hub_id, None)

    def _group_hubs(self, hubs: dict[str, Hub]) -> None:
        self.hubs_by_connectivity.clear()
        for hub_id in hubs.keys() - self.devices.disabled:
            self.hubs_by_connectivity[hubs[hub_id].online].add(hub_id)

    @callback
    def _handle_disabled_changed(self) -> None:
        self._group_hubs(self.data)
        self.async_update_hub_listeners()

    async def _async_add_details(self, hubs: dict[str, Hub]) -> dict[str, Hub]:
        """Fetch each hub if the list has no states. A hub whose request fails keeps its state."""
        self.list_has_states = not hubs or any(hub.has_state for hub in hubs.values())
        if self.list_has_states:
            return hubs
        details = await self.client.hub_details(hubs)
        errors = [detail for detail in details.values() if isinstance(detail, OperatedError)]
        if errors:
            LOGGER.debug("%s: could not fetch %s of %s hubs", self.name, len(errors), len(hubs))
        if len(errors) == len(hubs):
            raise errors[0]
        return {
            hub_id: self.data.get(hub_id, hub).merged_with(hub)
            if isinstance(detail := details[hub_id], OperatedError)
            else self.data.get(hub_id, hub).merged_with(hub).merged_with(detail)
            for hub_id, hub in hubs.items()
        }

    def _check_hub_list(self, hub_list: HubList) -> None:
        """Update the repair issues after a list was read."""
        async_handle_accepted_token(self.hass, self.config_entry)
        async_delete_issue(self.hass, self.config_entry, "scope_missing")
        async_update_response_issue(self.hass, self.config_entry, understood=not hub_list.malformed)

    @override
    async def async_request_refresh(self) -> None:
        """Poll soon. The poll continues if the caller is cancelled; it would count as failed."""
        refresh = self.config_entry.async_create_background_task(
            self.hass, super().async_request_refresh(), "Ochno refresh"
        )
        await asyncio.wait([refresh])

    @callback
    @override
    def async_add_listener(
        self, update_callback: CALLBACK_TYPE, context: str | None = None
    ) -> CALLBACK_TYPE:
        """Listen to all updates, or with a hub id as context, to changes of that hub."""
        if context is None:
            return super().async_add_listener(update_callback)
        self._hub_listeners[context].append(update_callback)
        # A nested function would need 300 bytes more for each entity.
        return partial(self._remove_hub_listener, context, update_callback)

    @callback
    def _remove_hub_listener(self, hub_id: str, update_callback: CALLBACK_TYPE) -> None:
        listeners = self._hub_listeners[hub_id]
        listeners.remove(update_callback)
        if not listeners:
            del self._hub_listeners[hub_id]

    @callback
    def async_set_report_listener(self, hub_id: str, listener: ReportListener | None) -> None:
        """Set the listener for all reports of a hub, also for reports that change nothing."""
        if listener is None:
            self._report_listeners.pop(hub_id, None)
        else:
            self._report_listeners[hub_id] = listener

    @callback
    @override
    def async_update_listeners(self) -> None:
        """Call the listeners of the changed hubs, then the listeners of the account."""
        if self.last_update_success != self._notified_update_success:
            self._notified_update_success = self.last_update_success
            self.changed = self.changed | self.data.keys()
        for hub_id in self.changed:
            for update_callback in list(self._hub_listeners.get(hub_id, ())):
                try:
                    update_callback()
                except Exception:
                    LOGGER.exception("%s: could not update hub %s", self.name, hub_id)
        super().async_update_listeners()

    @callback
    def async_update_hub_listeners(self, *hub_ids: str) -> None:
        """Call the listeners of these hubs, if any, then the listeners of the account."""
        # A listener may call this method while an update is in progress. Restore its changes.
        outer = self.changed, self.changed_by_poll
        self.changed, self.changed_by_poll = set(hub_ids), set()
        self.async_update_listeners()
        self.changed, self.changed_by_poll = outer

    @callback
    def async_set_poll_interval(self, interval: timedelta | None) -> None:
        """Change the time between two polls, starting now; None restores the default."""
        interval = interval or POLL_INTERVAL
        if interval == self.update_interval:
            return
        self.update_interval = interval
        # After a failure, the scheduled time may come from a Retry-After of the server.
        if self.last_update_success:
            self._schedule_refresh()

    async def async_refresh_hub(self, hub_id: str) -> None:
        """Fetch one hub, if it is still in `data`. A stale response is discarded.

        Raises OperatedError and the errors of a token refresh.
        """
        request = self._begin_request()
        hub = await self.client.hub(hub_id)
        newest = max(self._applied_poll, self._applied.get(hub_id, 0))
        if request > newest and hub_id in self.data:
            self._apply_report(self.data[hub_id].merged_with(hub), request)

    @callback
    def async_merge_state(self, hub_id: str, changes: dict[str, JSON]) -> None:
        """Apply the changed state keys of a delivery. Raises KeyError for an unknown hub."""
        self._apply_report(self.data[hub_id].with_state(changes), self._begin_request())

    def _begin_request(self) -> int:
        self.last_request += 1
        return self.last_request

    def _apply_report(self, hub: Hub, request: int) -> None:
        """Replace one hub with a newer report."""
        self._applied[hub.id] = request
        known, self.data[hub.id] = self.data[hub.id], hub
        if listener := self._report_listeners.get(hub.id):
            listener(hub, request)
        if known != hub:
            if hub.id not in self.devices.disabled:
                self.hubs_by_connectivity[known.online].discard(hub.id)
                self.hubs_by_connectivity[hub.online].add(hub.id)
            self.async_update_hub_listeners(hub.id)
