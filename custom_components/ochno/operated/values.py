"""Reading values out of JSON, whatever it holds.

Every reader takes anything; what can't be read is None, but for the two that raise.
"""

from collections.abc import Iterable
import json as lenient
from typing import Final

import orjson

from .errors import OperatedResponseError

type JSON = bool | int | float | str | list[JSON] | dict[str, JSON] | None

# The largest room known has 10 ports; anything far beyond is not a number of ports.
MAX_PORTS: Final = 64
# Home Assistant and logs show these texts; nothing the vendor names is longer.
_MAX_TEXT: Final = 200


def decode(body: bytes) -> JSON:
    """Read JSON. Raises OperatedResponseError if it is none.

    Half a surrogate pair in a text becomes U+FFFD, and a number beyond all bounds null: orjson
    refuses the whole answer for one of them, and one hub must not take the others with it.
    """
    answer: JSON
    try:
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            read = lenient.loads(body.decode(), parse_int=_number, parse_float=_number)
            utf_16 = lenient.dumps(read, ensure_ascii=False).encode("utf-16", "surrogatepass")
            answer = orjson.loads(utf_16.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as err:
        raise OperatedResponseError("not JSON") from err
    return answer


def _number(digits: str) -> int | float | None:
    try:
        number: int | float = orjson.loads(digits)
    except orjson.JSONDecodeError:
        return None
    return number


def encode(json: JSON) -> bytes:
    """Write JSON that `decode` can read again, however deep it is nested."""
    try:
        return orjson.dumps(json)
    except orjson.JSONEncodeError:
        return lenient.dumps(json).encode()


def as_object(json: JSON) -> dict[str, JSON]:
    """Read an object; nothing is an empty one. Raises OperatedResponseError."""
    if json is None:
        return {}
    if not isinstance(json, dict):
        raise OperatedResponseError(f"{_kind(json)} where an object belongs")
    return json


def as_list(json: JSON) -> list[JSON]:
    """Read a list. Raises OperatedResponseError."""
    if not isinstance(json, list):
        raise OperatedResponseError(f"{_kind(json)} where a list belongs")
    return json


def _kind(json: JSON) -> str:
    """Name the JSON type, for messages that must not repeat the value."""
    match json:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list():
            return "a list"
        case _:
            return "an object"


def text(json: JSON) -> str | None:
    """Read a text that is safe to show: one line, printable, not empty."""
    if isinstance(json, int) and not isinstance(json, bool):
        json = str(json)
    if not isinstance(json, str):
        return None
    printable = "".join(char if char.isprintable() else " " for char in json[:_MAX_TEXT])
    return printable.strip() or None


def identifier(json: JSON) -> str | None:
    """Read an id, which must reach the server as it is; None if it is not fit for that."""
    read = text(json)
    # Dots alone would walk up the path of a URL; U+FFFD stands for what could not be read.
    if read is None or not read.strip(".") or "\ufffd" in read:
        return None
    return read if read == json or isinstance(json, int) else None


def first_text(*candidates: JSON) -> str | None:
    """Read the first that is a text."""
    return next((read for json in candidates if (read := text(json)) is not None), None)


def texts(json: JSON) -> Iterable[str]:
    """Read a list of texts, or a single one."""
    items = json if isinstance(json, list) else [json]
    return [read for item in items if (read := text(item)) is not None]


def flag(json: JSON) -> bool | None:
    """Read a boolean, which the API also writes as 0 and 1."""
    return bool(json) if isinstance(json, (bool, int)) else None


def port_number(json: JSON) -> int | None:
    """Read a port number; 0 is none."""
    if isinstance(json, bool) or not isinstance(json, int) or not 0 <= json <= MAX_PORTS:
        return None
    return json
