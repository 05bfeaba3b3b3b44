"""Removal of the entities of ports that a hub does not have any more."""

from collections import Counter
from collections.abc import Iterable, Mapping
import re
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import entity_registry as er

from .const import LOGGER
from .devices import GONE_AFTER, async_entity_ids
from .operated.models import Hub

_PORT_KEY: Final = re.compile(r"port_(\d+)(?:_connected|_active)?")


def _port_number(key: str) -> int:
    """Return the number of the port whose entity has this key; 0 if it is no entity of a port."""
    match = _PORT_KEY.fullmatch(key)
    return int(match[1]) if match else 0


def port_count(hub: Hub, registered_keys: Iterable[str]) -> int:
    """Return the number of ports that have entities or should have them."""
    return max(len(hub.ports), *map(_port_number, registered_keys), 0)


class RegisteredPorts:
    """Numbers of the ports that have entities, for the hubs of one account."""

    def __init__(self, hass: HomeAssistant, entry: ConfigEntry) -> None:
        self._hass = hass
        self._entry = entry
        self._counts: dict[str, int] = {}
        # Complete lists in a row in which an online hub had fewer ports than entities.
        self._excess: Counter[str] = Counter()

    @callback
    def async_update(
        self, fresh: Mapping[str, Hub], hubs: Mapping[str, Hub], *, complete: bool
    ) -> None:
        """Count one list with its changed hubs, and remove entities after enough lists."""
        for hub_id, hub in fresh.items():
            if (count := self._counts.get(hub_id)) is None:
                count = port_count(hub, async_entity_ids(self._hass, self._entry, hub_id))
            self._counts[hub_id] = max(count, len(hub.ports))
            if len(hub.ports) >= count:
                self._excess.pop(hub_id, None)
            else:
                self._excess.setdefault(hub_id, 0)
        if not complete:
            return
        for hub_id in list(self._excess):
            current = hubs.get(hub_id)
            # Without a connection, or without any port, a hub only reports less than it has.
            if current is None or current.offline or not current.ports:
                self._excess[hub_id] = 0
                continue
            self._excess[hub_id] += 1
            if self._excess[hub_id] >= GONE_AFTER:
                self._async_remove(current)

    def _async_remove(self, hub: Hub) -> None:
        LOGGER.info("%s: hub %s has only %s ports now", self._entry.title, hub.name, len(hub.ports))
        registry = er.async_get(self._hass)
        for key, entity_id in async_entity_ids(self._hass, self._entry, hub.id).items():
            if _port_number(key) > len(hub.ports):
                registry.async_remove(entity_id)
        self._counts[hub.id] = len(hub.ports)
        del self._excess[hub.id]

    @callback
    def async_forget(self, hub_id: str) -> None:
        """Forget a hub that is removed or moved."""
        self._counts.pop(hub_id, None)
        self._excess.pop(hub_id, None)
