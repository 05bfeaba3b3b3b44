"""HTTP requests and responses: JSON bodies, ETags and error pages as the vendor sends them."""

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


class ApiError(Exception):
    """An error response with a status and a JSON body of code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _etag(body: bytes) -> str:
    digest = hashlib.sha1(body, usedforsecurity=False).digest()
    return f'W/"{len(body):x}-{base64.b64encode(digest).decode()[:27]}"'


def _is_cached(request: web.Request, etag: str) -> bool:
    """Return whether If-None-Match has the ETag. The comparison is weak, as in Express."""
    cached = [
        tag.strip().removeprefix("W/")
        for tag in request.headers.get("If-None-Match", "").split(",")
    ]
    return "*" in cached or etag.removeprefix("W/") in cached


def dump_json(value: object) -> bytes:
    """Serialise a value, including the integers and surrogates that orjson rejects."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        return json.dumps(value).encode()


def json_response(
    request: web.Request, value: object, status: int = 200, *, use_etag: bool = True
) -> web.Response:
    """Return a JSON response. A GET gets an ETag, or 304 if the client has the same body."""
    body = dump_json(value)
    headers = {"Content-Type": JSON_TYPE}
    if use_etag and request.method == "GET" and status == 200:
        etag = _etag(body)
        if _is_cached(request, etag):
            return web.Response(status=304, headers={"ETag": etag})
        headers["ETag"] = etag
    return web.Response(status=status, body=body, headers=headers)


def html_response(title: str, text: str, status: int) -> web.Response:
    """Return an HTML page with a heading and a paragraph."""
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>:root{{color-scheme:light dark}}"
        "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}"
        f"</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n<p>{escape(text)}</p>\n</body>\n</html>\n"
    )
    return web.Response(status=status, body=page.encode(), headers={"Content-Type": HTML_TYPE})


async def read_json_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object in the request body. Raise ApiError if there is none."""
    if request.content_type != "application/json":
        raise ApiError(400, "bad_request", "The Content-Type must be application/json.")
    try:
        value = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise ApiError(400, "bad_request", "The body is not JSON.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "bad_request", "The body must be a JSON object.")
    return value


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert an ApiError to JSON, and an unknown path or method to the error page of Express."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except ApiError as error:
        body = {"code": error.code, "message": str(error)}
        response = json_response(request, body, error.status)
    except web.HTTPNotFound, web.HTTPMethodNotAllowed:
        response = html_response("Error", f"Cannot {request.method} {request.path}", 404)
    if not response.prepared:
        response.headers["X-Powered-By"] = "Express"
    return response
