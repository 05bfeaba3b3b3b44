"""Data models of accounts, users and spaces."""

from dataclasses import dataclass
from typing import Self

from .errors import OperatedResponseError
from .values import JSON, as_list, as_object, text


@dataclass(frozen=True, kw_only=True)
class Account:
    """An organisation account. `name` is None if the API does not send it."""

    id: str
    name: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Parse one account. Raises OperatedResponseError if it has no id."""
        account = as_object(json)
        if (id_ := text(account.get("id"))) is None:
            raise OperatedResponseError("expected an account with an id")
        return cls(id=id_, name=text(account.get("name")))


@dataclass(frozen=True, kw_only=True)
class User:
    """The user who signed in. `id` is None without the scope `sub`, `name` without `email`."""

    id: str | None
    name: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Parse `GET /identity/oauth/v2/userinfo`.

        Raises OperatedResponseError if it is not an object.
        """
        user = as_object(json)
        return cls(id=text(user.get("sub")), name=text(user.get("name")))


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space (room). `account_id` is None if the API does not send it."""

    id: str
    name: str
    account_id: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self | None:
        """Parse one item of `GET /api/spaces/v1`; None if it has no id or no name."""
        if not isinstance(json, dict):
            return None
        id_, name = text(json.get("id")), text(json.get("name"))
        if id_ is None or name is None:
            return None
        return cls(id=id_, name=name, account_id=text(json.get("accountId")))


def read_accounts(json: JSON) -> tuple[Account, ...]:
    """Parse `GET /api/accounts/v1`: one account, or a list of accounts.

    Raises OperatedResponseError if an account has no id.
    """
    items = json if isinstance(json, list) else [json]
    return tuple(Account.from_json(item) for item in items)


def read_spaces(json: JSON) -> tuple[Space, ...]:
    """Parse `GET /api/spaces/v1`. Raises OperatedResponseError if it is not a list."""
    return tuple(space for item in as_list(json) if (space := Space.from_json(item)) is not None)
