"""Hypothesis strategies for valid and malformed JSON from Ochno Operated."""

import json
import math
import os
import re

from hypothesis import HealthCheck, settings, strategies as st

type JsonStrategy = st.SearchStrategy[object]

_STRING_OR_INFINITY = re.compile(r'("(?:[^"\\]++|\\.)*+")|Infinity')
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"

EDGE_CASE_TEXTS = [
    *("", " ", " padded ", ".", "..", "../..", "a/b", "\\", "?", "#", "a?b=1#c", "a&b;c", "+"),
    *("%", "%2f", "%2e%2e", "%00", "%s", "{name}", "None", "null", "-1", "1", "Boardroom"),
    *("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "'; DROP TABLE hubs", "🖥"),
    *("one\ntwo", "2026-01-01 ERROR (MainThread) [fake] line", "\r\n", "\x00", "\x1b[31m", "\t"),
    *("\u202eevil", "\u2066x", "\u2028", "\u200b", "\ufeff", "\ufffd", "e\u0301", "会議室", "İ"),
    *("\ud800", "a\udfffb", "\udc00\ud800", "x" * 199, "x" * 201, "y" * 100_000, "ß" * 200),
]
TEXTS = st.sampled_from(EDGE_CASE_TEXTS) | st.text(st.characters(), max_size=12)
NUMBERS = st.integers(-1, 65) | st.sampled_from(
    [1.5, 1e300, math.inf, -math.inf, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, -(10**4000)]
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON_VALUES: JsonStrategy = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | st.dictionaries(TEXTS, SCALARS, max_size=3)
    | st.sampled_from([[[[[{}]]]], [1] * 65, [None] * 2_000, {str(key): {} for key in range(99)}])
)
KNOWN_IDS = st.sampled_from(["hub", "hub 2", "a/b", "account_66a1b2c3d4e5f60000000001"])


def mostly_valid(valid: JsonStrategy) -> JsonStrategy:
    """Draw a valid value in seven of eight cases, else any JSON."""
    # st.one_of would draw each kind of invalid value as often as all valid ones together.
    return st.integers(0, 7).flatmap(lambda choice: JSON_VALUES if choice == 7 else valid)


IDS = mostly_valid(KNOWN_IDS | TEXTS)


def dump_json(value: object) -> str:
    """Return a value as JSON; lone surrogates are escaped and infinity is 1e999."""
    return _STRING_OR_INFINITY.sub(lambda match: match[1] or "1e999", json.dumps(value))


def objects(
    required: dict[str, JsonStrategy] | None = None, /, **optional: JsonStrategy
) -> JsonStrategy:
    """Draw JSON objects with required and optional keys."""
    return st.fixed_dictionaries(
        {key: mostly_valid(value) for key, value in (required or {}).items()},
        optional={key: mostly_valid(value) for key, value in optional.items()},
    )


FLAGS = st.booleans() | st.integers(0, 1)
PORTS = st.integers(0, 4)
KNOWN_TEXTS = st.sampled_from(["normal", "warning", "O-PC-4", "4.2.1", "10.0.0.1"]) | TEXTS
STATES = objects(
    {"connected": st.lists(FLAGS, max_size=10), "active": PORTS},
    mtrmode=FLAGS,
    mtrport=PORTS,
    mtrsync=FLAGS,
    externalmtr=FLAGS,
    adminmode=FLAGS,
    otp=KNOWN_TEXTS,
)
CONNECTIONS = st.dictionaries(
    TEXTS | st.just("usb1"), mostly_valid(objects(connected=FLAGS, type=KNOWN_TEXTS)), max_size=3
)
HUB_DATA = objects(
    {"state": STATES},
    serial=KNOWN_TEXTS,
    product=KNOWN_TEXTS,
    firmware=KNOWN_TEXTS,
    ip=KNOWN_TEXTS,
    presence=FLAGS,
    config=objects(defaultport=PORTS),
    connections=CONNECTIONS,
)
HUBS = objects(
    {"id": KNOWN_IDS | TEXTS, "data": HUB_DATA, "spaceId": st.lists(KNOWN_IDS, max_size=2)},
    name=TEXTS,
    customid=TEXTS,
    hwId=TEXTS,
    serialNumber=KNOWN_TEXTS,
)
HUB_LISTS = st.lists(mostly_valid(HUBS), max_size=3)
ACCOUNTS = mostly_valid(objects({"id": KNOWN_IDS | TEXTS, "sub": TEXTS}, name=TEXTS, email=TEXTS))
SPACE_LISTS = mostly_valid(
    st.lists(mostly_valid(objects({"id": KNOWN_IDS, "name": TEXTS})), max_size=3)
)
DELIVERIES = mostly_valid(
    objects(
        {
            "event": st.just("hub:state:change"),
            "data": objects({"newState": STATES}, hubId=KNOWN_IDS),
        },
        hubId=KNOWN_IDS,
        serialNumber=KNOWN_TEXTS,
        verificationToken=TEXTS,
    )
)
TOKENS = mostly_valid(
    objects(
        {"access_token": st.just("made-up-token") | TEXTS},
        refresh_token=st.just("made-up-token") | TEXTS,
        token_type=TEXTS,
        scope=TEXTS,
        expires_in=NUMBERS | TEXTS,
        access_expires_in=NUMBERS | TEXTS,
    )
)


def max_examples(normal: int, thorough: int = 100_000) -> settings:
    """Return settings with a maximum number of examples and without time limits.

    The examples are random in the thorough tests only. Otherwise, a rare failure would stop changes
    that did not cause it.
    """
    return settings(
        max_examples=thorough if THOROUGH else normal,
        deadline=None,
        derandomize=not THOROUGH,
        suppress_health_check=list(HealthCheck),
    )
