"""Helpers for tests that sign in and refresh tokens."""

import asyncio
import json
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from .home import FRONTEND_URL, TOKEN_PATH, Home, Step
from .simulator import Fault
from .simulator.faults import Wait
from .simulator.responses import Handler

CALLBACK_URL = f"{FRONTEND_URL}/auth/external/callback"
# Seconds that an access token of the simulator is valid by default.
TOKEN_LIFETIME = 3600


def token_requests(home: Home, grant_type: str) -> list[dict[str, str]]:
    """Return the forms sent to the token endpoint with a grant type."""
    forms = [
        dict(parse_qsl(request.body, strict_parsing=True, keep_blank_values=True))
        for request in home.simulator.requests
        if (request.method, request.path) == ("POST", TOKEN_PATH)
    ]
    return [form for form in forms if form["grant_type"] == grant_type]


def code_exchanges(home: Home) -> list[dict[str, str]]:
    """Return the forms of the code exchanges."""
    return token_requests(home, "authorization_code")


def refreshes(home: Home) -> list[dict[str, str]]:
    """Return the forms of the token refreshes."""
    return token_requests(home, "refresh_token")


def stored_token(home: Home) -> dict[str, Any]:
    """Return the token of the config entry."""
    token: dict[str, Any] = home.entry.data["token"]
    return token


def port_1_connected(home: Home) -> str | None:
    """Return the state of an entity that is on while the tokens are valid."""
    return home.state("binary_sensor", "Boardroom", "port_1_connected")


def error_response(status: int, text: str) -> Fault:
    """Return a fault that responds with a status and a JSON body."""
    return Fault.status(status, {"Content-Type": "application/json"}, text)


def edited_response(**changes: object) -> Fault:
    """Return a fault that executes the request and changes fields of the JSON response."""

    async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.Response:
        response = await handler(request)
        assert isinstance(response, web.Response)
        body = json.loads(response.text or "") | changes
        return web.Response(text=json.dumps(body), content_type="application/json")

    return Fault("edited", handle)


class HeldResponse:
    """Fault that executes the request at once, but sends the response only after `release`.

    A given response replaces the one of the API, and the request is not executed. `received` is
    set when a request has arrived.
    """

    def __init__(self, response: web.Response | None = None) -> None:
        self.received = asyncio.Event()
        self.release = asyncio.Event()
        self.fault = Fault("held", self._handle)
        self._response = response

    async def _handle(
        self, request: web.Request, handler: Handler, _wait: Wait
    ) -> web.StreamResponse:
        response = self._response or await handler(request)
        self.received.set()
        await self.release.wait()
        return response


async def poll_until_refresh(home: Home, held: HeldResponse) -> None:
    """Start a poll with an expired access token; return when its refresh is held."""
    home.simulator.add_fault("POST", TOKEN_PATH, held.fault)
    home.fire_time_changed(TOKEN_LIFETIME)
    await held.received.wait()


async def sign_in_again(home: Home) -> Step:
    """Complete the reauth flow with the account of its entry; return its last step."""
    [flow] = home.hass.config_entries.flow.async_progress_by_handler("ochno")
    entry = home.hass.config_entries.async_get_known_entry(flow["context"]["entry_id"])
    step = await home.submit_form({"flow_id": flow["flow_id"]})
    return await home.sign_in(step, entry.title)
