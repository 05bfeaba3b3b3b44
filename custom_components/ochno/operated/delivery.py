"""What Ochno Operated tells a webhook."""

from dataclasses import dataclass
from typing import Final, Self

from .values import JSON, decode, text

EVENTS: Final = (
    "hub:state:change",
    "hub:config:change",
    "hub:con:change",
    "hub:charging",
    "hub:temp",
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event of a hub, which goes by its id, its serial number, or both.

    `new_state` is what of the hub's state changed; None if the event does not say.
    `verification_tokens` are those of the subscription, if the cloud sends them back at all.
    `raw` is all that was delivered.
    """

    event: str | None
    hub_id: str | None
    serial_number: str | None
    new_state: dict[str, JSON] | None
    verification_tokens: tuple[str, ...]
    raw: JSON

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Read a delivery, whatever its content type says.

        Only of an object the form is known. Raises OperatedResponseError if it is not JSON.
        """
        raw = decode(body)
        event = raw if isinstance(raw, dict) else {}
        data = event.get("data")
        data = data if isinstance(data, dict) else {}
        new_state = data.get("newState") if event.get("event") == "hub:state:change" else None
        tokens = (outer.get("verificationToken") for outer in (event, data))
        return cls(
            event=text(event.get("event")),
            hub_id=text(event.get("hubId")) or text(data.get("hubId")),
            serial_number=text(event.get("serialNumber")) or text(data.get("serialNumber")),
            new_state=new_state if isinstance(new_state, dict) else None,
            verification_tokens=tuple(str(token) for token in tokens if token is not None),
            raw=raw,
        )
