"""The REST API under /api."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiohttp import web

from .answers import Refused, json_answer, json_object
from .background import Background
from .cloud import Cloud
from .hub import CONNECT_RULES, DISCONNECT_RULES, SimHub
from .identity import Grant, Identity
from .settings import Settings


def _is_port(value: object, hub: SimHub) -> bool:
    return type(value) is int and 0 <= value <= hub.ports


def _config_fits(hub: SimHub, key: str, value: object) -> bool:
    match key:
        case "defaultport":
            return _is_port(value, hub)
        case "hdmiceccontrol" | "buttonoffdefault":
            return isinstance(value, bool)
        case "autoswitchconnect":
            return value in CONNECT_RULES
        case "autoswitchdisconnect":
            return value in DISCONNECT_RULES
        case "inactivedisabled":
            many = value if isinstance(value, list) else [value] * hub.ports
            return len(many) == hub.ports and all(
                type(one) is int and one in (0, 1) for one in many
            )
        case _:
            return False


class Rest:
    """What an access token gives access to."""

    def __init__(
        self, cloud: Cloud, identity: Identity, settings: Settings, background: Background
    ) -> None:
        self._cloud = cloud
        self._identity = identity
        self._settings = settings
        self._background = background
        self._last_command: dict[str, asyncio.Task[None]] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get("/api/accounts/v1", self._account, allow_head=False)
        yield web.get("/api/accounts/v1/groups", self._groups, allow_head=False)
        yield web.get("/api/spaces/v1", self._spaces, allow_head=False)
        yield web.get("/api/hubs/v1", self._hubs, allow_head=False)
        yield web.get("/api/hubs/v1/{id}", self._hub, allow_head=False)
        yield web.put("/api/hubs/v1/{id}/state", self._put_state)
        yield web.put("/api/hubs/v1/{id}/config", self._put_config)

    async def _account(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request, "accounts:read")
        account: Any = self._cloud.account(grant.account_id).as_json()
        array = self._settings.accounts_form == "array"
        return json_answer(request, [account] if array else account)

    async def _groups(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request, "accounts:read")
        return json_answer(request, self._cloud.account(grant.account_id).groups)

    async def _spaces(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request)
        spaces = self._cloud.spaces_of(grant.account_id)
        return json_answer(request, [space.as_json() for space in spaces])

    async def _hubs(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request, "hubs:read")
        hubs = self._cloud.hubs_of(grant.account_id)
        listed = [hub.as_json(self._settings, in_list=True) for hub in hubs]
        return json_answer(request, listed, conditional=self._settings.etags)

    async def _hub(self, request: web.Request) -> web.Response:
        grant = self._identity.grant(request, "hubs:read")
        return json_answer(request, self._find(request, grant).as_json(self._settings))

    async def _put_state(self, request: web.Request) -> web.Response:
        hub = self._find(request, self._identity.grant(request, "hubs:write"))
        body = await json_object(request)
        if list(body) != ["activeport"] or not _is_port(body["activeport"], hub):
            text = f'The body must be {{"activeport": n}} with n from 0 to {hub.ports}.'
            raise Refused(400, "bad_request", text)
        self._refuse_offline(hub)
        mode = self._settings.command_mode
        if mode == "refuse":
            raise Refused(409, "conflict", "The hub can't do that now.")
        if mode != "lose":
            settings = self._settings
            delay = settings.late_delay if mode == "late" else settings.command_delay
            before = self._last_command.get(hub.id)
            command = self._command(hub, body["activeport"], delay, before)
            self._last_command[hub.id] = self._background.start(command)
        return json_answer(request, {})

    async def _put_config(self, request: web.Request) -> web.Response:
        hub = self._find(request, self._identity.grant(request, "hubs:write"))
        body = await json_object(request)
        for key, value in body.items():
            if not _config_fits(hub, key, value):
                raise Refused(
                    400, "bad_request", f"The config has no {key!r} that can be {value!r}."
                )
        if not body:
            raise Refused(400, "bad_request", "There is nothing to change.")
        self._refuse_offline(hub)
        hub.change_config(**body)
        return json_answer(request, {})

    def _find(self, request: web.Request, grant: Grant) -> SimHub:
        hub = self._cloud.hubs.get(request.match_info["id"])
        if hub is None or hub.account_id != grant.account_id:
            raise Refused(404, "not_found", "There is no such hub.")
        return hub

    def _refuse_offline(self, hub: SimHub) -> None:
        if not hub.online:
            raise Refused(409, "offline", "The hub is offline.")

    async def _command(
        self, hub: SimHub, port: int, delay: float, before: asyncio.Task[None] | None
    ) -> None:
        """Carry a command out after its delay, but never before the one that came before it."""
        due = asyncio.get_running_loop().time() + delay
        if before and not before.done():
            await asyncio.wait([before])
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        if hub.online:
            hub.set_active(port)
