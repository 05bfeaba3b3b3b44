"""Webhook deliveries: events that Ochno Operated posts to a subscriber."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from .errors import OperatedResponseError
from .types import JSON
from .values import Fields, decode, first_text, text

STATE_EVENT: Final = "hub:state:change"
EVENTS: Final = (
    STATE_EVENT,
    "hub:config:change",
    "hub:con:change",
    "hub:charging",
    "hub:temp",
)
EVENTS_WITHOUT_STATE: Final = EVENTS[1:]
MEASUREMENT_EVENTS: Final = ("hub:charging", "hub:temp")
_MAX_DELIVERIES: Final = 100


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
    def from_json(cls, json: JSON) -> Self:
        """Parse one delivery. All fields but `raw` are empty if it is not an object."""
        event = Fields(json if isinstance(json, dict) else None)
        data, hub = event.object("data"), event.object("hub")
        hub_in_data = data.object("hub")
        name = text(event.get("event", "type"))
        tokens = (source.get("verificationToken") for source in (event, data))
        new_state = None
        if name == STATE_EVENT:
            new_state = data.get("newState", "state") or event.get("newState", "state")
        return cls(
            event=name,
            hub_id=first_text(
                *(source.get("hubId") for source in (event, data)),
                *(source.get("id") for source in (hub, hub_in_data)),
            ),
            serial_number=first_text(
                *(source.get("serialNumber") for source in (event, data, hub, hub_in_data))
            ),
            new_state=new_state if isinstance(new_state, dict) else None,
            verification_tokens=tuple(str(token) for token in tokens if token is not None),
            raw=json,
        )


def read_deliveries(body: bytes) -> tuple[Delivery, ...]:
    """Parse the body of a webhook request: one delivery, or a list of them.

    Its Content-Type is ignored, because it is not reliable. Raises OperatedResponseError if the
    body is not JSON, or has more deliveries than a request can be expected to have.
    """
    json = decode(body)
    if isinstance(json, str):
        # The JSON can be encoded twice.
        with suppress(OperatedResponseError):
            json = decode(json.encode())
    items = json if isinstance(json, list) else [json]
    if len(items) > _MAX_DELIVERIES:
        raise OperatedResponseError(f"expected a delivery, got a list of {len(items)}")
    return tuple(map(Delivery.from_json, items))
