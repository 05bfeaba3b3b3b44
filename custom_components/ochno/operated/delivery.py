"""Webhook deliveries: events that Ochno Operated posts to a subscriber."""

from dataclasses import dataclass
from typing import Final, Self

from .values import JSON, decode, text

STATE_EVENT: Final = "hub:state:change"
EVENTS: Final = (
    STATE_EVENT,
    "hub:config:change",
    "hub:con:change",
    "hub:charging",
    "hub:temp",
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One event of a hub, which is identified by its id, its serial number, or both.

    `new_state` has the changed keys of the hub's state; None if the event has none.
    `verification_tokens` are the subscription tokens found in the body. The vendor does not
    document whether deliveries contain them. `raw` is the decoded body.
    """

    event: str | None
    hub_id: str | None
    serial_number: str | None
    new_state: dict[str, JSON] | None
    verification_tokens: tuple[str, ...]
    raw: JSON

    @classmethod
    def from_body(cls, body: bytes) -> Self:
        """Parse the body of a delivery. Its Content-Type is ignored, because it is not reliable.

        All fields but `raw` are empty if the body is not an object. Raises OperatedResponseError
        if the body is not JSON.
        """
        raw = decode(body)
        event = raw if isinstance(raw, dict) else {}
        data = event.get("data")
        data = data if isinstance(data, dict) else {}
        new_state = data.get("newState") if event.get("event") == STATE_EVENT else None
        tokens = (source.get("verificationToken") for source in (event, data))
        return cls(
            event=text(event.get("event")),
            hub_id=text(event.get("hubId")) or text(data.get("hubId")),
            serial_number=text(event.get("serialNumber")) or text(data.get("serialNumber")),
            new_state=new_state if isinstance(new_state, dict) else None,
            verification_tokens=tuple(str(token) for token in tokens if token is not None),
            raw=raw,
        )
