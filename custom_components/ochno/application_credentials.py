"""Application credentials: client ID and secret of a custom integration at Ochno Operated."""

from contextlib import suppress

from homeassistant.components.application_credentials import ClientCredential
from homeassistant.core import HomeAssistant
from homeassistant.helpers.config_entry_oauth2_flow import (
    AUTH_CALLBACK_PATH,
    MY_AUTH_CALLBACK_PATH,
)
from homeassistant.helpers.network import NoURLAvailableError, get_url

from .const import PRODUCTION, STAGING
from .oauth import READ_SCOPES, OchnoImplementation


async def async_get_auth_implementation(
    hass: HomeAssistant, auth_domain: str, credential: ClientCredential
) -> OchnoImplementation:
    """Return the OAuth2 implementation for a credential."""
    return OchnoImplementation(hass, auth_domain, credential)


async def async_get_description_placeholders(hass: HomeAssistant) -> dict[str, str]:
    """Return the placeholders of the credentials dialog."""
    redirect_uri = MY_AUTH_CALLBACK_PATH
    if "my" not in hass.config.components:
        # Without My Home Assistant, it is the address in the browser, which is not known here.
        with suppress(NoURLAvailableError):
            redirect_uri = get_url(hass, prefer_external=True) + AUTH_CALLBACK_PATH
    return {
        "server_url": PRODUCTION,
        "staging_url": STAGING,
        "redirect_uri": redirect_uri,
        "scopes": ", ".join(READ_SCOPES),
    }
