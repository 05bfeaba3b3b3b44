"""What a broken or malicious cloud might send: JSON of known and unknown shapes, to draw from."""

import json
import math
import os
import re
from typing import Any

from hypothesis import HealthCheck, settings, strategies as st

type Values = st.SearchStrategy[Any]

_TEXT_OR_INFINITY = re.compile(r'("(?:[^"\\]++|\\.)*+")|Infinity')
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"

ODD_TEXTS = [
    *("", " ", " padded ", ".", "..", "../..", "a/b", "\\", "?", "#", "a?b=1#c", "a&b;c", "+"),
    *("%", "%2f", "%2e%2e", "%00", "%s", "{name}", "None", "null", "-1", "1", "Boardroom"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'; DROP TABLE hubs", "🖥"),
    *("one\ntwo", "2026-01-01 ERROR (MainThread) [fake] line", "\r\n", "\x00", "\x1b[31m", "\t"),
    *("\u202eevil", "\u2066x", "\u2028", "\u200b", "\ufeff", "\ufffd", "e\u0301", "会議室", "İ"),
    *("\ud800", "a\udfffb", "\udc00\ud800", "x" * 199, "x" * 201, "y" * 100_000, "ß" * 200),
]
TEXTS = st.sampled_from(ODD_TEXTS) | st.text(st.characters(), max_size=12)
NUMBERS = st.integers(-1, 65) | st.sampled_from(
    [1.5, 1e300, math.inf, -math.inf, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, -(10**4000)]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES: Values = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(TEXTS, SCALARS, max_size=3)
    | st.sampled_from([[[[[{}]]]], [1] * 65, [None] * 2_000, {str(key): {} for key in range(99)}])
)
KNOWN_IDS = st.sampled_from(["hub", "hub 2", "a/b", "account_66a1b2c3d4e5f60000000001"])


def mostly(sensible: Values) -> Values:
    """Draw something sensible seven times of eight."""
    # Not one_of, which would give each kind of nonsense the same weight as all that is sensible.
    return st.integers(0, 7).flatmap(lambda choice: VALUES if choice == 7 else sensible)


IDS = mostly(KNOWN_IDS | TEXTS)


def dumps(value: Any) -> str:
    """Write JSON, with lone surrogates escaped and infinite numbers as 1e999."""
    return _TEXT_OR_INFINITY.sub(lambda match: match[1] or "1e999", json.dumps(value))


def some(always: dict[str, Values] | None = None, /, **sometimes: Values) -> Values:
    """Draw objects with these keys."""
    return st.fixed_dictionaries(
        {key: mostly(value) for key, value in (always or {}).items()},
        optional={key: mostly(value) for key, value in sometimes.items()},
    )


FLAGS = st.booleans() | st.integers(0, 1)
PORTS = st.integers(0, 4)
WORDS = st.sampled_from(["normal", "warning", "O-PC-4", "4.2.1", "10.0.0.1"]) | TEXTS
STATES = some(
    {"connected": st.lists(FLAGS, max_size=10), "active": PORTS},
    mtrmode=FLAGS,
    mtrport=PORTS,
    mtrsync=FLAGS,
    externalmtr=FLAGS,
    adminmode=FLAGS,
    otp=WORDS,
)
CONNECTIONS = st.dictionaries(
    TEXTS | st.just("usb1"), mostly(some(connected=FLAGS, type=WORDS)), max_size=3
)
DATA = some(
    {"state": STATES},
    serial=WORDS,
    product=WORDS,
    firmware=WORDS,
    ip=WORDS,
    presence=FLAGS,
    config=some(defaultport=PORTS),
    connections=CONNECTIONS,
)
HUBS = some(
    {"id": KNOWN_IDS | TEXTS, "data": DATA, "spaceId": st.lists(KNOWN_IDS, max_size=2)},
    name=TEXTS,
    customid=TEXTS,
    hwId=TEXTS,
    serialNumber=WORDS,
)
HUB_LISTS = st.lists(mostly(HUBS), max_size=3)
PEOPLE = mostly(some({"id": KNOWN_IDS | TEXTS, "sub": TEXTS}, name=TEXTS, email=TEXTS))
SPACE_LISTS = mostly(st.lists(mostly(some({"id": KNOWN_IDS, "name": TEXTS})), max_size=3))
DELIVERIES = mostly(
    some(
        {"event": st.just("hub:state:change"), "data": some({"newState": STATES}, hubId=KNOWN_IDS)},
        hubId=KNOWN_IDS,
        serialNumber=WORDS,
        verificationToken=TEXTS,
    )
)
TOKENS = mostly(
    some(
        {"access_token": st.just("made-up-token") | TEXTS},
        refresh_token=st.just("made-up-token") | TEXTS,
        token_type=TEXTS,
        scope=TEXTS,
        expires_in=NUMBERS | TEXTS,
        access_expires_in=NUMBERS | TEXTS,
    )
)


def examples(normal: int, thorough: int = 100_000) -> settings:
    """Try so many examples, however slow they are on the machine."""
    return settings(
        max_examples=thorough if THOROUGH else normal,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
