"""OAuth2 authorization endpoint and its sign-in page."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote, unquote, urlencode

from aiohttp import web

from .database import Database
from .oauth import Application, Grant, OAuthServer
from .responses import HTML_TYPE, html_response

AUTHORIZE_PATH: Final = "/identity/oauth/v2/authorize"
REQUIRED_PARAMETERS: Final = ("client_id", "state", "redirect_uri", "scope", "response_type")
SCOPE_DESCRIPTIONS: Final = {
    "sub": "Know your user id",
    "email": "Know your name and e-mail address",
    "hubs:read": "See your organisation's hubs and what is connected to them",
    "hubs:write": "Change the active port and the settings of hubs",
    "accounts:read": "See your organisation's name and groups",
    "accounts:write": "Change your organisation's data",
}


class InvalidRequestError(Exception):
    """An invalid authorization request, which is not redirected back to the application."""


class AuthorizationRequest:
    """A valid authorization request. The application may not have all of its scopes."""

    def __init__(self, raw_query: str, applications: dict[str, Application]) -> None:
        """Parse the encoded query. Raise InvalidRequestError if it is invalid."""
        raw: dict[str, str] = {}
        for pair in raw_query.split("&"):
            name, _, value = pair.partition("=")
            if name in raw:
                raise InvalidRequestError(f"The parameter {name} is there twice.")
            raw[name] = value
        for name in REQUIRED_PARAMETERS:
            if not raw.get(name):
                raise InvalidRequestError(f"The parameter {name} is missing.")
        if raw["response_type"] != "code":
            raise InvalidRequestError("response_type must be code.")
        application = applications.get(unquote(raw["client_id"]))
        if application is None or "authorization_code" not in application.grant_types:
            raise InvalidRequestError("The client_id is not known here.")
        self.application = application
        self.redirect_uri = unquote(raw["redirect_uri"])
        if self.redirect_uri not in application.redirect_uris:
            raise InvalidRequestError(
                f"The redirect_uri {self.redirect_uri} is not registered for this client."
            )
        self.state = unquote(raw["state"])
        self.scopes = [unquote(scope) for scope in raw["scope"].split("%20")]
        for scope in self.scopes:
            if not scope.replace(":", "").isalnum():
                raise InvalidRequestError(
                    "Several scopes must be joined by %20, and by nothing else."
                )

    def redirect(self, **parameters: str) -> web.Response:
        """Return a redirect to the application with these query parameters."""
        query = urlencode({**parameters, "state": self.state}, quote_via=quote)
        separator = "&" if "?" in self.redirect_uri else "?"
        location = f"{self.redirect_uri}{separator}{query}"
        return web.Response(status=302, headers={"Location": location})


class SignIn:
    """The authorization endpoint: GET shows the sign-in page, POST submits its form."""

    def __init__(self, database: Database, oauth: OAuthServer) -> None:
        self._database = database
        self._oauth = oauth
        self._page = Template(Path(__file__).with_name("signin.html").read_text(encoding="utf-8"))

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get(AUTHORIZE_PATH, self._show_page, allow_head=False)
        yield web.post(AUTHORIZE_PATH, self._submit_form)

    async def _show_page(self, request: web.Request) -> web.Response:
        authorization = self._parse_request(request)
        if isinstance(authorization, web.Response):
            return authorization
        return self._render_page(authorization)

    async def _submit_form(self, request: web.Request) -> web.Response:
        authorization = self._parse_request(request)
        if isinstance(authorization, web.Response):
            return authorization
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("decision") == "deny":
            return authorization.redirect(error="access_denied")
        if form.get("decision") != "approve":
            return self._render_page(authorization, "Approve or deny the request.", 400)
        user = self._database.users.get(form.get("email", "").strip().lower())
        if user is None or user.password != form.get("password"):
            text = "The e-mail address or the password is wrong."
            return self._render_page(authorization, text, 401)
        if form.get("account") not in self._database.accounts:
            return self._render_page(authorization, "Choose an organisation.", 400)
        grant = Grant(
            client_id=authorization.application.client_id,
            scopes=authorization.scopes,
            account_id=form["account"],
            user=user,
            redirect_uri=authorization.redirect_uri,
        )
        return authorization.redirect(code=self._oauth.create_code(grant))

    def _parse_request(self, request: web.Request) -> AuthorizationRequest | web.Response:
        """Return the authorization request, or the response to an invalid one."""
        raw_query = request.raw_path.partition("?")[2]
        try:
            authorization = AuthorizationRequest(raw_query, self._oauth.applications)
        except InvalidRequestError as error:
            return html_response("This sign-in can't go on", str(error), 400)
        if not authorization.application.scopes.issuperset(authorization.scopes):
            return authorization.redirect(error="invalid_scope")
        return authorization

    def _render_page(
        self, authorization: AuthorizationRequest, error: str = "", status: int = 200
    ) -> web.Response:
        accounts = "".join(
            f'<label class="choice"><input type="radio" name="account" value="{escape(account.id)}"'
            f"{' checked' if number == 0 else ''} required> {escape(account.name)}</label>\n"
            for number, account in enumerate(self._database.accounts.values())
        )
        scopes = "".join(
            f"<li>{escape(SCOPE_DESCRIPTIONS.get(scope, scope))} "
            f"<code>{escape(scope)}</code></li>\n"
            for scope in authorization.scopes
        )
        user = next(iter(self._database.users.values()))
        page = self._page.substitute(
            client=escape(authorization.application.client_id),
            error=f'<p class="error" role="alert">{escape(error)}</p>' if error else "",
            email=escape(user.email),
            password=escape(user.password),
            accounts=accounts,
            scopes=scopes,
        )
        return web.Response(status=status, body=page.encode(), headers={"Content-Type": HTML_TYPE})
