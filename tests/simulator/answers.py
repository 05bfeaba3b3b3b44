"""How the cloud answers: JSON with weak ETags, errors as code and message, Express's 404 page."""

import base64
from collections.abc import Awaitable, Callable
import hashlib
from html import escape
import json
from typing import Any

from aiohttp import web
import orjson

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

JSON_TYPE = "application/json; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"


class Refused(Exception):  # noqa: N818 - it says what happens to the request
    """The request is answered with this status and a JSON body of code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _etag(body: bytes) -> str:
    digest = hashlib.sha1(body, usedforsecurity=False).digest()
    return f'W/"{len(body):x}-{base64.b64encode(digest).decode()[:27]}"'


def _unchanged(request: web.Request, etag: str) -> bool:
    """Compare weakly, as Express does: with or without W/ is the same."""
    known = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("If-None-Match", "").split(",")
    ]
    return "*" in known or etag.removeprefix("W/") in known


def dump(value: Any) -> bytes:
    """Write JSON, also of the integers and surrogates that orjson refuses."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value).encode()


def json_answer(
    request: web.Request, value: Any, status: int = 200, *, conditional: bool = True
) -> web.Response:
    """Answer with JSON; a GET gets an ETag, or 304 if the caller has the same body already."""
    body = dump(value)
    headers = {"Content-Type": JSON_TYPE}
    if conditional and request.method == "GET" and status == 200:
        etag = _etag(body)
        if _unchanged(request, etag):
            return web.Response(status=304, headers={"ETag": etag})
        headers["ETag"] = etag
    return web.Response(status=status, body=body, headers=headers)


def html_page(title: str, text: str, status: int) -> web.Response:
    """Answer with a small page of one sentence."""
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>:root{{color-scheme:light dark}}"
        "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}"
        f"</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>\n</body>\n</html>\n"
    )
    return web.Response(status=status, body=page.encode(), headers={"Content-Type": HTML_TYPE})


async def json_object(request: web.Request) -> dict[str, Any]:
    """Read the body, which must be a JSON object with the right Content-Type, or refuse it."""
    if request.content_type != "application/json":
        raise Refused(400, "bad_request", "The Content-Type must be application/json.")
    try:
        value = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise Refused(400, "bad_request", "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise Refused(400, "bad_request", "The body must be a JSON object.")
    return value


@web.middleware
async def express(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals into JSON, and unknown paths or methods into the page Express would send."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Refused as refused:
        error = {"code": refused.code, "message": str(refused)}
        response = json_answer(request, error, refused.status)
    except web.HTTPNotFound, web.HTTPMethodNotAllowed:
        response = html_page("Error", f"Cannot {request.method} {request.path}", 404)
    if not response.prepared:
        response.headers["X-Powered-By"] = "Express"
    return response
