"""What Home Assistant told a hub to do and the cloud has not confirmed yet."""

import asyncio
from dataclasses import dataclass, field

from .operated.models import Hub


@dataclass(eq=False, kw_only=True)
class Command:
    """A port to make active; `settled` is set once nothing more is to be waited for."""

    port: int
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class PendingCommands:
    """The unconfirmed commands of one hub, oldest first, and the hub as the cloud reports it.

    The cloud applies a command some time after it took it. Until then it goes on reporting what
    was active before, which is not a contradiction; any third port is a button in the room.
    """

    def __init__(self, reported: Hub) -> None:
        self.reported = reported
        # Held while a command is sent, so that none overtakes another.
        self.sending = asyncio.Lock()
        self._before = reported.active_port
        self._commands: list[Command] = []

    def __bool__(self) -> bool:
        return bool(self._commands)

    @property
    def shown(self) -> Hub:
        """The hub as if the last command had been carried out already."""
        if not self._commands:
            return self.reported
        return self.reported.with_active_port(self._commands[-1].port)

    def add(self, port: int) -> Command:
        """Begin a command."""
        command = Command(port=port)
        self._commands.append(command)
        return command

    def drop(self, command: Command) -> None:
        """End a command, whether it was confirmed or not."""
        if command in self._commands:
            self._commands.remove(command)

    def report(self, hub: Hub) -> None:
        """Take what the cloud says: the effect of a command, a button in the room, or neither."""
        self.reported = hub
        active = hub.active_port
        ports = [command.port for command in self._commands]
        if active in ports:
            carried_out = ports.index(active) + 1
        elif active == self._before:
            carried_out = 0
        else:
            carried_out = len(ports)
        if carried_out or not ports:
            self._before = active
        for command in self._commands[:carried_out]:
            command.settled.set()
        del self._commands[:carried_out]
