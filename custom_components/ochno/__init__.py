"""The Ochno integration: USB-C switches ("hubs") in meeting rooms."""

from typing import Final

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers.device_registry import AnyDeviceEntry
from homeassistant.helpers.typing import ConfigType

from .availability import async_log_availability
from .const import CONF_PUSH, CONF_SERVER, DOMAIN
from .control import OchnoControl
from .coordinator import OchnoCoordinator
from .dashboard import async_setup_dashboard
from .data import OchnoConfigEntry, OchnoData
from .devices import (
    account_identifier,
    async_remove_entities_of_other_access,
    hub_id_of_device,
)
from .history import async_remove_history, async_start_history
from .problems import async_remove_problems, async_setup_problems
from .push import OchnoPush, async_remove_push
from .session import async_create_client, async_get_budget, async_remove_budget
from .tokens import OchnoSession, async_remove_tokens

CONFIG_SCHEMA: Final = cv.config_entry_only_config_schema(DOMAIN)
PLATFORMS: Final = [Platform.BINARY_SENSOR, Platform.SELECT, Platform.SENSOR, Platform.SWITCH]


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Set up what all accounts share."""
    async_setup_problems(hass)
    await async_setup_dashboard(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> bool:
    """Set up one Ochno Operated account."""
    session = await OchnoSession.async_create(hass, entry)
    client = async_create_client(
        hass,
        entry.data[CONF_SERVER],
        session.async_get_access_token,
        async_get_budget(hass, entry.entry_id),
    )
    coordinator = OchnoCoordinator(hass, entry, client)
    await coordinator.async_config_entry_first_refresh()
    coordinator.async_start()
    async_log_availability(coordinator)
    push = OchnoPush(hass, entry, client, coordinator)
    entry.runtime_data = OchnoData(
        coordinator=coordinator,
        control=OchnoControl(hass, entry, client, coordinator),
        push=push,
    )
    if entry.options.get(CONF_PUSH, True):
        await push.async_start()
        entry.async_on_unload(push.async_stop)
    async_remove_entities_of_other_access(hass, entry)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    # Started after the entities, so that an entity shows a state before a trigger reports it.
    async_start_history(hass, entry)
    return True


async def async_unload_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> bool:
    """Unload a config entry."""
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
    """Delete everything that was stored for a config entry."""
    async_remove_history(hass, entry.entry_id)
    async_remove_problems(hass, entry)
    async_remove_budget(hass, entry.entry_id)
    await async_remove_push(hass, entry.entry_id)
    await async_remove_tokens(hass, entry.entry_id)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: OchnoConfigEntry, device: AnyDeviceEntry
) -> bool:
    """Allow the user to delete the device of a hub that is no longer in the account."""
    if entry.state is not ConfigEntryState.LOADED:
        # The hubs of the account are not known.
        return False
    coordinator = entry.runtime_data.coordinator
    hub_id = hub_id_of_device(device)
    if hub_id == account_identifier(entry) or hub_id in coordinator.data:
        return False
    coordinator.async_release_hub(hub_id)
    return True
