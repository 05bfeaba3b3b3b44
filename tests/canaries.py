"""Secrets as canaries: none of them may be seen outside, whatever a test is about.

Home Assistant writes every event to its log at DEBUG, so the log holds each state, with its
attributes, that ever was.
"""

from collections.abc import Iterable
import logging
from typing import Final, Self, override

from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir

from .simulator import Simulator

# At DEBUG Home Assistant logs what it and the frontend say and the path of each request, which
# of a webhook is its id; no integration can keep it from that. How these messages end:
CORES_OWN: Final = {
    "homeassistant.components.http.auth": ("Authenticated %s for %s using %s",),
    "homeassistant.components.webhook": (
        # Of one that is gone; while the cloud can't be reached, it can't be told so.
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
# Shorter ones, which only tests make up, are parts of words.
SHORTEST: Final = 8


class Canaries(logging.Handler):
    """Collects what is logged and told during a test, and the secrets that must not be in it."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._places: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if not str(record.msg).endswith(CORES_OWN.get(record.name, ())):
            self.tell(f"log of {record.name}", self.format(record))

    def tell(self, place: str, text: str) -> None:
        """Note what somebody could read, and where."""
        self._places.setdefault(place, []).append(text)

    def add(self, secrets: Iterable[str]) -> None:
        """Note what must not be seen anywhere, be it later or before."""
        self._secrets.update(secret for secret in secrets if len(secret) >= SHORTEST)

    def watch(self, simulator: Simulator) -> None:
        """Note all secrets that the cloud issued or was told, and the addresses it was asked."""
        self.add(simulator.secrets())
        self.tell("addresses asked for", "\n".join(simulator.paths))

    def look_at(self, hass: HomeAssistant) -> None:
        """Note what Home Assistant shows now, and the webhooks that it has."""
        self.add(hass.data.get("webhook", {}))
        for state in hass.states.async_all():
            self.tell(f"state of {state.entity_id}", repr(state.as_dict()))
        for issue in ir.async_get(hass).issues.values():
            self.tell("issue", repr(issue))
        for entry in hass.config_entries.async_entries("ochno"):
            self.tell("reason of the entry", repr(entry.reason))
        self.tell("dialogs", repr(hass.config_entries.flow.async_progress()))

    def found(self) -> list[str]:
        """Say which secrets were seen, and where."""
        return [
            f"{secret} in {place}"
            for place, texts in self._places.items()
            for whole in ["\n".join(texts)]
            for secret in self._secrets
            if secret in whole
        ]

    def forget(self) -> None:
        """Begin anew, so that a long test does not fill the memory."""
        self._places.clear()
