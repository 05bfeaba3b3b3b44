"""Ochno Operated: USB-C switches ("hubs") in meeting rooms."""

from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.device_registry import AnyDeviceEntry

from .const import CONF_ACCESS, CONF_PUSH, CONF_SERVER, Access
from .coordinator import OchnoConfigEntry, OchnoCoordinator
from .devices import account_identifier, hub_id_of
from .facts import async_forget_reports, async_report_hubs
from .oauth import OchnoSession, async_forget_tokens
from .operated.client import OperatedClient
from .problems import async_settle_issues
from .push import OchnoPush, async_forget_push

PLATFORMS = [Platform.BINARY_SENSOR, Platform.SELECT, Platform.SENSOR, Platform.SWITCH]

# By platform and translation key: the entities that exist with one kind of access only.
EXCLUSIVE = {
    Access.READ: {(Platform.SENSOR, "active_port"), (Platform.BINARY_SENSOR, "port_active")},
    Access.CONTROL: {(Platform.SELECT, "active_port"), (Platform.SWITCH, "port")},
}


async def async_setup_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> bool:
    """Set up one Ochno Operated account."""
    session = await OchnoSession.create(hass, entry)
    client = OperatedClient(
        async_get_clientsession(hass), entry.data[CONF_SERVER], session.access_token
    )
    coordinator = OchnoCoordinator(hass, entry, client)
    await coordinator.async_config_entry_first_refresh()
    entry.runtime_data = coordinator
    if entry.options.get(CONF_PUSH, True):
        push = OchnoPush(hass, entry, client, coordinator)
        await push.async_start()
        entry.async_on_unload(push.async_stop)
    _remove_entities_of_other_access(hass, entry)
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    # After the entities, so that an automation finds their states as new as the reports.
    async_report_hubs(hass, entry)
    return True


def _remove_entities_of_other_access(hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
    """Forget what was there before the user changed the access."""
    [other] = set(Access) - {entry.data[CONF_ACCESS]}
    registry = er.async_get(hass)
    for entity in er.async_entries_for_config_entry(registry, entry.entry_id):
        if (entity.domain, entity.translation_key) in EXCLUSIVE[other]:
            registry.async_remove(entity.entity_id)


async def async_unload_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> bool:
    """Unload one Ochno Operated account."""
    async_settle_issues(hass, entry)
    return await hass.config_entries.async_unload_platforms(entry, PLATFORMS)


async def async_remove_entry(hass: HomeAssistant, entry: OchnoConfigEntry) -> None:
    """Leave nothing behind."""
    async_forget_reports(hass, entry.entry_id)
    async_settle_issues(hass, entry)
    await async_forget_push(hass, entry.entry_id)
    await async_forget_tokens(hass, entry.entry_id)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: OchnoConfigEntry, device: AnyDeviceEntry
) -> bool:
    """Let the user delete a device whose hub is no longer in the account."""
    if entry.state is not ConfigEntryState.LOADED:
        # Then nobody knows which hubs there are.
        return False
    coordinator = entry.runtime_data
    hub_id = hub_id_of(device)
    if hub_id == account_identifier(entry) or hub_id in coordinator.data:
        return False
    coordinator.async_forget(hub_id)
    return True
