"""System health: the section of the integration on the system information page."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .const import CONF_SERVER, DOMAIN, PRODUCTION
from .data import OchnoConfigEntry


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Register the system health callback."""
    register.async_register_info(_async_get_info)


async def _async_get_info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[OchnoConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    servers = {entry.data[CONF_SERVER] for entry in hass.config_entries.async_entries(DOMAIN)}
    polls = [entry.runtime_data.coordinator.last_poll for entry in entries]
    return {
        "server_reachable": _async_check_servers(hass, servers or {PRODUCTION}),
        "instant_updates": ", ".join(entry.runtime_data.push.state for entry in entries) or None,
        "last_poll": min((poll for poll in polls if poll is not None), default=None),
    }


async def _async_check_servers(hass: HomeAssistant, servers: set[str]) -> str | dict[str, str]:
    """Return `ok`, or the error of the first server that cannot be reached."""
    for server in servers:
        result = await system_health.async_check_can_reach_url(hass, server)
        if result != "ok":
            return result
    return "ok"
