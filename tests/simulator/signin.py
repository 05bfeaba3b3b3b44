"""The authorize endpoint: what the user sees when an application asks for access."""

from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote, unquote, urlencode

from aiohttp import web

from .answers import HTML_TYPE, html_page
from .cloud import Cloud
from .identity import Application, Grant, Identity

AUTHORIZE_PATH: Final = "/identity/oauth/v2/authorize"
REQUIRED: Final = ("client_id", "state", "redirect_uri", "scope", "response_type")
IN_WORDS: Final = {
    "sub": "Know your user id",
    "email": "Know your name and e-mail address",
    "hubs:read": "See your organisation's hubs and what is connected to them",
    "hubs:write": "Change the active port and the settings of hubs",
    "accounts:read": "See your organisation's name and groups",
    "accounts:write": "Change your organisation's data",
}


class BadRequest(Exception):  # noqa: N818 - it says what the request is
    """The application sent the browser here with something wrong; there is no way back."""


class MissingScope(Exception):  # noqa: N818 - it says what is the matter
    """The application asks for a scope it does not have; it is told so by redirect."""


class Wish:
    """A checked authorize request."""

    def __init__(self, raw_query: str, applications: dict[str, Application]) -> None:
        """Read the query as it was sent; BadRequest says what is wrong."""
        raw: dict[str, str] = {}
        for pair in raw_query.split("&"):
            name, _, value = pair.partition("=")
            if name in raw:
                raise BadRequest(f"The parameter {name} is there twice.")
            raw[name] = value
        for name in REQUIRED:
            if not raw.get(name):
                raise BadRequest(f"The parameter {name} is missing.")
        if raw["response_type"] != "code":
            raise BadRequest("response_type must be code.")
        application = applications.get(unquote(raw["client_id"]))
        if application is None or "authorization_code" not in application.grant_types:
            raise BadRequest("The client_id is not known here.")
        self.application = application
        self.redirect_uri = unquote(raw["redirect_uri"])
        if self.redirect_uri not in application.redirect_uris:
            raise BadRequest(
                f"The redirect_uri {self.redirect_uri} is not registered for this client."
            )
        self.state = unquote(raw["state"])
        self.scopes = [unquote(scope) for scope in raw["scope"].split("%20")]
        for scope in self.scopes:
            if not scope.replace(":", "").isalnum():
                raise BadRequest("Several scopes must be joined by %20, and by nothing else.")

    def check_scopes(self) -> None:
        """Raise MissingScope if the application has not all of them."""
        if not self.application.scopes.issuperset(self.scopes):
            raise MissingScope

    def redirect(self, **answer: str) -> web.Response:
        """Send the browser back to the application."""
        query = urlencode({**answer, "state": self.state}, quote_via=quote)
        joint = "&" if "?" in self.redirect_uri else "?"
        return web.Response(status=302, headers={"Location": f"{self.redirect_uri}{joint}{query}"})


class SignIn:
    """The page, and what becomes of the answer."""

    def __init__(self, cloud: Cloud, identity: Identity) -> None:
        self._cloud = cloud
        self._identity = identity
        self._page = Template(Path(__file__).with_name("signin.html").read_text(encoding="utf-8"))

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get(AUTHORIZE_PATH, self._show, allow_head=False)
        yield web.post(AUTHORIZE_PATH, self._decide)

    async def _show(self, request: web.Request) -> web.Response:
        wish = self._wish(request)
        return wish if isinstance(wish, web.Response) else self._render(wish)

    async def _decide(self, request: web.Request) -> web.Response:
        wish = self._wish(request)
        if isinstance(wish, web.Response):
            return wish
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("decision") == "deny":
            return wish.redirect(error="access_denied")
        if form.get("decision") != "approve":
            return self._render(wish, "Approve or deny the request.", 400)
        user = self._cloud.users.get(form.get("email", "").strip().lower())
        if user is None or user.password != form.get("password"):
            return self._render(wish, "The e-mail address or the password is wrong.", 401)
        if form.get("account") not in self._cloud.accounts:
            return self._render(wish, "Choose an organisation.", 400)
        grant = Grant(
            wish.application.client_id, wish.scopes, form["account"], user, wish.redirect_uri
        )
        return wish.redirect(code=self._identity.new_code(grant))

    def _wish(self, request: web.Request) -> Wish | web.Response:
        try:
            wish = Wish(request.raw_path.partition("?")[2], self._identity.applications)
        except BadRequest as error:
            return html_page("This sign-in can't go on", str(error), 400)
        try:
            wish.check_scopes()
        except MissingScope:
            return wish.redirect(error="invalid_scope")
        return wish

    def _render(self, wish: Wish, error: str = "", status: int = 200) -> web.Response:
        accounts = "".join(
            f'<label class="choice"><input type="radio" name="account" value="{escape(account.id)}"'
            f"{' checked' if number == 0 else ''} required> {escape(account.name)}</label>\n"
            for number, account in enumerate(self._cloud.accounts.values())
        )
        scopes = "".join(
            f"<li>{escape(IN_WORDS.get(scope, scope))} <code>{escape(scope)}</code></li>\n"
            for scope in wish.scopes
        )
        user = next(iter(self._cloud.users.values()))
        page = self._page.substitute(
            client=escape(wish.application.client_id),
            error=f'<p class="error" role="alert">{escape(error)}</p>' if error else "",
            email=escape(user.email),
            password=escape(user.password),
            accounts=accounts,
            scopes=scopes,
        )
        return web.Response(status=status, body=page.encode(), headers={"Content-Type": HTML_TYPE})
