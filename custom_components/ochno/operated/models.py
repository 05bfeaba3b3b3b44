"""Data models of hubs.

The API omits keys, so any key can be missing. A value that is missing or has no clear meaning is
None. Parsing raises OperatedResponseError only for an object without a required id, or if a list or
an object has another JSON type.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Self

from .errors import OperatedResponseError
from .redact import shape
from .types import JSON
from .values import (
    MAX_PORTS,
    Fields,
    boolean,
    canonical_name,
    decode,
    encode,
    first_text,
    identifier,
    merged,
    port_flags,
    port_number,
    text,
    texts,
    unwrapped_object,
)

# Bytes of a value in a delivery.
_MAX_STATE_VALUE: Final = 256


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
    `space_ids` that has a name is the room. `overheating`: the vendor's `otp` is not `normal`.
    `room_system`: the video conference system (MTR, Microsoft Teams Rooms) is enabled. It is
    connected to `room_system_port`. In `room_system_port` and `default_port`, 0 means none.
    `external_room_system`, `room_system_sync` and `admin_mode` are the vendor's `externalmtr`,
    `mtrsync` and `adminmode`. `has_state` is False without a state, as in some lists. `unread`
    describes the values that were sent but have no clear meaning. `raw` is the hub as encoded JSON,
    which needs a fifth of the memory of the decoded object.
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
    overheating: bool | None
    default_port: int | None
    connections: tuple[Connection, ...]
    unread: frozenset[str] = field(repr=False, compare=False)
    raw: bytes = field(repr=False, compare=False)

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Parse a hub of `GET /api/hubs/v1` or `GET /api/hubs/v1/{id}`.

        `state`, `config` and `connections` can also be beside `data`. Raises OperatedResponseError
        if it is not an object, or has no usable id.
        """
        hub = unwrapped_object(json, "hub")
        if (id_ := identifier(hub.get("id"))) is None:
            raise OperatedResponseError(f"expected a hub with an id, got {shape(json)}")
        data = hub.object("data")
        parts = {name: _part(hub, data, name) for name in ("state", "config")}
        state, config = parts["state"], parts["config"]
        connections = data.get("connections") or hub.get("connections")
        serial = first_text(hub.get("serialNumber"), data.get("serial", "serialNumber"))
        unread = {
            f"{name}: expected an object, got {shape(value)}"
            for fields, name in ((hub, "data"), (data, "state"), (data, "config"))
            if not isinstance(value := fields.get(name), dict | None)
        }

        def read[ValueT](
            reader: Callable[[JSON], ValueT | None], fields: Fields, *names: str
        ) -> ValueT | None:
            value = fields.get(*names)
            result = reader(value)
            if result is None and value not in (None, "", [], {}):
                unread.add(f"{names[0]}: {shape(value)}")
            return result

        active = read(port_number, state, "active")
        if active is None and state.get("active") is None and state.json:
            active = 0
        online = read(boolean, data if data.get("presence") is not None else hub, "presence")
        flags = read(port_flags, state, "connected") or []
        if None in flags:
            unread.add(f"connected: {shape(state.get('connected'))}")
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
            online=online,
            has_state=bool(state.json),
            ports=tuple(
                _port(number, flag, None if active is None else active == number)
                for number, flag in enumerate(flags, start=1)
            ),
            active_port=active,
            room_system=read(boolean, state, "mtrmode"),
            room_system_port=read(port_number, state, "mtrport"),
            room_system_sync=read(boolean, state, "mtrsync"),
            external_room_system=read(boolean, state, "externalmtr"),
            admin_mode=read(boolean, state, "adminmode"),
            overheating=read(_overheating, state, "otp"),
            default_port=read(port_number, config, "defaultport"),
            connections=tuple(_connections(connections)),
            unread=frozenset(unread),
            raw=encode(hub.json),
        )

    def with_state(self, changes: dict[str, JSON]) -> Hub:
        """Return the hub with the changed state keys of a delivery merged in.

        Only values of a usual size are merged, and only for keys and ports that the hub reported
        before.
        """
        hub = Fields(decode(self.raw))
        known = map(canonical_name, _part(hub, hub.object("data"), "state").json)
        names = set(known)
        changes = {
            name: value
            for name, value in changes.items()
            if canonical_name(name) in names and len(encode(value)) <= _MAX_STATE_VALUE
        }
        merged_hub = self._merged({}, {}, {"state": changes})
        return merged_hub if len(merged_hub.ports) == len(self.ports) else self

    def merged_with(self, newer: Hub) -> Hub:
        """Return the hub with a newer response merged in.

        Missing keys keep their values, also those of `data`, `state` and `config`.
        """
        hub = Fields(decode(newer.raw))
        data = hub.object("data")
        parts = {name: _part(hub, data, name).json for name in ("state", "config")}
        return self._merged(hub.json, data.json, parts)

    def _merged(
        self, hub: dict[str, JSON], data: dict[str, JSON], parts: dict[str, dict[str, JSON]]
    ) -> Hub:
        old = Fields(decode(self.raw))
        old_data = old.object("data")
        new_data = merged(old_data.json, data)
        for name, part in parts.items():
            if new_part := merged(_part(old, old_data, name).json, part):
                new_data[name] = new_part
        return Hub.from_json({**merged(old.json, hub), "data": new_data})

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

    @property
    def on_screen(self) -> bool | None:
        """Whether a device is connected to the active port, other than the room system's.

        None if that is unknown.
        """
        if (active := self.valid_active_port) is None or not self.ports:
            return None
        port = self.port(active)
        return False if port is None or active == self.fixed_port else port.connected


def _part(hub: Fields, data: Fields, name: str) -> Fields:
    """Return `state` or `config` of a hub, from `data` or else from beside it."""
    part = data.object(name)
    return part if part.json else hub.object(name)


def _overheating(otp: JSON) -> bool | None:
    """Read `otp`, the over-temperature protection. The only known word is `normal`."""
    if isinstance(otp, str):
        word = otp.strip().lower()
        return word not in ("normal", "0", "false", "off") if word else None
    return boolean(otp)


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
