"""What Ochno Operated knows, and how each of it is read from JSON.

Every key of the API may be missing ("only relevant values will be sent"), and much of its shape
was never confirmed. So a fact that is missing, or of another type than expected, is None; only
what can't be told apart from anything else (no id, not an object) is an error.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from typing import Final, Self

from .errors import OperatedResponseError
from .values import (
    JSON,
    MAX_PORTS,
    as_list,
    as_object,
    decode,
    encode,
    first_text,
    flag,
    identifier,
    port_number,
    text,
    texts,
)

_COMMA: Final = ord(",")


@dataclass(frozen=True, kw_only=True)
class Account:
    """An organisation account, the one that the user selected when signing in."""

    id: str
    name: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Read `GET /api/accounts/v1`, an object or a list of one.

        Raises OperatedResponseError if it is not exactly one account with an id.
        """
        if isinstance(json, list) and len(json) == 1:
            json = json[0]
        account = as_object(json)
        if (id_ := text(account.get("id"))) is None:
            raise OperatedResponseError("not one account with an id")
        return cls(id=id_, name=text(account.get("name")))


@dataclass(frozen=True, kw_only=True)
class User:
    """The user who signed in, as far as the scope `sub` was granted."""

    id: str | None
    name: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Read `GET /identity/oauth/v2/userinfo`."""
        user = as_object(json)
        return cls(id=text(user.get("sub")), name=text(user.get("name")))


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space is a room."""

    id: str
    name: str

    @classmethod
    def from_json(cls, json: JSON) -> Self | None:
        """Read one item of `GET /api/spaces/v1`; None if it has no id or no name."""
        if not isinstance(json, dict):
            return None
        id_, name = text(json.get("id")), text(json.get("name"))
        return None if id_ is None or name is None else cls(id=id_, name=name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One upstream USB-C port; `number` counts from 1.

    `connected`: a device is plugged in. `active`: this port owns the room. None is unknown.
    """

    number: int
    connected: bool | None
    active: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """One of the hub's own USB connections, such as `usb1`."""

    name: str
    connected: bool | None
    type: str | None
    direction: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    """A hub (USB-C switch) and its state; None means that the hub did not report it.

    `online` is the vendor's `presence`: the hub is connected to the cloud, whoever is in the room.
    `active_port` counts from 1, 0 is no port. `ports` is empty if the hub did not report them.
    `over_temperature` is the vendor's `otp`, of which only `"normal"` is known.
    `room_system` tells whether the room's own video system takes part, at `room_system_port`.
    `has_state`: the answer carried a state at all; a list of hubs may come without.
    `raw` is all that the API said of the hub, as JSON: that takes a fifth of the memory.
    """

    id: str
    name: str
    serial_number: str | None
    product: str | None
    firmware: str | None
    hardware_version: str | None
    ip_address: str | None
    space_ids: tuple[str, ...]
    online: bool | None
    has_state: bool
    ports: tuple[Port, ...]
    active_port: int | None
    room_system: bool | None
    room_system_port: int | None
    room_system_sync: bool | None
    external_room_system: bool | None
    admin_mode: bool | None
    over_temperature: str | None
    default_port: int | None
    connections: tuple[Connection, ...]
    raw: bytes = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Read a hub of `GET /api/hubs/v1` or `GET /api/hubs/v1/{id}`.

        Raises OperatedResponseError if it is not an object, has no usable id, or its `data` is
        something other than an object.
        """
        hub = as_object(json)
        if (id_ := identifier(hub.get("id"))) is None:
            raise OperatedResponseError("a hub without an id")
        data = as_object(hub.get("data"))
        state, config = as_object(data.get("state")), as_object(data.get("config"))
        serial = first_text(hub.get("serialNumber"), data.get("serial"))
        active = _active_port(state)
        return cls(
            id=id_,
            name=first_text(
                hub.get("name"), hub.get("customid"), data.get("customid"), hub.get("hwId"), serial
            )
            or id_,
            serial_number=serial,
            product=text(data.get("product")),
            firmware=text(data.get("firmware")),
            hardware_version=text(data.get("hardwareversion")),
            ip_address=text(data.get("ip")),
            space_ids=tuple(texts(hub.get("spaceId")) or texts(hub.get("spaceIds"))),
            online=flag(data.get("presence")),
            has_state=bool(state),
            ports=tuple(_ports(state.get("connected"), active)),
            active_port=active,
            room_system=flag(state.get("mtrmode")),
            room_system_port=port_number(state.get("mtrport")),
            room_system_sync=flag(state.get("mtrsync")),
            external_room_system=flag(state.get("externalmtr")),
            admin_mode=flag(state.get("adminmode")),
            over_temperature=text(state.get("otp")),
            default_port=port_number(config.get("defaultport")),
            connections=tuple(_connections(data.get("connections"))),
            raw=encode(hub),
        )

    def with_state(self, changes: dict[str, JSON]) -> Hub:
        """Return the hub with a `newState`, which may hold only what changed, merged in."""
        hub = as_object(decode(self.raw))
        data = as_object(hub.get("data"))
        state = {**as_object(data.get("state")), **changes}
        return Hub.from_json({**hub, "data": {**data, "state": state}})

    def updated(self, newer: Hub) -> Hub:
        """Return the hub with all that a newer answer says; what it leaves out stays."""
        old, new = as_object(decode(self.raw)), as_object(decode(newer.raw))
        data = {**as_object(old.get("data")), **as_object(new.get("data"))}
        return Hub.from_json({**old, **new, "data": data})

    def port(self, number: int) -> Port | None:
        """Return the port of this number, counted from 1."""
        return self.ports[number - 1] if 1 <= number <= len(self.ports) else None

    def connection(self, name: str) -> Connection | None:
        """Return the USB connection of this name."""
        return next((item for item in self.connections if item.name == name), None)

    def with_active_port(self, number: int) -> Hub:
        """Return the hub as it is with another active port; 0 for none."""
        return replace(
            self,
            active_port=number,
            ports=tuple(replace(port, active=port.number == number) for port in self.ports),
        )

    @property
    def overheating(self) -> bool | None:
        """Whether the hub says anything other than that its temperature is normal."""
        return None if self.over_temperature is None else self.over_temperature != "normal"

    @property
    def fixed_port(self) -> int | None:
        """The number of the room system's own port, if the room system takes part."""
        return self.room_system_port if self.room_system else None

    @property
    def in_use(self) -> bool | None:
        """Whether a port other than the room system's has a device; None if that is unknown."""
        connected = [port.connected for port in self.ports if port.number != self.fixed_port]
        if any(connected):
            return True
        return None if None in connected or not self.ports else False


@dataclass(frozen=True, kw_only=True)
class HubList:
    """The hubs of the account, by id.

    `malformed` says in words what of the list could not be read. `etag` is what the server calls
    this answer; None if it does not. `digest` tells it from any other.
    """

    hubs: dict[str, Hub]
    malformed: tuple[str, ...]
    etag: str | None
    digest: bytes

    @classmethod
    def from_body(cls, body: bytes, etag: str | None = None, earlier: Self | None = None) -> Self:
        """Read `GET /api/hubs/v1`.

        What is as in an earlier list is the same object: a hub, or the list as a whole. Raises
        OperatedResponseError if it is not a list, or no hub in it can be read.
        """
        digest = sha256(body).digest()
        if earlier and earlier.digest == digest:
            return earlier
        known = earlier.hubs if earlier else {}
        first, changed, last = _compare(body, list(known.values()))
        hubs = {hub.id: hub for hub in first}
        malformed: list[str] = []
        for position, item in enumerate(changed, start=len(first) + 1):
            try:
                hub = _unchanged(item, known) or Hub.from_json(item)
            except OperatedResponseError as err:
                malformed.append(f"item {position}: {err}")
            else:
                hubs.setdefault(hub.id, hub)
        for hub in last:
            hubs.setdefault(hub.id, hub)
        if malformed and not hubs:
            raise OperatedResponseError(malformed[0])
        return cls(hubs=hubs, malformed=tuple(malformed), etag=etag, digest=digest)


def _compare(body: bytes, known: list[Hub]) -> tuple[list[Hub], list[JSON], list[Hub]]:
    """Return the known hubs that a list begins with and ends with, and between what is read anew.

    All of it is read if the server writes JSON in another way than `encode`.
    """
    begin, end = 1, len(body) - 1
    first = last = 0
    if body[:1] == b"[" and body[-1:] == b"]":
        for hub in known:
            after = begin + len(hub.raw)
            if not body.startswith(hub.raw, begin) or body[after] != _COMMA:
                break
            first, begin = first + 1, after + 1
        for hub in reversed(known[first:]):
            start = end - len(hub.raw)
            if start < begin or not body.startswith(hub.raw, start) or body[start - 1] != _COMMA:
                break
            last, end = last + 1, start - 1
    # Two commas with nothing between are an error that only the whole shows.
    if begin == end or not (first or last):
        return [], as_list(decode(body)), []
    changed = as_list(decode(b"[" + body[begin:end] + b"]")) if begin < end else []
    return known[:first], changed, known[len(known) - last :]


def _unchanged(json: JSON, known: dict[str, Hub]) -> Hub | None:
    """Return the hub that was read from the same JSON, if there is one."""
    id_ = json.get("id") if isinstance(json, dict) else None
    hub = known.get(id_) if isinstance(id_, str) else None
    return hub if hub and hub.raw == encode(json) else None


def read_spaces(json: JSON) -> tuple[Space, ...]:
    """Read `GET /api/spaces/v1`. Raises OperatedResponseError if it is not a list."""
    return tuple(space for item in as_list(json) if (space := Space.from_json(item)) is not None)


def _active_port(state: dict[str, JSON]) -> int | None:
    """Read the active port; a state without one has none active."""
    if (active := state.get("active")) is None:
        return 0 if state else None
    return port_number(active)


def _ports(json: JSON, active: int | None) -> Iterable[Port]:
    if not isinstance(json, list) or len(json) > MAX_PORTS:
        return
    for number, connected in enumerate(json, start=1):
        yield _port(number, flag(connected), None if active is None else active == number)


@cache
def _port(number: int, connected: bool | None, active: bool | None) -> Port:
    """Return the same object for the same facts, of which there are few: that saves memory."""
    return Port(number=number, connected=connected, active=active)


def _connections(json: JSON) -> Iterable[Connection]:
    if not isinstance(json, dict) or len(json) > MAX_PORTS:
        return
    for key, value in json.items():
        if (name := text(key)) is None or not (value is None or isinstance(value, dict)):
            continue
        connection = value or {}
        yield Connection(
            name=name,
            # Nothing is reported of a connection that is not there.
            connected=flag(connection.get("connected")) if connection else False,
            type=text(connection.get("type")),
            direction=text(connection.get("direction")),
        )
