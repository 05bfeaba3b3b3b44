"""Hubs as the client reads them, whatever of them is missing, odd or malformed."""

from dataclasses import asdict
import json
from typing import Any

import orjson
import pytest

from custom_components.ochno.operated.client import OperatedClient
from custom_components.ochno.operated.errors import OperatedResponseError
from custom_components.ochno.operated.models import Connection, Hub, HubList, Port

from ..simulator import Fault, SimHub, Simulator
from .test_client import HUBS_PATH, _custom_integrations, client, session, tokens

__all__ = ["_custom_integrations", "client", "session", "tokens"]

ODD: dict[str, Any] = {
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
def hub(simulator: Simulator) -> SimHub:
    return simulator.hub("Boardroom")


async def read(client: OperatedClient, hub: SimHub) -> Hub:
    """Read the hub from the list; the single answer must say the same."""
    found = (await client.hubs()).hubs[hub.id]
    assert await client.hub(hub.id) == found
    return found


async def test_every_fact_of_a_hub(client: OperatedClient, hub: SimHub) -> None:
    hub.change_config(defaultport=3)
    assert await read(client, hub) == Hub(
        id=hub.id,
        name="Boardroom",
        serial_number=hub.serial,
        product="O-PC-4",
        firmware="4.2.1",
        hardware_version="1.3",
        ip_address=hub.ip,
        space_ids=tuple(hub.space_ids),
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
        over_temperature="normal",
        default_port=3,
        raw=b"",
        connections=(
            Connection(name="usb1", connected=True, type="usb", direction="upstream"),
            *(
                Connection(name=f"usb{port}", connected=False, type=None, direction=None)
                for port in (2, 3, 4)
            ),
        ),
    )


FACTS = {
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
    "data.state.otp": ("over_temperature", None),
    "data.config.defaultport": ("default_port", None),
    "data.connections": ("connections", ()),
    "spaceId": ("space_ids", ()),
}
TEXTS = {"product", "firmware", "hardware_version", "ip_address", "over_temperature"}
FLAGS = {"online", "room_system", "room_system_sync", "external_room_system", "admin_mode"}


def _extra(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _unaffected(hub: Hub, *fields: str) -> dict[str, Any]:
    # What follows from others.
    derived = {"raw", "ports"} if "active_port" in fields else {"raw"}
    return {key: value for key, value in asdict(hub).items() if key not in {*fields, *derived}}


@pytest.mark.parametrize("path", FACTS)
async def test_missing_key_costs_only_its_fact(
    client: OperatedClient, hub: SimHub, path: str
) -> None:
    whole = await read(client, hub)
    hub.omit.add(path)
    partial = await read(client, hub)
    field, nothing = FACTS[path]
    # A state without an active port has none active.
    assert getattr(partial, field) == (0 if field == "active_port" else nothing)
    assert _unaffected(partial, field) == _unaffected(whole, field)


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("path", FACTS)
async def test_odd_value_costs_only_its_fact(
    client: OperatedClient, hub: SimHub, path: str, kind: str
) -> None:
    whole = await read(client, hub)
    hub.extra = _extra(path, ODD[kind])
    if path == "data.connections":
        hub.connections = {}  # or else they are merged
    partial = await read(client, hub)
    field, nothing = FACTS[path]
    wanted: Any = nothing
    match field, kind:
        case "active_port", "null":
            wanted = 0
        case _, "boolean" | "number" | "huge" | "negative" if field in FLAGS:
            wanted = True
        case _, "number" | "huge" | "negative" | "text" if field in TEXTS:
            wanted = str(ODD[kind])
        case "space_ids", "number" | "huge" | "negative" | "text":
            wanted = (str(ODD[kind]),)
        case "connections", "object":
            wanted = ()
        case "ports", "list":
            wanted = (Port(number=1, connected=None, active=True),)
    assert getattr(partial, field) == wanted
    assert _unaffected(partial, field) == _unaffected(whole, field)


@pytest.mark.parametrize("path", ["data", "data.state", "data.config", "data.connections"])
@pytest.mark.parametrize("how", ["missing", "null"])
async def test_hub_without_a_whole_part(
    client: OperatedClient, hub: SimHub, path: str, how: str
) -> None:
    hub.omit.add(path) if how == "missing" else hub.extra.update(_extra(path, None))
    read_hub = await read(client, hub)
    assert read_hub.name == "Boardroom"
    if path in ("data", "data.state"):
        assert not read_hub.has_state
        assert (read_hub.ports, read_hub.active_port, read_hub.in_use) == ((), None, None)
        assert read_hub.overheating is None
    else:
        assert read_hub.has_state
        assert len(read_hub.ports) == 4


async def test_hub_with_nothing_but_an_id(client: OperatedClient, simulator: Simulator) -> None:
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
@pytest.mark.parametrize("how", ["missing", "null", "blank"])
async def test_which_name_is_shown(
    client: OperatedClient, hub: SimHub, omitted: list[str], name: str, how: str
) -> None:
    hub.extra = {
        "customid": "Custom top",
        "hwId": "Hardware",
        "serialNumber": "Serial top",
        "data": {"customid": "Custom data", "serial": "Serial data"},
    }
    for path in omitted:
        if how == "missing":
            hub.omit.add(path)
        else:
            *parents, last = path.split(".")
            parent = hub.extra[parents[0]] if parents else hub.extra
            parent[last] = None if how == "null" else " \n"
    assert (await read(client, hub)).name == name


@pytest.mark.parametrize("place", ["both", "top", "data"])
async def test_serial_number_is_found(
    client: OperatedClient, simulator: Simulator, hub: SimHub, place: str
) -> None:
    simulator.settings.update({"serial_at": place})
    assert (await read(client, hub)).serial_number == hub.serial


@pytest.mark.parametrize(
    ("value", "space_ids"),
    [
        ("one", ("one",)),
        (["one"], ("one",)),
        (["one", None, "two", {}], ("one", "two")),
        (["one", 2], ("one", "2")),
        ([], ()),
        (None, ()),
        ({"id": "one"}, ()),
    ],
    ids=str,
)
async def test_spaces_of_a_hub(
    client: OperatedClient, simulator: Simulator, hub: SimHub, value: Any, space_ids: tuple[str]
) -> None:
    for key in ("spaceId", "spaceIds"):
        simulator.settings.update({"space_key": key})
        hub.extra = {key: value}
        assert (await read(client, hub)).space_ids == space_ids


@pytest.mark.parametrize(
    ("active", "port"), [(0, 0), (1, 1), (4, 4), (9, 9), (64, 64), (65, None), ("1", None)]
)
async def test_active_port(
    client: OperatedClient, hub: SimHub, active: Any, port: int | None
) -> None:
    hub.state["active"] = active
    read_hub = await read(client, hub)
    assert read_hub.active_port == port
    wanted = [None] * 4 if port is None else [number == port for number in (1, 2, 3, 4)]
    assert [one.active for one in read_hub.ports] == wanted


async def test_state_without_active_port_has_none_active(
    client: OperatedClient, hub: SimHub
) -> None:
    del hub.state["active"]
    read_hub = await read(client, hub)
    assert read_hub.active_port == 0
    assert [one.active for one in read_hub.ports] == [False] * 4


@pytest.mark.parametrize("number", range(5))
async def test_hub_with_another_active_port(
    client: OperatedClient, hub: SimHub, number: int
) -> None:
    read_hub = (await read(client, hub)).with_active_port(number)
    assert read_hub.active_port == number
    assert [one.active for one in read_hub.ports] == [one == number for one in (1, 2, 3, 4)]
    assert [one.connected for one in read_hub.ports] == [True, False, False, False]


@pytest.mark.parametrize(
    ("connected", "ports"),
    [
        ([0, 1, 0, 0], [False, True, False, False]),
        ([False, True], [False, True]),
        ([None, "1", 1, {}, 1.0, 2], [None, None, True, None, None, True]),
        ([], []),
        ([1] * 10, [True] * 10),
        ([1] * 64, [True] * 64),
        ([1] * 65, []),
    ],
    ids=["numbers", "booleans", "mixed", "none", "ten", "most", "too many"],
)
async def test_what_is_plugged_in(
    client: OperatedClient, hub: SimHub, connected: list[Any], ports: list[bool | None]
) -> None:
    hub.state["connected"] = connected
    read_hub = await read(client, hub)
    assert [one.connected for one in read_hub.ports] == ports
    assert [one.number for one in read_hub.ports] == list(range(1, len(ports) + 1))
    for number, one in enumerate(read_hub.ports, start=1):
        assert read_hub.port(number) is one
    assert read_hub.port(0) is read_hub.port(-1) is read_hub.port(len(ports) + 1) is None


@pytest.mark.parametrize(
    ("json", "connection"),
    [
        (None, (False, None, None)),
        ({}, (False, None, None)),
        ({"connected": 0}, (False, None, None)),
        ({"connected": 1, "type": "usb3"}, (True, "usb3", None)),
        ({"type": 3, "direction": []}, (None, "3", None)),
        ({"connected": "yes", "direction": "up"}, (None, None, "up")),
    ],
    ids=str,
)
async def test_usb_connection(
    client: OperatedClient, hub: SimHub, json: Any, connection: tuple[Any, ...]
) -> None:
    hub.connections = {"odd": [], "odder": 1, " ": None, "usb9": json}
    read_hub = await read(client, hub)
    [found] = read_hub.connections
    assert (found.name, found.connected, found.type, found.direction) == ("usb9", *connection)
    assert read_hub.connection("usb9") is found
    assert read_hub.connection("odd") is None


async def test_more_usb_connections_than_there_can_be_are_none(
    client: OperatedClient, hub: SimHub
) -> None:
    hub.connections = {f"usb{number}": None for number in range(1, 65)}
    assert len((await read(client, hub)).connections) == 64
    hub.connections["usb65"] = None
    assert (await read(client, hub)).connections == ()


@pytest.mark.parametrize(("otp", "hot"), [("normal", False), ("warning", True), ("shutdown", True)])
async def test_overheating(client: OperatedClient, hub: SimHub, otp: str, hot: bool) -> None:
    hub.change_state(otp=otp)
    assert (await read(client, hub)).overheating is hot


@pytest.mark.parametrize(
    ("state", "in_use"),
    [
        pytest.param({"mtrmode": True, "mtrport": 1}, False, id="only the room system"),
        pytest.param({"mtrmode": True, "mtrport": 2}, True, id="a laptop beside it"),
        pytest.param({"mtrmode": False, "mtrport": 1}, True, id="room system off"),
        pytest.param({"mtrmode": None, "mtrport": 1}, True, id="room system unknown"),
        pytest.param({"mtrmode": True, "mtrport": None}, True, id="its port unknown"),
        pytest.param({"mtrmode": True, "mtrport": 0}, True, id="its port none"),
        pytest.param({"connected": [0, 0, 0, 0]}, False, id="nothing"),
        pytest.param({"connected": [1, 1, 0, 0]}, True, id="room system and laptop"),
        pytest.param({"connected": []}, None, id="no ports"),
        pytest.param({"connected": "odd"}, None, id="ports unknown"),
    ],
)
async def test_in_use(
    client: OperatedClient, hub: SimHub, state: dict[str, Any], in_use: bool | None
) -> None:
    hub.state |= state
    assert (await read(client, hub)).in_use is in_use


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("  Café 会議室 🖥 ", "Café 会議室 🖥"),
        ("one\ntwo\tthree\r\x00", "one two three"),
        ("\u202eevil\u2028", "evil"),
        ("x" * 300, "x" * 200),
        (" " * 199 + "xy", "x"),
        (17, "17"),
    ],
    ids=["unicode", "control", "direction", "long", "cut", "number"],
)
async def test_text_is_made_fit_to_be_shown(
    client: OperatedClient, hub: SimHub, name: Any, shown: str
) -> None:
    hub.extra["name"] = name
    assert (await read(client, hub)).name == shown


async def listed(client: OperatedClient, simulator: Simulator, *hubs: Any) -> HubList:
    simulator.add_fault("GET", HUBS_PATH, Fault.body(orjson.dumps(hubs).decode()))
    return await client.hubs()


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        (1, "expected an object, got a number"),
        (1.5, "expected an object, got a number"),
        (True, "expected an object, got a boolean"),
        ("secret", "expected an object, got a string"),
        ([], "expected an object, got a list"),
        (None, "expected a hub with an id"),
        ({}, "expected a hub with an id"),
        ({"id": None}, "expected a hub with an id"),
        ({"id": ""}, "expected a hub with an id"),
        ({"id": " \n"}, "expected a hub with an id"),
        ({"id": True}, "expected a hub with an id"),
        ({"id": {}}, "expected a hub with an id"),
        ({"id": ".."}, "expected a hub with an id"),
        ({"id": "a\ufffd"}, "expected a hub with an id"),
        ({"id": " a"}, "expected a hub with an id"),
        ({"id": "a\nb"}, "expected a hub with an id"),
        ({"id": "x" * 201}, "expected a hub with an id"),
        ({"id": "1", "data": []}, "expected an object, got a list"),
        ({"id": "1", "data": {"state": "secret"}}, "expected an object, got a string"),
        ({"id": "1", "data": {"config": False}}, "expected an object, got a boolean"),
    ],
    ids=str,
)
async def test_malformed_hub_is_left_out_and_named(
    client: OperatedClient, simulator: Simulator, hub: Any, reason: str
) -> None:
    listing = await listed(client, simulator, {"id": "a"}, hub, {"id": "b"})
    assert list(listing.hubs) == ["a", "b"]
    assert listing.malformed == (f"item 2: {reason}",)
    with pytest.raises(OperatedResponseError, match=reason):
        await listed(client, simulator, hub, hub)


@pytest.mark.parametrize("id_", ["X", "..a", "x" * 200])
async def test_hub_of_an_odd_id_is_listed(
    client: OperatedClient, simulator: Simulator, id_: str
) -> None:
    assert list((await listed(client, simulator, {"id": id_})).hubs) == [id_]


@pytest.mark.parametrize(
    ("body", "reason"),
    [("{}", "expected a list, got an object"), ("null", "expected a list, got null")],
)
async def test_answer_that_is_no_list_is_named(
    client: OperatedClient, simulator: Simulator, body: str, reason: str
) -> None:
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body))
    with pytest.raises(OperatedResponseError, match=reason):
        await client.hubs()


async def test_first_of_two_hubs_with_one_id_counts(
    client: OperatedClient, simulator: Simulator
) -> None:
    listing = await listed(client, simulator, {"id": "1", "name": "A"}, {"id": 1, "name": "B"})
    assert [hub.name for hub in listing.hubs.values()] == ["A"]


async def test_account_without_hubs(client: OperatedClient, simulator: Simulator) -> None:
    listing = await listed(client, simulator)
    assert (listing.hubs, listing.malformed) == ({}, ())


async def test_spaces_without_id_or_name_are_left_out(
    client: OperatedClient, simulator: Simulator
) -> None:
    body = '[1, null, {"id": "1"}, {"name": "A"}, {"id": 2, "name": "B"}, {"id": "3", "name": ""}]'
    simulator.add_fault("GET", "/api/spaces/v1", Fault.body(body))
    assert [(space.id, space.name) for space in await client.spaces()] == [("2", "B")]


@pytest.mark.parametrize("body", ["{}", "null", '{"sub": null, "email": {}, "name": " "}'])
async def test_user_who_tells_nothing(
    client: OperatedClient, simulator: Simulator, body: str
) -> None:
    simulator.add_fault("GET", "/identity/oauth/v2/userinfo", Fault.body(body))
    user = await client.user()
    assert (user.id, user.name) == (None, None)


async def test_hub_that_holds_something_nested_absurdly_deep_is_read_all_the_same(
    client: OperatedClient, simulator: Simulator
) -> None:
    deep: Any = "bottom"
    for _ in range(500):
        deep = [deep]
    body = json.dumps([{"id": "a", "deep": deep}])
    simulator.add_fault("GET", HUBS_PATH, Fault.body(body), times=None)
    earlier = await client.hubs()
    found = earlier.hubs["a"]
    assert found.with_state({"active": 3}).active_port == 3
    assert json.loads(found.raw)["deep"] == deep
    assert (await client.hubs(earlier)).hubs["a"] is found
