"""Data models of hubs.

The API omits keys, so any key can be missing. A value that is missing or has an unexpected type is
None. Parsing raises OperatedResponseError only for an object without a required id, or if a list or
an object has another JSON type.
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
    boolean,
    decode,
    encode,
    first_text,
    identifier,
    port_number,
    text,
    texts,
)

# Home Assistant enables at most 10,000 entities per config entry.
_MAX_HUBS: Final = 10_000
_MAX_MALFORMED: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Port:
    """One upstream USB-C port; `number` starts at 1.

    `connected`: a device is plugged in. `active`: the room's screen, camera and microphone are
    connected to this port. None means unknown.
    """

    number: int
    connected: bool | None
    active: bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """A USB connection inside the hub, for example `usb1`. The laptop ports are `Port` objects.

    `type` and `direction` are words of the vendor; their values are not documented.
    """

    name: str
    connected: bool | None
    type: str | None
    direction: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Hub:
    """A hub (USB-C switch) and its state. None means that the hub did not report the value.

    `online` is the vendor's `presence`: the hub's connection to the cloud, not room occupancy.
    `active_port` starts at 1; 0 means that no port is active. It can exceed the number of ports.
    `ports[n - 1]` is port n; `ports` is empty if the hub did not report them. The first of
    `space_ids` that has a name is the room. `over_temperature` is the vendor's `otp`; only
    `"normal"` is documented. `room_system`: the video conference system (MTR, Microsoft Teams
    Rooms) is enabled. It is connected to `room_system_port`; like `default_port`, 0 means none.
    `external_room_system`, `room_system_sync` and `admin_mode` are the vendor's `externalmtr`,
    `mtrsync` and `adminmode`. `has_state` is False without a state, as in some lists. `raw` is
    the hub as encoded JSON, which needs a fifth of the memory of the decoded object.
    """

    id: str
    name: str
    account_id: str | None
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
        """Parse a hub of `GET /api/hubs/v1` or `GET /api/hubs/v1/{id}`.

        Raises OperatedResponseError if it is not an object, has no usable id, or if its `data`,
        `state` or `config` is not an object.
        """
        hub = as_object(json)
        if (id_ := identifier(hub.get("id"))) is None:
            raise OperatedResponseError("expected a hub with an id")
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
            account_id=text(hub.get("accountId")),
            serial_number=serial,
            product=text(data.get("product")),
            firmware=text(data.get("firmware")),
            hardware_version=text(data.get("hardwareversion")),
            ip_address=text(data.get("ip")),
            space_ids=tuple(texts(hub.get("spaceId")) or texts(hub.get("spaceIds"))),
            online=boolean(data.get("presence")),
            has_state=bool(state),
            ports=tuple(_ports(state.get("connected"), active)),
            active_port=active,
            room_system=boolean(state.get("mtrmode")),
            room_system_port=port_number(state.get("mtrport")),
            room_system_sync=boolean(state.get("mtrsync")),
            external_room_system=boolean(state.get("externalmtr")),
            admin_mode=boolean(state.get("adminmode")),
            over_temperature=text(state.get("otp")),
            default_port=port_number(config.get("defaultport")),
            connections=tuple(_connections(data.get("connections"))),
            raw=encode(hub),
        )

    def with_state(self, changes: dict[str, JSON]) -> Hub:
        """Return the hub with the changed state keys of a delivery merged in."""
        hub = as_object(decode(self.raw))
        data = as_object(hub.get("data"))
        state = {**as_object(data.get("state")), **changes}
        return Hub.from_json({**hub, "data": {**data, "state": state}})

    def merged_with(self, newer: Hub) -> Hub:
        """Return the hub with a newer response merged in.

        Missing keys keep their values, also those of `data`, `state` and `config`.
        """
        old, new = as_object(decode(self.raw)), as_object(decode(newer.raw))
        old_data, new_data = as_object(old.get("data")), as_object(new.get("data"))
        parts: dict[str, JSON] = {
            part: {**as_object(old_data.get(part)), **as_object(new_data.get(part))}
            for part in ("state", "config")
            if part in new_data
        }
        return Hub.from_json({**old, **new, "data": {**old_data, **new_data, **parts}})

    def with_active_port(self, number: int) -> Hub:
        """Return the hub with another active port; 0 for none."""
        return replace(
            self,
            active_port=number,
            ports=tuple(replace(port, active=port.number == number) for port in self.ports),
        )

    def port(self, number: int) -> Port | None:
        """Return a port by its number, which starts at 1; None if there is none."""
        return self.ports[number - 1] if 1 <= number <= len(self.ports) else None

    def connection(self, name: str) -> Connection | None:
        """Return a USB connection by its name; None if there is none."""
        return next((item for item in self.connections if item.name == name), None)

    @property
    def valid_active_port(self) -> int | None:
        """The active port, 0 for none; None if it is unknown or not one of the hub's ports."""
        active = self.active_port
        return None if active is None or active > len(self.ports) else active

    @property
    def offline(self) -> bool:
        """Whether the hub is known to have no connection to the cloud."""
        return self.online is False

    @property
    def overheating(self) -> bool | None:
        """Whether the hub reports a temperature state other than normal; None if it is unknown."""
        return None if self.over_temperature is None else self.over_temperature != "normal"

    @property
    def fixed_port(self) -> int | None:
        """The number of the room system's port; None if it is unknown or not enabled."""
        return self.room_system_port if self.room_system else None

    @property
    def in_use(self) -> bool | None:
        """Whether a device is connected to a port other than the room system's.

        None if that is unknown, for example if the hub reports no ports.
        """
        connected = [port.connected for port in self.ports if port.number != self.fixed_port]
        if any(connected):
            return True
        return None if None in connected or not self.ports else False


@dataclass(frozen=True, kw_only=True)
class HubList:
    """The hubs of an account, by id.

    `malformed` has an error message for each item that could not be read, up to a limit. `etag`
    is the response's ETag header; None without one. `digest` is the SHA-256 of the body.
    """

    hubs: dict[str, Hub]
    malformed: tuple[str, ...]
    etag: str | None
    digest: bytes

    @classmethod
    def from_body(cls, body: bytes, etag: str | None = None, earlier: Self | None = None) -> Self:
        """Parse `GET /api/hubs/v1`.

        Returns `earlier` itself if the body is unchanged. An unchanged hub is the same object as
        in `earlier`. Of a duplicate id, the first hub counts. Raises OperatedResponseError if the
        body is not a list, is too long, or if all items of a non-empty list are malformed.
        """
        digest = sha256(body).digest()
        if earlier and earlier.digest == digest:
            return earlier
        known = earlier.hubs if earlier else {}
        hubs: dict[str, Hub] = {}
        malformed: list[str] = []
        items = as_list(decode(body))
        if len(items) > _MAX_HUBS:
            raise OperatedResponseError("list too long")
        for position, item in enumerate(items, start=1):
            try:
                hub = _unchanged_hub(item, known) or Hub.from_json(item)
            except OperatedResponseError as err:
                if len(malformed) < _MAX_MALFORMED:
                    malformed.append(f"item {position}: {err}")
            else:
                hubs.setdefault(hub.id, hub)
        if malformed and not hubs:
            raise OperatedResponseError(malformed[0])
        return cls(hubs=hubs, malformed=tuple(malformed), etag=etag, digest=digest)


def _unchanged_hub(json: JSON, known: dict[str, Hub]) -> Hub | None:
    """Return the known hub that was read from the same JSON; None if there is none."""
    id_ = json.get("id") if isinstance(json, dict) else None
    hub = known.get(id_) if isinstance(id_, str) else None
    return hub if hub and hub.raw == encode(json) else None


def _active_port(state: dict[str, JSON]) -> int | None:
    """Return the active port: 0 without the key `active`, None without a state or if invalid."""
    if (active := state.get("active")) is None:
        return 0 if state else None
    return port_number(active)


def _ports(connected: JSON, active: int | None) -> Iterable[Port]:
    if not isinstance(connected, list) or len(connected) > MAX_PORTS:
        return
    for number, item in enumerate(connected, start=1):
        yield _port(number, boolean(item), None if active is None else active == number)


@cache
def _port(number: int, connected: bool | None, active: bool | None) -> Port:
    """Return a shared object for equal values, which saves memory."""
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
            # null or an empty object means that nothing is connected.
            connected=boolean(connection.get("connected")) if connection else False,
            type=text(connection.get("type")),
            direction=text(connection.get("direction")),
        )
