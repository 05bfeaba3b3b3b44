"""Redaction of API responses for diagnostics and logs.

A value is harmless if it looks like a value of the vendor (a boolean, a small number, a lower-case
word such as `charging`, a time) and if no key names a person, place, device or credential. All
other strings and numbers are hidden. What is left shows the structure and the vendor's words.
"""

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
import json as stdlib_json
import re
from typing import Final, NamedTuple

from .types import JSON

REDACTED: Final = "**REDACTED**"

_MAX_DEPTH: Final = 12
_MAX_ITEMS: Final = 20
_MAX_KEYS: Final = 100
# Limit for all values of a document together. A hub has about 60.
_MAX_VALUES: Final = 10_000
# Longer keys and strings are hidden, so they are not searched either.
_MAX_TEXT_LENGTH: Final = 40
_MAX_SHAPE_LENGTH: Final = 1_000
_MAX_SHAPE_VALUES: Final = 1_000
# Limit for the different items of a list.
_MAX_SHAPE_ITEMS: Final = 5

# Keys with these words hide all strings and numbers below them.
_PRIVATE_WORDS: Final = (
    # people; also `by`, as in `createdBy` and `createdby`, but not in `standby`
    *("attendee", "author", "birth", "born", "booking", "calendar", "contact", "creator"),
    *("customer", "dob", "edby", "email", "fax", "gender", "guest", "login", "mail", "meeting"),
    *("member", "mobile", "nick", "organiser", "organizer", "owner", "people", "person"),
    *("phone", "sub", "tel", "user", r"\bby"),
    # places
    *("address", "altitude", "city", "coordinate", "country", "geo", "lat", "latitude", "lng"),
    *("location", "lon", "longitude", "place", "postal", "postcode", "province", "region"),
    *("street", "town", "zip"),
    # names, free text and identifiers
    *("alias", "caption", "comment", "description", "id", "identifier", "imei", "imsi"),
    *("label", "name", "note", "number", "remark", "serial", "subject", "tag", "title"),
    # networks
    *("dns", "domain", "gateway", "href", "ip", "mac", "subnet", "uri", "url"),
    # credentials
    *("code", "cookie", "credential", "hash", "key", "nonce", "pass", "passphrase", "password"),
    *("passwd", "pin", "psk", "pwd", "secret", "signature", "token"),
)
# A string or number under a key with one of these words is a name or an id. An object under it is
# read by its own keys.
_OBJECT_WORDS: Final = (
    *("account", "area", "building", "campus", "client", "company", "computer", "department"),
    *("device", "floor", "group", "host", "hub", "laptop", "network", "org", "organisation"),
    *("organization", "room", "site", "space", "team", "tenant", "wifi", "wlan", "zone"),
)


def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern for words that end with one of `words`, or start with a longer one.

    The vendor writes words without a separator: `customid`, `defaultport`.
    """
    # This is only called while the module is imported. mutmut selects the mutants later.
    long_words = "|".join(word for word in words if len(word) > 4)  # pragma: no mutate
    return re.compile(f"(?:{long_words})|.*(?:{'|'.join(words)})s?$")  # pragma: no mutate


_PRIVATE: Final = _pattern(_PRIVATE_WORDS)
_OBJECT: Final = _pattern(_OBJECT_WORDS)
# Ends of keys whose values come from the vendor, for example `deviceType`. The values can also be
# product codes, versions and events.
_VENDOR_KEY: Final = re.compile(
    r".*(direction|error|errorcode|event|firmware|mode|otp|product|state|status|statuscode|type"
    r"|version)"
)
_KEY_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_NOT_HEXADECIMAL: Final = r"(?![0-9a-f_-]{6,}$)"
_FIELD_NAME: Final = re.compile(
    rf"{_NOT_HEXADECIMAL}_*[a-z][A-Za-z_-]*\d{{0,3}}[A-Za-z_-]*|\d{{1,2}}", re.ASCII
)
_UNITS: Final = (
    r"%|percent|°|degrees|°?[CFK]|[km]?(W|Wh|V|VA|A|Ah|Hz)|watts?|volts?|amps?|[MG]Hz|[kMG]?B"
    r"|[kMG](bit/s|bps)|m?s|min|h|[dk]Bm?"
)
_HARMLESS_TEXT: Final = re.compile(
    # words: online, over-temperature, firstDevice, usb3
    rf"{_NOT_HEXADECIMAL}(?=.{{1,24}}$)[a-z]+([_-][a-z]+|[A-Z][a-z]+){{0,2}}\d?"
    r"|(?i:true|false|on|off|ok|yes|no|normal|online|offline|(dis)?connected|enabled|disabled)"
    # a number, perhaps with its unit. Coordinates have more decimals.
    rf"|[-+]?\d{{1,4}}([.,]\d{{1,2}})?(\ ?({_UNITS}))?"
    # a time. A date alone can be a birthday.
    r"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.]\d{1,9})?)?(Z|[-+]\d\d:?\d\d)?",
    re.ASCII,
)
_VENDOR_TEXT: Final = re.compile(
    # a product code or an abbreviation: O-PC-4-NODE, USB-C, HDMI
    r"[A-Z]{1,4}(-[A-Z]{1,4}|-\d{1,2}){0,3}\d?"
    # a version. Four numbers can be an IP address.
    r"|v?\d{1,3}([.]\d{1,3}){1,2}(-[a-z]{1,5}\d?)?"
    # an event: hub:state:change
    r"|[a-z]{1,20}\d?(:[a-z]{1,20}\d?){1,3}",
    re.ASCII,
)
_MAX_NUMBER: Final = 10**6


class _Key(NamedTuple):
    """What a key says about its value.

    `private`: all strings and numbers below it are hidden. `identifying`: a string or number, or
    one in a list, is hidden. `of_vendor`: the value can be a product code, a version or an event.
    """

    is_field_name: bool = False
    of_vendor: bool = False
    private: bool = False
    identifying: bool = False


_NO_KEY: Final = _Key()


class _Placeholder(str):
    """Text in place of values, which is shown without quotation marks."""

    __slots__ = ()


def redact(json: JSON) -> JSON:
    """Return JSON of the same structure without values that identify a person, room or device.

    Other values are replaced by REDACTED. A key that is not a field name, such as a name or a MAC
    address, is replaced by REDACTED and its position. At most 12 levels, 20 items of a list, 100
    keys of an object, 40 characters of a string and 10,000 values are kept. A last item `… 5 more`
    or a last key `…` has the number of items or keys that were left out.
    """
    return _Redaction(lambda _: REDACTED, _MAX_VALUES).reduce(json)


def shape(json: JSON) -> str:
    """Describe JSON in one line of at most 1,000 characters: keys, types, and harmless values.

    For example `{items: [2 x {_id: string(24), name: string(9), presence: "online"}]}`. Keys and
    values are hidden as by `redact`. Equal items of a list are grouped. A longer line ends with
    `…`. Only the first values of a large document are read.
    """
    line = _description(_Redaction(_kind, _MAX_SHAPE_VALUES).reduce(json))
    return line if len(line) <= _MAX_SHAPE_LENGTH else f"{line[: _MAX_SHAPE_LENGTH - 1]}…"


class _Redaction:
    """Redaction of one document. `hide` returns the text that replaces a value."""

    def __init__(self, hide: Callable[[JSON], str], max_values: int) -> None:
        self._hide = hide
        self._values_left = max_values

    def reduce(self, json: JSON, key: _Key = _NO_KEY, depth: int = 0) -> JSON:
        """Return the redacted JSON of a value that `key` applies to."""
        self._values_left -= 1
        if depth > _MAX_DEPTH or self._values_left < 0:
            return self._hide(json)
        if json is None or json == "" or isinstance(json, bool):
            return json
        if isinstance(json, list):
            items = [self.reduce(item, key, depth + 1) for item in json[:_MAX_ITEMS]]
            if (left_out := len(json) - _MAX_ITEMS) > 0:
                items.append(_Placeholder(f"… {left_out} more"))
            return items
        if isinstance(json, dict):
            members: dict[str, JSON] = {}
            for position, (name, value) in enumerate(islice(json.items(), _MAX_KEYS), start=1):
                member_key = _read_key(name[: _MAX_TEXT_LENGTH + 1])
                shown = name if member_key.is_field_name else f"{REDACTED} {position}"
                members[shown] = self.reduce(value, key if key.private else member_key, depth + 1)
            if (left_out := len(json) - _MAX_KEYS) > 0:
                members["…"] = _Placeholder(f"{left_out} more")
            return members
        return json if _is_harmless(json, key) else self._hide(json)


@lru_cache(maxsize=1_000)
def _read_key(name: str) -> _Key:
    is_field_name = len(name) <= _MAX_TEXT_LENGTH and _FIELD_NAME.fullmatch(name) is not None
    words = [word.lower() for word in _KEY_WORD.findall(name)]
    of_vendor = _VENDOR_KEY.fullmatch("".join(words)) is not None
    private = not of_vendor and any(map(_PRIVATE.match, words))
    names_object = not of_vendor and any(map(_OBJECT.match, words))
    return _Key(
        is_field_name=is_field_name,
        of_vendor=of_vendor,
        private=private,
        identifying=private or names_object or not is_field_name,
    )


def _is_harmless(value: str | float, key: _Key) -> bool:
    if key.identifying:
        return False
    if not isinstance(value, str):
        # Coordinates have more decimals. Phone numbers, ids and times have more digits.
        return abs(value) < _MAX_NUMBER and round(value, 2) == value
    return len(value) <= _MAX_TEXT_LENGTH and (
        _HARMLESS_TEXT.fullmatch(value) is not None
        or (key.of_vendor and _VENDOR_TEXT.fullmatch(value) is not None)
    )


def _kind(json: JSON) -> str:
    match json:
        case None:
            return _Placeholder("null")
        case bool():
            return _Placeholder("boolean")
        case str():
            return _Placeholder(f"string({len(json)})")
        case list():
            return _Placeholder(f"list({len(json)})")
        case dict():
            return _Placeholder(f"object({len(json)})")
        case _:
            return _Placeholder("number")


def _description(json: JSON) -> str:
    """Return redacted JSON as text. Equal items of a list are grouped."""
    match json:
        case _Placeholder():
            return json
        case dict():
            members = (f"{key}: {_description(value)}" for key, value in json.items())
            return f"{{{', '.join(members)}}}"
        case list():
            counts = Counter(_description(item) for item in json)
            items = [text if count == 1 else f"{count} x {text}" for text, count in counts.items()]
            if len(items) > _MAX_SHAPE_ITEMS:
                items[_MAX_SHAPE_ITEMS - 1 :] = ["…"]
            return f"[{', '.join(items)}]"
        case _:
            return stdlib_json.dumps(json, ensure_ascii=False)
