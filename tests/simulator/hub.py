"""One hub: what happens at the table, and the JSON the cloud shows of it."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from .settings import Settings

type JsonObject = dict[str, Any]
type Listener = Callable[[SimHub, str | None, JsonObject], None]

STATE_CHANGE: Final = "hub:state:change"
CONFIG_CHANGE: Final = "hub:config:change"
CONNECTION_CHANGE: Final = "hub:con:change"

CONNECT_RULES: Final = ("disabled", "first", "every")
DISCONNECT_RULES: Final = ("disabled", "active", "last", "both")

AS_IT_IS: Final = object()


def _ignore(_hub: SimHub, _event: str | None, _changes: JsonObject) -> None:
    pass


def _merge(into: JsonObject, other: Mapping[str, Any]) -> None:
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _drop(tree: JsonObject, path: str) -> None:
    *parents, last = path.split(".")
    branch: Any = tree
    for key in parents:
        branch = branch.get(key) if isinstance(branch, dict) else None
    if isinstance(branch, dict):
        branch.pop(last, None)


class SimHub:
    """A hub with ports 1..n; `state`, `config` and `connections` are what the cloud last heard.

    Changing those three dicts directly is silent; the methods send events as the cloud does.
    `extra` is merged over the JSON, the dotted paths in `omit` are left out of it, and any value
    in `raw` takes its place altogether.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the name it has in the API
        name: str,
        serial: str,
        account_id: str,
        space_ids: Iterable[str] = (),
        product: str = "O-PC-4",
        ports: int = 4,
        connected: Iterable[int] = (),
        active: int = 0,
        mtr_port: int = 0,
        online: bool = True,
        config: Mapping[str, Any] | None = None,
        ip: str = "192.0.2.10",
        listener: Listener = _ignore,
    ) -> None:
        self.id = id
        self.name = name
        self.serial = serial
        self.account_id = account_id
        self.space_ids = list(space_ids)
        self.product = product
        self.ports = ports
        self.custom_id = name.lower().replace(" ", "-")
        self.hardware_id = f"ochno-{serial.lower()}"
        self.firmware = "4.2.1"
        self.hardware_version = "1.3"
        self.ip = ip
        self._online = online
        self._plugged = set(connected)
        self._hot = False
        self._listener = listener
        self.state: JsonObject = {
            "connected": [int(port in self._plugged) for port in range(1, ports + 1)],
            "active": active,
            "mtrmode": mtr_port > 0,
            "mtrport": mtr_port,
            "mtrdisable": 0,
            "mtrextension": "disable",
            "mtrsync": mtr_port > 0,
            "externalmtr": mtr_port > 0,
            "adminmode": False,
            "otp": "normal",
        }
        self.config: JsonObject = {
            "defaultport": mtr_port,
            "hdmiceccontrol": True,
            "autoswitchconnect": "first",
            "autoswitchdisconnect": "active",
            "buttonoffdefault": False,
            "inactivedisabled": [0] * ports,
            **(config or {}),
        }
        self.connections: JsonObject = {
            f"usb{port}": self._connection() if port in self._plugged else None
            for port in range(1, ports + 1)
        }
        self.extra: JsonObject = {}
        self.omit: set[str] = set()
        self.raw: Any = AS_IT_IS

    @property
    def active(self) -> int:
        """The active port, 0 for none."""
        return int(self.state["active"])

    @property
    def plugged(self) -> list[int]:
        """The ports with a cable in them now, whether or not the cloud has heard of it."""
        return sorted(self._plugged)

    @property
    def online(self) -> bool:
        """Whether the cloud hears the hub. There is no event for it.

        A hub that comes online again reports what was plugged and unplugged meanwhile.
        """
        return self._online

    @online.setter
    def online(self, online: bool) -> None:
        if online == self._online:
            return
        self._online = online
        self._listener(self, None, {})
        if not online:
            return
        self.overheat(self._hot)
        for port in range(1, self.ports + 1):
            if self._reported(port) and port not in self._plugged:
                self._disconnect(port)
        for port in self.plugged:
            if not self._reported(port):
                self._connect(port)

    def plug(self, port: int) -> None:
        """Plug a laptop in.

        Rule autoswitchconnect: `every` makes its port active; `first` only if no other laptop was
        connected or no port was active. The room's own system (mtrport) is no laptop.
        """
        self._check(port)
        self._plugged.add(port)
        self._listener(self, None, {})
        if self._online and not self._reported(port):
            self._connect(port)

    def unplug(self, port: int) -> None:
        """Pull the cable.

        Rule autoswitchdisconnect: `active` moves on if the port was active, `last` if no laptop is
        left, `both` in either case; otherwise the active port stays, even with nothing in it. The
        next is the first other laptop, else the default port, else the room's system, else none.
        """
        self._check(port)
        self._plugged.discard(port)
        self._listener(self, None, {})
        if self._online and self._reported(port):
            self._disconnect(port)

    def press(self, port: int) -> None:
        """Press a port's button; nothing happens while the hub is offline.

        The port becomes active; the active one goes off, or with buttonoffdefault to the default
        port.
        """
        self._check(port)
        if not self._online:
            return
        off = self._default_port() if self.config.get("buttonoffdefault") else 0
        self.set_active(off if port == self.active else port)

    def overheat(self, hot: bool) -> None:
        """Make the hub too hot, or cool it down; an offline hub tells when it is back."""
        self._hot = hot
        if self._online:
            self.change_state(otp="warning" if hot else "normal")

    def set_active(self, port: int) -> None:
        """Make a port active, or none with 0, as a command from the cloud does."""
        self.change_state(active=port)

    def change_state(self, **changes: Any) -> None:
        """Set keys of the state; one event with those that differ, none if none does."""
        self._change(self.state, STATE_CHANGE, changes)

    def change_config(self, **changes: Any) -> None:
        """Set keys of the config; one event with those that differ, none if none does."""
        self._change(self.config, CONFIG_CHANGE, changes)

    def as_json(self, settings: Settings, *, in_list: bool = False) -> Any:
        """Return what the API answers. The parts may be the hub's own: serialise, don't keep."""
        if self.raw is not AS_IT_IS:
            return self.raw
        data: JsonObject = {
            "product": self.product,
            "firmware": self.firmware,
            "hardwareversion": self.hardware_version,
            "ip": self.ip,
            "customid": self.custom_id,
            "presence": self._online,
            "state": self.state,
            "config": self.config,
            "connections": self.connections,
        }
        hub: JsonObject = {
            "id": self.id,
            "name": self.name,
            "hwId": self.hardware_id,
            "customid": self.custom_id,
            settings.space_key: self.space_ids,
            "data": data,
        }
        if settings.serial_at != "data":
            hub["serialNumber"] = self.serial
        if settings.serial_at != "top":
            data["serial"] = self.serial
        if self.extra or self.omit:
            hub = deepcopy(hub)
            _merge(hub, deepcopy(self.extra))
            for path in self.omit:
                _drop(hub, path)
        if in_list and not settings.list_state:
            for key in ("state", "config", "connections"):
                _drop(hub, f"data.{key}")
        return hub

    def _check(self, port: int) -> None:
        if not 1 <= port <= self.ports:
            raise ValueError(f"{self.name} has ports 1 to {self.ports}, not {port}.")

    def _change(self, whole: JsonObject, event: str, changes: JsonObject) -> None:
        new = {key: value for key, value in changes.items() if whole.get(key, AS_IT_IS) != value}
        if new:
            whole.update(new)
            self._listener(self, event, new)

    def _reported(self, port: int) -> bool:
        return bool(self.state["connected"][port - 1])

    def _default_port(self) -> int:
        return int(self.config.get("defaultport") or 0)

    def _room_port(self) -> int:
        return int(self.state["mtrport"]) if self.state["mtrmode"] else 0

    def _laptops(self) -> list[int]:
        return [
            port
            for port in range(1, self.ports + 1)
            if self._reported(port) and port != self._room_port()
        ]

    def _connection(self) -> JsonObject:
        return {"type": "usb", "connected": True, "direction": "upstream"}

    def _connect(self, port: int) -> None:
        rule = self.config.get("autoswitchconnect")
        first = rule == "first" and (not self._laptops() or not self.active)
        active = port if rule == "every" or first else self.active
        self._report(port, 1, active)

    def _disconnect(self, port: int) -> None:
        rule = self.config.get("autoswitchdisconnect")
        left = [laptop for laptop in self._laptops() if laptop != port]
        moves_on = (rule in ("active", "both") and port == self.active) or (
            rule in ("last", "both") and not left
        )
        active = self.active
        if moves_on:
            room = self._room_port()
            room = room if room and room != port and self._reported(room) else 0
            active = left[0] if left else self._default_port() or room
        self._report(port, 0, active)

    def _report(self, port: int, connected: int, active: int) -> None:
        everywhere = list(self.state["connected"])
        everywhere[port - 1] = connected
        connection = {f"usb{port}": self._connection() if connected else None}
        self.connections.update(connection)
        self.change_state(connected=everywhere, active=active)
        self._listener(self, CONNECTION_CHANGE, connection)
