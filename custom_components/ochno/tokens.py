"""Token storage and refresh of a config entry."""

import asyncio
from typing import Final, override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.config_entry_oauth2_flow import (
    OAuth2Session,
    async_get_config_entry_implementation,
)
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from .const import CONF_SERVER, DOMAIN
from .oauth import OchnoImplementation, Token
from .storage import async_load

_TOKEN_LOCKS: Final[HassKey[dict[str, asyncio.Lock]]] = HassKey(f"{DOMAIN}_token_locks")


def token_lock(hass: HomeAssistant, entry_id: str) -> asyncio.Lock:
    """Return the lock that protects the tokens of an entry while they are replaced.

    The lock is kept across a reload, so that a refresh from before the reload cannot use a
    refresh token twice or overwrite newer tokens.
    """
    return hass.data.setdefault(_TOKEN_LOCKS, {}).setdefault(entry_id, asyncio.Lock())


def _token_store(hass: HomeAssistant, entry_id: str) -> Store[Token]:
    """Return the storage for the newest tokens of an entry.

    Home Assistant saves a changed config entry a second later. If it is killed before that, the
    config entry has a refresh token that was used already. This file is written immediately.
    """
    return Store(hass, 1, f"{DOMAIN}.{entry_id}.token", private=True, atomic_writes=True)


async def async_save_tokens(hass: HomeAssistant, entry_id: str, token: Token) -> None:
    """Save the newest tokens of an entry. The caller must hold the token lock."""
    await _token_store(hass, entry_id).async_save(token)


async def async_remove_tokens(hass: HomeAssistant, entry_id: str) -> None:
    """Delete the token file of an entry that is removed."""
    await _token_store(hass, entry_id).async_remove()


def _is_complete(token: Token) -> bool:
    """Return whether stored tokens have everything that a request or a refresh needs."""
    texts = ("access_token", "refresh_token", "redirect_uri")
    return all(isinstance(token.get(key), str) for key in texts) and all(
        isinstance(token.get(key), int | float) for key in ("expires_at", "expires_in")
    )


class OchnoSession(OAuth2Session):
    """OAuth2 session of one config entry."""

    _rejected_access_token: str | None = None

    def __init__(
        self, hass: HomeAssistant, entry: ConfigEntry, implementation: OchnoImplementation
    ) -> None:
        super().__init__(hass, entry, implementation)
        self._token_lock = token_lock(hass, entry.entry_id)

    @classmethod
    async def async_create(cls, hass: HomeAssistant, entry: ConfigEntry) -> OchnoSession:
        """Create the session with the entry's credentials, server and newest tokens."""
        implementation = await async_get_config_entry_implementation(hass, entry)
        assert isinstance(implementation, OchnoImplementation)  # noqa: S101 - for the type checker
        implementation.set_server(entry.data[CONF_SERVER])
        newest = await async_load(_token_store(hass, entry.entry_id))
        if newest is not None and _is_complete(newest):
            hass.config_entries.async_update_entry(entry, data={**entry.data, "token": newest})
        return cls(hass, entry, implementation)

    @override
    async def async_ensure_token_valid(self) -> None:
        """Refresh the tokens if necessary, and save them immediately."""
        await super().async_ensure_token_valid()
        async with self._token_lock:
            await async_save_tokens(self.hass, self.config_entry.entry_id, self.token)

    @property
    @override
    def valid_token(self) -> bool:
        """Return whether the access token is usable: not expired, and not rejected by the API."""
        return super().valid_token and self.token["access_token"] != self._rejected_access_token

    async def async_get_access_token(self, rejected: str | None) -> str:
        """Return a valid access token that is not `rejected`.

        Concurrent callers share one refresh. The refresh continues if a caller is cancelled,
        because otherwise the new refresh token would be lost. Raises OAuth2TokenRequestError.
        """
        if rejected is not None:
            self._rejected_access_token = rejected
        if not self.valid_token:
            refresh = self.hass.async_create_task(
                self.async_ensure_token_valid(), "Ochno token refresh"
            )
            # After a cancellation nobody else would retrieve the exception.
            refresh.add_done_callback(lambda task: task.cancelled() or task.exception())
            await asyncio.wait([refresh])
            refresh.result()
        access_token: str = self.token["access_token"]
        return access_token
