"""Moves of hubs: to another account, or to another id after a hub was registered again."""

from typing import Final, Protocol

from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntry, ConfigEntryState
from homeassistant.core import HomeAssistant, callback
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, LOGGER
from .devices import OchnoDevices, async_owner_of_hub
from .operated.models import Hub


class HubAccount(Protocol):
    """A loaded account: its coordinator."""

    config_entry: ConfigEntry
    data: dict[str, Hub]
    devices: OchnoDevices
    last_update_success: bool

    def async_release_hub(self, hub_id: str) -> None:
        """Forget a hub, and remove its entities without their registry entries."""

    async def async_request_refresh(self) -> None:
        """Poll soon."""


_NOT_LOADED_YET: Final = (
    ConfigEntryState.NOT_LOADED,
    ConfigEntryState.SETUP_IN_PROGRESS,
    ConfigEntryState.SETUP_RETRY,
    ConfigEntryState.UNLOAD_IN_PROGRESS,
)
# By entry id.
_ACCOUNTS: Final[HassKey[dict[str, HubAccount]]] = HassKey(f"{DOMAIN}_accounts")


class HubMoves:
    """Moves of hubs to one account.

    The device of a hub is unique, so a hub belongs to one account at a time. It stays there as
    long as that account lists it.
    """

    def __init__(self, hass: HomeAssistant, account: HubAccount) -> None:
        self._hass = hass
        self._account = account
        # Hubs of other accounts that this account lists as well.
        self._shared_hub_ids: set[str] = set()

    @property
    def _accounts(self) -> dict[str, HubAccount]:
        return self._hass.data.setdefault(_ACCOUNTS, {})

    @callback
    def async_start(self) -> None:
        """Let other accounts take over hubs, until the entry is unloaded."""
        entry = self._account.config_entry
        self._accounts[entry.entry_id] = self._account

        @callback
        def stop() -> None:
            del self._accounts[entry.entry_id]

        entry.async_on_unload(stop)

    @callback
    def async_claim(self, hubs: dict[str, Hub], *, complete: bool) -> dict[str, Hub]:
        """Take over the listed hubs that moved; return the hubs without those of other accounts.

        A hub can only have replaced another one if the list is complete.
        """
        shared = set[str]()
        replaced = self._account.devices.async_find_replaced(hubs) if complete else {}
        for hub_id in hubs.keys() - self._account.devices.hub_ids:
            if (owner := async_owner_of_hub(self._hass, hub_id)) is not None:
                if self._still_lists(owner, hub_id):
                    shared.add(hub_id)
                else:
                    self._take_over(hubs[hub_id], hub_id, owner)
            elif hub_id in replaced:
                self._take_over(hubs[hub_id], replaced[hub_id], self._account.config_entry)
        if shared - self._shared_hub_ids:
            self.async_refresh_other_accounts()
        self._shared_hub_ids = shared
        if not shared:
            return hubs
        return {hub_id: hub for hub_id, hub in hubs.items() if hub_id not in shared}

    def _still_lists(self, owner: ConfigEntry, hub_id: str) -> bool:
        """Return whether the owner of a hub has it, as far as this is known."""
        # The list of an account that needs a new sign-in is out of date.
        if owner.disabled_by or any(owner.async_get_active_flows(self._hass, {SOURCE_REAUTH})):
            return False
        if (account := self._accounts.get(owner.entry_id)) is not None:
            return hub_id in account.data
        return owner.state in _NOT_LOADED_YET

    def _take_over(self, hub: Hub, old_hub_id: str, owner: ConfigEntry) -> None:
        LOGGER.info("%s: hub %s has moved here", self._account.config_entry.title, hub.name)
        if owner is self._account.config_entry:
            self._account.async_release_hub(old_hub_id)
        elif (account := self._accounts.get(owner.entry_id)) is not None:
            account.async_release_hub(old_hub_id)
        self._account.devices.async_take_over(hub.id, old_hub_id, owner)

    @property
    def others_up_to_date(self) -> bool:
        """Return whether it is known which hubs the other accounts have."""
        entries = self._hass.config_entries.async_entries(
            DOMAIN, include_ignore=False, include_disabled=False
        )
        return all(
            (account := self._accounts.get(entry.entry_id)) and account.last_update_success
            for entry in entries
            if entry is not self._account.config_entry
        )

    @callback
    def async_refresh_other_accounts(self) -> None:
        """Let the other accounts look for a hub that seems to have moved.

        An account that is unavailable may have to wait until its next poll.
        """
        for account in self._accounts.values():
            if account is not self._account and account.last_update_success:
                account.config_entry.async_create_background_task(
                    self._hass, account.async_request_refresh(), "Ochno refresh"
                )
