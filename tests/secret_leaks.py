"""Detection of secrets in logs, states, repair issues, config flows and request paths.

The detector reads the log records at level DEBUG, and all events. So it finds every state that an
entity had.
"""

from collections.abc import Iterable
import logging
from typing import Final, Self, override

from homeassistant.const import MATCH_ALL
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers import issue_registry as ir

from .simulator import Simulator

# Log messages of Home Assistant itself that contain request paths (and so webhook ids) or messages
# of the frontend. An integration cannot change them. Each entry is the end of a message.
IGNORED_MESSAGES: Final = {
    "homeassistant.components.http.auth": ("Authenticated %s for %s using %s",),
    "homeassistant.components.webhook": (
        "Received message for unregistered webhook %s from %s",
        "Handling webhook %s payload for %s",
        "Webhook %s only supports %s methods but %s was received from %s",
    ),
    "homeassistant.components.websocket_api.http.connection": (
        "%s: Received %s",
        "%s: Sending %s",
    ),
    "homeassistant.helpers.http": ("Serving %s to %s (auth: %s)",),
}
# Shorter secrets occur in tests only, and are parts of ordinary words.
MIN_LENGTH: Final = 8


class SecretLeakDetector(logging.Handler):
    """Log handler that searches all output of a test for secrets."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._outputs: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if not str(record.msg).endswith(IGNORED_MESSAGES.get(record.name, ())):
            self.record_output(f"log of {record.name}", self.format(record))

    def listen(self, hass: HomeAssistant) -> None:
        """Record all events, also those after which a state is replaced."""
        hass.bus.async_listen(MATCH_ALL, self._handle_event)

    @callback
    def _handle_event(self, event: Event) -> None:
        if (state := event.data.get("new_state")) is not None:
            self.record_output(f"state of {state.entity_id}", f"{state.state} {state.attributes}")
        elif "new_state" not in event.data:
            self.record_output(f"event {event.event_type}", repr(event.data))

    def record_output(self, place: str, text: str) -> None:
        """Record a text that is visible to others, and where it is visible."""
        self._outputs.setdefault(place, []).append(text)

    def add_secrets(self, secrets: Iterable[str]) -> None:
        """Add secrets. They must not be in earlier output either."""
        self._secrets.update(secret for secret in secrets if len(secret) >= MIN_LENGTH)

    def record_simulator(self, simulator: Simulator) -> None:
        """Add all secrets of the simulator and record the paths of its requests."""
        self.add_secrets(simulator.secrets())
        self.record_output("request paths", "\n".join(simulator.requested_paths))

    def record_home_assistant(self, hass: HomeAssistant) -> None:
        """Add the webhook ids, and record states, repair issues, config entries and flows."""
        self.add_secrets(hass.data.get("webhook", {}))
        for state in hass.states.async_all():
            self.record_output(f"state of {state.entity_id}", repr(state.as_dict()))
        for issue in ir.async_get(hass).issues.values():
            self.record_output("issue", repr(issue))
        for entry in hass.config_entries.async_entries("ochno"):
            self.record_output("reason of the config entry", repr(entry.reason))
        self.record_output("config flows", repr(hass.config_entries.flow.async_progress()))

    def find_leaks(self) -> list[str]:
        """Return a text for each secret and each place where it is visible."""
        return [
            f"{secret} in {place}"
            for place, texts in self._outputs.items()
            for output in ["\n".join(texts)]
            for secret in self._secrets
            if secret in output
        ]

    def clear_output(self) -> None:
        """Delete the recorded output, so that a long test does not fill the memory."""
        self._outputs.clear()
