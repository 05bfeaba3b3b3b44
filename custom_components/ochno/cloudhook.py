"""Nabu Casa's cloudhook: an address on the internet for a webhook, where the user has one.

The cloud component is imported only where it runs: its requirements are not there elsewhere.
"""

from collections.abc import Callable
from contextlib import suppress

from homeassistant.core import CALLBACK_TYPE, HomeAssistant


def _runs(hass: HomeAssistant) -> bool:
    return "cloud" in hass.config.components


def async_listen(hass: HomeAssistant, action: Callable[[object], None]) -> CALLBACK_TYPE:
    """Call the action when the connection to Nabu Casa comes or goes; return how to stop that."""
    if not _runs(hass):
        return lambda: None
    from homeassistant.components import cloud  # noqa: PLC0415

    return cloud.async_listen_connection_change(hass, action)


async def async_url(hass: HomeAssistant, webhook_id: str) -> str | None:
    """Return the webhook's cloudhook, made if need be; None without a connected subscription."""
    if not _runs(hass):
        return None
    from homeassistant.components import cloud  # noqa: PLC0415

    if not (cloud.async_active_subscription(hass) and cloud.async_is_connected(hass)):
        return None
    return await cloud.async_get_or_create_cloudhook(hass, webhook_id)


async def async_delete(hass: HomeAssistant, webhook_id: str) -> None:
    """Delete the webhook's cloudhook, if it has one and Nabu Casa can be reached."""
    if not _runs(hass):
        return
    from homeassistant.components import cloud  # noqa: PLC0415

    with suppress(cloud.CloudNotAvailable, ValueError):
        await cloud.async_delete_cloudhook(hass, webhook_id)
