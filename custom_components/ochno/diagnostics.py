"""Diagnostics, without personal data."""

from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import OAuth2TokenRequestBaseError
from homeassistant.helpers.device_registry import DeviceEntry
from homeassistant.util import dt as dt_util

from .const import CONF_ACCESS, CONF_PUSH, CONF_SERVER
from .data import OchnoConfigEntry, OchnoData
from .devices import hub_id_of_device
from .oauth import granted_scopes
from .operated.client import OperatedClient, hub_path
from .operated.errors import OperatedError
from .operated.redact import redact
from .operated.values import JSON, decode
from .problems import error_summary

# Endpoints whose shape is not confirmed and whose data is not part of a hub.
PATHS: Final = ("/api/accounts/v1", "/identity/oauth/v2/userinfo", "/api/spaces/v1")


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry
) -> dict[str, Any]:
    """Return diagnostics of an account: entry, token, updates, hubs, and responses of the API."""
    token = entry.data["token"]
    diagnostics: dict[str, Any] = {
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
        return diagnostics
    data = entry.runtime_data
    coordinator = data.coordinator
    # last_exception is not cleared after a success.
    error = None if coordinator.last_update_success else coordinator.last_exception
    return diagnostics | {
        "updates": {
            "instant_updates": data.push.state.value,
            "last_delivery": data.push.webhook.last_delivery,
            "last_poll": coordinator.last_poll,
            "last_poll_failed_by": None
            if error is None
            else error_summary(error.__cause__ or error),
            "poll_interval": coordinator.update_interval,
        },
        "hubs": [redact(decode(hub.raw)) for hub in coordinator.data.values()],
        "deliveries_not_understood": _unapplied_deliveries(data),
        "answers": {path: await _response(coordinator.client, path) for path in PATHS},
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry, device: DeviceEntry
) -> dict[str, Any]:
    """Return diagnostics of a hub, with the API's response about this hub alone."""
    if entry.state is not ConfigEntryState.LOADED:
        return {}
    coordinator = entry.runtime_data.coordinator
    hub_id = hub_id_of_device(device)
    if (hub := coordinator.data.get(hub_id)) is None:
        return {"hub": None}
    return {
        "hub": redact(decode(hub.raw)),
        "answer": await _response(coordinator.client, hub_path(hub_id)),
        # Of all hubs, because it is not known how these deliveries name their hub.
        "deliveries_not_understood": _unapplied_deliveries(entry.runtime_data),
    }


def _unapplied_deliveries(data: OchnoData) -> list[JSON]:
    return [redact(delivery) for delivery in data.push.webhook.unapplied.values()]


async def _response(client: OperatedClient, path: str) -> JSON:
    """Return the redacted response, or the error as a string."""
    try:
        return redact(await client.get(path))
    except (OperatedError, OAuth2TokenRequestBaseError) as err:
        return error_summary(err)
