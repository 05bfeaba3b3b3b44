"""Account identity: which account a user signed in to, and whether an entry belongs to it."""

from collections.abc import Awaitable, Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from homeassistant.config_entries import ConfigEntry

from .const import CONF_ACCOUNT_ID, CONF_USER_ID
from .operated.client import OperatedClient
from .operated.errors import (
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
)

_DEFAULT_TITLE: Final = "Ochno Operated"
# From this status on, the server has a problem.
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, kw_only=True)
class SignedInAccount:
    """The account that the user signed in to. An id is None if the API does not tell it."""

    account_id: str | None
    user_id: str | None
    title: str
    hub_ids: frozenset[str]

    def matches(self, entry: ConfigEntry, entry_hub_ids: AbstractSet[str]) -> bool | None:
        """Return whether a config entry belongs to this account; None if that is unknown.

        Account ids decide. A user can have several accounts and hubs can move between them, so
        hubs and the user's id only count if an account id is missing.
        """
        entry_account_id = entry.data.get(CONF_ACCOUNT_ID)
        if self.account_id is not None:
            if self.account_id in (entry_account_id, entry.unique_id):
                return True
            if entry_account_id is not None:
                return False
        if self.hub_ids and entry_hub_ids:
            similar = not self.hub_ids.isdisjoint(entry_hub_ids)
        elif self.user_id is None:
            return None
        else:
            similar = self.user_id in (entry.data.get(CONF_USER_ID), entry.unique_id)
        return None if similar and entry_account_id is not None else similar

    def unique_id(self, used: AbstractSet[str | None]) -> str | None:
        """Return the unique id for a new entry; None if the account cannot be identified.

        A user's id can be used already, by an entry for another account of the user. Without any
        id, a hub identifies the account. It can have identified the account from which it moved.
        """
        if self.account_id is not None:
            return self.account_id
        if self.user_id is not None and (self.user_id not in used or not self.hub_ids):
            return self.user_id
        by_hub = (f"{self.user_id or 'hub'}_{hub_id}" for hub_id in sorted(self.hub_ids))
        return next((unique_id for unique_id in by_hub if unique_id not in used), None)


async def async_identify_account(client: OperatedClient, *, is_new: bool) -> SignedInAccount:
    """Identify the account of the client's tokens by its account, spaces, user and hubs.

    For a new entry, server errors in the requests for the account, the user and the spaces are
    ignored. Raises OperatedError.
    """
    hub_list = await client.hubs()
    accounts = await _none_if_refused(client, client.accounts(), is_new) or ()
    user = await _none_if_refused(client, client.user(), is_new)
    account = accounts[0] if len(accounts) == 1 else None
    account_id = account.id if account else None
    if account is None:
        account_id = _common({hub.account_id for hub in hub_list.hubs.values()})
        if account_id is None:
            spaces = await _none_if_refused(client, client.spaces(), is_new) or ()
            account_id = _common({space.account_id for space in spaces})
        account = next((one for one in accounts if one.id == account_id), None)
    if account_id is None:
        description = f"the account is not known, {len(accounts)} accounts were read"
        client.evidence.record("sign-in", description)
    if user is None or user.id is None:
        client.evidence.record("sign-in", "the user is not known")
    # Not the e-mail address, because the title appears in the log and in entity names.
    names = [account and account.name, user and user.name]
    return SignedInAccount(
        account_id=account_id,
        user_id=user.id if user else None,
        title=next((name for name in names if name), _DEFAULT_TITLE),
        hub_ids=frozenset(hub_list.hubs),
    )


def _common(account_ids: set[str | None]) -> str | None:
    """Return the only account id; None if there is none or more than one."""
    known = account_ids - {None}
    return known.pop() if len(known) == 1 else None


async def _none_if_refused[ResponseT](
    client: OperatedClient, response: Awaitable[ResponseT], is_new: bool
) -> ResponseT | None:
    """Return the response; None if the server refuses it or it has an unexpected structure.

    A rejected token, a rate limit and a connection error are raised, because they concern all
    requests. A problem of the server is also raised, unless the account is for a new entry.
    """
    try:
        return await response
    except (OperatedForbiddenError, OperatedResponseError, OperatedStatusError) as err:
        if isinstance(err, OperatedRateLimitError) or (
            not is_new and isinstance(err, OperatedStatusError) and err.status >= _SERVER_ERROR
        ):
            raise
        client.evidence.record("sign-in", str(err) or type(err).__name__)
        return None
