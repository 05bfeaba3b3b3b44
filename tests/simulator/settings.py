"""What a test can turn on the simulator, and the check that a value has the type it should."""

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


def fits(value: object, wanted: Any) -> bool:
    """Tell whether a value read from JSON has the annotated type; a bool is never a number."""
    if isinstance(wanted, TypeAliasType):
        wanted = wanted.__value__
    arguments = get_args(wanted)
    origin = get_origin(wanted)
    if origin is Union:
        fit = any(fits(value, one) for one in arguments)
    elif origin is Literal:
        fit = isinstance(value, str) and value in arguments
    elif origin is dict:
        fit = isinstance(value, dict) and all(fits(item, arguments[1]) for item in value.values())
    elif wanted in (None, NoneType):
        fit = value is None
    elif isinstance(value, bool):
        fit = wanted is bool
    else:
        fit = isinstance(value, (int, float) if wanted is float else wanted)
    return fit


@dataclass(slots=True)
class Settings:
    """All switches with what is normal; change them at any time, they count from then on."""

    # OAuth2. Lifetimes are seconds by time.time(); how they are written is lifetime_key and _form.
    token_lifetime: float = 3600
    lifetime_key: Literal["expires_in", "access_expires_in", "both"] = "expires_in"
    lifetime_form: LifetimeForm = "number"
    token_wrapped: bool = False
    scope_in_answer: bool = True
    rotate: bool = True
    reuse_revokes: bool = False

    # REST. command_delay and late_delay are real seconds on the loop.
    accounts_form: Literal["object", "array"] = "object"
    list_state: bool = True
    etags: bool = True
    space_key: Literal["spaceId", "spaceIds"] = "spaceId"
    serial_at: Literal["both", "top", "data"] = "both"
    command_mode: Literal["apply", "refuse", "lose", "late"] = "apply"
    command_delay: float = 0.4
    late_delay: float = 12

    # Webhooks. delivery_delay is real seconds on the loop.
    subscription_lifetime: float = 7200
    deliver_to: str | None = None
    delivery_content_type: str = "application/vnd.ochno.event"
    delivery_id: Literal["hubId", "serialNumber", "data.hubId"] = "hubId"
    delivery_token: Literal["verificationToken", "header", "query"] | None = None
    delivery_partial: bool = True
    delivery_delay: float = 0
    delivery_drop: bool | float = False
    delivery_repeat: int = 0
    delivery_reorder: bool = False

    def update(self, changes: Mapping[str, Any]) -> None:
        """Set several at once; ValueError says which is wrong, and then none is set."""
        wanted = {field.name: field.type for field in fields(self)}
        for name, value in changes.items():
            if name not in wanted:
                raise ValueError(f"There is no setting {name!r}.")
            if not fits(value, wanted[name]):
                raise ValueError(f"The setting {name!r} can't be {value!r}.")
        for name, value in changes.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all settings by name."""
        return asdict(self)
