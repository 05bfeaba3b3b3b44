"""OAuth2 server: applications, grants, tokens, the token endpoint and userinfo."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
import secrets
import time
from urllib.parse import parse_qsl

from aiohttp import web

from .database import Database, User
from .responses import ApiError, json_response
from .settings import Settings

CODE_LIFETIME = 60
SESSION_COOKIE = "session"

PARAMETERS = {
    "authorization_code": {
        "grant_type",
        "code",
        "client_id",
        "client_secret",
        "redirect_uri",
        "codeVerifier",
    },
    "refresh_token": {"grant_type", "refresh_token", "client_id", "client_secret", "redirect_uri"},
    "client_credentials": {"grant_type", "client_id", "client_secret", "scope"},
}


@dataclass
class Application:
    """A custom integration in the vendor's portal, which is an OAuth2 client.

    Only the grant type client_credentials uses `account`.
    """

    client_id: str
    client_secret: str
    scopes: set[str]
    redirect_uris: list[str] = field(default_factory=list)
    grant_types: set[str] = field(default_factory=lambda: {"authorization_code", "refresh_token"})
    account: str | None = None


@dataclass(eq=False, frozen=True, kw_only=True)
class Grant:
    """Access of an application to an account, given by a user.

    The grant type client_credentials has no user.
    """

    client_id: str
    scopes: list[str]
    account_id: str
    user: User | None = None
    redirect_uri: str | None = None


class OAuthError(Exception):
    """An error response of the token endpoint."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def default_applications() -> dict[str, Application]:
    """Return the applications of the demo data by client id."""
    uris = [
        "http://localhost:8123/auth/external/callback",
        "http://127.0.0.1:8123/auth/external/callback",
        "https://my.home-assistant.io/redirect/oauth",
        "https://example.com/auth/external/callback",
    ]
    read = {"sub", "email", "hubs:read", "accounts:read"}
    applications = (
        Application("home-assistant", "home-assistant-secret", read | {"hubs:write"}, list(uris)),
        Application("read-only-app", "read-only-secret", set(read), list(uris)),
        Application(
            "server-to-server",
            "server-to-server-secret",
            read | {"hubs:write", "accounts:write"},
            grant_types={"client_credentials", "refresh_token"},
        ),
    )
    return {application.client_id: application for application in applications}


def _is_valid_verifier(verifier: str) -> bool:
    """Return whether the verifier is base64 of 16 bytes or more.

    Both base64 alphabets are valid, with or without padding, but not a mix of both.
    """
    if set(verifier) & set("+/") and set(verifier) & set("-_"):
        return False
    if "=" not in verifier:
        verifier += "=" * (-len(verifier) % 4)
    try:
        standard = verifier.replace("-", "+").replace("_", "/")
        return len(base64.b64decode(standard, validate=True)) >= 16
    except binascii.Error, ValueError:
        return False


class OAuthServer:
    """The authorization codes and tokens, and the endpoints that issue and use them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.applications = default_applications()
        self._database = database
        self._settings = settings
        self._codes: dict[str, tuple[Grant, float]] = {}
        self._access_tokens: dict[str, tuple[Grant, float]] = {}
        self._refresh_tokens: dict[str, Grant] = {}
        self._used_refresh_tokens: dict[str, Grant] = {}
        self._used_verifiers: set[str] = set()
        # All codes and tokens, including those that are no longer valid.
        self.issued_secrets: set[str] = set()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        # All methods, because the token endpoint answers a wrong method with an OAuth2 error.
        yield web.route("*", "/identity/oauth/v2/token", self._post_token)
        yield web.get("/identity/oauth/v2/userinfo", self._get_userinfo, allow_head=False)

    def create_code(self, grant: Grant) -> str:
        """Create an authorization code, which is valid once and for 60 seconds."""
        code = f"code-{secrets.token_urlsafe(24)}"
        self._codes[code] = (grant, time.time() + CODE_LIFETIME)
        self.issued_secrets.add(code)
        return code

    def expire_access_tokens(self) -> None:
        """Expire all access tokens. The refresh tokens stay valid."""
        self._access_tokens.clear()

    def revoke(self, grant: Grant | None = None) -> None:
        """Revoke the codes and tokens of a grant, by default of all grants."""
        for tokens in (self._codes, self._access_tokens):
            for token, (owner, _) in list(tokens.items()):
                if grant in (None, owner):
                    del tokens[token]
        for token, owner in list(self._refresh_tokens.items()):
            if grant in (None, owner):
                del self._refresh_tokens[token]

    def authorize(self, request: web.Request, scope: str | None = None) -> Grant:
        """Return the grant of the access token.

        Raise ApiError with status 401 if the token is not valid, and with 403 if the scope is
        missing.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        grant, expires = self._access_tokens.get(token, (None, 0.0))
        if scheme.lower() != "bearer" or grant is None or time.time() >= expires:
            raise ApiError(401, "unauthorized", "A valid access token is needed.")
        if scope and scope not in grant.scopes:
            raise ApiError(403, "forbidden", f"The scope {scope} was not granted.")
        if self._settings.session_cookie and (account_id := request.cookies.get(SESSION_COOKIE)):
            grant = replace(grant, account_id=account_id)
        request[SESSION_COOKIE] = grant.account_id
        return grant

    async def _get_userinfo(self, request: web.Request) -> web.Response:
        grant = self.authorize(request)
        if grant.user is None:
            raise ApiError(403, "forbidden", "There is no user behind this token.")
        userinfo = {}
        if "sub" in grant.scopes:
            userinfo["sub"] = grant.user.sub
        if "email" in grant.scopes:
            userinfo |= {"email": grant.user.email, "name": grant.user.name}
        return json_response(request, userinfo)

    async def _post_token(self, request: web.Request) -> web.Response:
        try:
            parameters = await self._read_parameters(request)
            application = self._authenticate_application(parameters)
            match parameters["grant_type"]:
                case "authorization_code":
                    grant = self._redeem_code(application, parameters)
                case "refresh_token":
                    grant = self._redeem_refresh_token(application, parameters)
                case _:
                    grant = self._create_client_credentials_grant(application, parameters)
        except OAuthError as error:
            body = {"error": error.error, "error_description": str(error)}
            return json_response(request, body, error.status)
        request[SESSION_COOKIE] = grant.account_id
        response = json_response(request, self._issue_tokens(grant, parameters["grant_type"]))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _read_parameters(self, request: web.Request) -> dict[str, str]:
        if request.method != "POST":
            raise OAuthError("invalid_request", "Use POST.")
        if request.content_type != "application/x-www-form-urlencoded":
            text = "The Content-Type must be application/x-www-form-urlencoded."
            raise OAuthError("invalid_request", text, 415)
        if request.query_string:
            raise OAuthError("invalid_request", "Parameters belong in the body.")
        try:
            body = (await request.read()).decode()
            pairs = parse_qsl(body, keep_blank_values=True, strict_parsing=True)
        except ValueError:
            raise OAuthError("invalid_request", "The body is not form encoded.") from None
        parameters = dict(pairs)
        if len(pairs) != len(parameters):
            raise OAuthError("invalid_request", "A parameter is there twice.")
        if "grant_type" not in parameters:
            raise OAuthError("invalid_request", "Missing: grant_type.")
        required = PARAMETERS.get(parameters["grant_type"])
        if required is None:
            raise OAuthError("unsupported_grant_type", "There is no such grant_type.")
        if unknown := parameters.keys() - required:
            raise OAuthError("invalid_request", f"Unknown: {', '.join(sorted(unknown))}.")
        if missing := {name for name in required if not parameters.get(name)}:
            raise OAuthError("invalid_request", f"Missing: {', '.join(sorted(missing))}.")
        return parameters

    def _authenticate_application(self, parameters: dict[str, str]) -> Application:
        application = self.applications.get(parameters["client_id"])
        if application is None or application.client_secret != parameters["client_secret"]:
            raise OAuthError("invalid_client", "Unknown client or wrong secret.", 401)
        if parameters["grant_type"] not in application.grant_types:
            raise OAuthError("unauthorized_client", "Not a grant_type of this client.")
        return application

    def _redeem_code(self, application: Application, parameters: dict[str, str]) -> Grant:
        verifier = parameters["codeVerifier"]
        if not _is_valid_verifier(verifier):
            raise OAuthError("invalid_request", "codeVerifier must be base64 of 16 bytes or more.")
        if verifier in self._used_verifiers:
            raise OAuthError("invalid_request", "codeVerifier must be fresh per attempt.")
        self._used_verifiers.add(verifier)
        grant, expires = self._codes.pop(parameters["code"], (None, 0.0))
        if grant is None or time.time() >= expires:
            raise OAuthError("invalid_grant", "The code is unknown, used or too old.")
        self._check_owner(grant, application, parameters)
        return grant

    def _redeem_refresh_token(self, application: Application, parameters: dict[str, str]) -> Grant:
        token = parameters["refresh_token"]
        grant = self._refresh_tokens.get(token)
        if grant is None:
            if (reused := self._used_refresh_tokens.get(token)) and self._settings.reuse_revokes:
                self.revoke(reused)
            raise OAuthError("invalid_grant", "The refresh token is unknown or used.")
        self._check_owner(grant, application, parameters)
        if self._settings.rotate:
            self._used_refresh_tokens[token] = self._refresh_tokens.pop(token)
        return grant

    def _check_owner(
        self, grant: Grant, application: Application, parameters: dict[str, str]
    ) -> None:
        if grant.client_id != application.client_id:
            raise OAuthError("invalid_grant", "It was issued to another client.")
        # A grant of client_credentials has no redirect URI.
        if grant.redirect_uri not in (None, parameters["redirect_uri"]):
            raise OAuthError("invalid_grant", "redirect_uri differs from the authorize request's.")

    def _create_client_credentials_grant(
        self, application: Application, parameters: dict[str, str]
    ) -> Grant:
        scopes = parameters["scope"].split(" ")
        if not application.scopes.issuperset(scopes):
            raise OAuthError("invalid_scope", "The client has not all of these scopes.")
        account = self._database.account(application.account)
        return Grant(client_id=application.client_id, scopes=scopes, account_id=account.id)

    def _issue_tokens(self, grant: Grant, grant_type: str) -> dict[str, object]:
        settings = self._settings
        access_token = f"at-{secrets.token_urlsafe(32)}"
        self._access_tokens[access_token] = (grant, time.time() + settings.token_lifetime)
        self.issued_secrets.add(access_token)
        response: dict[str, object] = {"access_token": access_token, "token_type": "Bearer"}
        if grant_type != "refresh_token" or settings.rotate:
            refresh_token = f"rt-{secrets.token_urlsafe(32)}"
            self._refresh_tokens[refresh_token] = grant
            self.issued_secrets.add(refresh_token)
            response["refresh_token"] = refresh_token
        if settings.scope_in_answer:
            response["scope"] = " ".join(grant.scopes)
        if settings.lifetime_form != "absent":
            lifetime = self._format_lifetime()
            if settings.lifetime_key != "access_expires_in":
                response["expires_in"] = lifetime
            if settings.lifetime_key != "expires_in":
                response["access_expires_in"] = lifetime
        return {"data": response} if settings.token_wrapped else response

    def _format_lifetime(self) -> float | str | None:
        seconds = self._settings.token_lifetime
        end = datetime.fromtimestamp(time.time() + seconds, UTC).replace(microsecond=0)
        past = end - timedelta(seconds=seconds, hours=1)
        forms: dict[str, float | str] = {
            "number": int(seconds),
            "float": float(seconds),
            "string": str(int(seconds)),
            "date": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "date_offset": end.astimezone(timezone(timedelta(hours=2))).isoformat(),
            "date_naive": f"{end:%Y-%m-%dT%H:%M:%S}",
            "date_http": formatdate(end.timestamp(), usegmt=True),
            "past": f"{past:%Y-%m-%dT%H:%M:%SZ}",
        }
        return forms.get(self._settings.lifetime_form)  # None for the form "null"
