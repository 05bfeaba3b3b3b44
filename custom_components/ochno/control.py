"""Commands: switch the active port of a hub, with an optimistic state until it is confirmed."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import chain, repeat
from typing import Final

from homeassistant.config_entries import ConfigEntry, ConfigEntryState
from homeassistant.core import Context, HomeAssistant
from homeassistant.exceptions import OAuth2TokenRequestBaseError, ServiceValidationError
from homeassistant.helpers.debounce import Debouncer
from homeassistant.helpers.event import async_call_later

from .const import DOMAIN, LOGGER
from .coordinator import OchnoCoordinator
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedUnauthorizedError,
)
from .operated.models import Hub
from .problems import (
    async_create_issue,
    async_delete_issue,
    async_handle_rejected_token,
    command_failed,
    command_superseded,
)

# Seconds from the request until the optimistic state ends without a confirmation.
COMMAND_TIMEOUT: Final = 10
# Commands that are sent but not confirmed yet. With the maximum of requests per minute, more of
# them could not be confirmed in time.
_MAX_UNCONFIRMED: Final = 8
# With more unfinished hubs than this, the hub list confirms all commands, at most once in this
# number of seconds.
_MAX_SINGLE_CONFIRMATIONS: Final = 4
_LIST_INTERVAL: Final = 2
# Seconds until a hub is fetched again after a report contradicted a command: the cloud may apply
# the command after that report.
_CHECK_DELAY: Final = 3
# Seconds between the requests for confirmation; the last one repeats. The first request is too
# early for a confirmation, but it updates the previous port.
CONFIRM_INTERVALS: Final = (0, 0.5, 0.5, 1, 2)


@dataclass(eq=False, kw_only=True)
class _Command:
    """A port to activate.

    `context` is that of the action; None if it is unknown. `sent_after` is the number of the last
    request that began before the command was sent; None if it was not sent yet. `done` is set when
    a report confirmed or contradicted the command, and `contradicted` tells which.
    """

    port: int
    context: Context | None
    sent_after: int | None = None
    contradicted: bool = False
    done: asyncio.Event = field(default_factory=asyncio.Event)


class _PendingCommands:
    """The unfinished commands of one hub, oldest first.

    The cloud applies a command some time after it accepted it. Until then it reports the previous
    port, which does not contradict the command. A report of any other port contradicts it: somebody
    pressed a button in the room. The first report never contradicts a command, because the port
    that was known before it may be stale.
    """

    def __init__(self, reported_port: int | None) -> None:
        self.reported_port = reported_port
        # Held while a command is sent, which keeps the commands in order.
        self.send_lock = asyncio.Lock()
        self._reported = False
        self._commands: list[_Command] = []

    def __bool__(self) -> bool:
        return bool(self._commands)

    @property
    def shown(self) -> _Command | None:
        """The newest command that is not done; None if there is none."""
        pending = self._not_done
        return pending[-1] if pending else None

    def is_newest(self, command: _Command) -> bool:
        """Return whether no later command was given."""
        return self._commands[-1] is command

    def add(self, port: int, context: Context | None) -> _Command:
        """Add a command for a port."""
        command = _Command(port=port, context=context)
        self._commands.append(command)
        return command

    def remove(self, command: _Command) -> None:
        """Remove a command, done or not."""
        self._commands.remove(command)

    def handle_report(self, hub: Hub, request: int) -> None:
        """Mark the commands that a report confirms or contradicts as done."""
        before, active = self.reported_port, hub.active_port
        self.reported_port = active
        sent = [
            command
            for command in self._not_done
            if command.sent_after is not None and command.sent_after < request
        ]
        ports = [command.port for command in sent]
        # A report of the port that was active before does not confirm a later command for it.
        if active in ports and not (active == before and ports.index(active) > 0):
            done = sent[: ports.index(active) + 1]
        elif active != before and self._reported:
            done = self._not_done
            for command in done:
                command.contradicted = True
        else:
            done = []
        for command in done:
            command.done.set()
        self._reported = True

    @property
    def _not_done(self) -> list[_Command]:
        return [command for command in self._commands if not command.done.is_set()]


class OchnoControl:
    """Commands to the hubs of one account."""

    def __init__(
        self,
        hass: HomeAssistant,
        entry: ConfigEntry,
        client: OperatedClient,
        coordinator: OchnoCoordinator,
    ) -> None:
        self._hass = hass
        self._entry = entry
        self._client = client
        self._coordinator = coordinator
        self._pending: dict[str, _PendingCommands] = {}
        self._unconfirmed = asyncio.Semaphore(_MAX_UNCONFIRMED)
        self._refresh_list = Debouncer(
            hass,
            LOGGER,
            cooldown=_LIST_INTERVAL,
            immediate=True,
            function=coordinator.async_refresh,
        )
        entry.async_on_unload(self._refresh_list.async_shutdown)
        # By hub id, the ports that are turned on at once.
        self._turned_on: dict[str, list[int]] = {}

    def hub(self, hub_id: str) -> Hub:
        """Return a hub with the optimistic state of its pending commands.

        Raises KeyError if the hub is not in the account.
        """
        hub = self._coordinator.data[hub_id]
        command = self._shown_command(hub_id)
        return hub if command is None else hub.with_active_port(command.port)

    def context(self, hub_id: str) -> Context | None:
        """Return the context of the command whose optimistic state is shown; None without one."""
        command = self._shown_command(hub_id)
        return None if command is None else command.context

    def _shown_command(self, hub_id: str) -> _Command | None:
        pending = self._pending.get(hub_id)
        return None if pending is None else pending.shown

    async def async_turn_on_port(self, hub_id: str, port: int, context: Context | None) -> None:
        """Activate a port. If several ports are turned on at once, activate only one.

        This is the port that is active already, otherwise the first. The calls for the other ports
        return at once. `context` is that of the action; None if it is unknown.
        """
        if (ports := self._turned_on.get(hub_id)) is not None:
            ports.append(port)
            return
        ports = self._turned_on[hub_id] = [port]
        try:
            # Home Assistant calls the other switches of an action before this continues.
            await asyncio.sleep(0)
        finally:
            del self._turned_on[hub_id]
        active = self.hub(hub_id).active_port
        await self.async_set_active_port(hub_id, active if active in ports else min(ports), context)

    async def async_set_active_port(self, hub_id: str, port: int, context: Context | None) -> None:
        """Activate a port, 0 for none; return when the cloud confirms or contradicts it.

        The port is shown as active immediately, until 10 seconds after the request at most. If
        many commands are given at once, some requests wait. `context` is that of the action; None
        if it is unknown. Raises ServiceValidationError if the hub has no such port, and
        HomeAssistantError if the command fails or is not confirmed in time.
        """
        hub = self._coordinator.data[hub_id]
        if not 0 <= port <= len(hub.ports):
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="unknown_port",
                translation_placeholders={"hub": hub.name, "port": str(port)},
            )
        if (pending := self._pending.get(hub_id)) is None:
            pending = self._pending[hub_id] = _PendingCommands(hub.active_port)
            self._coordinator.async_set_report_listener(hub_id, pending.handle_report)
        command = pending.add(port, context)
        self._coordinator.async_update_hub_listeners(hub_id)
        try:
            await self._async_send(hub, pending, command)
        except (TimeoutError, OperatedError, OAuth2TokenRequestBaseError) as err:
            # No report confirms a command for the port that was already active. A later command
            # replaces this one.
            if isinstance(err, TimeoutError) and (
                pending.reported_port == port or not pending.is_newest(command)
            ):
                return
            # The issues of an entry are deleted when it is unloaded.
            if self._entry.state is ConfigEntryState.LOADED:
                if isinstance(err, OperatedUnauthorizedError):
                    async_handle_rejected_token(self._hass, self._entry)
                if isinstance(err, OperatedForbiddenError):
                    async_create_issue(self._hass, self._entry, "control_scope_missing")
            raise command_failed(err, hub) from err
        finally:
            self._remove(hub_id, pending, command)

    async def _async_send(self, hub: Hub, pending: _PendingCommands, command: _Command) -> None:
        """Send a command and wait until it is done. Raises TimeoutError if it is not confirmed."""
        async with asyncio.timeout(None) as timeout, self._unconfirmed:

            def handle_start() -> None:
                if command.contradicted:
                    raise command_superseded(hub)
                command.sent_after = self._coordinator.last_request
                timeout.reschedule(self._hass.loop.time() + COMMAND_TIMEOUT)

            async with pending.send_lock:
                await self._client.set_active_port(hub.id, command.port, handle_start)
            async_delete_issue(self._hass, self._entry, "control_scope_missing")
            await self._async_confirm(hub.id, command)

    def _remove(self, hub_id: str, pending: _PendingCommands, command: _Command) -> None:
        pending.remove(command)
        if not pending:
            del self._pending[hub_id]
            self._coordinator.async_set_report_listener(hub_id, None)
            if command.contradicted:
                check = partial(self._async_check, hub_id)
                self._entry.async_on_unload(async_call_later(self._hass, _CHECK_DELAY, check))
        self._coordinator.async_update_hub_listeners(hub_id)

    async def _async_check(self, hub_id: str, _now: datetime) -> None:
        """Fetch a hub. A persistent error is reported by the next poll."""
        with suppress(OperatedError, OAuth2TokenRequestBaseError):
            await self._coordinator.async_refresh_hub(hub_id)

    async def _async_confirm(self, hub_id: str, command: _Command) -> None:
        """Fetch the hub until a report confirms or contradicts the command."""
        intervals = chain(CONFIRM_INTERVALS, repeat(CONFIRM_INTERVALS[-1]))
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(next(intervals)):
                    await command.done.wait()
                    return
            if len(self._pending) > _MAX_SINGLE_CONFIRMATIONS and self._coordinator.list_has_states:
                self._refresh_list.async_schedule_call()
                continue
            # A persistent error is reported by the next poll.
            with suppress(OperatedError, OAuth2TokenRequestBaseError):
                try:
                    await self._coordinator.async_refresh_hub(hub_id)
                except OperatedRateLimitError:
                    await command.done.wait()
