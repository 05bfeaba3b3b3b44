"""The simulator itself: the HTTP server round the cloud, and what tests do with it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
import orjson
from yarl import URL

from .answers import Handler, express
from .background import Background
from .cloud import Cloud
from .control import Control
from .faults import Fault, Faults, is_ours
from .hub import SimHub
from .identity import Application, Identity
from .rest import Rest
from .settings import Settings
from .signin import SignIn
from .subscriptions import Delivery, Subscriptions

HOST = "127.0.0.1"
SECRET_FIELDS: Final = (
    "code",
    "codeVerifier",
    "client_secret",
    "refresh_token",
    "verificationToken",
)


@dataclass(eq=False)
class Request:
    """A request as it came in; `path` is raw and has the query.

    `status` is what was answered, None as long as (or because) nothing was.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: str
    status: int | None = None

    def secrets(self) -> Iterable[str]:
        """Return the secrets that it brought; a webhook's address ends in one."""
        yield self.headers.get("Authorization", "").partition(" ")[2]
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = dict(parse_qsl(self.body))
        if isinstance(body, dict):
            yield from (str(body[field]) for field in SECRET_FIELDS if field in body)
            yield str(body.get("webhookUrl", "")).rpartition("/")[2]


class Simulator:
    """Ochno Operated on 127.0.0.1; use it as an async context manager or start and stop it.

    Port 0 takes a free one and keeps it, so that a stopped simulator comes back where it was,
    with all it knew.
    """

    def __init__(self, *, port: int = 0, hubs: int = 0) -> None:
        """Make the default world and as many more hubs."""
        self.port = port
        self.settings = Settings()
        self.requests: list[Request] = []
        # Both are kept when a test clears the requests.
        self.paths: set[str] = set()
        self._received: set[str] = set()
        self.cloud = Cloud(hubs=hubs)
        self.hub, self.add_hub = self.cloud.hub, self.cloud.add_hub
        self.remove_hub = self.cloud.remove_hub
        self.identity = Identity(self.cloud, self.settings)
        self._background = Background()
        self.subscriptions = Subscriptions(self.identity, self.settings, self._background)
        self.cloud.listeners.append(self.subscriptions.hub_changed)
        self._faults = Faults()
        self._runner: web.AppRunner | None = None
        self._control: Control | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address, without a slash at the end."""
        return f"http://{HOST}:{self.port}"

    @property
    def applications(self) -> dict[str, Application]:
        """The custom integrations by client id; add, replace and remove at will."""
        return self.identity.applications

    @property
    def deliveries(self) -> list[Delivery]:
        """What was sent to webhooks, or was not and why."""
        return self.subscriptions.deliveries

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; OSError if the port is taken."""
        app = web.Application(middlewares=[self._record, self._faults.middleware, express])
        self._control = Control(self)
        rest = Rest(self.cloud, self.identity, self.settings, self._background)
        sign_in = SignIn(self.cloud, self.identity)
        for part in (self.identity, sign_in, rest, self.subscriptions, self._control):
            app.add_routes(part.routes())
        # A real server finishes what it began although the caller gave up: no cancellation.
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.2, handler_cancellation=False
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, HOST, self.port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        self.port = runner.addresses[0][1]
        await self.subscriptions.start()

    async def stop(self) -> None:
        """Drop every connection, clear the faults and end all that runs."""
        self._faults.clear()
        if self._control:
            self._control.stop()
        await self._background.stop()
        await self.subscriptions.stop()
        # Handlers whose caller has left already are not known to the runner.
        connections = list(self._connections)
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def fail(self, method: str, path: str, fault: Fault, times: int | None = 1) -> None:
        """Let the next `times` such requests fail, with None all until clear_faults().

        The method can be `*`; the path has no query and is compared as a whole, or as a
        beginning if it ends in `*`.
        """
        self._faults.add(method, path, fault, times)

    def clear_faults(self) -> None:
        """Forget all faults; requests that hang are dropped, those that wait are answered."""
        self._faults.clear()

    def secrets(self) -> set[str]:
        """Return all that nobody else may see: what was issued or sent here, and who is who."""
        users = {user.email for user in self.cloud.users.values()}
        clients = {application.client_secret for application in self.applications.values()}
        return self.identity.issued | self._received | users | clients - {""}

    def revoke_access(self) -> None:
        """Kill all codes and tokens, so that only a new sign-in helps."""
        self.identity.revoke()

    def expire_access_tokens(self) -> None:
        """Let all access tokens get 401 from now on; refresh tokens stay good."""
        self.identity.expire_access_tokens()

    async def approve(self, authorize_url: str, account: str | None = None) -> str:
        """Sign in as the demo user, choose an account, approve; return the URL redirected to."""
        return await self._sign_in(authorize_url, "approve", account)

    async def deny(self, authorize_url: str) -> str:
        """Deny the request; return the URL redirected to."""
        return await self._sign_in(authorize_url, "deny", None)

    async def deliver(
        self,
        hub: SimHub | str,
        event: str,
        data: Any,
        *,
        token: str | None = None,
        body: str | None = None,
    ) -> list[Delivery]:
        """Deliver something made up; see Subscriptions.deliver."""
        hub = self.hub(hub) if isinstance(hub, str) else hub
        return await self.subscriptions.deliver(hub, event, data, token=token, body=body)

    async def _sign_in(self, authorize_url: str, decision: str, account: str | None) -> str:
        """Do over HTTP what a browser does; ValueError with the page if there is no redirect."""
        url = URL(authorize_url, encoded=True)  # the raw query counts
        user = next(iter(self.cloud.users.values()))
        form = {
            "email": user.email,
            "password": user.password,
            "account": self.cloud.account(account).id,
            "decision": decision,
        }
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(url, allow_redirects=False) as page:
                if page.status == 302:
                    return page.headers["Location"]
                if page.status != 200:
                    raise ValueError(f"{page.status}: {await page.text()}")
            async with session.post(url, data=form, allow_redirects=False) as answer:
                if answer.status != 302:
                    raise ValueError(f"{answer.status}: {await answer.text()}")
                return answer.headers["Location"]

    @web.middleware
    async def _record(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.task
        if connection not in self._connections:
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
        if is_ours(request.path):
            return await handler(request)
        text = (await request.read()).decode(errors="replace")
        record = Request(request.method, request.raw_path, request.headers, text)
        self.requests.append(record)
        self.paths.add(record.path)
        self._received.update(record.secrets())
        response = await handler(request)
        if request.transport is not None and not request.transport.is_closing():
            record.status = response.status
        return response
