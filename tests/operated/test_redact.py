"""Tests of the redaction of API responses and of their description in one line."""

from collections.abc import Callable
import json
from typing import Any

from hypothesis import given, strategies as st
import pytest

from custom_components.ochno.operated.redact import REDACTED, redact, shape
from custom_components.ochno.operated.types import JSON

from ..strategies import EDGE_CASE_TEXTS, JSON_VALUES, max_examples

HARMLESS: list[tuple[str, JSON]] = [
    ("presence", True),
    ("presence", "online"),
    ("presence", "Offline"),
    ("state", "ON"),
    ("valid", False),
    ("name", None),
    ("name", ""),
    ("roomName", True),
    ("otp", "normal"),
    ("otp", "over-temperature"),
    ("mtrextension", "disable"),
    ("autoswitchconnect", "first"),
    ("autoswitchconnect", "everydevice"),
    ("autoswitchdisconnect", "last_device"),
    ("autoswitchdisconnect", "firstDevice"),
    ("defaultport", "2"),
    ("active", ""),
    ("active", 4),
    ("adminmode", 0),
    ("externalmtr", 1),
    ("mtrport", "port2"),
    ("hdmiceccontrol", "true"),
    ("inactivedisabled", [0, 0, 1, 0]),
    ("connected", [0, 1, True, "false"]),
    ("charging", "charging"),
    ("charging_state", "not-charging"),
    ("temp", 45.5),
    ("temp", -12.25),
    ("temp", "45.5"),
    ("temp", "45,2 C"),
    ("temp", "42 °C"),
    ("temperature", "21.5°C"),
    ("unit", "degrees"),
    ("unit", "celsius"),
    ("level", "85%"),
    ("level", "85 percent"),
    ("power", "60 W"),
    ("power", "60 watts"),
    ("voltage", "19.98V"),
    ("current", "-3 mA"),
    ("energy", "+1234.5 kWh"),
    ("speed", "10 Gbps"),
    ("uptime", 360_000),
    ("type", "usb"),
    ("type", "usb3"),
    ("type", "USB-C"),
    ("type", "HDMI"),
    ("deviceType", "laptop"),
    ("deviceState", "connected"),
    ("room_status", "idle"),
    ("wifimode", "auto"),
    ("direction", "upstream"),
    ("product", "O-PC-4"),
    ("product", "O-PC-4-NODE"),
    ("firmware", "1.2.3"),
    ("firmware", "4.2"),
    ("firmware", "v12.0.1-rc2"),
    ("firmwareVersion", "1.2.3"),
    ("hardwareversion", "1.2"),
    ("hardwareversion", "B"),
    ("event", "hub:state:change"),
    ("event", "hub:charging"),
    ("event", "hub:usb1:change"),
    ("event", "ping"),
    ("error", "invalid_token"),
    ("errorCode", "not_found"),
    ("error_code", 1004),
    ("statusCode", 404),
    ("updatedAt", "2026-03-01T12:34:56.789Z"),
    ("last-seen", "2026-03-01 12:34:56+01:00"),
    ("1", "online"),
    ("hostmode", "usb"),
    ("plan", "basic"),
    ("standby", "auto"),
    ("value", 999_999),
    ("value", 0.01),
    ("value", "z" * 24),
    ("value", "decaf"),
    ("hostlevel", "high"),
]

IDENTIFYING: list[tuple[str, JSON]] = [
    # Words, numbers and times that are harmless under other keys.
    ("name", "anna"),
    ("name", "idle"),
    ("names", ["anna", "on"]),
    ("roomName", "boardroom"),
    ("room_name", "boardroom"),
    ("room-name", "boardroom"),
    ("roomname", "boardroom"),
    ("displayName", "boardroom"),
    ("user", "anna"),
    ("username", "anna"),
    ("ownerinfo", "anna"),
    ("sub", "anna"),
    ("owner", "anna"),
    ("ownerEmail", "anna"),
    ("createdByUser", "2026-03-01T12:34:56Z"),
    ("birthday", "2001-02-03"),
    ("birthday", "2001-02-03T00:00:00Z"),
    ("createdBy", "anna"),
    ("created_by", "anna"),
    ("createdby", "anna"),
    ("room", "focus"),
    ("rooms", ["focus"]),
    ("space", "focus"),
    ("hub", "focus"),
    ("device", "annas-laptop"),
    ("connectedDevices", ["laptop"]),
    ("label", "reception"),
    ("title", "reception"),
    ("description", "reception"),
    ("note", "reception"),
    ("tags", ["reception"]),
    ("location", "stockholm"),
    ("city", "stockholm"),
    ("country", "se"),
    ("address", "storgatan"),
    ("addressline1", "storgatan"),
    ("macAddresses", ["a"]),
    ("street", "storgatan"),
    ("zip", "1234"),
    ("postalCode", 12345),
    ("organisation", "acme"),
    ("ssid", "guest"),
    ("wifi", "guest"),
    ("network", "guest"),
    ("hostname", "fileserver"),
    ("host", "fileserver"),
    ("url", "intranet"),
    ("mac", "on"),
    ("MACAddress", "on"),
    ("imei", 1234),
    ("uuid", 1234),
    ("id", 7),
    ("ids", ["on", 3]),
    ("hwId", "on"),
    ("spaceId", [7]),
    ("customid", "lobby"),
    ("serial", "7"),
    ("serialNumber", 7),
    ("pin", 4711),
    ("pin", "4711"),
    ("code", 4711),
    ("phone", "112"),
    ("mobilePhone", 112),
    ("extensionNumber", "12"),
    ("lat", 59),
    ("lon", 18.1),
    ("longitude", 18),
    ("password", "sesame"),
    ("verificationToken", "sesame"),
    ("client_secret", "sesame"),
    ("apiKey", "sesame"),
    # Values that identify something under any key, also under a key of the vendor.
    ("type", "Dr. Anna Svensson's office"),
    ("type", "Anna"),
    ("type", "anna svensson"),
    ("direction", "Boardroom"),
    ("product", "O474C90FA5EDC1"),
    ("product", "ABC-12345"),
    ("product", "A-B-C-D-E"),
    ("firmware", "192.168.1.20"),
    ("firmware", "4.2.1 for Anna"),
    ("hardwareversion", "550e8400-e29b-41d4-a716-446655440000"),
    ("event", "Anna said: hello"),
    ("event", "anna@example.com"),
    ("event", "aa:bb:cc:dd:ee:ff"),
    ("event", "hub:State Change"),
    ("event", "hub:a:b:c:d"),
    ("event", ":".join(["aneventname"] * 4)),
    ("error", "Access denied for Anna"),
    ("errorCode", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w"),
    ("otp", "482913"),
    ("unit", "anna@example.com"),
    ("deviceType", "Anna's laptop"),
    ("userStatus", "anna berg"),
    ("value", "Anna"),
    ("value", "åsa"),
    ("value", "会議室"),
    ("value", "anna berg"),
    ("value", "one_two_three_four"),
    ("value", "z" * 25),
    ("value", "facade"),
    ("value", "anna1985"),
    ("value", "5 Eva"),
    ("value", "x5%"),
    ("value", "+46 70 123 45 67"),
    ("value", "0701234567"),
    ("value", "12345"),
    ("value", 1_000_000),
    ("value", 0.001),
    ("value", -1_000_000),
    ("value", 10**5000),
    ("value", 1e300),
    ("value", float("inf")),
    ("value", float("nan")),
    ("value", 59.3293),
    ("value", [18.0686, 59.3293]),
    ("value", "59.3293"),
    ("value", "59.3293,18.0686"),
    ("value", "2001-02-03"),
    ("value", "10.0.0.1"),
    ("value", "1.2.3"),
    ("value", "fe80::1"),
    ("value", "2001:db8::8a2e:370:7334"),
    ("value", "00:1b:44:11:3a:b7"),
    ("value", "aa-bb-cc-dd-ee-ff"),
    ("value", "aabb.ccdd.eeff"),
    ("value", "aabbccddeeff"),
    ("value", "deadbeef"),
    ("value", "66a1b2c3d4e5f60000000001"),
    ("value", "cafe-babe"),
    ("value", "https://example.com/room"),
    ("value", "example.com"),
    ("value", "online\n"),
    ("value", "٤٢"),
    ("value", " "),
]

NO_FIELD_NAMES = [
    *("Anna", "ANNA", "Anna Svensson", "anna svensson", "Boardroom", "anna's laptop", "åsa"),
    *("anna@example.com", "anna.svensson", "00:1b:44:11:3a:b7", "aa-bb-cc-dd-ee-ff"),
    *("001b44113ab7", "aabbccddeeff", "66a1b2c3d4e5f60000000001", "10.0.0.1", "fe80::1"),
    *("550e8400-e29b-41d4-a716-446655440000", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
    *("+46701234567", "0701234567", "123", "", " ", "data\n", "z" * 41, "x1y2z3", "O474C90FA5EDC1"),
    *(f"{REDACTED} 2", "٤"),
]


PRIVATE_KEYS = [
    *("attendee", "author", "birth", "born", "booking", "calendar", "contact", "creator"),
    *("customer", "dob", "usedBy", "usedby", "email", "fax", "gender", "guest", "login"),
    *("mail", "meeting", "member", "mobile", "nick", "organiser", "organizer", "owner"),
    *("people", "person", "phone", "sub", "tel", "user", "address", "altitude", "city"),
    *("coordinate", "country", "geo", "lat", "latitude", "lng", "location", "lon", "longitude"),
    *("place", "postal", "postcode", "province", "region", "street", "town", "zip", "alias"),
    *("caption", "comment", "description", "id", "identifier", "imei", "imsi", "label", "name"),
    *("note", "number", "remark", "serial", "subject", "tag", "title", "dns", "domain"),
    *("gateway", "href", "ip", "mac", "subnet", "uri", "url", "code", "cookie", "credential"),
    *("hash", "key", "nonce", "pass", "passphrase", "password", "passwd", "pin", "psk", "pwd"),
    *("secret", "signature", "token"),
]
OBJECT_KEYS = [
    *("account", "area", "building", "campus", "client", "company", "computer", "department"),
    *("device", "floor", "group", "host", "hub", "laptop", "network", "org", "organisation"),
    *("organization", "room", "site", "space", "team", "tenant", "wifi", "wlan", "zone"),
]
UNITS = [
    *("%", "percent", "°", "degrees", "C", "°C", "F", "°F", "K", "W", "kW", "mW", "Wh", "kWh"),
    *("V", "mV", "VA", "A", "mA", "Ah", "mAh", "Hz", "kHz", "watt", "watts", "volt", "volts"),
    *("amp", "amps", "MHz", "GHz", "B", "kB", "MB", "GB", "kbit/s", "Mbit/s", "Gbit/s", "kbps"),
    *("Mbps", "Gbps", "s", "ms", "min", "h", "dB", "dBm"),
]
STATES = [
    *("true", "false", "on", "off", "ok", "yes", "no", "normal", "online", "offline"),
    *("connected", "disconnected", "enabled", "disabled"),
]


def identifier_of_case(value: object) -> str:
    """Return the id of a test case; pytest would print a long number in full."""
    return (
        ascii(value)[:40] if isinstance(value, str | float | list | None) else type(value).__name__
    )


@pytest.mark.parametrize(("key", "value"), HARMLESS, ids=identifier_of_case)
def test_redact_and_shape_keep_harmless_value(key: str, value: JSON) -> None:
    assert redact({key: value}) == {key: value}
    for scalar in value if isinstance(value, list) else [value]:
        assert json.dumps(scalar, ensure_ascii=False) in shape({key: value})


@pytest.mark.parametrize(("key", "value"), IDENTIFYING, ids=identifier_of_case)
def test_redact_and_shape_hide_identifying_value(key: str, value: JSON) -> None:
    hidden = [REDACTED] * len(value) if isinstance(value, list) else REDACTED
    assert list(_as_object(redact({key: value})).values()) == [hidden]
    for scalar in value if isinstance(value, list) else [value]:
        kind = f"string({len(scalar)})" if isinstance(scalar, str) else "number"
        assert f": {kind}}}" in shape({key: scalar})


@pytest.mark.parametrize("key", PRIVATE_KEYS)
def test_redact_hides_all_strings_and_numbers_below_private_key(key: str) -> None:
    hidden = {"a": REDACTED, "b": [REDACTED], "c": False}
    for variant in (key, f"{key}s", f"x{key}", f"x-{key}", f"{key}_x"):
        assert redact({variant: {"a": "on", "b": [1], "c": False}}) == {variant: hidden}


@pytest.mark.parametrize("key", OBJECT_KEYS)
def test_redact_hides_string_or_number_under_key_of_an_object(key: str) -> None:
    for variant in (key, f"{key}s", f"x{key}", f"x-{key}", f"{key}_x"):
        assert redact({variant: ["on", 1]}) == {variant: [REDACTED, REDACTED]}
        assert redact({variant: [{"a": "on"}]}) == {variant: [{"a": "on"}]}


@pytest.mark.parametrize(
    "key",
    [key for key in (*PRIVATE_KEYS, *OBJECT_KEYS) if len(key) > 4 and key.lower() != "usedby"],
)
def test_redact_hides_value_under_word_that_starts_with_long_identifying_word(key: str) -> None:
    assert redact({f"{key}x": "on"}) == {f"{key}x": REDACTED}


@pytest.mark.parametrize("unit", UNITS)
def test_redact_keeps_number_with_unit(unit: str) -> None:
    assert redact([f"20{unit}", f"-1.5 {unit}"]) == [f"20{unit}", f"-1.5 {unit}"]


@pytest.mark.parametrize("state", STATES)
def test_redact_keeps_state_in_any_case(state: str) -> None:
    assert redact([state, state.title(), state.upper()]) == [state, state.title(), state.upper()]


@pytest.mark.parametrize("key", NO_FIELD_NAMES, ids=ascii)
def test_redact_and_shape_replace_key_that_is_no_field_name_and_its_value(key: str) -> None:
    assert redact({"ok": True, key: "boardroom"}) == {"ok": True, f"{REDACTED} 2": REDACTED}
    assert redact({"ok": True, key: {"temp": 45}}) == {"ok": True, f"{REDACTED} 2": {"temp": 45}}
    assert shape({"ok": True, key: 7}) == f"{{ok: true, {REDACTED} 2: number}}"


@pytest.mark.parametrize(
    "key",
    ["ok", "_id", "__v", "usb1", "ipv4Address", "room-name", "z" * 40, "0", "12"],
)
def test_redact_and_shape_keep_field_name(key: str) -> None:
    assert redact({key: True}) == {key: True}
    assert shape({key: True}) == f"{{{key}: true}}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # Everything in an object about a person or a place is hidden, except what is not a value.
        (
            {"owner": {"first": "anna", "role": "admin", "ok": True, "age": 41}},
            {"owner": {"first": REDACTED, "role": REDACTED, "ok": True, "age": REDACTED}},
        ),
        ({"Owner": [{"first": "anna"}]}, {f"{REDACTED} 1": [{"first": REDACTED}]}),
        ({"location": {"a": {"b": ["lobby"]}}}, {"location": {"a": {"b": [REDACTED]}}}),
        # Objects about rooms and devices are read by their own keys.
        (
            {"rooms": [{"name": "focus", "state": "idle"}, "focus"]},
            {"rooms": [{"name": REDACTED, "state": "idle"}, REDACTED]},
        ),
        ({"devices": {"data": {"otp": "normal"}}}, {"devices": {"data": {"otp": "normal"}}}),
        ("Anna", REDACTED),
        ("online", "online"),
        ([["online", "Anna"], []], [["online", REDACTED], []]),
        ({}, {}),
    ],
)
def test_redact_reads_nested_values_by_their_keys(value: JSON, expected: JSON) -> None:
    assert redact(value) == expected


@pytest.mark.parametrize(
    "nest", [lambda value: [value], lambda value: {"a": value}], ids=["list", "object"]
)
def test_redact_replaces_values_below_maximum_depth(nest: Callable[[JSON], JSON]) -> None:
    value: JSON = 1
    for _ in range(12):
        value = nest(value)
    assert redact(value) == value
    expected = json.dumps(nest(value)).replace("1", f'"{REDACTED}"')
    assert json.dumps(redact(nest(value))) == expected
    for _ in range(900):
        value = nest(value)
    assert REDACTED in json.dumps(redact(value))


def test_redact_with_long_list_and_large_object_keeps_first_items_and_number_of_others() -> None:
    assert redact([1] * 20) == [1] * 20
    assert redact([1] * 25) == [*[1] * 20, "… 5 more"]
    keys = ["k" * length for length in range(1, 36)]
    large: dict[str, JSON] = {f"{key}{number}": 1 for key in keys for number in range(3)}
    assert len(large) == 105
    redacted = _as_object(redact(large))
    assert list(redacted)[:100] == list(large)[:100]
    assert list(redacted.items())[100:] == [("…", "5 more")]
    assert _as_object(redact(dict(list(large.items())[:101])))["…"] == "1 more"
    assert redact(dict(list(large.items())[:100])) == dict(list(large.items())[:100])


@pytest.mark.parametrize("value", ["online", True, None, "", 4])
def test_redact_of_large_document_keeps_limited_number_of_values(value: JSON) -> None:
    document: JSON = [[[value] * 20] * 20] * 20
    assert redact(document) == document
    assert _count_kept(redact([document] * 20)) == 10_000


def _count_kept(json: JSON) -> int:
    """Return the number of values that are not replaced; lists are values too."""
    children = json if isinstance(json, list) else []
    return (json != REDACTED) + sum(map(_count_kept, children))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (4, "4"),
        (4.5, "4.5"),
        (10**5000, "number"),
        ("online", '"online"'),
        ("42 °C", '"42 °C"'),
        ("Anna\nBerg", "string(9)"),
        ("", '""'),
        ([], "[]"),
        ({}, "{}"),
        (
            {
                "items": [
                    {"_id": "6" * 24, "name": name, "data": {"presence": "online"}}
                    for name in ("Boardroom", "Room four")
                ]
            },
            '{items: [2 x {_id: string(24), name: string(9), data: {presence: "online"}}]}',
        ),
        ([1, 1, 2, 1], "[3 x 1, 2]"),
        ([1, True, 1.0], "[1, true, 1.0]"),
        ([1, 2, 3, 4, 5, 5], "[1, 2, 3, 4, 2 x 5]"),
        ([1, 2, 3, 4, 5, 6], "[1, 2, 3, 4, …]"),
        ([1] * 50, "[20 x 1, … 30 more]"),
        ({"code": 7, "message": "No access"}, "{code: number, message: string(9)}"),
    ],
    ids=identifier_of_case,
)
def test_shape_has_keys_types_and_harmless_values(value: JSON, expected: str) -> None:
    assert shape(value) == expected


def test_shape_of_large_object_has_number_of_other_keys() -> None:
    assert shape({f"Anna {number}": None for number in range(1000)})[:20] == "{**REDACTED** 1: nul"
    assert shape({"a": {"z" * length: [] for length in range(1, 40)}}).endswith("…")
    assert len(shape({"a": {"z" * length: [] for length in range(1, 40)}})) == 1000


def test_shape_of_maximum_length_is_complete() -> None:
    document: dict[str, JSON] = {f"{'z' * 30}{number}": None for number in range(25)}
    rest = 1000 - len(shape(document)) - len(", : null")
    assert len(shape({**document, "z" * rest: None})) == 1000
    assert shape({**document, "z" * rest: None}).endswith(": null}")
    assert len(shape({**document, "z" * (rest + 1): None})) == 1000
    assert shape({**document, "z" * (rest + 1): None}).endswith(": nul…")


def test_shape_of_large_document_has_types_after_maximum_number_of_values() -> None:
    assert shape([[[1] * 20] * 20] * 20) == (
        "[2 x [20 x [20 x 1]], [7 x [20 x 1], [8 x 1, 12 x number], 12 x list(20)], 17 x list(20)]"
    )


def test_shape_of_deep_value_has_its_type_below_maximum_depth() -> None:
    deep: JSON = {"a": 1, "b": 2}
    for _ in range(11):
        deep = [deep]
    assert shape(deep) == "[" * 11 + "{a: 1, b: 2}" + "]" * 11
    assert shape([[deep]]) == "[" * 13 + "object(2)" + "]" * 13
    kinds: dict[JSON, str] = {None: "null", True: "boolean", 4: "number", "Anna": "string(4)"}
    for scalar, kind in kinds.items():
        value = scalar
        for _ in range(13):
            value = [value]
        assert shape(value) == "[" * 13 + kind + "]" * 13
    for _ in range(5000):
        deep = [deep]
    assert shape(deep) == "[" * 13 + "list(1)" + "]" * 13


@pytest.mark.parametrize(
    "value",
    [
        "a" * 16_000_000,
        ["Anna"] * 2_000_000,
        {f"key{number}": number for number in range(500_000)},
        [[[[{"a": "online"}] * 20] * 20] * 20] * 20,
        {"a" * 16_000_000: 1},
    ],
    ids=["string", "list", "object", "nested", "key"],
)
def test_redact_and_shape_of_large_answer_are_limited(value: JSON) -> None:
    described, redacted = shape(value), redact(value)
    assert len(described) <= 1000
    assert len(json.dumps(redacted)) < 1_000_000


WORDS = st.text("abcdefghijklmnopqrstuvwxyzåÅABC", min_size=3, max_size=9)
OCTETS = st.integers(0, 255)
SECRETS = (
    st.lists(WORDS, min_size=4, max_size=6).map(" ".join)
    | st.builds("{}@{}.com".format, WORDS, WORDS)
    | st.tuples(OCTETS, OCTETS, OCTETS, OCTETS).map(lambda ip: ".".join(map(str, ip)))
    | st.builds(
        lambda octets, separator: separator.join(f"{octet:02x}" for octet in octets),
        st.lists(OCTETS, min_size=6, max_size=6),
        st.sampled_from([":", "-", ""]),
    )
    | st.uuids().map(str)
    | st.ip_addresses(v=6, network="2001:db8::/32").map(str)
)
KEYS = st.sampled_from([key for key, _ in HARMLESS]) | SECRETS | st.sampled_from(EDGE_CASE_TEXTS)
DOCUMENTS: st.SearchStrategy[Any] = st.recursive(
    SECRETS | JSON_VALUES,
    lambda children: st.lists(children, max_size=25) | st.dictionaries(KEYS, children, max_size=5),
    max_leaves=20,
)


@pytest.mark.property
@given(document=DOCUMENTS)
@max_examples(300, 20_000)
def test_shape_of_any_json_is_one_short_line(document: JSON) -> None:
    described = shape(document)
    assert len(described) <= 1000
    assert described.isprintable()


@pytest.mark.property
@given(document=DOCUMENTS)
@max_examples(300, 20_000)
def test_redact_of_redacted_json_has_same_structure_and_limited_size(document: JSON) -> None:
    redacted = redact(document)
    assert redacted == REDACTED or type(redacted) is type(document)
    assert len(json.dumps(redacted)) < 1_000_000


@pytest.mark.property
@given(secret=SECRETS, key=KEYS, document=DOCUMENTS)
@max_examples(300, 20_000)
def test_redact_and_shape_contain_no_secret(secret: str, key: str, document: JSON) -> None:
    values: list[JSON] = [
        secret,
        [secret],
        {key: secret},
        {secret: document},
        {key: {"a": [secret]}},
    ]
    for value in values:
        assert secret not in json.dumps(redact(value), ensure_ascii=False)
        assert secret not in shape(value)


def _as_object(value: JSON) -> dict[str, JSON]:
    assert isinstance(value, dict)
    return value
