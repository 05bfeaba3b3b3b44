"""What Home Assistant told a hub to do and the cloud has not confirmed yet."""

import asyncio
from dataclasses import dataclass, field

from .operated.models import Hub


@dataclass(eq=False, kw_only=True)
class Command:
    """A port to make active.

    `sent_after` is the number of the last request begun before the command was sent; None while
    it has not been. `settled` is set once nothing more is to be waited for.
    """

    port: int
    sent_after: int | None = None
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class PendingCommands:
    """The commands of one hub that somebody waits for, oldest first, and the hub as reported.

    The cloud applies a command some time after it took it. Until then it goes on reporting what
    was active before, which is not a contradiction. Any other change is a button in the room,
    but for the first report: what is known of the hub when a command begins may be old.
    """

    def __init__(self, reported: Hub) -> None:
        self.reported = reported
        # Held while a command is sent, so that none overtakes another.
        self.sending = asyncio.Lock()
        self._reported_since = False
        self._commands: list[Command] = []

    def __bool__(self) -> bool:
        return bool(self._commands)

    @property
    def shown(self) -> Hub:
        """The hub as if the last command had been carried out already."""
        unsettled = self._unsettled
        return self.reported.with_active_port(unsettled[-1].port) if unsettled else self.reported

    def add(self, port: int) -> Command:
        """Begin a command."""
        command = Command(port=port)
        self._commands.append(command)
        return command

    def drop(self, command: Command) -> None:
        """End a command, whether it was confirmed or not."""
        self._commands.remove(command)

    def report(self, hub: Hub, request: int) -> None:
        """Take what the cloud answered to a request of this number."""
        before, active = self.reported.active_port, hub.active_port
        self.reported = hub
        sent = [
            command
            for command in self._unsettled
            if command.sent_after is not None and command.sent_after < request
        ]
        ports = [command.port for command in sent]
        # There and back again: the port from before does not yet mean that both are done.
        if active in ports and not (active == before and ports.index(active) > 0):
            carried_out = sent[: ports.index(active) + 1]
        elif active != before and self._reported_since:
            carried_out = self._unsettled
        else:
            carried_out = []
        for command in carried_out:
            command.settled.set()
        self._reported_since = True

    @property
    def _unsettled(self) -> list[Command]:
        return [command for command in self._commands if not command.settled.is_set()]
