"""HTTP session of the integration, and evidence about its responses."""

from typing import Final

import aiohttp

from homeassistant.const import EVENT_HOMEASSISTANT_CLOSE
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.aiohttp_client import async_create_clientsession
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .operated.budget import RequestBudget
from .operated.client import OperatedClient
from .operated.evidence import Evidence
from .operated.transport import TokenSource

_SESSION: Final[HassKey[aiohttp.ClientSession]] = HassKey(f"{DOMAIN}_session")
_BUDGETS: Final[HassKey[dict[str, RequestBudget]]] = HassKey(f"{DOMAIN}_budgets")
_EVIDENCE: Final[HassKey[Evidence]] = HassKey(f"{DOMAIN}_evidence")


@callback
def async_create_client(
    hass: HomeAssistant, server: str, token_source: TokenSource, budget: RequestBudget
) -> OperatedClient:
    """Return a client for a server, a base URL."""
    return OperatedClient(
        async_get_session(hass), server, token_source, async_get_evidence(hass), budget
    )


@callback
def async_get_budget(hass: HomeAssistant, entry_id: str) -> RequestBudget:
    """Return the budget of an account. It is kept between attempts to set up the entry."""
    return hass.data.setdefault(_BUDGETS, {}).setdefault(entry_id, RequestBudget())


@callback
def async_remove_budget(hass: HomeAssistant, entry_id: str) -> None:
    """Forget the budget of an entry that is removed."""
    hass.data.get(_BUDGETS, {}).pop(entry_id, None)


@callback
def async_get_evidence(hass: HomeAssistant) -> Evidence:
    """Return the evidence of all accounts and dialogs, so that nothing is logged twice."""
    return hass.data.setdefault(_EVIDENCE, Evidence())


@callback
def async_get_session(hass: HomeAssistant) -> aiohttp.ClientSession:
    """Return a session that stores no cookies.

    Home Assistant's shared session has one cookie jar. A session cookie of one account would be
    sent with the requests of another account.
    """
    if (session := hass.data.get(_SESSION)) is None:
        # The automatic clean-up would detach the session before an entry that is unloaded has
        # ended its subscription.
        session = hass.data[_SESSION] = async_create_clientsession(
            hass, auto_cleanup=False, cookie_jar=aiohttp.DummyCookieJar()
        )

        @callback
        def detach(_event: Event) -> None:
            hass.data.pop(_SESSION).detach()

        hass.bus.async_listen_once(EVENT_HOMEASSISTANT_CLOSE, detach)
    return session
