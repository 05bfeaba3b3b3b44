"""Control API and web page of the simulator, without authentication."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from .faults import REDIRECT_LOOP_PATH, Fault, redirect_to_itself
from .hub import JsonObject, SimHub
from .responses import HTML_TYPE, ApiError, json_response, read_json_object
from .settings import matches_type

if TYPE_CHECKING:
    from .simulator import Simulator

EVENT_INTERVAL = 0.2
KEEP_ALIVE_INTERVALS = 50


def _read_argument[T](body: JsonObject, name: str, expected: type[T]) -> T:
    """Return the only value of the body. Raise ApiError if it has another name or type."""
    value: object = body.get(name)
    if body.keys() != {name} or not isinstance(value, expected) or type(value) is not expected:
        text = f'The body must be {{"{name}": …}} with the right type.'
        raise ApiError(400, "bad_request", text)
    return value


def _hub_summary(hub: SimHub) -> JsonObject:
    return {
        "id": hub.id,
        "name": hub.name,
        "serial": hub.serial,
        "product": hub.product,
        "ports": hub.ports,
        "online": hub.online,
        "plugged": hub.plugged,
        "active": hub.active,
        "room_port": hub.state["mtrport"] if hub.state["mtrmode"] else 0,
        "default_port": hub.config["defaultport"],
        "otp": hub.state["otp"],
    }


@contextmanager
def _errors_as_bad_request() -> Iterator[None]:
    try:
        yield
    except (ValueError, KeyError) as error:
        raise ApiError(400, "bad_request", str(error)) from None


class ControlApi:
    """The endpoints under /simulator, which tests, benchmarks and the web page use."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._page = Path(__file__).with_name("page.html").read_bytes()
        self._stopping = asyncio.Event()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get("/", self._get_page)
        yield web.get(REDIRECT_LOOP_PATH, redirect_to_itself)
        yield web.get("/simulator/state", self._get_state)
        yield web.get("/simulator/events", self._get_events)
        yield web.post("/simulator/settings", self._update_settings)
        yield web.post("/simulator/faults", self._add_fault)
        yield web.delete("/simulator/faults", self._clear_faults)
        yield web.post("/simulator/revoke", self._revoke_access)
        yield web.post("/simulator/expire", self._expire_access_tokens)
        yield web.post("/simulator/hubs", self._add_hub)
        yield web.delete("/simulator/hubs/{id}", self._remove_hub)
        yield web.post("/simulator/hubs/{id}/{action}", self._control_hub)

    def stop(self) -> None:
        """End the event streams."""
        self._stopping.set()

    async def _get_page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page, headers={"Content-Type": HTML_TYPE})

    async def _get_state(self, request: web.Request) -> web.Response:
        simulator = self._simulator
        rooms: dict[str, JsonObject] = {
            space.id: {
                "id": space.id,
                "name": space.name,
                "account": simulator.database.account(space.account_id).name,
                "hubs": [],
            }
            for space in simulator.database.spaces.values()
        }
        for hub in simulator.database.hubs.values():
            for space_id in hub.space_ids:
                if room := rooms.get(space_id):
                    room["hubs"].append(_hub_summary(hub))
        state = {
            "rooms": list(rooms.values()),
            "settings": simulator.settings.as_dict(),
            "requests": len(simulator.requests),
            "subscriptions": len(simulator.subscriptions.active()),
            "deliveries": len(simulator.deliveries),
        }
        return json_response(request, state)

    async def _get_events(self, request: web.Request) -> web.StreamResponse:
        """Stream an event with a new number when the response of /simulator/state changes."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            async for line in self._events():
                await response.write(line)
        except ConnectionError:
            pass  # the page was closed
        return response

    async def _events(self) -> AsyncIterator[bytes]:
        simulator = self._simulator
        last_version: tuple[int, ...] = ()
        number = idle_intervals = 0
        while not self._stopping.is_set():
            version = (
                simulator.database.version,
                len(simulator.requests),
                len(simulator.deliveries),
                len(simulator.subscriptions.active()),
            )
            idle_intervals += 1
            if version != last_version:
                last_version, number, idle_intervals = version, number + 1, 0
                yield f"data: {number}\n\n".encode()
            elif idle_intervals % KEEP_ALIVE_INTERVALS == 0:
                yield b":\n\n"  # only a write detects that the page was closed
            try:
                async with asyncio.timeout(EVENT_INTERVAL):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _update_settings(self, request: web.Request) -> web.Response:
        changes = await read_json_object(request)
        with _errors_as_bad_request():
            self._simulator.settings.update(changes)
        return json_response(request, self._simulator.settings.as_dict())

    async def _add_fault(self, request: web.Request) -> web.Response:
        body = await read_json_object(request)
        method, path, kind = (body.pop(name, None) for name in ("method", "path", "kind"))
        times = body.pop("times", 1)
        if not all(isinstance(text, str) for text in (method, path, kind)):
            raise ApiError(400, "bad_request", "A fault needs method, path and kind.")
        if not matches_type(times, int | None):
            raise ApiError(400, "bad_request", "times must be a number or null.")
        with _errors_as_bad_request():
            fault = Fault.from_json(kind, body)
        self._simulator.add_fault(method, path, fault, times)
        return json_response(request, {}, 201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._simulator.clear_faults()
        return web.Response(status=204)

    async def _revoke_access(self, _request: web.Request) -> web.Response:
        self._simulator.revoke_access()
        return web.Response(status=204)

    async def _expire_access_tokens(self, _request: web.Request) -> web.Response:
        self._simulator.expire_access_tokens()
        return web.Response(status=204)

    async def _add_hub(self, request: web.Request) -> web.Response:
        body = await read_json_object(request)
        types = {"name": str, "account": str, "product": str, "ports": int, "online": bool}
        for name, value in body.items():
            if name not in types or not matches_type(value, types[name]):
                raise ApiError(400, "bad_request", f"A hub can't have {name}={value!r}.")
        if not body.get("name"):
            raise ApiError(400, "bad_request", "A hub needs a name.")
        if not 1 <= body.get("ports", 4) <= 64:
            raise ApiError(400, "bad_request", "A hub has 1 to 64 ports.")
        with _errors_as_bad_request():
            hub = self._simulator.add_hub(**body)
        return json_response(request, _hub_summary(hub), 201)

    async def _remove_hub(self, request: web.Request) -> web.Response:
        self._simulator.remove_hub(self._find_hub(request).id)
        return web.Response(status=204)

    async def _control_hub(self, request: web.Request) -> web.Response:
        hub = self._find_hub(request)
        body = await read_json_object(request)
        with _errors_as_bad_request():
            match action := request.match_info["action"]:
                case "plug":
                    hub.plug(_read_argument(body, "port", int))
                case "unplug":
                    hub.unplug(_read_argument(body, "port", int))
                case "press":
                    hub.press(_read_argument(body, "port", int))
                case "online":
                    hub.online = _read_argument(body, "online", bool)
                case "overheat":
                    hub.set_overheated(_read_argument(body, "on", bool))
                case _:
                    raise ApiError(404, "not_found", f"A hub can't {action}.")
        return json_response(request, _hub_summary(hub))

    def _find_hub(self, request: web.Request) -> SimHub:
        try:
            return self._simulator.hub(request.match_info["id"])
        except KeyError:
            raise ApiError(404, "not_found", "There is no such hub.") from None
