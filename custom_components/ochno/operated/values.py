"""Readers for single JSON values of the API.

Most of the API's shape is inferred, so the readers accept any JSON. A value of another type than
expected is read as None. Only `decode`, `Fields`, `unwrapped_object` and `unwrapped_list` raise
errors.
"""

from codecs import BOM_UTF8
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
import json as stdlib_json
import math
import re
from typing import Final

import orjson

from .errors import OperatedResponseError
from .redact import shape
from .types import JSON

# The largest known hub has 10 ports. A much longer list is not a list of ports.
MAX_PORTS: Final = 64
_PORT_NUMBERS: Final = range(MAX_PORTS + 1)
_MAX_DIGITS: Final = 3
_PORT_NAME: Final = re.compile(r"(?:port)?[ _-]?([1-9]\d?)", re.IGNORECASE)
_WORDS: Final = {
    **dict.fromkeys(("true", "1", "yes", "on", "online", "connected", "enabled"), True),
    **dict.fromkeys(("false", "0", "no", "off", "offline", "disconnected", "disabled"), False),
}
_STATUS_NAMES: Final = ("connected", "online", "presence", "state", "status", "value")
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
        begin = "a tag" if body.lstrip()[:1] == b"<" else "another character"
        reason = f"expected JSON, got {len(body)} bytes that begin with {begin}"
        raise OperatedResponseError(reason) from err
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


class Fields:
    """The fields of a JSON object, found by their documented names or variants of them.

    Case, `_` and `-` do not matter, so `_id` is read as `id` and `activePort` as `activeport`. An
    exact name takes precedence.
    """

    __slots__ = ("_by_name", "json")

    def __init__(self, json: JSON) -> None:
        """Read an object; null counts as an empty one. Raises OperatedResponseError otherwise."""
        if json is not None and not isinstance(json, dict):
            raise OperatedResponseError(f"expected an object, got {shape(json)}")
        self.json = json or {}
        self._by_name: dict[str, JSON] | None = None

    def get(self, *names: str) -> JSON:
        """Return the value of the first of these names that exists and is not null."""
        for name in names:
            if (value := self.json.get(name)) is not None:
                return value
        if self._by_name is None:
            self._by_name = {canonical_name(name): value for name, value in self.json.items()}
        values = (self._by_name.get(canonical_name(name)) for name in names)
        return next((value for value in values if value is not None), None)

    def object(self, name: str) -> Fields:
        """Return the fields of an object; without fields if it is missing or of another type."""
        value = self.get(name)
        return Fields(value if isinstance(value, dict) else None)


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """Return the name of a field without case, `_` and `-`. `activeport` means `active`."""
    canonical = name.replace("_", "").replace("-", "").lower()
    return "active" if canonical == "activeport" else canonical


def merged(old: dict[str, JSON], new: dict[str, JSON]) -> dict[str, JSON]:
    """Return the fields of both objects. Fields of `new` replace those of `old`.

    The names are compared as in `Fields`.
    """
    names = {canonical_name(name) for name in new}
    kept = {name: value for name, value in old.items() if canonical_name(name) not in names}
    return {**kept, **new}


def unwrapped_object(json: JSON, name: str, id_name: str = "id") -> Fields:
    """Return the fields of an object that may be alone in a list or inside of another object.

    The other object has no id, and has it as `name`, `data`, `item` or `result`. Raises
    OperatedResponseError if there is no such object.
    """
    if isinstance(json, list) and len(json) == 1:
        return unwrapped_object(json[0], name, id_name)
    fields = Fields(json)
    if fields.get(id_name) is None:
        for key in (name, "data", "item", "result"):
            inner = fields.get(key)
            if isinstance(inner, list) and len(inner) == 1:
                inner = inner[0]
            if isinstance(inner, dict) and (key == name or Fields(inner).get(id_name) is not None):
                return Fields(inner)
    return fields


def unwrapped_list(json: JSON, name: str) -> list[JSON]:
    """Return a list that may be inside of an object, as `name`, `data`, `items` or `results`.

    Raises OperatedResponseError if there is no list.
    """
    if isinstance(json, list):
        return json
    if isinstance(json, dict):
        for key in (name, "data", "items", "results"):
            inner = Fields(json).get(key)
            if isinstance(inner, list):
                return inner
            if isinstance(inner, dict) and key == "data":
                return unwrapped_list(inner, name)
    raise OperatedResponseError(f"expected a list, got {shape(json)}")


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
    """Return the readable texts of a list or of a single value. An object is read as its id."""
    items = json if isinstance(json, list) else [json]
    values = (Fields(item).get("id") if isinstance(item, dict) else item for item in items)
    return [read for value in values if (read := text(value)) is not None]


def boolean(json: JSON) -> bool | None:
    """Return a boolean; None if the value has no clear meaning.

    The API also uses 0 and 1. A word such as `online` or `false` is read as well, and an object
    with exactly one such value, for example `{"status": "online"}`.
    """
    if isinstance(json, bool):
        return json
    if isinstance(json, int | float):
        return bool(json) if json in (0, 1) else None
    if isinstance(json, str):
        return _WORDS.get(json.strip().lower())
    if isinstance(json, dict):
        values = {boolean(Fields(json).get(name)) for name in _STATUS_NAMES} - {None}
        return values.pop() if len(values) == 1 else None
    return None


def port_number(json: JSON) -> int | None:
    """Return a port number from 0 (no port) to MAX_PORTS; None for any other value.

    An empty string and false mean no port.
    """
    if json is False or json == "":
        return 0
    if isinstance(json, str) and json.strip().isdecimal() and len(json) <= _MAX_DIGITS:
        json = int(json)
    if isinstance(json, bool) or not isinstance(json, int | float) or json not in _PORT_NUMBERS:
        return None
    return int(json)


def port_flags(json: JSON) -> list[bool | None] | None:
    """Return one boolean for each port, None for one without a clear meaning.

    `json` is a list in the order of the ports, or an object with the numbers of the ports as keys.
    The result is None if it is another value or if its ports are not numbered from 1.
    """
    if isinstance(json, dict):
        by_number = {_number_of_port(name): value for name, value in json.items()}
    elif isinstance(json, list):
        by_number = {
            _listed_number(item, position): item for position, item in enumerate(json, start=1)
        }
        # A list of numbers above 1 is a list of ports.
        if any(isinstance(item, int | float) and item not in (0, 1) for item in json):
            return None
    else:
        return None
    numbers = range(1, len(json) + 1)
    if len(numbers) > MAX_PORTS or by_number.keys() != set(numbers):
        return None
    flags = [boolean(by_number[number]) for number in numbers]
    # Something else than flags, unless at least one can be read.
    readable = not flags or any(by_number[n] is None or flags[n - 1] is not None for n in numbers)
    return flags if readable else None


def _number_of_port(name: str) -> int | None:
    match = _PORT_NAME.fullmatch(name)
    return int(match[1]) if match else None


def _listed_number(item: JSON, position: int) -> int | None:
    """Return the number that an object names for its port; the position if it names none."""
    number = Fields(item).get("port", "number", "index") if isinstance(item, dict) else None
    return position if number is None else port_number(number)


def seconds_from_now(value: object) -> float | None:
    """Return a duration in seconds, from a number, a numeric string, or a date.

    A date is ISO 8601 or an internet date (RFC 5322). Without a time zone, it is UTC. The result
    is negative for a date in the past, and None for any other value.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
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
