"""Readers for single JSON values of the API.

Most of the API's shape is inferred, so the readers accept any JSON. A value of another type than
expected is read as None. Only `decode`, `as_object` and `as_list` raise errors.
"""

from codecs import BOM_UTF8
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
import json as stdlib_json
import math
from typing import Final

import orjson

from .errors import OperatedResponseError

type JSON = bool | int | float | str | list[JSON] | dict[str, JSON] | None

# The largest known hub has 10 ports. A much longer list is not a list of ports.
MAX_PORTS: Final = 64
# Limit for texts in the user interface and the log. The vendor's names are shorter.
_MAX_TEXT_LENGTH: Final = 200


def decode(body: bytes) -> JSON:
    """Decode a JSON document.

    A byte order mark is ignored. A lone surrogate becomes U+FFFD. A number out of range, NaN and
    Infinity become None. Raises OperatedResponseError if the body is not JSON.
    """
    body = body.removeprefix(BOM_UTF8)
    document: JSON
    try:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            # orjson rejects a whole list of hubs for one lone surrogate or number of this kind.
            parsed = stdlib_json.loads(
                body.decode(),
                parse_int=_number,
                parse_float=_number,
                parse_constant=lambda _: None,
            )
            utf_16 = stdlib_json.dumps(parsed, ensure_ascii=False).encode("utf-16", "surrogatepass")
            document = orjson.loads(utf_16.decode("utf-16", "replace"))
    except (ValueError, RecursionError) as err:
        raise OperatedResponseError("not JSON") from err
    return document


def _number(digits: str) -> int | float | None:
    try:
        number: int | float = orjson.loads(digits)
    except orjson.JSONDecodeError:
        return None
    return number


def encode(json: JSON) -> bytes:
    """Encode JSON as UTF-8, also if it is nested too deeply for orjson."""
    try:
        return orjson.dumps(json)
    except orjson.JSONEncodeError:
        return stdlib_json.dumps(json).encode()


def as_object(json: JSON) -> dict[str, JSON]:
    """Return an object; null counts as an empty one. Raises OperatedResponseError otherwise."""
    if json is None:
        return {}
    if not isinstance(json, dict):
        raise OperatedResponseError(f"expected an object, got {_type_name(json)}")
    return json


def as_list(json: JSON) -> list[JSON]:
    """Return a list. Raises OperatedResponseError otherwise."""
    if not isinstance(json, list):
        raise OperatedResponseError(f"expected a list, got {_type_name(json)}")
    return json


def _type_name(json: JSON) -> str:
    """Return the name of the JSON type, for error messages that must not contain the value."""
    match json:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def text(json: JSON) -> str | None:
    """Return a string or an integer as one printable line of at most 200 characters.

    None if the value has another type or nothing printable is left.
    """
    if isinstance(json, int) and not isinstance(json, bool):
        json = str(json)
    if not isinstance(json, str):
        return None
    printable = "".join(char if char.isprintable() else " " for char in json[:_MAX_TEXT_LENGTH])
    return printable.strip() or None


def identifier(json: JSON) -> str | None:
    """Return an id that can be sent back to the server unchanged; None otherwise."""
    read = text(json)
    # An id of dots would change the path of the URL. U+FFFD replaces a character that was lost.
    if read is None or not read.strip(".") or "\ufffd" in read:
        return None
    return read if read == json or isinstance(json, int) else None


def first_text(*candidates: JSON) -> str | None:
    """Return the first candidate that `text` can read; None if there is none."""
    return next((read for json in candidates if (read := text(json)) is not None), None)


def texts(json: JSON) -> list[str]:
    """Return the readable texts of a list, or of a single value."""
    items = json if isinstance(json, list) else [json]
    return [read for item in items if (read := text(item)) is not None]


def boolean(json: JSON) -> bool | None:
    """Return a boolean or an integer as a boolean, because the API also uses 0 and 1."""
    return bool(json) if isinstance(json, (bool, int)) else None


def port_number(json: JSON) -> int | None:
    """Return a port number from 0 (no port) to MAX_PORTS; None for any other value."""
    if isinstance(json, bool) or not isinstance(json, int) or not 0 <= json <= MAX_PORTS:
        return None
    return json


def seconds_from_now(value: object) -> float | None:
    """Return a duration in seconds, from a float, a numeric string, or a date.

    A date is ISO 8601 or an internet date (RFC 5322). Without a time zone, it is UTC. The result
    is negative for a date in the past, and None for any other value.
    """
    if not isinstance(value, float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        date = _date(str(value))
        return None if date is None else (date - datetime.now(UTC)).total_seconds()
    return seconds if math.isfinite(seconds) else None


def _date(value: str) -> datetime | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            date = parse(value)
        except ValueError:
            continue
        return date if date.tzinfo else date.replace(tzinfo=UTC)
    return None
