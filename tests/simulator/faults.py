"""Things that go wrong between a client and a cloud, and the rules for when they do."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
import inspect
from typing import Any, Final, Self

from aiohttp import web

from .answers import HTML_TYPE, JSON_TYPE, Handler
from .settings import fits

type Wait = Callable[[float | None], Awaitable[None]]
type Misbehaviour = Callable[[web.Request, Handler, Wait], Awaitable[web.StreamResponse]]

LOOP_PATH: Final = "/simulator/loop"
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
    "hang",
    "reset",
    "redirect",
    "redirect_loop",
)


def is_ours(path: str) -> bool:
    """Tell whether a path belongs to the simulator and not to what it simulates."""
    return path == "/" or path.startswith("/simulator/")


def _drop_connection(request: web.Request) -> web.Response:
    """Abort the connection; what is returned can't be sent any more."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _real_body(request: web.Request, handler: Handler) -> tuple[web.StreamResponse, bytes]:
    response = await handler(request)
    body = response.body if isinstance(response, web.Response) else None
    return response, body if isinstance(body, bytes) else b""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to misbehave; make it with the methods below, which are also the kinds."""

    kind: str
    misbehave: Misbehaviour

    @classmethod
    def from_json(cls, kind: str, arguments: Mapping[str, Any]) -> Self:
        """Make one by name; ValueError says what is wrong."""
        if kind not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; there are {', '.join(KINDS)}.")
        make = getattr(cls, kind)
        wanted = inspect.signature(make).parameters
        for name, value in arguments.items():
            if name not in wanted or not fits(value, wanted[name].annotation):
                raise ValueError(f"The fault {kind!r} does not take {name}={value!r}.")
        try:
            return make(**arguments)  # type: ignore[no-any-return]
        except TypeError as error:
            raise ValueError(f"The fault {kind!r} needs more: {error}.") from None

    @classmethod
    def delay(cls, seconds: float) -> Self:
        """Do what is asked at once, but answer later: giving up does not undo it."""

        async def misbehave(
            request: web.Request, handler: Handler, wait: Wait
        ) -> web.StreamResponse:
            response = await handler(request)
            await wait(seconds)
            return response

        return cls("delay", misbehave)

    @classmethod
    def status(cls, code: int, headers: dict[str, str] | None = None, text: str = "") -> Self:
        """Do nothing and answer with this status."""

        async def misbehave(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(status=code, headers=headers, body=text.encode())

        return cls("status", misbehave)

    @classmethod
    def body(cls, text: str, content_type: str = JSON_TYPE) -> Self:
        """Do nothing and answer 200 with this text, JSON or not."""
        return cls._answer("body", text.encode(), {"Content-Type": content_type})

    @classmethod
    def html(cls) -> Self:
        """Do nothing and answer 200 with a web page, as a captive portal does."""
        page = "<!DOCTYPE html><html><title>Welcome</title><p>Please accept the terms.</p></html>"
        return cls._answer("html", page.encode(), {"Content-Type": HTML_TYPE})

    @classmethod
    def empty(cls) -> Self:
        """Do nothing and answer 200 with an empty body that is said to be JSON."""
        return cls._answer("empty", b"")

    @classmethod
    def truncated(cls) -> Self:
        """Do what is asked, but answer with the first half of the body (as if it were whole)."""

        async def misbehave(request: web.Request, handler: Handler, _wait: Wait) -> web.Response:
            response, body = await _real_body(request, handler)
            half = body[: len(body) // 2]
            return web.Response(
                status=response.status, body=half, headers={"Content-Type": JSON_TYPE}
            )

        return cls("truncated", misbehave)

    @classmethod
    def nested(cls, depth: int = 100_000) -> Self:
        """Do nothing and answer 200 with nothing but arrays, one in the other."""
        return cls._answer("nested", b"[" * depth + b"]" * depth)

    @classmethod
    def huge(cls, size: int) -> Self:
        """Do nothing and send `size` bytes of valid JSON, without telling the length first."""

        async def misbehave(
            request: web.Request, _handler: Handler, _wait: Wait
        ) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
            await response.prepare(request)
            await response.write(b"[")
            piece = b" " * 1_000_000
            for start in range(0, size - 2, len(piece)):
                await response.write(piece[: size - 2 - start])
            await response.write(b"]")
            return response

        return cls("huge", misbehave)

    @classmethod
    def bad_utf8(cls) -> Self:
        """Do nothing and answer 200 with JSON that is not the UTF-8 it is said to be."""
        return cls._answer("bad_utf8", b'[{"id": "1", "name": "K\xf6k"}]')

    @classmethod
    def bad_gzip(cls) -> Self:
        """Do nothing and answer 200 with a body that is not the gzip it is said to be."""
        headers = {"Content-Type": JSON_TYPE, "Content-Encoding": "gzip"}
        return cls._answer("bad_gzip", b"this was never compressed", headers)

    @classmethod
    def slow(cls, seconds: float) -> Self:
        """Do what is asked and send the headers at once, then the body in drips for so long."""

        async def misbehave(
            request: web.Request, handler: Handler, wait: Wait
        ) -> web.StreamResponse:
            real, body = await _real_body(request, handler)
            headers = {"Content-Type": JSON_TYPE, "Content-Length": str(len(body))}
            response = web.StreamResponse(status=real.status, headers=headers)
            await response.prepare(request)
            step = max(1, len(body) // 50)
            for start in range(0, len(body), step):
                await wait(seconds * step / len(body))
                await response.write(body[start : start + step])
            return response

        return cls("slow", misbehave)

    @classmethod
    def hang(cls) -> Self:
        """Do nothing and never answer; the connection drops when the faults are cleared."""

        async def misbehave(request: web.Request, _handler: Handler, wait: Wait) -> web.Response:
            await wait(None)
            return _drop_connection(request)

        return cls("hang", misbehave)

    @classmethod
    def reset(cls) -> Self:
        """Do nothing and drop the connection.

        aiohttp's client repeats a GET or PUT by itself if the connection had been used before:
        with times=1 a caller may not notice.
        """

        async def misbehave(request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return _drop_connection(request)

        return cls("reset", misbehave)

    @classmethod
    def redirect(cls, url: str, code: int = 302) -> Self:
        """Do nothing and redirect."""

        async def misbehave(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(status=code, headers={"Location": url})

        return cls("redirect", misbehave)

    @classmethod
    def redirect_loop(cls) -> Self:
        """Do nothing and redirect to a path that redirects to itself."""
        return cls("redirect_loop", cls.redirect(LOOP_PATH).misbehave)

    @classmethod
    def _answer(cls, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> Self:
        async def misbehave(_request: web.Request, _handler: Handler, _wait: Wait) -> web.Response:
            return web.Response(body=body, headers=headers or {"Content-Type": JSON_TYPE})

        return cls(kind, misbehave)


@dataclass(slots=True)
class _Rule:
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


class Faults:
    """The rules; the oldest that matches a request is applied to it."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._over = asyncio.Event()

    def add(self, method: str, path: str, fault: Fault, times: int | None = 1) -> None:
        """Apply the fault to the next `times` requests, or (None) until cleared.

        The method can be `*`; the path is compared without its query and as a whole, or as a
        beginning if it ends in `*`.
        """
        self._rules.append(_Rule(method.upper(), path, fault, times))

    def clear(self) -> None:
        """Forget all rules and let go of the requests that hang or wait."""
        self._rules.clear()
        self._over.set()
        self._over = asyncio.Event()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Apply what matches."""
        if is_ours(request.path):
            return await handler(request)
        for rule in self._rules:
            if rule.matches(request.method, request.path):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                try:
                    return await rule.fault.misbehave(request, handler, self._waiter())
                except ConnectionError:
                    # The caller would not wait for the rest.
                    return _drop_connection(request)
        return await handler(request)

    def _waiter(self) -> Wait:
        over = self._over

        async def wait(seconds: float | None) -> None:
            try:
                async with asyncio.timeout(seconds):
                    await over.wait()
            except TimeoutError:
                pass

        return wait


async def loop(_request: web.Request) -> web.Response:
    """Answer LOOP_PATH."""
    return web.Response(status=302, headers={"Location": LOOP_PATH})
