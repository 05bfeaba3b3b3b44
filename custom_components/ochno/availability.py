"""Log messages about hubs that become unavailable and available again."""

from collections import defaultdict
from typing import Final

from homeassistant.core import callback

from .const import LOGGER
from .coordinator import OchnoCoordinator

_AVAILABLE: Final = "available again"
_MISSING: Final = "missing from the hub list"
_OFFLINE: Final = "offline"

# All hubs can go offline at once. One message has the names of this number of hubs.
_MAX_NAMES: Final = 10


@callback
def async_log_availability(coordinator: OchnoCoordinator) -> None:
    """Log the hubs that are unavailable, and each change until the entry is unloaded.

    While the account is unavailable, its hubs keep their state. The coordinator logs the account.
    """
    # What was logged last, by hub id.
    logged: dict[str, str] = {}

    @callback
    def log_changes() -> None:
        hub_ids_by_state = defaultdict[str, list[str]](list)
        for hub_id in coordinator.changed:
            if hub_id not in coordinator.devices.hub_ids:
                logged.pop(hub_id, None)
            elif hub_id not in coordinator.devices.disabled:
                state = _state(coordinator, hub_id)
                if state != logged.get(hub_id, _AVAILABLE):
                    hub_ids_by_state[state].append(hub_id)
                logged[hub_id] = state
        for state, hub_ids in hub_ids_by_state.items():
            names = coordinator.devices.names(hub_ids)
            LOGGER.info("%s: %s", coordinator.name, _message(names, state))

    coordinator.config_entry.async_on_unload(coordinator.async_add_listener(log_changes))
    log_changes()


def _state(coordinator: OchnoCoordinator, hub_id: str) -> str:
    if (hub := coordinator.data.get(hub_id)) is None:
        return _MISSING
    return _OFFLINE if hub.offline else _AVAILABLE


def _message(names: list[str], state: str) -> str:
    if len(names) == 1:
        return f"hub {names[0]} is {state}"
    message = f"{len(names)} hubs are {state}: {', '.join(names[:_MAX_NAMES])}"
    more = len(names) - _MAX_NAMES
    return f"{message} and {more} more" if more > 0 else message
