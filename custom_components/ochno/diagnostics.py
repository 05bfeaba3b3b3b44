"""Diagnostics, without personal data."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers.device_registry import DeviceEntry
from homeassistant.util import dt as dt_util

from .const import CONF_ACCESS, CONF_PUSH, CONF_SERVER
from .data import OchnoConfigEntry, OchnoData
from .devices import account_identifier, hub_id_of_device
from .oauth import granted_scopes
from .operated.accounts import User, read_accounts, read_spaces
from .operated.client import OperatedClient, hub_path
from .operated.errors import OperatedError
from .operated.hub_list import HubList
from .operated.models import Hub
from .operated.redact import redact, shape
from .operated.types import JSON
from .operated.values import decode, unwrapped_object
from .problems import error_summary
from .session import async_create_client, async_get_budget, async_get_evidence
from .tokens import OchnoSession

_MAX_HUBS: Final = 20

type Interpret = Callable[[bytes], JSON]


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry
) -> dict[str, Any]:
    """Return diagnostics of an account, in any state of the entry.

    It has the entry, the token, the requests, the responses of the API, and what was not
    understood. A loaded entry also has its updates and deliveries.
    """
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
            "response": token.get("response"),
            "scopes": sorted(granted_scopes(token)),
            "seconds_left": round(token["expires_at"] - dt_util.utcnow().timestamp()),
        },
        "not_understood": async_get_evidence(hass).descriptions,
        "requests": async_get_budget(hass, entry.entry_id).requests.hours,
    }
    if entry.state is ConfigEntryState.LOADED:
        diagnostics |= _running(entry.runtime_data)
    client = await _async_client(hass, entry)
    responses = {
        path: await _response(client, path, interpret) for path, interpret in _PATHS.items()
    }
    return diagnostics | {"responses": responses}


async def _async_client(hass: HomeAssistant, entry: OchnoConfigEntry) -> OperatedClient:
    """Return the client of the entry, or a new one if the entry is not loaded."""
    if entry.state is ConfigEntryState.LOADED:
        return entry.runtime_data.coordinator.client

    async def token_source(rejected: str | None) -> str:
        session = await OchnoSession.async_create(hass, entry)
        return await session.async_get_access_token(rejected)

    budget = async_get_budget(hass, entry.entry_id)
    return async_create_client(hass, entry.data[CONF_SERVER], token_source, budget)


def _running(data: OchnoData) -> dict[str, Any]:
    """Return the diagnostics that only a loaded entry has."""
    coordinator = data.coordinator
    # last_exception is not cleared after a success.
    error = None if coordinator.last_update_success else coordinator.last_exception
    interval = coordinator.update_interval
    return {
        "updates": {
            "instant_updates": data.push.state.value,
            "instant_updates_reason": data.push.reason,
            "last_delivery": data.push.webhook.last_delivery,
            "last_poll": coordinator.last_poll,
            "last_poll_failed_by": None
            if error is None
            else error_summary(error.__cause__ or error),
            "poll_interval": interval and interval.total_seconds(),
        },
        "deliveries": _deliveries(data),
    }


async def async_get_device_diagnostics(
    hass: HomeAssistant, entry: OchnoConfigEntry, device: DeviceEntry
) -> dict[str, Any]:
    """Return diagnostics of a hub: the API's response about it, and deliveries.

    An entry that is not loaded has no deliveries. The device of the account has no hub.
    """
    hub_id = hub_id_of_device(device)
    if hub_id == account_identifier(entry):
        return {"hub": None}
    client = await _async_client(hass, entry)
    diagnostics: dict[str, Any] = {
        "not_understood": async_get_evidence(hass).descriptions,
        "response": await _response(client, hub_path(hub_id), _interpret_hub),
    }
    if entry.state is ConfigEntryState.LOADED:
        hub = entry.runtime_data.coordinator.data.get(hub_id)
        diagnostics["hub"] = hub and {
            "received": redact(decode(hub.raw)),
            "interpreted": _interpreted_hub(hub),
        }
        # The deliveries of all hubs, because it is not known how a delivery names its hub.
        diagnostics["deliveries"] = _deliveries(entry.runtime_data)
    return diagnostics


def _deliveries(data: OchnoData) -> dict[str, list[dict[str, Any]]]:
    return {
        event: [asdict(delivery) for delivery in deliveries]
        for event, deliveries in data.push.webhook.deliveries.items()
    }


async def _response(client: OperatedClient, path: str, interpret: Interpret) -> JSON:
    """Return a redacted response and how it is interpreted, or the error as a string."""
    try:
        response = await client.transport.inspect(path)
    except (OperatedError, HomeAssistantError) as err:
        return error_summary(err)
    result: dict[str, JSON] = {
        "status": response.status,
        "content_type": response.content_type,
        "length": len(response.body),
    }
    with suppress(OperatedError):
        json = decode(response.body)
        result |= {"shape": shape(json), "body": redact(json)}
    try:
        result["interpreted"] = interpret(response.body)
    except OperatedError as err:
        result["interpreted"] = error_summary(err)
    return result


def _interpret_hubs(body: bytes) -> JSON:
    hub_list = HubList.from_body(body)
    return {
        "hubs": len(hub_list.hubs),
        "malformed": [*sorted(hub_list.malformed)],
        "first_hubs": [_interpreted_hub(hub) for hub in list(hub_list.hubs.values())[:_MAX_HUBS]],
    }


def _interpret_hub(body: bytes) -> JSON:
    return _interpreted_hub(
        Hub.from_json({"id": "-", **unwrapped_object(decode(body), "hub").json})
    )


def _interpreted_hub(hub: Hub) -> JSON:
    return {
        "online": hub.online,
        "connected": [port.connected for port in hub.ports],
        "active_port": hub.active_port,
        "default_port": hub.default_port,
        "room_system": hub.room_system,
        "room_system_port": hub.room_system_port,
        "overheating": hub.overheating,
        "admin_mode": hub.admin_mode,
        "spaces": len(hub.space_ids),
        "has_account": hub.account_id is not None,
        "unread": [*sorted(hub.unread)],
    }


def _interpret_accounts(body: bytes) -> JSON:
    return {"accounts": len(read_accounts(decode(body)))}


def _interpret_user(body: bytes) -> JSON:
    user = User.from_json(decode(body))
    return {"has_id": user.id is not None, "has_name": user.name is not None}


def _interpret_spaces(body: bytes) -> JSON:
    spaces, malformed = read_spaces(decode(body))
    return {"spaces": len(spaces), "malformed": list(malformed[:_MAX_HUBS])}


_PATHS: Final[dict[str, Interpret]] = {
    "/api/hubs/v1": _interpret_hubs,
    "/api/accounts/v1": _interpret_accounts,
    "/identity/oauth/v2/userinfo": _interpret_user,
    "/api/spaces/v1": _interpret_spaces,
}
