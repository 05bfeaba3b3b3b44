"""Fault injection: faults, and the rules that select the requests they apply to."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
import inspect
from typing import Final, Self

from aiohttp import web

from .responses import HTML_TYPE, JSON_TYPE, Handler
from .settings import matches_type

# Wait for this number of seconds (None: without limit), or until the faults are cleared.
type Wait = Callable[[float | None], Awaitable[None]]
type FaultHandler = Callable[[web.Request, Handler, Wait], Awaitable[web.StreamResponse]]

REDIRECT_LOOP_PATH: Final = "/simulator/loop"
KINDS: Final = (
    "delay",
    "status",
    "body",
    "html",
    "empty",
    "truncated",
    "nested",
    "huge",
    "bad_utf8",
    "bad_gzip",
    "slow",
    "rate_limit",
    "hang",
    "reset",
    "redirect",
    "redirect_loop",
)


def is_simulator_path(path: str) -> bool:
    """Return whether a path is the simulator's own and not part of the vendor's API."""
    return path == "/" or path.startswith("/simulator/")


def _drop_connection(request: web.Request) -> web.Response:
    """Abort the connection. The returned response cannot be sent any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _handle_and_read(
    request: web.Request, handler: Handler
) -> tuple[web.StreamResponse, bytes]:
    response = await handler(request)
    body = response.body if isinstance(response, web.Response) else None
    return response, body if isinstance(body, bytes) else b""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, which handles a request instead of the API.

    The class methods create the faults. Their names are the kinds of the control API.
    """

    kind: str
    handle: FaultHandler

    @classmethod
    def from_json(cls, kind: str, arguments: Mapping[str, object]) -> Fault:
        """Create a fault by its kind. Raise ValueError if the kind or an argument is invalid."""
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
        create: Callable[..., Fault] = getattr(cls, kind)
        parameters = inspect.signature(create).parameters
        for name, value in arguments.items():
            if name not in parameters or not matches_type(value, parameters[name].annotation):
                raise ValueError(f"The fault {kind!r} does not take {name}={value!r}.")
        try:
            return create(**arguments)
        except TypeError as error:
            raise ValueError(f"The fault {kind!r} needs more: {error}.") from None

    @classmethod
    def delay(cls, seconds: float) -> Self:
        """Execute the request at once, but delay the response."""

        async def handle(request: web.Request, handler: Handler, wait: Wait) -> web.StreamResponse:
            response = await handler(request)
            await wait(seconds)
            return response

        return cls("delay", handle)

    @classmethod
    def status(cls, code: int, headers: dict[str, str] | None = None, text: str = "") -> Self:
        """Respond with a status."""

        async def handle(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(status=code, headers=headers, body=text.encode())

        return cls("status", handle)

    @classmethod
    def body(cls, text: str, content_type: str = JSON_TYPE) -> Self:
        """Respond with status 200 and a text, which does not have to be JSON."""
        return cls._respond("body", text.encode(), {"Content-Type": content_type})

    @classmethod
    def html(cls) -> Self:
        """Respond with status 200 and a web page, as a captive portal does."""
        page = "<!DOCTYPE html><html><title>Welcome</title><p>Please accept the terms.</p></html>"
        return cls._respond("html", page.encode(), {"Content-Type": HTML_TYPE})

    @classmethod
    def empty(cls) -> Self:
        """Respond with status 200, the content type of JSON and an empty body."""
        return cls._respond("empty", b"")

    @classmethod
    def truncated(cls) -> Self:
        """Execute the request. Respond with the first half of the body and a matching length."""

        async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.Response:
            response, body = await _handle_and_read(request, handler)
            half = body[: len(body) // 2]
            return web.Response(
                status=response.status, body=half, headers={"Content-Type": JSON_TYPE}
            )

        return cls("truncated", handle)

    @classmethod
    def nested(cls, depth: int = 100_000) -> Self:
        """Respond with status 200 and deeply nested arrays."""
        return cls._respond("nested", b"[" * depth + b"]" * depth)

    @classmethod
    def huge(cls, size: int) -> Self:
        """Respond with `size` bytes of valid JSON, without a Content-Length header."""

        async def handle(
            request: web.Request, _handler: Handler, _wait: Wait
        ) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
            await response.prepare(request)
            await response.write(b"[")
            chunk = b" " * 1_000_000
            for start in range(0, size - 2, len(chunk)):
                await response.write(chunk[: size - 2 - start])
            await response.write(b"]")
            return response

        return cls("huge", handle)

    @classmethod
    def bad_utf8(cls) -> Self:
        """Respond with status 200 and JSON that is not valid UTF-8."""
        return cls._respond("bad_utf8", b'[{"id": "1", "name": "K\xf6k"}]')

    @classmethod
    def bad_gzip(cls) -> Self:
        """Respond with status 200, the content encoding gzip and a body that is not gzip."""
        headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
        return cls._respond("bad_gzip", b"this was never compressed", headers)

    @classmethod
    def slow(cls, seconds: float) -> Self:
        """Execute the request. Send the headers at once, and the body slowly in small chunks."""

        async def handle(request: web.Request, handler: Handler, wait: Wait) -> web.StreamResponse:
            api_response, body = await _handle_and_read(request, handler)
            headers = {"Content-Type": JSON_TYPE, "Content-Length": str(len(body))}
            response = web.StreamResponse(status=api_response.status, headers=headers)
            await response.prepare(request)
            chunk_size = max(1, len(body) // 50)
            for start in range(0, len(body), chunk_size):
                await wait(seconds * chunk_size / len(body))
                await response.write(body[start : start + chunk_size])
            return response

        return cls("slow", handle)

    @classmethod
    def rate_limit(cls, per_second: int) -> Self:
        """Execute this number of requests in any second. Respond to the others with 429."""
        times = deque[float](maxlen=per_second)

        async def handle(request: web.Request, handler: Handler, _wait: Wait) -> web.StreamResponse:
            now = asyncio.get_running_loop().time()
            if len(times) == per_second and now - times[0] < 1:
                return web.Response(status=429)
            times.append(now)
            return await handler(request)

        return cls("rate_limit", handle)

    @classmethod
    def hang(cls) -> Self:
        """Send no response. Drop the connection when the faults are cleared."""

        async def handle(request: web.Request, _handler: Handler, wait: Wait) -> web.Response:
            await wait(None)
            return _drop_connection(request)

        return cls("hang", handle)

    @classmethod
    def reset(cls) -> Self:
        """Drop the connection.

        aiohttp's client retries a GET or PUT itself if the connection was used before, so with
        times=1 the caller may get no error.
        """

        async def handle(request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return _drop_connection(request)

        return cls("reset", handle)

    @classmethod
    def redirect(cls, url: str, code: int = 302) -> Self:
        """Redirect to a URL."""

        async def handle(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(status=code, headers={"Location": url})

        return cls("redirect", handle)

    @classmethod
    def redirect_loop(cls) -> Self:
        """Redirect to a path that redirects to itself."""
        return cls("redirect_loop", cls.redirect(REDIRECT_LOOP_PATH).handle)

    @classmethod
    def _respond(cls, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> Self:
        async def handle(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(body=body, headers=headers or {"Content-Type": JSON_TYPE})

        return cls(kind, handle)


@dataclass(slots=True)
class _FaultRule:
    method: str
    path: str
    fault: Fault
    times: int | None

    def matches(self, method: str, path: str) -> bool:
        if self.method not in ("*", method):
            return False
        if self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return path == self.path


class FaultInjector:
    """The fault rules. The oldest rule that matches a request applies to it."""

    def __init__(self) -> None:
        self._rules: list[_FaultRule] = []
        self._cleared = asyncio.Event()

    def add(self, method: str, path: str, fault: Fault, times: int | None = 1) -> None:
        """Add a rule. See Simulator.add_fault."""
        self._rules.append(_FaultRule(method.upper(), path, fault, times))

    def clear(self) -> None:
        """Remove all rules and continue the requests that a fault delays."""
        self._rules.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply the first rule that matches the request."""
        if is_simulator_path(request.path):
            return await handler(request)
        for rule in self._rules:
            if rule.matches(request.method, request.path):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                try:
                    return await rule.fault.handle(request, handler, self._create_wait())
                except ConnectionError:
                    # The client closed the connection before the end of the response.
                    return _drop_connection(request)
        return await handler(request)

    def _create_wait(self) -> Wait:
        cleared = self._cleared

        async def wait(seconds: float | None) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await cleared.wait()
            except TimeoutError:
                pass

        return wait


async def redirect_to_itself(_request: web.Request) -> web.Response:
    """Redirect REDIRECT_LOOP_PATH to itself."""
    return web.Response(status=302, headers={"Location": REDIRECT_LOOP_PATH})
