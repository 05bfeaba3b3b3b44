"""What the system information page tells of the integration."""

from typing import Any

from homeassistant.components import system_health
from homeassistant.core import HomeAssistant, callback

from .const import CONF_SERVER, DOMAIN, PRODUCTION
from .coordinator import OchnoConfigEntry


@callback
def async_register(hass: HomeAssistant, register: system_health.SystemHealthRegistration) -> None:
    """Take part in the page."""
    register.async_register_info(_info)


async def _info(hass: HomeAssistant) -> dict[str, Any]:
    entries: list[OchnoConfigEntry] = hass.config_entries.async_loaded_entries(DOMAIN)
    servers = {entry.data[CONF_SERVER] for entry in hass.config_entries.async_entries(DOMAIN)}
    polls = [entry.runtime_data.last_poll for entry in entries]
    return {
        "server_reachable": _reach(hass, servers or {PRODUCTION}),
        "instant_updates": ", ".join(entry.runtime_data.push_state for entry in entries) or None,
        "last_poll": min((poll for poll in polls if poll is not None), default=None),
    }


async def _reach(hass: HomeAssistant, servers: set[str]) -> str | dict[str, str]:
    """Return `ok`, or what is wrong with the first server that can't be reached."""
    for server in servers:
        answer = await system_health.async_check_can_reach_url(hass, server)
        if answer != "ok":
            return answer
    return "ok"
