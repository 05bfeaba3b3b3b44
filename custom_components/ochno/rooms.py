"""Rooms: hubs in the same area are one room."""

from collections import defaultdict
from collections.abc import Iterable, Set
from dataclasses import dataclass

from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import area_registry as ar, device_registry as dr

from .const import DOMAIN
from .history import HubSnapshot, async_hub_snapshots


@dataclass(frozen=True, kw_only=True)
class RoomHub:
    """A hub of a room, with its device."""

    snapshot: HubSnapshot
    device: dr.DeviceEntry

    @property
    def name(self) -> str:
        """The name of the device."""
        return self.device.name_by_user or self.device.name or self.snapshot.hub.name


@dataclass(frozen=True, kw_only=True)
class Room:
    """The hubs in one area. A hub without an area is a room of its own.

    `area` is None for a hub without an area. `hubs` are in the order of their names.
    """

    name: str
    area: ar.AreaEntry | None
    hubs: tuple[RoomHub, ...]

    @property
    def in_use(self) -> bool | None:
        """Whether a laptop is plugged in.

        None if no hub reports one, and a hub is offline or does not report it: the room may be
        in use.
        """
        return any_known(hub.snapshot.current.get("in_use") for hub in self.hubs)


def any_known(values: Iterable[bool | int | None]) -> bool | None:
    """Return whether a value is true; None if none is, and one is unknown."""
    found = set(values)
    if any(found):
        return True
    return None if None in found else False


@callback
def async_rooms(
    hass: HomeAssistant, entry_id: str | None = None, hub_ids: Set[str] | None = None
) -> list[Room]:
    """Return the rooms in the order of their names.

    By default these are the rooms of all accounts. With `entry_id`, they have only the hubs of that
    account. With `hub_ids`, only the rooms with one of these hubs are returned. A hub whose device
    is disabled or missing is in no room.
    """
    areas = ar.async_get(hass)
    if hub_ids is not None:
        hub_ids = _hubs_in_same_areas(hass, hub_ids)
    hubs = defaultdict[str, list[RoomHub]](list)
    for snapshot in async_hub_snapshots(hass, hub_ids):
        if entry_id is not None and snapshot.entry_id != entry_id:
            continue
        device = snapshot.device(hass)
        if device is not None and not device.disabled:
            hubs[device.area_id or device.id].append(RoomHub(snapshot=snapshot, device=device))
    rooms = []
    for key, members in hubs.items():
        members.sort(key=lambda hub: hub.name.casefold())
        area = areas.async_get_area(key) if members[0].device.area_id else None
        name = area.name if area else members[0].name
        rooms.append(Room(name=name, area=area, hubs=tuple(members)))
    return sorted(rooms, key=lambda room: room.name.casefold())


def _hubs_in_same_areas(hass: HomeAssistant, hub_ids: Set[str]) -> set[str]:
    """Return these hubs and the other hubs in their areas."""
    registry = dr.async_get(hass)
    found = set(hub_ids)
    for snapshot in async_hub_snapshots(hass, hub_ids):
        device = snapshot.device(hass)
        if device is not None and device.area_id:
            for neighbour in dr.async_entries_for_area(registry, device.area_id):
                # Identifiers of other integrations can have more than two parts.
                found |= {id_[1] for id_ in neighbour.identifiers if id_[0] == DOMAIN}
    return found
