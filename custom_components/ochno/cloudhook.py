"""Cloudhook: the public address of a webhook through Nabu Casa.

The cloud component is imported only if it is loaded, because its requirements may not be installed.
"""

from collections.abc import Callable
from contextlib import suppress

from homeassistant.core import CALLBACK_TYPE, HomeAssistant


def _is_cloud_loaded(hass: HomeAssistant) -> bool:
    return "cloud" in hass.config.components


def async_listen_connection_change(
    hass: HomeAssistant, action: Callable[[object], None]
) -> CALLBACK_TYPE:
    """Call the action when Nabu Casa connects or disconnects; return a function to stop."""
    if not _is_cloud_loaded(hass):
        return lambda: None
    from homeassistant.components import cloud  # noqa: PLC0415

    return cloud.async_listen_connection_change(hass, action)


async def async_get_or_create_url(hass: HomeAssistant, webhook_id: str) -> str | None:
    """Return the cloudhook URL of a webhook; None without a connected Nabu Casa subscription."""
    if not _is_cloud_loaded(hass):
        return None
    from homeassistant.components import cloud  # noqa: PLC0415

    if not (cloud.async_active_subscription(hass) and cloud.async_is_connected(hass)):
        return None
    return await cloud.async_get_or_create_cloudhook(hass, webhook_id)


async def async_delete(hass: HomeAssistant, webhook_id: str) -> None:
    """Delete the cloudhook of a webhook, if there is one and Nabu Casa is connected."""
    if not _is_cloud_loaded(hass):
        return
    from homeassistant.components import cloud  # noqa: PLC0415

    with suppress(cloud.CloudNotAvailable, ValueError):
        await cloud.async_delete_cloudhook(hass, webhook_id)
