"""Stored tokens of a config entry: refresh, storage, and the session that uses them.

A refresh token can be used once, so the newest pair must survive a crash. It is written to the
config entry, which Home Assistant saves with a delay, and immediately to a file. Either write can
fail. Each pair has a `generation`, a number that grows with every refresh and sign-in. After a
restart, the pair with the higher generation is used.
"""

import asyncio
from http import HTTPStatus
from typing import Final, override

from homeassistant.config_entries import ConfigEntry, UnknownEntry
from homeassistant.const import EVENT_HOMEASSISTANT_STOP
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.exceptions import (
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestConnectionError,
    OAuth2TokenRequestReauthError,
    OAuth2TokenRequestTransientError,
)
from homeassistant.helpers.config_entry_oauth2_flow import (
    OAuth2Session,
    async_get_config_entry_implementation,
)
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from .const import CONF_SERVER, DOMAIN
from .oauth import OAUTH_PATH, OchnoImplementation, Token
from .operated.transport import retry_after_of
from .problems import async_start_reauth
from .session import async_get_budget
from .storage import async_load, async_remove

_TOKEN_LOCKS: Final[HassKey[dict[str, asyncio.Lock]]] = HassKey(f"{DOMAIN}_token_locks")


def token_lock(hass: HomeAssistant, entry_id: str) -> asyncio.Lock:
    """Return the lock that protects the tokens of an entry while they are replaced.

    The lock is kept across a reload, so that a refresh from before the reload cannot use a
    refresh token twice or overwrite newer tokens.
    """
    return hass.data.setdefault(_TOKEN_LOCKS, {}).setdefault(entry_id, asyncio.Lock())


def _token_store(hass: HomeAssistant, entry_id: str) -> Store[Token]:
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.token", private=True, atomic_writes=True)


async def async_save_new_tokens(hass: HomeAssistant, entry: ConfigEntry, token: Token) -> Token:
    """Save the tokens of a new sign-in for an existing entry; return them with their generation.

    The caller must hold the token lock.
    """
    token = {**token, "generation": _generation(entry.data["token"]) + 1}
    await _token_store(hass, entry.entry_id).async_save(token)
    return token


async def async_remove_tokens(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the token file of an entry that is removed."""
    hass.data.get(_TOKEN_LOCKS, {}).pop(entry_id, None)
    await async_remove(_token_store(hass, entry_id))


def _generation(token: Token) -> int:
    generation: int = token.get("generation", 0)
    return generation


def _is_complete(stored: Token) -> bool:
    """Return whether stored tokens have everything that a request or a refresh needs."""
    texts = ("access_token", "refresh_token", "redirect_uri", "server", "client_id")
    numbers = ("expires_at", "expires_in", "generation")
    return all(isinstance(stored.get(key), str) for key in texts) and all(
        isinstance(stored.get(key), int | float) for key in numbers
    )


class OchnoSession(OAuth2Session):
    """OAuth2 session of one config entry."""

    implementation: OchnoImplementation
    _rejected_access_token: str | None = None
    _rejected_refresh_token: tuple[str, OAuth2TokenRequestReauthError] | None = None
    _refresh: asyncio.Task[None] | None = None

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, implementation: OchnoImplementation
    ) -> None:
        super().__init__(hass, entry, implementation)
        self._token_lock = token_lock(hass, entry.entry_id)
        self._store = _token_store(hass, entry.entry_id)
        self._budget = async_get_budget(hass, entry.entry_id)

    @classmethod
    async def async_create(cls, hass: HomeAssistant, entry: ConfigEntry) -> OchnoSession:
        """Create the session with the entry's credentials, server and newest tokens."""
        implementation = await async_get_config_entry_implementation(hass, entry)
        assert isinstance(implementation, OchnoImplementation)  # noqa: S101 - for the type checker
        implementation.set_server(entry.data[CONF_SERVER])
        session = cls(hass, entry, implementation)
        stored = await async_load(session._store, _is_complete)
        if (
            stored is not None
            and _generation(stored) > _generation(session.token)
            # A change of server or credentials may have been interrupted.
            and stored.get("server") == implementation.server
            and stored.get("client_id") == implementation.client_id
        ):
            hass.config_entries.async_update_entry(entry, data={**entry.data, "token": stored})
        return session

    @override
    async def async_ensure_token_valid(self) -> None:
        """Refresh the tokens if necessary, and save them immediately.

        After the vendor rejected a refresh token, it is not sent again.
        """
        refresh_token = self.token["refresh_token"]
        if self._rejected_refresh_token and self._rejected_refresh_token[0] == refresh_token:
            raise self._rejected_refresh_token[1]
        self._budget.check()
        if self._is_removed or self._has_other_server:
            raise OAuth2TokenRequestConnectionError(domain=DOMAIN)
        try:
            await super().async_ensure_token_valid()
            self._record_request(HTTPStatus.OK)
        except OAuth2TokenRequestBaseError as err:
            self._record_request(getattr(err, "status", type(err).__name__))
            self._handle_error(refresh_token, err)
            raise
        except UnknownEntry as err:
            # The entry was removed during the request.
            raise OAuth2TokenRequestConnectionError(domain=DOMAIN) from err
        async with self._token_lock:
            await self._store.async_save(self.token)
        if self._is_removed:
            await async_remove(self._store)

    def _record_request(self, status: int | str) -> None:
        self._budget.requests.record("POST", OAUTH_PATH, status)

    def _handle_error(self, refresh_token: str, err: OAuth2TokenRequestBaseError) -> None:
        if isinstance(err, OAuth2TokenRequestReauthError):
            self._rejected_refresh_token = refresh_token, err
            async_start_reauth(self.hass, self.config_entry)
        elif (
            isinstance(err, OAuth2TokenRequestTransientError)
            and (seconds := retry_after_of(err)) is not None
        ):
            self._budget.postpone(seconds)

    @property
    def _is_removed(self) -> bool:
        entry_id = self.config_entry.entry_id
        return self.hass.config_entries.async_get_entry(entry_id) is None

    @property
    def _has_other_server(self) -> bool:
        """Return whether the user changed the server after this session was created."""
        server: str = self.config_entry.data[CONF_SERVER]
        return server != self.implementation.server

    @property
    @override
    def valid_token(self) -> bool:
        """Return whether the access token is usable: not expired, and not rejected by the API."""
        return super().valid_token and self.token["access_token"] != self._rejected_access_token

    async def async_get_access_token(self, rejected: str | None) -> str:
        """Return a valid access token that is not `rejected`.

        Concurrent callers share one refresh. The refresh continues if a caller is cancelled,
        because otherwise the new refresh token would be lost. Raises OAuth2TokenRequestBaseError,
        and OperatedRateLimitError while the server wants no request.
        """
        if rejected is not None:
            self._rejected_access_token = rejected
        if not self.valid_token:
            refresh = self._refresh or self._start_refresh()
            await asyncio.wait([refresh])
            refresh.result()
        if self._has_other_server:
            # The new tokens must not be sent to the previous server.
            raise OAuth2TokenRequestConnectionError(domain=DOMAIN)
        access_token: str = self.token["access_token"]
        return access_token

    def _start_refresh(self) -> asyncio.Task[None]:
        """Start a refresh. Home Assistant waits for it when it stops."""
        refresh = self.hass.async_create_task(
            self.async_ensure_token_valid(), "Ochno token refresh"
        )

        async def wait(_event: Event) -> None:
            await asyncio.wait([refresh])

        stop_listening = self.hass.bus.async_listen(EVENT_HOMEASSISTANT_STOP, wait)

        @callback
        def handle_done(_refresh: asyncio.Task[None]) -> None:
            stop_listening()
            self._refresh = None
            # If all callers were cancelled, nobody else retrieves the exception.
            _ = refresh.cancelled() or refresh.exception()

        self._refresh = refresh
        refresh.add_done_callback(handle_done)
        return refresh
