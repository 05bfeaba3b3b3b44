"""What the hubs say and said last: what triggers and conditions go by, and whom they are about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import probatio

from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    CONF_EXCLUDE,
    CONF_OPTIONS,
    CONF_TARGET,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import (
    config_validation as cv,
    device_registry as dr,
    entity_registry as er,
)
from homeassistant.helpers.dispatcher import async_dispatcher_send
from homeassistant.helpers.target import (
    SelectedEntities,
    TargetSelection,
    async_extract_referenced_entity_ids,
)
from homeassistant.helpers.typing import ConfigType
from homeassistant.util.hass_dict import HassKey
from homeassistant.util.signal_type import SignalType

from .const import DOMAIN
from .coordinator import OchnoConfigEntry
from .entity import active_port_option
from .operated.models import Hub
from .operated.values import MAX_PORTS

# By the key of the entity that says the same; the active port is a number, 0 for none.
type Facts = Mapping[str, bool | int]

CONF_PORT: Final = "port"
_PORTS: Final = ["none", *(str(number) for number in range(1, MAX_PORTS + 1))]
_TARGETS: Final = (ATTR_ENTITY_ID, ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a hub says now, and what it said last before; what is not known is left out.

    Of a hub that is offline no more is known than that, and nothing of one that is not in the
    account, or whose account can not be read or is not loaded.
    """

    entry_id: str
    hub: Hub
    before: Facts
    now: Facts

    def became(self, key: str, value: bool) -> bool:
        """Tell whether a fact that was known to be otherwise is now so."""
        return self.before.get(key) is (not value) and self.now.get(key) is value

    def device(self, hass: HomeAssistant) -> dr.DeviceEntry | None:
        """Return the hub's device, if it is still registered."""
        return dr.async_get(hass).async_get_device_by_identifier(
            (DOMAIN, self.hub.id), self.entry_id
        )


REPORTED: Final[SignalType[list[Report]]] = SignalType(f"{DOMAIN}_reported")
# By entry and hub; kept while an entry is reloaded, as that is no reason to miss a change.
_LAST: Final[HassKey[dict[str, dict[str, Report]]]] = HassKey(f"{DOMAIN}_reports")


def automation_schema(options: dict[probatio.Marker, Any]) -> probatio.Schema:
    """Describe a trigger or a condition that has a target and these options."""
    target = probatio.All(cv.TARGET_FIELDS, cv.has_at_least_one_key(*_TARGETS))
    return probatio.Schema(
        {
            probatio.Required(CONF_TARGET): target,
            probatio.Required(CONF_OPTIONS, default={}): options,
        }
    )


def port_option(*, none: bool) -> dict[probatio.Marker, Any]:
    """Describe the option of a port, which may also be `none`."""
    return {
        probatio.Optional(CONF_PORT): probatio.All(
            probatio.Coerce(str), probatio.In(_PORTS[not none :])
        )
    }


def chosen_port(options: ConfigType) -> int | None:
    """Return the number of the port chosen, 0 for none; None if it may be any."""
    port = options.get(CONF_PORT)
    return 0 if port == "none" else port and int(port)


@callback
def async_report_hubs(hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
    """Report what becomes of the hubs, until the entry is unloaded."""
    coordinator = entry.runtime_data
    last = hass.data.setdefault(_LAST, {}).setdefault(entry.entry_id, {})

    @callback
    def report(hub_ids: Iterable[str], hubs: Mapping[str, Hub]) -> None:
        reports = []
        for hub_id in hub_ids:
            if (hub := hubs.get(hub_id)) is None and hub_id not in last:
                continue
            previous = last.get(hub_id)
            last[hub_id] = Report(
                entry_id=entry.entry_id,
                hub=hub or last[hub_id].hub,
                before={**previous.before, **previous.now} if previous else {},
                now=_facts(hub) if hub else {},
            )
            reports.append(last[hub_id])
        # Whoever changed the hub goes on first: no automation overtakes the command that caused it.
        hass.loop.call_soon(async_dispatcher_send, hass, REPORTED, reports)

    @callback
    def report_update() -> None:
        report(coordinator.changed, coordinator.data if coordinator.last_update_success else {})

    entry.async_on_unload(coordinator.async_add_listener(report_update))
    entry.async_on_unload(lambda: report(list(last), {}))
    report(coordinator.data.keys() | last.keys(), coordinator.data)


@callback
def async_last_reports(hass: HomeAssistant) -> list[Report]:
    """Return what is known of every hub."""
    return [report for last in hass.data.get(_LAST, {}).values() for report in last.values()]


@callback
def async_forget_reports(hass: HomeAssistant, entry_id: str) -> None:
    """Forget the hubs of an entry that is removed."""
    hass.data.get(_LAST, {}).pop(entry_id, None)


def _facts(hub: Hub) -> Facts:
    facts: dict[str, bool | int | None] = {"connectivity": hub.online}
    if hub.online is not False:
        active = hub.active_port if active_port_option(hub) else None
        facts |= {"active_port": active, "in_use": hub.in_use, "overheating": hub.overheating}
        facts |= {f"port_{port.number}_connected": port.connected for port in hub.ports}
    return {key: fact for key, fact in facts.items() if fact is not None}


def active_keys(number: int) -> tuple[str, str]:
    """Return the keys of the entities that say whether a port is active, with either access."""
    return f"port_{number}", f"port_{number}_active"


class Target:
    """Whom an automation is about: hubs as a whole, and what single entities say.

    A hub is meant as a whole if its device is, or the area, floor or label of that; then it does
    not matter which of its entities are disabled or hidden.
    """

    def __init__(self, hass: HomeAssistant, config: ConfigType) -> None:
        self._hass = hass
        included = _select(hass, config)
        excluded = _select(hass, config.get(CONF_EXCLUDE, {}))
        self._device_ids = included.referenced_devices
        self._named = _unique_ids(hass, included.referenced)
        self._included = self._named | _unique_ids(hass, included.indirectly_referenced)
        self._excluded = _unique_ids(hass, excluded.referenced | excluded.indirectly_referenced)

    def includes(self, report: Report, *keys: str, named: Iterable[str] = ()) -> bool:
        """Tell whether it is about what any of these entities of a hub say.

        Those in `named` count only if they themselves are named. The room's own system is no
        laptop: its port is meant only if its entity is named.
        """
        unique_ids = {f"{report.hub.id}_{key}" for key in keys}
        if not self._named.isdisjoint(f"{report.hub.id}_{key}" for key in named):
            return True
        if f"port_{report.hub.fixed_port}_connected" in keys:
            return bool(unique_ids & self._named)
        device = report.device(self._hass)
        whole = device is not None and device.id in self._device_ids
        return bool(unique_ids & self._included) or (whole and not unique_ids & self._excluded)


def _select(hass: HomeAssistant, config: ConfigType) -> SelectedEntities:
    return async_extract_referenced_entity_ids(
        hass, TargetSelection(config), expand_group=False, primary_entities_only=False
    )


def _unique_ids(hass: HomeAssistant, entity_ids: Iterable[str]) -> set[str]:
    entries = map(er.async_get(hass).async_get, entity_ids)
    return {entry.unique_id for entry in entries if entry and entry.platform == DOMAIN}
