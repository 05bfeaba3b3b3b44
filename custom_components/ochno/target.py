"""Targets of triggers and conditions: the hubs and entities that an automation refers to."""

from collections.abc import Iterable
from typing import Any, ClassVar, Final

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
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv, entity_registry as er
from homeassistant.helpers.target import (
    SelectedEntities,
    TargetSelection,
    async_extract_referenced_entity_ids,
)
from homeassistant.helpers.typing import ConfigType

from .const import DOMAIN
from .entity import NO_PORT
from .history import HubSnapshot
from .operated.values import MAX_PORTS

type OptionsSchema = dict[probatio.Marker, Any]

CONF_PORT: Final = "port"
_PORTS: Final = [str(number) for number in range(1, MAX_PORTS + 1)]
_TARGETS: Final = (ATTR_ENTITY_ID, ATTR_DEVICE_ID, ATTR_AREA_ID, ATTR_FLOOR_ID, ATTR_LABEL_ID)


def _port_option(ports: list[str]) -> OptionsSchema:
    return {probatio.Optional(CONF_PORT): probatio.All(probatio.Coerce(str), probatio.In(ports))}


PORT_OPTION: Final = _port_option(_PORTS)
PORT_OR_NONE_OPTION: Final = _port_option([NO_PORT, *_PORTS])


class TargetConfigMixin:
    """Mixin that validates the target and the options of a trigger or condition."""

    _options_schema: ClassVar[OptionsSchema] = {}

    @classmethod
    async def async_validate_config(cls, hass: HomeAssistant, config: ConfigType) -> ConfigType:
        """Validate the configuration."""
        target = probatio.All(cv.TARGET_FIELDS, cv.has_at_least_one_key(*_TARGETS))
        schema = probatio.Schema(
            {
                probatio.Required(CONF_TARGET): target,
                probatio.Required(CONF_OPTIONS, default={}): cls._options_schema,
            }
        )
        validated: ConfigType = schema(config)
        return validated


def selected_port(options: ConfigType) -> int | None:
    """Return the number of the selected port, 0 for `none`; None if no port is selected."""
    if (port := options.get(CONF_PORT)) is None:
        return None
    return 0 if port == NO_PORT else int(port)


def active_port_keys(number: int) -> tuple[str, str]:
    """Return the keys of a port's switch (control access) and binary sensor (read access)."""
    return f"port_{number}", f"port_{number}_active"


class HubTarget:
    """Resolved target of one trigger or condition.

    An automation can refer to single entities or to a whole hub. A whole hub is selected through
    its device, or through the area, floor or label of the device. Then its disabled and hidden
    entities count too.
    """

    def __init__(self, hass: HomeAssistant, config: ConfigType) -> None:
        self._hass = hass
        included = _select(hass, config)
        excluded = _select(hass, config.get(CONF_EXCLUDE, {}))
        self._device_ids = included.referenced_devices
        self._direct = _unique_ids(hass, included.referenced)
        self._included = self._direct | _unique_ids(hass, included.indirectly_referenced)
        self._excluded = _unique_ids(hass, excluded.referenced | excluded.indirectly_referenced)

    def includes(self, snapshot: HubSnapshot, *keys: str, direct_keys: Iterable[str] = ()) -> bool:
        """Return whether the target includes one of a hub's entities, given by their keys.

        `direct_keys` only count if the target names these entities directly. The same applies to
        the key of the room system's port, because no laptop is connected there.
        """
        device = snapshot.device(self._hass)
        if device is not None and device.disabled:
            return False
        unique_ids = {f"{snapshot.hub.id}_{key}" for key in keys}
        if not self._direct.isdisjoint(f"{snapshot.hub.id}_{key}" for key in direct_keys):
            return True
        if f"port_{snapshot.hub.fixed_port}_connected" in keys:
            return bool(unique_ids & self._direct)
        whole_hub = device is not None and device.id in self._device_ids
        return bool(unique_ids & self._included) or (whole_hub and not unique_ids & self._excluded)


def _select(hass: HomeAssistant, config: ConfigType) -> SelectedEntities:
    return async_extract_referenced_entity_ids(
        hass, TargetSelection(config), expand_group=False, primary_entities_only=False
    )


def _unique_ids(hass: HomeAssistant, entity_ids: Iterable[str]) -> set[str]:
    entries = map(er.async_get(hass).async_get, entity_ids)
    return {entry.unique_id for entry in entries if entry and entry.platform == DOMAIN}
