"""Data models of accounts, users and spaces."""

from collections import deque
from dataclasses import dataclass
from typing import Self

from .errors import OperatedResponseError
from .redact import shape
from .types import JSON
from .values import Fields, text, unwrapped_list, unwrapped_object


@dataclass(frozen=True, kw_only=True)
class Account:
    """An organisation account. `name` is None if the API does not send it."""

    id: str
    name: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Parse one account. Raises OperatedResponseError if it has no id."""
        account = unwrapped_object(json, "account")
        if (id_ := text(account.get("id"))) is None:
            raise OperatedResponseError(f"expected an account with an id, got {shape(json)}")
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
        user = unwrapped_object(json, "user", "sub")
        return cls(id=text(user.get("sub", "id")), name=text(user.get("name")))


@dataclass(frozen=True, kw_only=True)
class Space:
    """A space (room). `account_id` is None if the API does not send it."""

    id: str
    name: str
    account_id: str | None

    @classmethod
    def from_json(cls, json: JSON) -> Self:
        """Parse one space. Raises OperatedResponseError if it has no id or no name."""
        space = unwrapped_object(json, "space")
        id_, name = text(space.get("id")), text(space.get("name"))
        if id_ is None or name is None:
            raise OperatedResponseError(f"expected a space with id and name, got {shape(json)}")
        return cls(id=id_, name=name, account_id=text(space.get("accountId")))


def read_accounts(json: JSON) -> tuple[Account, ...]:
    """Parse `GET /api/accounts/v1`: one account, or a list of accounts.

    Raises OperatedResponseError if an account has no id.
    """
    try:
        return (Account.from_json(json),)
    except OperatedResponseError:
        return tuple(map(Account.from_json, unwrapped_list(json, "accounts")))


def read_spaces(json: JSON) -> tuple[tuple[Space, ...], tuple[str, ...]]:
    """Parse `GET /api/spaces/v1`: a list of spaces, which can contain other spaces.

    Returns the spaces, and a description of each malformed item. Raises OperatedResponseError if it
    is not a list.
    """
    spaces: list[Space] = []
    malformed: list[str] = []
    items = deque(unwrapped_list(json, "spaces"))
    while items:
        item = items.popleft()
        try:
            spaces.append(Space.from_json(item))
        except OperatedResponseError as err:
            malformed.append(str(err))
        inner = Fields(item).get("spaces", "children") if isinstance(item, dict) else None
        items.extend(inner if isinstance(inner, list) else ())
    return tuple(spaces), tuple(malformed)
