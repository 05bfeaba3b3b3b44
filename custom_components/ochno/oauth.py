"""The vendor's OAuth2 dialect as a Home Assistant implementation.

"The vendor's document" is *Custom Ochno Operated OAuth2 integrations (beta)*.
"""

import asyncio
import base64
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import json
import math
import secrets
import time
from typing import Any, Final, override

import aiohttp

from homeassistant.components.application_credentials import (
    AuthImplementation,
    AuthorizationServer,
    ClientCredential,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import (
    OAuth2TokenRequestConnectionError,
    OAuth2TokenRequestReauthError,
    OAuth2TokenRequestTransientError,
)
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.config_entry_oauth2_flow import (
    OAuth2Session,
    async_get_config_entry_implementation,
)
from homeassistant.helpers.storage import Store
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import CONF_SERVER, DOMAIN, PRODUCTION, Access
from .operated.client import read_body
from .operated.errors import OperatedResponseError

READ_SCOPES: Final = ("sub", "email", "hubs:read", "accounts:read")
SCOPES: Final = {Access.READ: READ_SCOPES, Access.CONTROL: (*READ_SCOPES, "hubs:write")}

# Long, because a refresh that is cut short may have used up the refresh token.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
# What the vendor's own demo assumes where the answer does not say.
_DEFAULT_LIFETIME: Final = 3600
_SHORTEST_LIFETIME: Final = 60
_LONGEST_LIFETIME: Final = 24 * 3600
_TEMPORARY_ERRORS: Final = ("server_error", "slow_down", "temporarily_unavailable")

_TOKEN_LOCKS: HassKey[dict[str, asyncio.Lock]] = HassKey(f"{DOMAIN}_token_locks")

type Token = dict[str, Any]


class UnknownTokenAnswerError(OAuth2TokenRequestConnectionError):
    """The token endpoint answered something that holds no usable token."""


class OchnoImplementation(AuthImplementation):
    """OAuth2 with the credentials of one integration created at Ochno Operated."""

    def __init__(self, hass: HomeAssistant, auth_domain: str, credential: ClientCredential) -> None:
        super().__init__(hass, auth_domain, credential, _endpoints(PRODUCTION))

    def use_server(self, server: str) -> None:
        """Talk to this base URL; credentials alone don't tell where they were created."""
        endpoints = _endpoints(server)
        self.authorize_url = endpoints.authorize_url
        self.token_url = endpoints.token_url

    @property
    @override
    def extra_token_resolve_data(self) -> dict[str, str]:
        """The vendor's document wants a random base64 string, fresh for each exchange."""
        return {"codeVerifier": base64.b64encode(secrets.token_bytes(48)).decode()}

    @override
    async def async_resolve_external_data(self, external_data: Any) -> Token:
        """Exchange the authorization code for tokens.

        The redirect URI is kept with the token: the refresh must send the same one, at a time
        when Home Assistant could not tell it.
        """
        token = await super().async_resolve_external_data(external_data)
        if "refresh_token" not in token:
            raise UnknownTokenAnswerError(domain=DOMAIN)
        return {
            **token,
            "expires_at": time.time() + token["expires_in"],
            "redirect_uri": external_data["state"]["redirect_uri"],
        }

    @override
    async def _async_refresh_token(self, token: Token) -> Token:
        """Exchange the refresh token for a new pair; an answer without one keeps the old one."""
        new_token = await self._token_request(
            {
                "grant_type": "refresh_token",
                "refresh_token": token["refresh_token"],
                "redirect_uri": token["redirect_uri"],
            }
        )
        return {**token, **new_token}

    @override
    async def _token_request(self, data: dict[str, str]) -> Token:
        """Ask the token endpoint.

        Raises OAuth2TokenRequestReauthError only where the vendor itself refuses; whatever a
        proxy or a firewall answers passes, and must not cost the user a new sign-in.
        """
        form = {**data, "client_id": self.client_id, "client_secret": self.client_secret}
        try:
            async with async_get_clientsession(self.hass).post(
                self.token_url,
                data=form,
                timeout=_TIMEOUT,
                # A redirect would carry the client secret to another host.
                allow_redirects=False,
            ) as response:
                body = await read_body(response)
        except OperatedResponseError as err:
            raise UnknownTokenAnswerError(domain=DOMAIN) from err
        except (aiohttp.ClientError, TimeoutError) as err:
            raise OAuth2TokenRequestConnectionError(domain=DOMAIN) from err
        try:
            # Read as float, since one of thousands of digits is no int to Python.
            answer = json.loads(body, parse_int=float)
        except ValueError, RecursionError:
            answer = None

        if response.status != 200:
            refused = response.status in (400, 401) and _is_refusal(answer)
            raise (OAuth2TokenRequestReauthError if refused else OAuth2TokenRequestTransientError)(
                request_info=response.request_info, status=response.status, domain=DOMAIN
            )
        return _read_token(answer)


def token_lock(hass: HomeAssistant, entry_id: str) -> asyncio.Lock:
    """Return the lock to hold while the tokens of an entry are replaced.

    It outlives the entry's session, so that a refresh under way when the entry is reloaded or the
    user signs in again neither uses a refresh token twice nor overwrites newer tokens.
    """
    return hass.data.setdefault(_TOKEN_LOCKS, {}).setdefault(entry_id, asyncio.Lock())


def _token_store(hass: HomeAssistant, entry_id: str) -> Store[Token]:
    """Return where the newest tokens of an entry are written at once; empty until they change.

    Home Assistant writes a changed entry a second later, or more while it starts. Killed before,
    it would come back with a refresh token that is used up.
    """
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.token", private=True, atomic_writes=True)


async def async_write_tokens(hass: HomeAssistant, entry_id: str, token: Token) -> None:
    """Write the newest tokens of an entry; whoever does so holds the lock."""
    await _token_store(hass, entry_id).async_save(token)


async def async_forget_tokens(hass: HomeAssistant, entry_id: str) -> None:
    """Leave nothing behind when an entry is removed."""
    await _token_store(hass, entry_id).async_remove()


class OchnoSession(OAuth2Session):
    """The tokens of one config entry."""

    _refused: str | None = None

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, implementation: OchnoImplementation
    ) -> None:
        super().__init__(hass, entry, implementation)
        self._token_lock = token_lock(hass, entry.entry_id)

    @classmethod
    async def create(cls, hass: HomeAssistant, entry: ConfigEntry) -> OchnoSession:
        """Use the entry's credentials at the entry's server."""
        implementation = await async_get_config_entry_implementation(hass, entry)
        assert isinstance(implementation, OchnoImplementation)  # noqa: S101 - for the type checker
        implementation.use_server(entry.data[CONF_SERVER])
        if (newest := await _token_store(hass, entry.entry_id).async_load()) is not None:
            hass.config_entries.async_update_entry(entry, data={**entry.data, "token": newest})
        return cls(hass, entry, implementation)

    @override
    async def async_ensure_token_valid(self) -> None:
        """Renew the tokens, unless another caller just did, and write them at once."""
        await super().async_ensure_token_valid()
        async with self._token_lock:
            await async_write_tokens(self.hass, self.config_entry.entry_id, self.token)

    @property
    @override
    def valid_token(self) -> bool:
        """A token that the API refused is not valid, whatever its lifetime says."""
        return super().valid_token and self.token["access_token"] != self._refused

    async def access_token(self, refused: str | None) -> str:
        """Return a valid access token, another than `refused`.

        Concurrent callers share one refresh. It is never cancelled: the vendor may have replaced
        the refresh token already, and the answer with the new one would be lost.
        """
        if refused is not None:
            self._refused = refused
        if not self.valid_token:
            refresh = self.hass.async_create_task(
                self.async_ensure_token_valid(), "Ochno token refresh"
            )
            # Whoever waits may be cancelled and leave nobody to be told of a failure.
            refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait([refresh])
            refresh.result()
        access_token: str = self.token["access_token"]
        return access_token


def granted_scopes(token: Token) -> frozenset[str]:
    """Return the scopes that the answer names; which form that takes is not documented."""
    return frozenset(str(token.get("scope", "")).replace(",", " ").split())


def _endpoints(server: str) -> AuthorizationServer:
    return AuthorizationServer(
        authorize_url=f"{server}/identity/oauth/v2/authorize",
        token_url=f"{server}/identity/oauth/v2/token",
    )


def _is_refusal(answer: object) -> bool:
    """Whether a 400 or 401 is the vendor's word: an error of OAuth or of its API, or no words."""
    if answer is None:
        return True
    if not isinstance(answer, dict):
        return False
    return ("error" in answer or "code" in answer) and answer.get("error") not in _TEMPORARY_ERRORS


def _read_token(answer: object) -> Token:
    """Keep what is known of a token answer, with its lifetime in seconds as `expires_in`.

    Raises UnknownTokenAnswerError if there is no access token.
    """
    # The vendor's document speaks of a "data object"; its demo reads the fields directly.
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        answer = answer["data"]
    if not isinstance(answer, dict) or not _is_text(answer.get("access_token")):
        raise UnknownTokenAnswerError(domain=DOMAIN)
    token = {
        key: answer[key]
        for key in ("access_token", "refresh_token", "token_type", "scope")
        if _is_text(answer.get(key))
    }
    token["expires_in"] = _lifetime(answer.get("expires_in"), answer.get("access_expires_in"))
    return token


def _is_text(value: object) -> bool:
    """Whether it is a text that can stand in a header."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _lifetime(*stated: object) -> int:
    """Seconds that the access token lives, from the first value that can be read.

    One in the past comes from a clock that is off, and so says nothing.
    """
    for value in stated:
        if (seconds := _seconds(value)) is not None and seconds > 0:
            return int(min(max(seconds, _SHORTEST_LIFETIME), _LONGEST_LIFETIME))
    return _DEFAULT_LIFETIME


def _seconds(value: object) -> float | None:
    """Read a number of seconds, as a number or a text, or a date, in UTC if it names no zone."""
    if not isinstance(value, float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = _date(str(value))
        return None if date is None else (date - dt_util.utcnow()).total_seconds()
    return seconds if math.isfinite(seconds) else None


def _date(text: str) -> datetime | None:
    """Read an ISO 8601 or an internet (RFC 5322) date."""
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = read(text)
        except ValueError:
            continue
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
