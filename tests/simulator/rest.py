"""REST API: accounts, spaces, hubs and commands."""

import asyncio
from collections.abc import Iterable

from aiohttp import web

from .database import Database
from .hub import CONNECT_RULES, DISCONNECT_RULES, SimHub
from .oauth import Grant, OAuthServer
from .responses import ApiError, json_response, read_json_object
from .settings import Settings
from .tasks import BackgroundTasks


def _is_valid_port(value: object, hub: SimHub) -> bool:
    return type(value) is int and 0 <= value <= hub.ports


def _is_valid_config(hub: SimHub, key: str, value: object) -> bool:
    match key:
        case "defaultport":
            return _is_valid_port(value, hub)
        case "hdmiceccontrol" | "buttonoffdefault":
            return isinstance(value, bool)
        case "autoswitchconnect":
            return value in CONNECT_RULES
        case "autoswitchdisconnect":
            return value in DISCONNECT_RULES
        case "inactivedisabled":
            flags = value if isinstance(value, list) else [value] * hub.ports
            return len(flags) == hub.ports and all(
                type(flag) is int and flag in (0, 1) for flag in flags
            )
        case _:
            return False


class RestApi:
    """The endpoints that read and control the hubs of the account of an access token."""

    def __init__(
        self,
        database: Database,
        oauth: OAuthServer,
        settings: Settings,
        tasks: BackgroundTasks,
    ) -> None:
        self._database = database
        self._oauth = oauth
        self._settings = settings
        self._tasks = tasks
        self._last_command: dict[str, asyncio.Task[None]] = {}

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get("/api/accounts/v1", self._get_account, allow_head=False)
        yield web.get("/api/accounts/v1/groups", self._get_groups, allow_head=False)
        yield web.get("/api/spaces/v1", self._get_spaces, allow_head=False)
        yield web.get("/api/hubs/v1", self._get_hubs, allow_head=False)
        yield web.get("/api/hubs/v1/{id}", self._get_hub, allow_head=False)
        yield web.put("/api/hubs/v1/{id}/state", self._put_state)
        yield web.put("/api/hubs/v1/{id}/config", self._put_config)

    async def _get_account(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request, "accounts:read")
        account = self._database.account(grant.account_id).as_json()
        match self._settings.accounts_form:
            case "object":
                return json_response(request, account)
            case "array":
                return json_response(request, [account])
        accounts = self._database.accounts.values()
        return json_response(request, [account.as_json() for account in accounts])

    async def _get_groups(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request, "accounts:read")
        return json_response(request, self._database.account(grant.account_id).groups)

    async def _get_spaces(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request)
        spaces = self._database.spaces_in_account(grant.account_id)
        return json_response(request, [space.as_json(self._settings) for space in spaces])

    async def _get_hubs(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request, "hubs:read")
        hubs = self._database.hubs_in_account(grant.account_id)
        hub_list = [hub.as_json(self._settings, in_list=True) for hub in hubs]
        return json_response(request, hub_list, use_etag=self._settings.etags)

    async def _get_hub(self, request: web.Request) -> web.Response:
        grant = self._oauth.authorize(request, "hubs:read")
        return json_response(request, self._find_hub(request, grant).as_json(self._settings))

    async def _put_state(self, request: web.Request) -> web.Response:
        hub = self._find_hub(request, self._oauth.authorize(request, "hubs:write"))
        body = await read_json_object(request)
        if list(body) != ["activeport"] or not _is_valid_port(body["activeport"], hub):
            text = f'The body must be {{"activeport": n}} with n from 0 to {hub.ports}.'
            raise ApiError(400, "bad_request", text)
        self._check_online(hub)
        mode = self._settings.command_mode
        if mode == "refuse":
            raise ApiError(409, "conflict", "The hub can't do that now.")
        if mode != "lose":
            settings = self._settings
            delay = settings.late_delay if mode == "late" else settings.command_delay
            previous = self._last_command.get(hub.id)
            command = self._execute_command(hub, body["activeport"], delay, previous)
            self._last_command[hub.id] = self._tasks.create(command)
        return json_response(request, {})

    async def _put_config(self, request: web.Request) -> web.Response:
        hub = self._find_hub(request, self._oauth.authorize(request, "hubs:write"))
        body = await read_json_object(request)
        for key, value in body.items():
            if not _is_valid_config(hub, key, value):
                raise ApiError(
                    400, "bad_request", f"The config has no {key!r} that can be {value!r}."
                )
        if not body:
            raise ApiError(400, "bad_request", "There is nothing to change.")
        self._check_online(hub)
        hub.change_config(**body)
        return json_response(request, {})

    def _find_hub(self, request: web.Request, grant: Grant) -> SimHub:
        hub = self._database.hubs.get(request.match_info["id"])
        if hub is None or hub not in self._database.hubs_in_account(grant.account_id):
            raise ApiError(404, "not_found", "There is no such hub.")
        return hub

    def _check_online(self, hub: SimHub) -> None:
        if not hub.online:
            raise ApiError(409, "offline", "The hub is offline.")

    async def _execute_command(
        self, hub: SimHub, port: int, delay: float, previous: asyncio.Task[None] | None
    ) -> None:
        """Execute a command after the delay and after the previous command of the hub."""
        execute_at = asyncio.get_running_loop().time() + delay
        if previous and not previous.done():
            await asyncio.wait([previous])
        await asyncio.sleep(execute_at - asyncio.get_running_loop().time())
        if hub.online:
            hub.set_active(port)
