"""What the page with the rooms uses, and whoever plays the cloud: JSON, without sign-in."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from .answers import HTML_TYPE, Refused, json_answer, json_object
from .faults import LOOP_PATH, Fault, loop
from .hub import JsonObject, SimHub
from .settings import fits

if TYPE_CHECKING:
    from .simulator import Simulator

LOOK_EVERY = 0.2
KEEP_ALIVE_EVERY = 50


def _argument(body: JsonObject, name: str, wanted: Any) -> Any:
    if body.keys() != {name} or not fits(body[name], wanted):
        text = f'The body must be {{"{name}": …}} with the right type.'
        raise Refused(400, "bad_request", text)
    return body[name]


def _view(hub: SimHub) -> JsonObject:
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


class Control:
    """The endpoints; a wrong body is answered with 400 and a sentence."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._page = Path(__file__).with_name("page.html").read_bytes()
        self._stopping = asyncio.Event()

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the endpoints."""
        yield web.get("/", self._show_page)
        yield web.get(LOOP_PATH, loop)
        yield web.get("/simulator/state", self._state)
        yield web.get("/simulator/events", self._events)
        yield web.post("/simulator/settings", self._set)
        yield web.post("/simulator/faults", self._fail)
        yield web.delete("/simulator/faults", self._clear_faults)
        yield web.post("/simulator/revoke", self._revoke)
        yield web.post("/simulator/expire", self._expire)
        yield web.post("/simulator/hubs", self._add_hub)
        yield web.delete("/simulator/hubs/{id}", self._remove_hub)
        yield web.post("/simulator/hubs/{id}/{action}", self._act)

    def stop(self) -> None:
        """End the event streams."""
        self._stopping.set()

    async def _show_page(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page, headers={"Content-Type": HTML_TYPE})

    async def _state(self, request: web.Request) -> web.Response:
        simulator = self._simulator
        rooms: dict[str, JsonObject] = {
            space.id: {
                "id": space.id,
                "name": space.name,
                "account": simulator.cloud.account(space.account_id).name,
                "hubs": [],
            }
            for space in simulator.cloud.spaces.values()
        }
        for hub in simulator.cloud.hubs.values():
            for space_id in hub.space_ids:
                if room := rooms.get(space_id):
                    room["hubs"].append(_view(hub))
        state = {
            "rooms": list(rooms.values()),
            "settings": simulator.settings.as_dict(),
            "requests": len(simulator.requests),
            "subscriptions": len(simulator.subscriptions.live()),
            "deliveries": len(simulator.deliveries),
        }
        return json_answer(request, state)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """Send a number that is new whenever /simulator/state is."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            async for line in self._changes():
                await response.write(line)
        except ConnectionError:
            pass  # the page was closed
        return response

    async def _changes(self) -> AsyncIterator[bytes]:
        simulator = self._simulator
        seen: tuple[int, ...] = ()
        number = quiet = 0
        while not self._stopping.is_set():
            now = (
                simulator.cloud.version,
                len(simulator.requests),
                len(simulator.deliveries),
                len(simulator.subscriptions.live()),
            )
            quiet += 1
            if now != seen:
                seen, number, quiet = now, number + 1, 0
                yield f"data: {number}\n\n".encode()
            elif quiet % KEEP_ALIVE_EVERY == 0:
                yield b":\n\n"  # writing is how a closed page is noticed
            try:
                async with asyncio.timeout(LOOK_EVERY):
                    await self._stopping.wait()
            except TimeoutError:
                pass

    async def _set(self, request: web.Request) -> web.Response:
        changes = await json_object(request)
        self._or_400(lambda: self._simulator.settings.update(changes))
        return json_answer(request, self._simulator.settings.as_dict())

    async def _fail(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        method, path, kind = (body.pop(name, None) for name in ("method", "path", "kind"))
        times = body.pop("times", 1)
        if not all(isinstance(text, str) for text in (method, path, kind)):
            raise Refused(400, "bad_request", "A fault needs method, path and kind.")
        if not fits(times, int | None):
            raise Refused(400, "bad_request", "times must be a number or null.")
        fault = self._or_400(lambda: Fault.from_json(kind, body))
        self._simulator.fail(method, path, fault, times)
        return json_answer(request, {}, 201)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._simulator.clear_faults()
        return web.Response(status=204)

    async def _revoke(self, _request: web.Request) -> web.Response:
        self._simulator.revoke_access()
        return web.Response(status=204)

    async def _expire(self, _request: web.Request) -> web.Response:
        self._simulator.expire_access_tokens()
        return web.Response(status=204)

    async def _add_hub(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        wanted = {"name": str, "account": str, "product": str, "ports": int, "online": bool}
        for name, value in body.items():
            if name not in wanted or not fits(value, wanted[name]):
                raise Refused(400, "bad_request", f"A hub can't have {name}={value!r}.")
        if not body.get("name"):
            raise Refused(400, "bad_request", "A hub needs a name.")
        if not 1 <= body.get("ports", 4) <= 64:
            raise Refused(400, "bad_request", "A hub has 1 to 64 ports.")
        hub = self._or_400(lambda: self._simulator.add_hub(**body))
        return json_answer(request, _view(hub), 201)

    async def _remove_hub(self, request: web.Request) -> web.Response:
        self._simulator.remove_hub(self._find(request).id)
        return web.Response(status=204)

    async def _act(self, request: web.Request) -> web.Response:
        hub = self._find(request)
        body = await json_object(request)
        match action := request.match_info["action"]:
            case "plug" | "unplug" | "press":
                port = _argument(body, "port", int)
                self._or_400(lambda: getattr(hub, action)(port))
            case "online":
                hub.online = _argument(body, "online", bool)
            case "overheat":
                hub.overheat(_argument(body, "on", bool))
            case _:
                raise Refused(404, "not_found", f"A hub can't {action}.")
        return json_answer(request, _view(hub))

    def _find(self, request: web.Request) -> SimHub:
        try:
            return self._simulator.hub(request.match_info["id"])
        except KeyError:
            raise Refused(404, "not_found", "There is no such hub.") from None

    def _or_400[T](self, do: Callable[[], T]) -> T:
        try:
            return do()
        except (ValueError, KeyError) as error:
            raise Refused(400, "bad_request", str(error)) from None
