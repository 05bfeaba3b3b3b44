"""Redaction of API responses for diagnostics."""

import re
from typing import Final

from .types import JSON

REDACTED: Final = "**REDACTED**"

# Keys whose strings come from the vendor and not from the customer.
_VENDOR_KEYS: Final = {
    "direction",
    "error",
    "event",
    "firmware",
    "hardwareversion",
    "otp",
    "product",
    "type",
    "unit",
}
_HARMLESS_TEXT: Final = re.compile(
    # a number, perhaps with its unit
    r"[-+]?\d{1,4}([.,]\d{1,3})?\s?[%°a-zA-Z]{0,3}"
    r"|true|false|on|off|yes|no|in|out|none|null|unknown|normal|low|high|critical|idle|charging|full"
)
_IDENTIFYING_KEY: Final = re.compile(
    r"(id|ids|name|number|serial|mac|ip|address|email|phone|token|secret|key|code)$", re.IGNORECASE
)
_FIELD_NAME: Final = re.compile(r"[A-Za-z_]{1,40}\d{0,3}")
_MAX_DEPTH: Final = 12


def redact(json: JSON, key: str = "", depth: int = 0) -> JSON:
    """Return JSON of the same structure without values that identify a person, room or device.

    Booleans, and numbers and words from the vendor's vocabulary such as `charging`, are kept,
    unless their key is an identifying one. Other strings, keys that are not field names, and
    levels deeper than `_MAX_DEPTH` are replaced. `key` and `depth` are for the recursion.
    """
    if depth > _MAX_DEPTH:
        return REDACTED
    if isinstance(json, dict):
        return {
            name if _FIELD_NAME.fullmatch(name) else f"{REDACTED} {position}": redact(
                value, name, depth + 1
            )
            for position, (name, value) in enumerate(json.items(), start=1)
        }
    if isinstance(json, list):
        return [redact(item, key, depth + 1) for item in json]
    return json if _is_harmless(json, key) else REDACTED


def _is_harmless(value: JSON, key: str) -> bool:
    if value is None or value == "" or isinstance(value, bool):
        return True
    if isinstance(value, str):
        return key in _VENDOR_KEYS or (
            not _IDENTIFYING_KEY.search(key) and _HARMLESS_TEXT.fullmatch(value) is not None
        )
    return not _IDENTIFYING_KEY.search(key)


def shape(json: JSON) -> str:
    """Return one line that describes JSON without identifying values."""
    return str(redact(json))[:1000]
