"""Tests of the data models, with missing, unexpected and malformed values."""

from dataclasses import asdict
import json
from typing import Any

import orjson
import pytest

from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.errors import OperatedResponseError
from custom_components.ochno.operated.hub_list import HubList
from custom_components.ochno.operated.models import Connection, Hub, Port
from custom_components.ochno.operated.types import JSON

from ..home import HUBS_PATH
from ..simulator import Fault, SimHub, Simulator

UNEXPECTED_VALUES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": 1000,
    "fraction": 1.5,
    "huge": 2**63,
    "negative": -1,
    "text": "odd",
    "blank": " ",
    "list": [{"odd": []}],
    "object": {"odd": [1]},
}


@pytest.fixture
def sim_hub(simulator: Simulator) -> SimHub:
    """Return the simulated hub of the boardroom."""
    return simulator.hub("Boardroom")


async def fetch_hub(client: OperatedClient, sim_hub: SimHub) -> Hub:
    """Return the hub from the list; check that a request for the hub returns the same."""
    hub = (await client.hubs()).hubs[sim_hub.id]
    assert await client.hub(sim_hub.id) == hub
    return hub


async def test_hub_complete_json_sets_all_fields(client: OperatedClient, sim_hub: SimHub) -> None:
    sim_hub.change_config(defaultport=3)
    assert await fetch_hub(client, sim_hub) == Hub(
        id=sim_hub.id,
        name="Boardroom",
        account_id=None,
        serial_number=sim_hub.serial,
        product="O-PC-4",
        firmware="4.2.1",
        hardware_version="1.3",
        ip_address=sim_hub.ip,
        space_ids=tuple(sim_hub.space_ids),
        online=True,
        has_state=True,
        ports=(
            Port(number=1, connected=True, active=True),
            Port(number=2, connected=False, active=False),
            Port(number=3, connected=False, active=False),
            Port(number=4, connected=False, active=False),
        ),
        active_port=1,
        room_system=True,
        room_system_port=1,
        room_system_sync=True,
        external_room_system=True,
        admin_mode=False,
        overheating=False,
        default_port=3,
        unread=frozenset(),
        raw=b"",
        connections=(
            Connection(name="usb1", connected=True, type="usb", direction="upstream"),
            *(
                Connection(name=f"usb{port}", connected=False, type=None, direction=None)
                for port in (2, 3, 4)
            ),
        ),
    )


# The field that is read from each path, and its value if the path has no valid value.
FIELDS: dict[str, tuple[str, object]] = {
    "data.product": ("product", None),
    "data.firmware": ("firmware", None),
    "data.hardwareversion": ("hardware_version", None),
    "data.ip": ("ip_address", None),
    "data.presence": ("online", None),
    "data.state.connected": ("ports", ()),
    "data.state.active": ("active_port", None),
    "data.state.mtrmode": ("room_system", None),
    "data.state.mtrport": ("room_system_port", None),
    "data.state.mtrsync": ("room_system_sync", None),
    "data.state.externalmtr": ("external_room_system", None),
    "data.state.adminmode": ("admin_mode", None),
    "data.state.otp": ("overheating", None),
    "data.config.defaultport": ("default_port", None),
    "data.connections": ("connections", ()),
    "spaceId": ("space_ids", ()),
}
TEXT_FIELDS = {"product", "firmware", "hardware_version", "ip_address"}
BOOLEAN_FIELDS = {
    "online",
    "room_system",
    "room_system_sync",
    "external_room_system",
    "admin_mode",
}


def nested_json(path: str, value: object) -> dict[str, object]:
    """Return a JSON object with a value at a dotted path."""
    first, _, rest = path.partition(".")
    return {first: nested_json(rest, value) if rest else value}


def other_fields(hub: Hub, field: str) -> dict[str, object]:
    """Return the fields of a hub that do not depend on this field."""
    dependent = {field, "raw", "unread"} | ({"ports"} if field == "active_port" else set())
    return {name: value for name, value in asdict(hub).items() if name not in dependent}


@pytest.mark.parametrize("path", FIELDS)
async def test_hub_missing_key_empties_only_its_field(
    client: OperatedClient, sim_hub: SimHub, path: str
) -> None:
    complete = await fetch_hub(client, sim_hub)
    sim_hub.omit.add(path)
    partial = await fetch_hub(client, sim_hub)
    field, empty = FIELDS[path]
    # In a state without the key, no port is active.
    assert getattr(partial, field) == (0 if field == "active_port" else empty)
    assert other_fields(partial, field) == other_fields(complete, field)


@pytest.mark.parametrize("kind", UNEXPECTED_VALUES)
@pytest.mark.parametrize("path", FIELDS)
async def test_hub_unexpected_value_changes_only_its_field(
    client: OperatedClient, sim_hub: SimHub, path: str, kind: str
) -> None:
    complete = await fetch_hub(client, sim_hub)
    value = UNEXPECTED_VALUES[kind]
    sim_hub.extra = nested_json(path, value)
    if path == "data.connections":
        # The simulator would merge `extra` into them.
        sim_hub.connections = {}
    partial = await fetch_hub(client, sim_hub)
    field, expected = FIELDS[path]
    match field, kind:
        case "active_port", "null":
            expected = 0
        case _, "boolean" if field in BOOLEAN_FIELDS:
            expected = True
        case "overheating", "boolean" | "text":
            expected = True
        case _, "number" | "huge" | "negative" | "text" if field in TEXT_FIELDS:
            expected = str(value)
        case "space_ids", "number" | "huge" | "negative" | "text":
            expected = (str(value),)
        case "connections", "object":
            expected = ()
    assert getattr(partial, field) == expected
    assert other_fields(partial, field) == other_fields(complete, field)


@pytest.mark.parametrize("path", ["data", "data.state", "data.config", "data.connections"])
@pytest.mark.parametrize("change", ["missing", "null"])
async def test_hub_without_section_keeps_other_sections(
    client: OperatedClient, sim_hub: SimHub, path: str, change: str
) -> None:
    if change == "missing":
        sim_hub.omit.add(path)
    else:
        sim_hub.extra.update(nested_json(path, None))
    hub = await fetch_hub(client, sim_hub)
    assert hub.name == "Boardroom"
    if path in ("data", "data.state"):
        assert not hub.has_state
        assert (hub.ports, hub.active_port, hub.in_use) == ((), None, None)
        assert hub.overheating is None
    else:
        assert hub.has_state
        assert len(hub.ports) == 4


async def test_hub_only_id_has_id_as_name_and_no_values(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.body('[{"id": 7}]'))
    [hub] = (await client.hubs()).hubs.values()
    assert (hub.id, hub.name, hub.serial_number, hub.space_ids) == ("7", "7", None, ())
    assert (hub.online, hub.in_use, hub.port(1), hub.connection("usb1")) == (None, None, None, None)


@pytest.mark.parametrize(
    ("omitted", "name"),
    [
        ([], "Boardroom"),
        (["name"], "Custom top"),
        (["name", "customid"], "Custom data"),
        (["name", "customid", "data.customid"], "Hardware"),
        (["name", "customid", "data.customid", "hwId"], "Serial top"),
        (["name", "customid", "data.customid", "hwId", "serialNumber"], "Serial data"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("change", ["missing", "null", "blank"])
async def test_hub_name_is_first_available_of_several_keys(
    client: OperatedClient, sim_hub: SimHub, omitted: list[str], name: str, change: str
) -> None:
    sim_hub.extra = {
        "customid": "Custom top",
        "hwId": "Hardware",
        "serialNumber": "Serial top",
        "data": {"customid": "Custom data", "serial": "Serial data"},
    }
    for path in omitted:
        if change == "missing":
            sim_hub.omit.add(path)
        else:
            *parents, last = path.split(".")
            parent = sim_hub.extra[parents[0]] if parents else sim_hub.extra
            parent[last] = None if change == "null" else " \n"
    assert (await fetch_hub(client, sim_hub)).name == name


@pytest.mark.parametrize("place", ["both", "top", "data"])
async def test_hub_serial_number_is_read_from_either_place(
    client: OperatedClient, simulator: Simulator, sim_hub: SimHub, place: str
) -> None:
    simulator.settings.update({"serial_at": place})
    assert (await fetch_hub(client, sim_hub)).serial_number == sim_hub.serial


@pytest.mark.parametrize(
    ("value", "space_ids"),
    [
        ("one", ("one",)),
        (["one"], ("one",)),
        (["one", None, "two", {}], ("one", "two")),
        (["one", 2], ("one", "2")),
        ([], ()),
        (None, ()),
        ({"id": "one"}, ("one",)),
        ([{"_id": "one", "name": "Boardroom"}], ("one",)),
    ],
    ids=str,
)
async def test_hub_space_ids_are_read_from_text_or_list(
    client: OperatedClient,
    simulator: Simulator,
    sim_hub: SimHub,
    value: object,
    space_ids: tuple[str, ...],
) -> None:
    for key in ("spaceId", "spaceIds"):
        simulator.settings.update({"space_key": key})
        sim_hub.extra = {key: value}
        assert (await fetch_hub(client, sim_hub)).space_ids == space_ids


@pytest.mark.parametrize(
    ("active", "active_port"),
    [(0, 0), (1, 1), (4, 4), (9, 9), (64, 64), (65, None), ("1", 1), ("", 0), ("x", None)],
)
async def test_hub_active_port_sets_active_of_each_port(
    client: OperatedClient, sim_hub: SimHub, active: object, active_port: int | None
) -> None:
    sim_hub.state["active"] = active
    hub = await fetch_hub(client, sim_hub)
    assert hub.active_port == active_port
    expected = [None if active_port is None else number == active_port for number in (1, 2, 3, 4)]
    assert [port.active for port in hub.ports] == expected


async def test_hub_state_without_active_port_has_no_active_port(
    client: OperatedClient, sim_hub: SimHub
) -> None:
    del sim_hub.state["active"]
    hub = await fetch_hub(client, sim_hub)
    assert hub.active_port == 0
    assert [port.active for port in hub.ports] == [False] * 4


@pytest.mark.parametrize("number", range(5))
async def test_hub_with_active_port_changes_only_active_port(
    client: OperatedClient, sim_hub: SimHub, number: int
) -> None:
    hub = (await fetch_hub(client, sim_hub)).with_active_port(number)
    assert hub.active_port == number
    assert [port.active for port in hub.ports] == [port == number for port in (1, 2, 3, 4)]
    assert [port.connected for port in hub.ports] == [True, False, False, False]


@pytest.mark.parametrize(
    ("connected", "expected"),
    [
        ([0, 1, 0, 0], [False, True, False, False]),
        ([False, True], [False, True]),
        ([None, "1", 1, {}, 1.0], [None, True, True, None, True]),
        ([1, 0, 2], []),
        (["?", {}], []),
        ([], []),
        ([1] * 10, [True] * 10),
        ([1] * 64, [True] * 64),
        ([1] * 65, []),
    ],
    ids=[
        "numbers",
        "booleans",
        "mixed",
        "port numbers",
        "no flags",
        "no ports",
        "10 ports",
        "64 ports",
        "65 ports",
    ],
)
async def test_hub_ports_are_read_from_connected(
    client: OperatedClient, sim_hub: SimHub, connected: list[object], expected: list[bool | None]
) -> None:
    sim_hub.state["connected"] = connected
    hub = await fetch_hub(client, sim_hub)
    assert [port.connected for port in hub.ports] == expected
    assert [port.number for port in hub.ports] == list(range(1, len(expected) + 1))
    for number, port in enumerate(hub.ports, start=1):
        assert hub.port(number) is port
    assert hub.port(0) is hub.port(-1) is hub.port(len(expected) + 1) is None


@pytest.mark.parametrize(
    ("connected", "expected"),
    [
        ({"1": 0, "2": 1}, [False, True]),
        ({"2": 1, "1": 0}, [False, True]),
        ({"port1": 0, "Port 2": 1, "PORT_3": 0, "port-4": 1}, [False, True, False, True]),
        ([{"port": 2, "connected": 1}, {"number": 1, "connected": 0}], [False, True]),
        ([{"index": "2", "status": "online"}, {"connected": 0, "port": 1}], [False, True]),
        ({}, []),
        ({"0": 0, "1": 1}, []),
        ({"1": 0, "3": 1}, []),
        ({"01": 1}, []),
        ({"usb1": 1}, []),
        ({"port 1a": 1}, []),
        ([{"port": 2, "connected": 1}], []),
        ([{"port": 1, "connected": 1}, {"port": 1, "connected": 0}], []),
    ],
    ids=str,
)
async def test_hub_ports_are_read_from_numbered_objects(
    client: OperatedClient, sim_hub: SimHub, connected: object, expected: list[bool | None]
) -> None:
    sim_hub.state["connected"] = connected
    hub = await fetch_hub(client, sim_hub)
    assert [port.connected for port in hub.ports] == expected


@pytest.mark.parametrize(
    ("json", "expected"),
    [
        (None, (False, None, None)),
        ({}, (False, None, None)),
        ({"connected": 0}, (False, None, None)),
        ({"connected": 1, "type": "usb3"}, (True, "usb3", None)),
        ({"type": 3, "direction": []}, (None, "3", None)),
        ({"connected": "yes", "direction": "up"}, (True, None, "up")),
        ({"connected": "?", "direction": "up"}, (None, None, "up")),
    ],
    ids=str,
)
async def test_hub_connection_is_read_and_invalid_ones_are_ignored(
    client: OperatedClient,
    sim_hub: SimHub,
    json: dict[str, object] | None,
    expected: tuple[bool | None, str | None, str | None],
) -> None:
    sim_hub.connections = {"list": [], "number": 1, " ": None, "usb9": json}
    hub = await fetch_hub(client, sim_hub)
    [connection] = hub.connections
    assert connection.name == "usb9"
    assert (connection.connected, connection.type, connection.direction) == expected
    assert hub.connection("usb9") is connection
    assert hub.connection("list") is None


async def test_hub_more_than_64_connections_are_ignored(
    client: OperatedClient, sim_hub: SimHub
) -> None:
    sim_hub.connections = {f"usb{number}": None for number in range(1, 65)}
    assert len((await fetch_hub(client, sim_hub)).connections) == 64
    sim_hub.connections["usb65"] = None
    assert (await fetch_hub(client, sim_hub)).connections == ()


@pytest.mark.parametrize(
    ("otp", "expected"),
    [
        ("normal", False),
        (" Normal", False),
        (0, False),
        (1, True),
        ("warning", True),
        ("shutdown", True),
    ],
)
async def test_hub_over_temperature_not_normal_is_overheating(
    client: OperatedClient, sim_hub: SimHub, otp: str | int, expected: bool | None
) -> None:
    sim_hub.change_state(otp=otp)
    assert (await fetch_hub(client, sim_hub)).overheating is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        pytest.param({"mtrmode": True, "mtrport": 1}, False, id="only the room system"),
        pytest.param({"mtrmode": True, "mtrport": 2}, True, id="laptop, room system elsewhere"),
        pytest.param({"mtrmode": False, "mtrport": 1}, True, id="room system off"),
        pytest.param({"mtrmode": None, "mtrport": 1}, True, id="room system unknown"),
        pytest.param({"mtrmode": True, "mtrport": None}, True, id="room system port unknown"),
        pytest.param({"mtrmode": True, "mtrport": 0}, True, id="no room system port"),
        pytest.param({"connected": [0, 0, 0, 0]}, False, id="no devices"),
        pytest.param({"connected": [1, 1, 0, 0]}, True, id="room system and laptop"),
        pytest.param({"connected": []}, None, id="no ports"),
        pytest.param({"connected": "odd"}, None, id="ports unknown"),
    ],
)
async def test_hub_device_on_other_than_room_system_port_is_in_use(
    client: OperatedClient, sim_hub: SimHub, state: dict[str, object], expected: bool | None
) -> None:
    sim_hub.state |= state
    assert (await fetch_hub(client, sim_hub)).in_use is expected


@pytest.mark.parametrize(
    ("json", "name"),
    [
        pytest.param("  Café 会議室 🖥 ", "Café 会議室 🖥", id="unicode"),
        pytest.param("one\ntwo\tthree\r\x00", "one two three", id="control characters"),
        pytest.param("\u202eevil\u2028", "evil", id="text direction and line separator"),
        pytest.param("x" * 300, "x" * 200, id="300 characters"),
        pytest.param(" " * 199 + "xy", "x", id="199 leading spaces"),
        pytest.param(17, "17", id="number"),
    ],
)
async def test_hub_name_becomes_one_printable_line(
    client: OperatedClient, sim_hub: SimHub, json: object, name: str
) -> None:
    sim_hub.extra["name"] = json
    assert (await fetch_hub(client, sim_hub)).name == name


async def fetch_list(client: OperatedClient, simulator: Simulator, *hubs: object) -> HubList:
    """Return the list that the client reads from this JSON."""
    simulator.add_fault("GET", HUBS_PATH, Fault.body(orjson.dumps(hubs).decode()))
    return await client.hubs()


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        (1, "expected an object"),
        (1.5, "expected an object"),
        (True, "expected an object"),
        ("secret", "expected an object"),
        ([], "expected an object"),
        (None, "expected a hub with an id"),
        ({}, "expected a hub with an id"),
        ({"id": None}, "expected a hub with an id"),
        ({"id": ""}, "expected a hub with an id"),
        pytest.param({"id": " \n"}, "expected a hub with an id", id="blank id"),
        ({"id": True}, "expected a hub with an id"),
        ({"id": {}}, "expected a hub with an id"),
        ({"id": ".."}, "expected a hub with an id"),
        pytest.param({"id": "a\ufffd"}, "expected a hub with an id", id="replaced character"),
        ({"id": " a"}, "expected a hub with an id"),
        pytest.param({"id": "a\nb"}, "expected a hub with an id", id="line break"),
        pytest.param({"id": "x" * 201}, "expected a hub with an id", id="id of 201 characters"),
    ],
    ids=str,
)
async def test_hub_list_malformed_hub_is_skipped_and_reported(
    client: OperatedClient, simulator: Simulator, hub: object, reason: str
) -> None:
    hub_list = await fetch_list(client, simulator, {"id": "a"}, hub, {"id": "b"})
    assert list(hub_list.hubs) == ["a", "b"]
    [description] = hub_list.malformed
    assert description.startswith(f"{reason}, got ")
    with pytest.raises(OperatedResponseError, match=reason):
        await fetch_list(client, simulator, hub, hub)


@pytest.mark.parametrize("id_", ["X", "..a", pytest.param("x" * 200, id="200 characters")])
async def test_hub_list_unusual_valid_id_is_accepted(
    client: OperatedClient, simulator: Simulator, id_: str
) -> None:
    assert list((await fetch_list(client, simulator, {"id": id_})).hubs) == [id_]


@pytest.mark.parametrize(
    ("body", "reason"),
    [("{}", "expected a list, got "), ("null", "expected a list, got ")],
)
async def test_hub_list_body_not_a_list_raises_response_error(
    client: OperatedClient, simulator: Simulator, body: str, reason: str
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    with pytest.raises(OperatedResponseError, match=reason):
        await client.hubs()


async def test_hub_list_duplicate_id_keeps_first_hub(
    client: OperatedClient, simulator: Simulator
) -> None:
    hub_list = await fetch_list(client, simulator, {"id": "1", "name": "A"}, {"id": 1, "name": "B"})
    assert [hub.name for hub in hub_list.hubs.values()] == ["A"]


async def test_hub_list_empty_is_valid(client: OperatedClient, simulator: Simulator) -> None:
    hub_list = await fetch_list(client, simulator)
    assert (hub_list.hubs, hub_list.malformed) == ({}, frozenset())


async def test_spaces_without_id_or_name_are_skipped(
    client: OperatedClient, simulator: Simulator
) -> None:
    body = '[1, null, {"id": "1"}, {"name": "A"}, {"id": 2, "name": "B"}, {"id": "3", "name": ""}]'
    simulator.add_fault("GET", "/api/spaces/v1", Fault.body(body))
    assert [(space.id, space.name) for space in await client.spaces()] == [("2", "B")]


@pytest.mark.parametrize("body", ["{}", "null", '{"sub": null, "email": {}, "name": " "}'])
async def test_user_without_values_has_no_id_and_no_name(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.add_fault("GET", "/identity/oauth/v2/userinfo", Fault.body(body))
    user = await client.user()
    assert (user.id, user.name) == (None, None)


async def test_hub_deeply_nested_value_is_kept_in_raw(
    client: OperatedClient, simulator: Simulator
) -> None:
    deep: object = "bottom"
    for _ in range(500):
        deep = [deep]
    body = json.dumps([{"id": "a", "deep": deep, "data": {"state": {"active": 1}}}])
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body), times=None)
    earlier = await client.hubs()
    hub = earlier.hubs["a"]
    assert hub.with_state({"active": 3}).active_port == 3
    assert json.loads(hub.raw)["deep"] == deep
    assert (await client.hubs(earlier)).hubs["a"] is hub


@pytest.mark.parametrize(
    ("json", "field", "value"),
    [
        ({"id": "a", "data": {"serialNumber": "s"}}, "serial_number", "s"),
        ({"id": "a", "accountId": "b"}, "account_id", "b"),
        (
            {"id": "a", "data": {"state": {"connected": {"odd": 1}}}},
            "unread",
            frozenset({"connected: {odd: 1}"}),
        ),
        ({"hub": {"id": "a", "name": "Table"}}, "name", "Table"),
        (
            {"id": "a", "connections": {"usb1": {"connected": True}}},
            "connections",
            (Connection(name="usb1", type=None, connected=True, direction=None),),
        ),
    ],
    ids=[
        "serial number in data",
        "account",
        "unread ports",
        "wrapped hub",
        "connections beside data",
    ],
)
async def test_hub_value_at_other_place_is_read(
    client: OperatedClient, simulator: Simulator, json: JSON, field: str, value: object
) -> None:
    simulator.add_fault("GET", f"{HUBS_PATH}/a", Fault.body(orjson.dumps(json).decode()))
    assert getattr(await client.hub("a"), field) == value


@pytest.mark.parametrize(
    ("otp", "overheating"),
    [
        ("normal", False),
        (" Normal ", False),
        ("0", False),
        ("false", False),
        ("OFF", False),
        (False, False),
        (0, False),
        ("over-temperature", True),
        ("1", True),
        ("true", True),
        (True, True),
        (1, True),
        ("", None),
        (" ", None),
        (None, None),
        ([1], None),
    ],
)
async def test_hub_overheating_is_read(
    client: OperatedClient, simulator: Simulator, otp: JSON, overheating: bool | None
) -> None:
    json = {"hubs": [{"id": "a", "data": {"state": {"otp": otp}}}]}
    simulator.add_fault("GET", HUBS_PATH, Fault.body(orjson.dumps(json).decode()))
    assert (await client.hubs()).hubs["a"].overheating is overheating


async def test_hub_without_id_is_described_by_its_shape(
    client: OperatedClient, simulator: Simulator
) -> None:
    hub_list = await fetch_list(client, simulator, {"id": "a"}, {"data": {"presence": True}})
    assert [*hub_list.malformed] == ["expected a hub with an id, got {data: {presence: true}}"]


async def test_hub_with_other_id_key_in_same_list_keeps_its_object(
    client: OperatedClient, simulator: Simulator
) -> None:
    simulator.settings.etags = False
    for name in ("Table", "Wall"):
        body = orjson.dumps([{"_id": "a", "name": "Desk"}, {"_id": "b", "name": name}]).decode()
        simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    earlier = await client.hubs()
    later = await client.hubs(earlier)
    assert later.hubs["a"] is earlier.hubs["a"]
    assert later.hubs["b"].name == "Wall"


async def test_hub_with_state_value_of_maximum_size_is_merged(
    client: OperatedClient, sim_hub: SimHub
) -> None:
    hub = await fetch_hub(client, sim_hub)
    # As JSON, a string has two quotes in addition.
    assert hub.with_state({"otp": "x" * 254}).overheating is True
    assert hub.with_state({"otp": "x" * 255}).overheating is False


async def test_hub_with_state_more_ports_or_unknown_key_changes_nothing(
    client: OperatedClient, sim_hub: SimHub
) -> None:
    hub = await fetch_hub(client, sim_hub)
    assert hub.with_state({"connected": [1] * 5, "active": 3}) is hub
    assert hub.with_state({"connected": [1] * 3}) is hub
    assert hub.with_state({"odd": 1}).raw == hub.raw


async def test_hub_merged_with_partial_response_keeps_other_keys(
    client: OperatedClient, sim_hub: SimHub
) -> None:
    sim_hub.change_config(defaultport=3)
    hub = await fetch_hub(client, sim_hub)
    sim_hub.json_override = {
        "id": sim_hub.id,
        "data": {"state": {"active": 3}, "config": {"hdmiceccontrol": False}},
    }
    merged = hub.merged_with(await client.hub(sim_hub.id))
    assert (merged.active_port, merged.default_port, merged.name) == (3, 3, "Boardroom")
    assert [port.connected for port in merged.ports] == [port.connected for port in hub.ports]
    assert merged.connections == hub.connections


@pytest.mark.parametrize(
    ("hub", "description"),
    [
        ({"data": []}, "data: expected an object, got "),
        ({"data": {"state": "A secret"}}, "state: expected an object, got "),
        ({"data": {"config": False}}, "config: expected an object, got "),
    ],
    ids=str,
)
async def test_hub_section_not_an_object_is_described_and_hub_is_kept(
    client: OperatedClient, simulator: Simulator, hub: dict[str, object], description: str
) -> None:
    hub_list = await fetch_list(client, simulator, {"id": "a", **hub})
    [unread] = hub_list.hubs["a"].unread
    assert unread.startswith(description)
    assert "secret" not in unread
