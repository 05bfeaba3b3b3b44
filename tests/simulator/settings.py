"""Simulator settings and type validation of JSON values."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin

type LifetimeForm = Literal[
    "number",
    "string",
    "float",
    "date",
    "date_offset",
    "date_naive",
    "date_http",
    "null",
    "absent",
    "past",
]


def matches_type(value: object, annotation: object) -> bool:
    """Return whether a JSON value has the annotated type. A bool is not a number."""
    if isinstance(annotation, TypeAliasType):
        annotation = annotation.__value__
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is Union:
        matches = any(matches_type(value, argument) for argument in arguments)
    elif origin is Literal:
        matches = isinstance(value, str) and value in arguments
    elif origin is dict:
        matches = isinstance(value, dict) and all(
            matches_type(item, arguments[1]) for item in value.values()
        )
    elif annotation in (None, NoneType):
        matches = value is None
    elif isinstance(value, bool):
        matches = annotation is bool
    elif annotation is float:
        matches = isinstance(value, int | float)
    else:
        matches = isinstance(annotation, type) and isinstance(value, annotation)
    return matches


@dataclass(slots=True)
class Settings:
    """Settings of the simulator. A change applies from the next request or delivery."""

    # OAuth2. Token lifetimes follow time.time(), so tests can freeze it.
    token_lifetime: float = 3600
    lifetime_key: Literal["expires_in", "access_expires_in", "both"] = "expires_in"
    lifetime_form: LifetimeForm = "number"
    token_wrapped: bool = False
    scope_in_answer: bool = True
    rotate: bool = True
    reuse_revokes: bool = False

    # REST. The delays follow the event loop's clock, which tests cannot freeze.
    # "all": the list of all accounts of the user.
    accounts_form: Literal["object", "array", "all"] = "object"
    # Hubs and spaces have an `accountId`, as in the older portal.
    send_account_id: bool = False
    # Every response sets a session cookie, which overrides the access token of later requests.
    session_cookie: bool = False
    list_state: bool = True
    etags: bool = True
    space_key: Literal["spaceId", "spaceIds"] = "spaceId"
    serial_at: Literal["both", "top", "data"] = "both"
    command_mode: Literal["apply", "refuse", "lose", "late"] = "apply"
    command_delay: float = 0.4
    late_delay: float = 12

    # Webhooks. delivery_delay follows the event loop's clock, subscription_lifetime time.time().
    subscription_lifetime: float = 7200
    deliver_to: str | None = None
    delivery_content_type: str = "application/vnd.ochno.event"
    delivery_id: Literal["hubId", "serialNumber", "data.hubId"] = "hubId"
    delivery_token: Literal["verificationToken", "header", "query"] | None = "verificationToken"
    # The data of a delivery has only the changed keys.
    delivery_partial: bool = False
    delivery_delay: float = 0
    delivery_drop: bool | float = False
    delivery_repeat: int = 0
    delivery_reorder: bool = False

    def update(self, changes: Mapping[str, object]) -> None:
        """Change several settings, or raise ValueError and change none."""
        annotations = {field.name: field.type for field in fields(self)}
        for name, value in changes.items():
            if name not in annotations:
                raise ValueError(f"There is no setting {name!r}.")
            if not matches_type(value, annotations[name]):
                raise ValueError(f"The setting {name!r} can't be {value!r}.")
        for name, value in changes.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return asdict(self)
