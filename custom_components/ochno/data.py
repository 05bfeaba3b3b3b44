"""Runtime data of a config entry."""

from dataclasses import dataclass

from homeassistant.config_entries import ConfigEntry

from .control import OchnoControl
from .coordinator import OchnoCoordinator
from .push import OchnoPush

type OchnoConfigEntry = ConfigEntry[OchnoData]


@dataclass(frozen=True, kw_only=True)
class OchnoData:
    """Runtime data of one account."""

    coordinator: OchnoCoordinator
    control: OchnoControl
    push: OchnoPush
