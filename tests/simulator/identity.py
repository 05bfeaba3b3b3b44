"""OAuth2: applications, grants and tokens, the token endpoint and userinfo."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
import secrets
import time
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from .answers import Refused, json_answer
from .cloud import Cloud, User
from .settings import Settings

CODE_LIFETIME = 60

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
    """A custom integration as created in the portal; `account` is for client_credentials only."""

    client_id: str
    client_secret: str
    scopes: set[str]
    redirect_uris: list[str] = field(default_factory=list)
    grant_types: set[str] = field(default_factory=lambda: {"authorization_code", "refresh_token"})
    account: str | None = None


@dataclass(eq=False)
class Grant:
    """What a user (None: the application itself) allowed an application to see."""

    client_id: str
    scopes: list[str]
    account_id: str
    user: User | None = None
    redirect_uri: str | None = None


class OAuthError(Exception):
    """The token endpoint refuses with this error."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error = error
        self.status = status


def default_applications() -> dict[str, Application]:
    """Return the applications of the default world."""
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
            grant_types={"client_credentials"},
        ),
    )
    return {application.client_id: application for application in applications}


def _verifier_is_good(verifier: str) -> bool:
    """Accept either alphabet, with or without padding, but not both alphabets in one."""
    if set(verifier) & set("+/") and set(verifier) & set("-_"):
        return False
    if "=" not in verifier:
        verifier += "=" * (-len(verifier) % 4)
    try:
        standard = verifier.replace("-", "+").replace("_", "/")
        return len(base64.b64decode(standard, validate=True)) >= 16
    except binascii.Error, ValueError:
        return False


class Identity:
    """All codes and tokens, and the endpoints where they are had and used."""

    def __init__(self, cloud: Cloud, settings: Settings) -> None:
        self.applications = default_applications()
        self._cloud = cloud
        self._settings = settings
        self._codes: dict[str, tuple[Grant, float]] = {}
        self._access: dict[str, tuple[Grant, float]] = {}
        self._refresh: dict[str, Grant] = {}
        self._spent: dict[str, Grant] = {}
        self._verifiers: set[str] = set()
        # Every code and token ever issued, also those that are no longer good.
        self.issued: set[str] = set()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        # Every method of the token endpoint, since a wrong one is an OAuth error of its own.
        yield web.route("*", "/identity/oauth/v2/token", self._token)
        yield web.get("/identity/oauth/v2/userinfo", self._userinfo, allow_head=False)

    def new_code(self, grant: Grant) -> str:
        """Return an authorization code, good once and for 60 seconds."""
        code = f"code-{secrets.token_urlsafe(24)}"
        self._codes[code] = (grant, time.time() + CODE_LIFETIME)
        self.issued.add(code)
        return code

    def expire_access_tokens(self) -> None:
        """Forget all access tokens; refresh tokens stay good."""
        self._access.clear()

    def revoke(self, grant: Grant | None = None) -> None:
        """End one grant, or all of them with every code and token."""
        for tokens in (self._codes, self._access):
            for token, (owner, _) in list(tokens.items()):
                if grant in (None, owner):
                    del tokens[token]
        for token, owner in list(self._refresh.items()):
            if grant in (None, owner):
                del self._refresh[token]

    def grant(self, request: web.Request, scope: str | None = None) -> Grant:
        """Return the grant of the request's access token; refuse with 401, or 403 by scope."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        grant, expires = self._access.get(token, (None, 0.0))
        if kind.lower() != "bearer" or grant is None or time.time() >= expires:
            raise Refused(401, "unauthorized", "A valid access token is needed.")
        if scope and scope not in grant.scopes:
            raise Refused(403, "forbidden", f"The scope {scope} was not granted.")
        return grant

    async def _userinfo(self, request: web.Request) -> web.Response:
        grant = self.grant(request)
        if grant.user is None:
            raise Refused(403, "forbidden", "There is no user behind this token.")
        answer = {}
        if "sub" in grant.scopes:
            answer["sub"] = grant.user.sub
        if "email" in grant.scopes:
            answer |= {"email": grant.user.email, "name": grant.user.name}
        return json_answer(request, answer)

    async def _token(self, request: web.Request) -> web.Response:
        try:
            parameters = await self._parameters(request)
            application = self._application(parameters)
            match parameters["grant_type"]:
                case "authorization_code":
                    grant = self._redeem_code(application, parameters)
                case "refresh_token":
                    grant = self._redeem_refresh_token(application, parameters)
                case _:
                    grant = self._grant_to_application(application, parameters)
        except OAuthError as error:
            body = {"error": error.error, "error_description": str(error)}
            return json_answer(request, body, error.status)
        response = json_answer(request, self._answer(grant, parameters["grant_type"]))
        response.headers["Cache-Control"] = "no-store"
        return response

    async def _parameters(self, request: web.Request) -> dict[str, str]:
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
        wanted = PARAMETERS.get(parameters["grant_type"])
        if wanted is None:
            raise OAuthError("unsupported_grant_type", "There is no such grant_type.")
        if unknown := parameters.keys() - wanted:
            raise OAuthError("invalid_request", f"Unknown: {', '.join(sorted(unknown))}.")
        if missing := {name for name in wanted if not parameters.get(name)}:
            raise OAuthError("invalid_request", f"Missing: {', '.join(sorted(missing))}.")
        return parameters

    def _application(self, parameters: dict[str, str]) -> Application:
        application = self.applications.get(parameters["client_id"])
        if application is None or application.client_secret != parameters["client_secret"]:
            raise OAuthError("invalid_client", "Unknown client or wrong secret.", 401)
        if parameters["grant_type"] not in application.grant_types:
            raise OAuthError("unauthorized_client", "Not a grant_type of this client.")
        return application

    def _redeem_code(self, application: Application, parameters: dict[str, str]) -> Grant:
        verifier = parameters["codeVerifier"]
        if not _verifier_is_good(verifier):
            raise OAuthError("invalid_request", "codeVerifier must be base64 of 16 bytes or more.")
        if verifier in self._verifiers:
            raise OAuthError("invalid_request", "codeVerifier must be fresh per attempt.")
        self._verifiers.add(verifier)
        grant, expires = self._codes.pop(parameters["code"], (None, 0.0))
        if grant is None or time.time() >= expires:
            raise OAuthError("invalid_grant", "The code is unknown, used or too old.")
        self._check_owner(grant, application, parameters)
        return grant

    def _redeem_refresh_token(self, application: Application, parameters: dict[str, str]) -> Grant:
        token = parameters["refresh_token"]
        grant = self._refresh.get(token)
        if grant is None:
            if (reused := self._spent.get(token)) and self._settings.reuse_revokes:
                self.revoke(reused)
            raise OAuthError("invalid_grant", "The refresh token is unknown or used.")
        self._check_owner(grant, application, parameters)
        if self._settings.rotate:
            self._spent[token] = self._refresh.pop(token)
        return grant

    def _check_owner(
        self, grant: Grant, application: Application, parameters: dict[str, str]
    ) -> None:
        if grant.client_id != application.client_id:
            raise OAuthError("invalid_grant", "It was issued to another client.")
        if grant.redirect_uri != parameters["redirect_uri"]:
            raise OAuthError("invalid_grant", "redirect_uri differs from the authorize request's.")

    def _grant_to_application(self, application: Application, parameters: dict[str, str]) -> Grant:
        scopes = parameters["scope"].split(" ")
        if not application.scopes.issuperset(scopes):
            raise OAuthError("invalid_scope", "The client has not all of these scopes.")
        account = self._cloud.account(application.account)
        return Grant(application.client_id, scopes, account.id)

    def _answer(self, grant: Grant, grant_type: str) -> dict[str, Any]:
        settings = self._settings
        access = f"at-{secrets.token_urlsafe(32)}"
        self._access[access] = (grant, time.time() + settings.token_lifetime)
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        if grant_type == "authorization_code" or (
            grant_type == "refresh_token" and settings.rotate
        ):
            answer["refresh_token"] = f"rt-{secrets.token_urlsafe(32)}"
            self._refresh[answer["refresh_token"]] = grant
        self.issued |= {answer[key] for key in ("access_token", "refresh_token") if key in answer}
        if settings.scope_in_answer:
            answer["scope"] = " ".join(grant.scopes)
        if settings.lifetime_form != "absent":
            lifetime = self._lifetime()
            if settings.lifetime_key != "access_expires_in":
                answer["expires_in"] = lifetime
            if settings.lifetime_key != "expires_in":
                answer["access_expires_in"] = lifetime
        return {"data": answer} if settings.token_wrapped else answer

    def _lifetime(self) -> float | str | None:
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
        return forms.get(self._settings.lifetime_form)  # None for "null"
