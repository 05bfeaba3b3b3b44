"""What a user can download and attach to a report, without anything personal."""

from typing import Any

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import OAuth2TokenRequestBaseError
from homeassistant.helpers.device_registry import DeviceEntry
from homeassistant.util import dt as dt_util

from .const import CONF_ACCESS, CONF_PUSH, CONF_SERVER
from .coordinator import OchnoConfigEntry, OchnoCoordinator
from .devices import hub_id_of
from .oauth import granted_scopes
from .operated.client import hub_path
from .operated.errors import OperatedError
from .operated.redact import redacted
from .operated.values import JSON, decode
from .problems import name_of

# Of these the shape was never confirmed, and hubs tell nothing of them.
PATHS = ("/api/accounts/v1", "/identity/oauth/v2/userinfo", "/api/spaces/v1")


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry
) -> dict[str, Any]:
    """Return how the account is linked, how updates arrive, and what the API answers."""
    token = entry.data["token"]
    facts: dict[str, Any] = {
        "entry": {
            "state": entry.state.value,
            "server": entry.data[CONF_SERVER],
            "access": entry.data[CONF_ACCESS],
            "instant_updates": entry.options.get(CONF_PUSH, True),
        },
        "token": {
            "fields": sorted(token),
            "scopes": sorted(granted_scopes(token)),
            "seconds_left": round(token["expires_at"] - dt_util.utcnow().timestamp()),
        },
    }
    if entry.state is not ConfigEntryState.LOADED:
        return facts
    coordinator = entry.runtime_data
    # Home Assistant keeps it when all is well again.
    problem = None if coordinator.last_update_success else coordinator.last_exception
    return facts | {
        "updates": {
            "instant_updates": coordinator.push_state.value,
            "last_delivery": coordinator.last_delivery,
            "last_poll": coordinator.last_poll,
            "last_poll_failed_by": None
            if problem is None
            else name_of(problem.__cause__ or problem),
            "poll_interval": coordinator.update_interval,
        },
        "hubs": [redacted(decode(hub.raw)) for hub in coordinator.data.values()],
        "deliveries_not_understood": _not_understood(coordinator),
        "answers": {path: await _answer(coordinator, path) for path in PATHS},
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry, device: DeviceEntry
) -> dict[str, Any]:
    """Return what is known of a hub, and what the API answers about it alone."""
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    coordinator = entry.runtime_data
    hub_id = hub_id_of(device)
    if (hub := coordinator.data.get(hub_id)) is None:
        return {"hub": None}
    return {
        "hub": redacted(decode(hub.raw)),
        "answer": await _answer(coordinator, hub_path(hub_id)),
        # All, as nobody knows how they name their hub.
        "deliveries_not_understood": _not_understood(coordinator),
    }


def _not_understood(coordinator: OchnoCoordinator) -> list[JSON]:
    return [redacted(delivery) for delivery in coordinator.not_understood.values()]


async def _answer(coordinator: OchnoCoordinator, path: str) -> JSON:
    """Return the answer; where there is none, why, in a text instead of JSON."""
    try:
        return redacted(await coordinator.client.get(path))
    except (OperatedError, OAuth2TokenRequestBaseError) as err:
        return name_of(err)
