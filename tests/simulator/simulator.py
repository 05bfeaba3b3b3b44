"""HTTP server of the simulator and its Python interface."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web
from multidict import CIMultiDictProxy
import orjson
from yarl import URL

from .control import ControlApi
from .database import Database
from .faults import Fault, FaultInjector, is_simulator_path
from .hub import SimHub
from .oauth import SESSION_COOKIE, Application, OAuthServer
from .responses import Handler, error_middleware
from .rest import RestApi
from .settings import Settings
from .signin import SignIn
from .subscriptions import Delivery, Subscriptions
from .tasks import BackgroundTasks

HOST = "127.0.0.1"
SECRET_FIELDS: Final = (
    "code",
    "codeVerifier",
    "client_secret",
    "refresh_token",
    "verificationToken",
)


@dataclass(eq=False, kw_only=True)
class RecordedRequest:
    """A request to the vendor's API. `path` is encoded and includes the query.

    `status` is the HTTP status of the response, or None if no response was sent.
    """

    method: str
    path: str
    headers: CIMultiDictProxy[str]
    body: str
    status: int | None = None

    def secrets(self) -> Iterable[str]:
        """Return the secrets in the request. A webhook URL ends in a secret."""
        yield self.headers.get("Authorization", "").partition(" ")[2]
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            body = dict(parse_qsl(self.body))
        if isinstance(body, dict):
            yield from (str(body[field]) for field in SECRET_FIELDS if field in body)
            yield str(body.get("webhookUrl", "")).rpartition("/")[2]


class Simulator:
    """A simulated Ochno Operated on 127.0.0.1. It is an async context manager.

    Port 0 selects a free port. After a stop, start() uses the same port and keeps the data.
    """

    def __init__(self, *, port: int = 0, hubs: int = 0) -> None:
        """Add the demo data and this number of hubs."""
        self.port = port
        self.settings = Settings()
        self.requests: list[RecordedRequest] = []
        # Tests clear `requests`, but the check for leaked secrets needs all paths and secrets.
        self.requested_paths: set[str] = set()
        self._received_secrets: set[str] = set()
        self.database = Database(hubs=hubs)
        self.hub, self.add_hub = self.database.hub, self.database.add_hub
        self.remove_hub, self.move_hub = self.database.remove_hub, self.database.move_hub
        self._oauth = OAuthServer(self.database, self.settings)
        self._tasks = BackgroundTasks()
        self.subscriptions = Subscriptions(self._oauth, self.settings, self._tasks)
        self.database.listeners.append(self.subscriptions.handle_hub_change)
        self._faults = FaultInjector()
        self._runner: web.AppRunner | None = None
        self._control: ControlApi | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        return f"http://{HOST}:{self.port}"

    @property
    def applications(self) -> dict[str, Application]:
        """The OAuth2 clients by client id. Tests can add, replace and remove them."""
        return self._oauth.applications

    @property
    def deliveries(self) -> list[Delivery]:
        """The deliveries to webhooks, including those that failed."""
        return self.subscriptions.deliveries

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the HTTP server. Raise OSError if the port is in use."""
        app = web.Application(
            middlewares=[self._record_request, self._faults.middleware, error_middleware]
        )
        self._control = ControlApi(self)
        rest = RestApi(self.database, self._oauth, self.settings, self._tasks)
        sign_in = SignIn(self.database, self._oauth)
        for part in (self._oauth, sign_in, rest, self.subscriptions, self._control):
            app.add_routes(part.routes())
        # A real server completes a request even if the client closes the connection.
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
        """Clear the faults, cancel the tasks and close all connections."""
        self._faults.clear()
        if self._control:
            self._control.stop()
        await self._tasks.cancel_all()
        await self.subscriptions.stop()
        # The runner does not cancel the handlers of connections that the client closed.
        connections = list(self._connections)
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    def add_fault(self, method: str, path: str, fault: Fault, times: int | None = 1) -> None:
        """Inject a fault into the next `times` matching requests, or with None into all.

        The method `*` matches every method. The path is compared without the query; a path that
        ends with `*` matches every path with this prefix.
        """
        self._faults.add(method, path, fault, times)

    def clear_faults(self) -> None:
        """Remove all faults. Delayed responses are sent, and hanging connections dropped."""
        self._faults.clear()

    def secrets(self) -> set[str]:
        """Return all secrets that the simulator issued or received, and the e-mail addresses."""
        emails = {user.email for user in self.database.users.values()}
        client_secrets = {application.client_secret for application in self.applications.values()}
        issued = self._oauth.issued_secrets
        return issued | self._received_secrets | emails | client_secrets - {""}

    def revoke_access(self) -> None:
        """Revoke all codes and tokens, so that the user must sign in again."""
        self._oauth.revoke()

    def expire_access_tokens(self) -> None:
        """Expire all access tokens. The refresh tokens stay valid."""
        self._oauth.expire_access_tokens()

    async def approve(self, authorize_url: str, account: str | None = None) -> str:
        """Sign in as the demo user and approve access to an account; return the redirect URL."""
        return await self._sign_in(authorize_url, "approve", account)

    async def deny(self, authorize_url: str) -> str:
        """Sign in as the demo user and deny access; return the redirect URL."""
        return await self._sign_in(authorize_url, "deny", None)

    async def deliver(
        self,
        hub: SimHub | str,
        event: str,
        data: object,
        *,
        token: str | None = None,
        body: str | None = None,
    ) -> list[Delivery]:
        """Send a custom event to the webhooks. See Subscriptions.deliver."""
        hub = self.hub(hub) if isinstance(hub, str) else hub
        return await self.subscriptions.deliver(hub, event, data, token=token, body=body)

    async def _sign_in(self, authorize_url: str, decision: str, account: str | None) -> str:
        """Submit the sign-in page as a browser does. Raise ValueError if there is no redirect."""
        url = URL(authorize_url, encoded=True)  # the server checks how the query is encoded
        user = next(iter(self.database.users.values()))
        form = {
            "email": user.email,
            "password": user.password,
            "account": self.database.account(account).id,
            "decision": decision,
        }
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(url, allow_redirects=False) as response:
                if response.status == 302:
                    return response.headers["Location"]
                if response.status != 200:
                    raise ValueError(f"{response.status}: {await response.text()}")
            async with session.post(url, data=form, allow_redirects=False) as response:
                if response.status != 302:
                    raise ValueError(f"{response.status}: {await response.text()}")
                return response.headers["Location"]

    @web.middleware
    async def _record_request(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.task
        if connection not in self._connections:
            self._connections.add(connection)
            connection.add_done_callback(self._connections.discard)
        if is_simulator_path(request.path):
            return await handler(request)
        record = RecordedRequest(
            method=request.method,
            path=request.raw_path,
            headers=request.headers,
            body=(await request.read()).decode(errors="replace"),
        )
        self.requests.append(record)
        self.requested_paths.add(record.path)
        self._received_secrets.update(record.secrets())
        response = await handler(request)
        if self.settings.session_cookie and SESSION_COOKIE in request:
            response.set_cookie(SESSION_COOKIE, request[SESSION_COOKIE])
        if request.transport is not None and not request.transport.is_closing():
            record.status = response.status
        return response
