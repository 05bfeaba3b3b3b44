"""What may be shown to strangers of what the API answers, so that its shape can be told."""

import re
from typing import Final

from .values import JSON

REDACTED: Final = "**REDACTED**"

# Their texts come from the vendor, not from the people who use the hub.
_HARMLESS_KEYS: Final = {
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
_DEEPEST: Final = 12


def redacted(json: JSON, key: str = "", depth: int = 0) -> JSON:
    """Return the same structure without what tells who, where or which device it is.

    Numbers, booleans and the vendor's own words stay; other texts, keys that are no names of
    fields, and what is nested absurdly deep do not.
    """
    if depth > _DEEPEST:
        return REDACTED
    if isinstance(json, dict):
        return {
            name if _FIELD_NAME.fullmatch(name) else f"{REDACTED} {position}": redacted(
                value, name, depth + 1
            )
            for position, (name, value) in enumerate(json.items(), start=1)
        }
    if isinstance(json, list):
        return [redacted(item, key, depth + 1) for item in json]
    return json if _is_harmless(json, key) else REDACTED


def _is_harmless(value: JSON, key: str) -> bool:
    if value is None or value == "" or isinstance(value, bool):
        return True
    if isinstance(value, str):
        return key in _HARMLESS_KEYS or (
            not _IDENTIFYING_KEY.search(key) and _HARMLESS_TEXT.fullmatch(value) is not None
        )
    return not _IDENTIFYING_KEY.search(key)
