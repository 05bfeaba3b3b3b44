"""Simulated hub: ports, automatic switching and JSON."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final

from .settings import Settings

type JsonObject = dict[str, Any]
# Called with the hub, the name of the API's event (None if it has none), and the changed keys.
type HubListener = Callable[[SimHub, str | None, JsonObject], None]

STATE_CHANGE: Final = "hub:state:change"
CONFIG_CHANGE: Final = "hub:config:change"
CONNECTION_CHANGE: Final = "hub:con:change"

CONNECT_RULES: Final = ("disabled", "first", "every")
DISCONNECT_RULES: Final = ("disabled", "active", "last", "both")

_UNSET: Final = object()


def _ignore_change(_hub: SimHub, _event: str | None, _changes: JsonObject) -> None:
    pass


def _merge(target: JsonObject, source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value


def _delete_path(tree: JsonObject, path: str) -> None:
    *parents, last = path.split(".")
    branch: object = tree
    for key in parents:
        branch = branch.get(key) if isinstance(branch, dict) else None
    if isinstance(branch, dict):
        branch.pop(last, None)


class SimHub:
    """A hub with ports 1 to `ports`.

    `state`, `config` and `connections` are the data that the hub last reported to the vendor.
    The methods send events; a direct change of these dictionaries sends none.

    Three attributes change the JSON of the API: `extra` is merged into it, the dotted paths in
    `omit` are removed from it, and `json_override` replaces it.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the API uses this name
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
        config: Mapping[str, object] | None = None,
        ip: str = "192.0.2.10",
        listener: HubListener = _ignore_change,
    ) -> None:
        self.id = id
        self.name = name
        self.serial = serial
        self.account_id = account_id
        # Ids of other accounts that list the hub as well.
        self.shared_with: set[str] = set()
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
        self._overheated = False
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
        self.json_override: object = _UNSET

    @property
    def active(self) -> int:
        """The active port, 0 if there is none."""
        return int(self.state["active"])

    @property
    def plugged(self) -> list[int]:
        """The ports with a cable now, even if the hub has not reported it."""
        return sorted(self._plugged)

    @property
    def online(self) -> bool:
        """Whether the hub is connected to the vendor. The API has no event for this.

        When the hub comes online, it reports the changes that happened while it was offline.
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
        self.set_overheated(self._overheated)
        for port in range(1, self.ports + 1):
            if self._is_connected(port) and port not in self._plugged:
                self._report_unplugged(port)
        for port in self.plugged:
            if not self._is_connected(port):
                self._report_plugged(port)

    def plug(self, port: int) -> None:
        """Plug in a laptop.

        The setting autoswitchconnect selects the active port. `every`: the new port. `first`: the
        new port, if nothing else is connected. The room system (mtrport) counts as well.
        """
        self._check_port(port)
        self._plugged.add(port)
        self._listener(self, None, {})
        if self._online and not self._is_connected(port):
            self._report_plugged(port)

    def unplug(self, port: int) -> None:
        """Unplug the cable.

        The setting autoswitchdisconnect decides whether the hub switches. `active`: if the port
        was active. `last`: if no laptop is left. `both`: in either case. The hub switches to the
        default port, with 0 to none.
        """
        self._check_port(port)
        self._plugged.discard(port)
        self._listener(self, None, {})
        if self._online and self._is_connected(port):
            self._report_unplugged(port)

    def press(self, port: int) -> None:
        """Press the button of a port. Nothing happens while the hub is offline.

        The port becomes active. If it was active, the hub switches to none, or with
        buttonoffdefault to the default port.
        """
        self._check_port(port)
        if not self._online:
            return
        off_port = self._default_port() if self.config.get("buttonoffdefault") else 0
        self.set_active(off_port if port == self.active else port)

    def set_overheated(self, overheated: bool) -> None:
        """Overheat the hub or cool it down. An offline hub reports it when it comes online."""
        self._overheated = overheated
        if self._online:
            self.change_state(otp="warning" if overheated else "normal")

    def set_active(self, port: int) -> None:
        """Switch to a port, or to none with 0, as a command of the API does."""
        self.change_state(active=port)

    def change_state(self, **changes: object) -> None:
        """Change keys of the state. Send an event with the keys that differ, if any."""
        self._change(self.state, STATE_CHANGE, changes)

    def change_config(self, **changes: object) -> None:
        """Change keys of the config. Send an event with the keys that differ, if any."""
        self._change(self.config, CONFIG_CHANGE, changes)

    def as_json(self, settings: Settings, *, in_list: bool = False) -> object:
        """Return the JSON value of the API. It can share objects with the hub: do not keep it."""
        if self.json_override is not _UNSET:
            return self.json_override
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
        if settings.send_account_id:
            hub["accountId"] = self.account_id
        if settings.serial_at != "data":
            hub["serialNumber"] = self.serial
        if settings.serial_at != "top":
            data["serial"] = self.serial
        if self.extra or self.omit:
            hub = deepcopy(hub)
            _merge(hub, deepcopy(self.extra))
            for path in self.omit:
                _delete_path(hub, path)
        if in_list and not settings.list_state:
            for key in ("state", "config", "connections"):
                _delete_path(hub, f"data.{key}")
        return hub

    def _check_port(self, port: int) -> None:
        if not 1 <= port <= self.ports:
            raise ValueError(f"{self.name} has ports 1 to {self.ports}, not {port}.")

    def _change(self, target: JsonObject, event: str, changes: JsonObject) -> None:
        new = {key: value for key, value in changes.items() if target.get(key, _UNSET) != value}
        if new:
            target.update(new)
            self._listener(self, event, new)

    def _is_connected(self, port: int) -> bool:
        return bool(self.state["connected"][port - 1])

    def _default_port(self) -> int:
        return int(self.config.get("defaultport") or 0)

    def _room_system_port(self) -> int:
        return int(self.state["mtrport"]) if self.state["mtrmode"] else 0

    def _connected_laptops(self) -> list[int]:
        return [
            port
            for port in range(1, self.ports + 1)
            if self._is_connected(port) and port != self._room_system_port()
        ]

    def _connection(self) -> JsonObject:
        return {"type": "usb", "connected": True, "direction": "upstream"}

    def _report_plugged(self, port: int) -> None:
        rule = self.config.get("autoswitchconnect")
        is_first = rule == "first" and not any(self.state["connected"])
        active = port if rule == "every" or is_first else self.active
        self._report_connection(port, 1, active)

    def _report_unplugged(self, port: int) -> None:
        rule = self.config.get("autoswitchdisconnect")
        laptops = [laptop for laptop in self._connected_laptops() if laptop != port]
        switches = (rule in ("active", "both") and port == self.active) or (
            rule in ("last", "both") and not laptops
        )
        self._report_connection(port, 0, self._default_port() if switches else self.active)

    def _report_connection(self, port: int, connected: int, active: int) -> None:
        all_connected = list(self.state["connected"])
        all_connected[port - 1] = connected
        connection = {f"usb{port}": self._connection() if connected else None}
        self.connections.update(connection)
        self.change_state(connected=all_connected, active=active)
        self._listener(self, CONNECTION_CHANGE, connection)
