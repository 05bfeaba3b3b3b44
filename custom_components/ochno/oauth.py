"""OAuth2 implementation for Ochno Operated.

"The vendor's document" is *Custom Ochno Operated OAuth2 integrations (beta)*.
"""

import secrets
import string
import time
from typing import Any, Final, override

import aiohttp

from homeassistant.components.application_credentials import (
    AuthImplementation,
    AuthorizationServer,
    ClientCredential,
)
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import (
    OAuth2TokenRequestConnectionError,
    OAuth2TokenRequestReauthError,
    OAuth2TokenRequestTransientError,
)

from .const import DOMAIN, PRODUCTION, Access
from .operated.errors import OperatedResponseError
from .operated.redact import shape
from .operated.transport import read_body
from .operated.types import JSON
from .operated.values import decode, seconds_from_now, unwrapped_object
from .session import async_get_evidence, async_get_session

OAUTH_PATH: Final = "/identity/oauth/v2/token"
READ_SCOPES: Final = ("sub", "email", "hubs:read", "accounts:read")
SCOPES: Final = {Access.READ: READ_SCOPES, Access.CONTROL: (*READ_SCOPES, "hubs:write")}

# Long, because a refresh that times out may have used up the refresh token.
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)
_REACHABLE_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
# Access token lifetimes in seconds. The vendor's demo client assumes an hour if none is given.
_DEFAULT_LIFETIME: Final = 3600
_MIN_LIFETIME: Final = 60
_MAX_LIFETIME: Final = 24 * 3600
_TEMPORARY_ERRORS: Final = ("server_error", "slow_down", "temporarily_unavailable")

type Token = dict[str, Any]


class UnknownTokenResponseError(OAuth2TokenRequestConnectionError):
    """The token endpoint's response has no usable token."""


class OchnoImplementation(AuthImplementation):
    """OAuth2 implementation for one set of application credentials."""

    def __init__(self, hass: HomeAssistant, auth_domain: str, credential: ClientCredential) -> None:
        super().__init__(hass, auth_domain, credential, _endpoints(PRODUCTION))
        self.server = PRODUCTION

    def set_server(self, server: str) -> None:
        """Use the endpoints of this base URL. Application credentials do not store a server."""
        self.server = server
        endpoints = _endpoints(server)
        self.authorize_url = endpoints.authorize_url
        self.token_url = endpoints.token_url

    @property
    @override
    def extra_token_resolve_data(self) -> dict[str, str]:
        """Return a new `codeVerifier`: a random base64 string (vendor's document, step 1).

        64 letters and digits are valid base64 and also a valid PKCE verifier.
        """
        characters = string.ascii_letters + string.digits
        return {"codeVerifier": "".join(secrets.choice(characters) for _ in range(64))}

    @override
    async def async_resolve_external_data(self, external_data: Any) -> Token:
        """Exchange the authorization code for tokens.

        The result has `expires_at` in Unix seconds, and the redirect URI. The refresh must send
        the same URI, and Home Assistant cannot always determine it at that time. It also has the
        server and the client id, because no other server may receive the tokens. Raises
        UnknownTokenResponseError without a refresh token.
        """
        token = await super().async_resolve_external_data(external_data)
        if "refresh_token" not in token:
            raise UnknownTokenResponseError(domain=DOMAIN)
        return {
            **token,
            "expires_at": time.time() + token["expires_in"],
            "redirect_uri": external_data["state"]["redirect_uri"],
            **self._origin,
            "generation": 0,
        }

    @property
    def _origin(self) -> dict[str, str]:
        """Return the server and the client id that the tokens belong to."""
        return {"server": self.server, "client_id": self.client_id}

    @override
    async def _async_refresh_token(self, token: Token) -> Token:
        """Exchange the refresh token. Without a new one in the response, the old one is kept."""
        new_token = await self._token_request(
            {
                "grant_type": "refresh_token",
                "refresh_token": token["refresh_token"],
                "redirect_uri": token["redirect_uri"],
            }
        )
        return {**token, **new_token, **self._origin, "generation": token.get("generation", 0) + 1}

    @override
    async def _token_request(self, data: dict[str, str]) -> Token:
        """Send a request to the token endpoint; return the token fields of the response.

        Raises OAuth2TokenRequestReauthError only for a 400 or 401 that can come from the vendor.
        Other errors, for example of a firewall, raise OAuth2TokenRequestTransientError or
        OAuth2TokenRequestConnectionError, because they are no reason to sign in again.
        """
        form = {**data, "client_id": self.client_id, "client_secret": self.client_secret}
        try:
            async with async_get_session(self.hass).post(
                self.token_url,
                data=form,
                timeout=_TIMEOUT,
                # A redirect could send the client secret to another host.
                allow_redirects=False,
            ) as response:
                body = await read_body(response)
        except OperatedResponseError as err:
            self._record(str(err))
            raise UnknownTokenResponseError(domain=DOMAIN) from err
        except (aiohttp.ClientError, TimeoutError) as err:
            raise OAuth2TokenRequestConnectionError(domain=DOMAIN) from err
        try:
            json, problem = decode(body), None
        except OperatedResponseError as err:
            json, problem = None, str(err)
        if not 200 <= response.status < 300:
            refused = response.status in (400, 401) and _is_refusal(json)
            raise (OAuth2TokenRequestReauthError if refused else OAuth2TokenRequestTransientError)(
                request_info=response.request_info,
                status=response.status,
                headers=response.headers,
                domain=DOMAIN,
            )
        if (token := _read_token(json)) is None:
            self._record(problem or f"expected an access token, got {shape(json)}")
            raise UnknownTokenResponseError(domain=DOMAIN)
        return token

    def _record(self, description: str) -> None:
        async_get_evidence(self.hass).record(f"POST {OAUTH_PATH}", description)


async def async_is_reachable(hass: HomeAssistant, server: str) -> bool:
    """Return whether a server sends any HTTP response."""
    try:
        async with async_get_session(hass).get(
            _endpoints(server).authorize_url, timeout=_REACHABLE_TIMEOUT, allow_redirects=False
        ):
            return True
    except aiohttp.ClientError, TimeoutError:
        return False


def granted_scopes(token: Token) -> frozenset[str]:
    """Return the scopes that a token response names, separated by spaces or commas."""
    return frozenset(str(token.get("scope", "")).replace(",", " ").split())


def _endpoints(server: str) -> AuthorizationServer:
    return AuthorizationServer(
        authorize_url=f"{server}/identity/oauth/v2/authorize",
        token_url=f"{server}{OAUTH_PATH}",
    )


def _is_refusal(answer: JSON) -> bool:
    """Return whether the body of a 400 or 401 can be a permanent error of the vendor.

    The vendor does not document its errors, so a body that is not JSON counts too.
    """
    if answer is None:
        return True
    if not isinstance(answer, dict):
        return False
    return ("error" in answer or "code" in answer) and answer.get("error") not in _TEMPORARY_ERRORS


def _read_token(json: JSON) -> Token | None:
    """Return the known fields of a token response; None without an access token.

    `expires_in` is the lifetime in seconds. `response` is the redacted shape of the response.
    """
    try:
        # The vendor's document mentions a "data object"; its demo client reads the fields directly.
        answer = unwrapped_object(json, "token", "access_token")
    except OperatedResponseError:
        return None
    if not _is_header_safe(answer.get("access_token")):
        return None
    token: Token = {
        key: answer.get(key)
        for key in ("access_token", "refresh_token", "token_type", "scope")
        if _is_header_safe(answer.get(key))
    }
    token["expires_in"] = _lifetime(answer.get("expires_in"), answer.get("access_expires_in"))
    token["response"] = shape(json)
    return token


def _is_header_safe(value: object) -> bool:
    """Return whether a value is a string that can be sent in an HTTP header."""
    return isinstance(value, str) and value != "" and value.isascii() and value.isprintable()


def _lifetime(*candidates: object) -> int:
    """Return the lifetime of the access token in seconds, from 60 to 86,400.

    The first valid positive candidate counts; without one, the lifetime is an hour.
    """
    for value in candidates:
        if (seconds := seconds_from_now(value)) is not None and seconds > 0:
            return int(min(max(seconds, _MIN_LIFETIME), _MAX_LIFETIME))
    return _DEFAULT_LIFETIME
