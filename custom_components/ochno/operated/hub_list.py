"""List of the hubs of an account."""

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Self

from .errors import OperatedResponseError
from .models import Hub
from .types import JSON
from .values import decode, encode, unwrapped_list

_MAX_HUBS: Final = 10_000
_MAX_MALFORMED: Final = 100


@dataclass(frozen=True, kw_only=True)
class HubList:
    """The hubs of an account, by id.

    `malformed` describes the items that could not be read, up to a limit. `etag` is the response's
    ETag header; None without one. `digest` is the SHA-256 of the body.
    """

    hubs: dict[str, Hub]
    malformed: frozenset[str]
    etag: str | None
    digest: bytes

    @classmethod
    def from_body(cls, body: bytes, etag: str | None = None, earlier: Self | None = None) -> Self:
        """Parse `GET /api/hubs/v1`.

        If the body is unchanged, the result has the same `hubs` as `earlier`. An unchanged hub is
        the same object as in `earlier`. If an id occurs twice, the first hub is kept. Raises
        OperatedResponseError if the body is not a list, is too long, or if all items of a
        non-empty list are malformed.
        """
        digest = sha256(body).digest()
        if earlier and earlier.digest == digest:
            return replace(earlier, etag=etag)
        known = earlier.hubs if earlier else {}
        hubs: dict[str, Hub] = {}
        malformed = set[str]()
        items = unwrapped_list(decode(body), "hubs")
        if len(items) > _MAX_HUBS:
            raise OperatedResponseError(f"expected up to {_MAX_HUBS} hubs, got {len(items)}")
        for item in items:
            try:
                hub = _unchanged_hub(item, known) or Hub.from_json(item)
            except OperatedResponseError as err:
                if len(malformed) < _MAX_MALFORMED:
                    malformed.add(str(err))
            else:
                hubs.setdefault(hub.id, hub)
        if malformed and not hubs:
            raise OperatedResponseError(min(malformed))
        return cls(hubs=hubs, malformed=frozenset(malformed), etag=etag, digest=digest)


def _unchanged_hub(json: JSON, known: dict[str, Hub]) -> Hub | None:
    """Return the known hub that was read from the same JSON; None if there is none."""
    id_ = json.get("id", json.get("_id")) if isinstance(json, dict) else None
    hub = known.get(id_) if isinstance(id_, str) else None
    return hub if hub and hub.raw == encode(json) else None
