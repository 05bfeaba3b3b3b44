"""Account identity: which account a user signed in to, and whether an entry belongs to it."""

from collections.abc import Awaitable
from dataclasses import dataclass
from http import HTTPStatus

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .operated.client import OperatedClient
from .operated.errors import OperatedForbiddenError, OperatedResponseError, OperatedStatusError

_DEFAULT_TITLE = "Ochno Operated"


@dataclass(frozen=True, kw_only=True)
class SignedInAccount:
    """The account that the user signed in to.

    `ids` has the account's id and the user's id, in this order, without unknown ids. The vendor
    does not document the response about accounts, so the hub ids are compared as well.
    """

    ids: list[str]
    title: str
    hub_ids: set[str]

    def matches(self, hass: HomeAssistant, entry: ConfigEntry) -> bool:
        """Return whether a config entry belongs to this account."""
        devices = dr.async_entries_for_config_entry(dr.async_get(hass), entry.entry_id)
        known = {id_ for device in devices for _, id_ in device.identifiers}
        if known & self.hub_ids:
            return True
        # One user can have several accounts, so the second id counts only if one side has no hubs.
        # `known` contains the account's device.
        ids = self.ids[:1] if len(known) > 1 and self.hub_ids else self.ids
        return entry.unique_id in ids


async def async_identify_account(client: OperatedClient) -> SignedInAccount:
    """Identify the account of the client's tokens by its hubs, account and user.

    Raises OperatedError.
    """
    hub_list = await client.hubs()
    account = await _none_if_unsupported(client.account())
    user = await _none_if_unsupported(client.user())
    ids = [account and account.id, user and user.id]
    # Not the e-mail address, because the title appears in the log and in entity names.
    names = [account and account.name, user and user.name]
    return SignedInAccount(
        ids=[id_ for id_ in ids if id_],
        title=next((name for name in names if name), _DEFAULT_TITLE),
        hub_ids=set(hub_list.hubs),
    )


async def _none_if_unsupported[ResponseT](response: Awaitable[ResponseT]) -> ResponseT | None:
    """Return the response; None for 403, 404 or a response with an unexpected structure."""
    try:
        return await response
    except OperatedForbiddenError, OperatedResponseError:
        return None
    except OperatedStatusError as err:
        if err.status != HTTPStatus.NOT_FOUND:
            raise
        return None
