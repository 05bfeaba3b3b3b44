"""Counts of requests, for diagnostics."""

from collections import Counter
from datetime import UTC, datetime
import re
from typing import Final

_HOURS: Final = 24
_ID: Final = re.compile(r"(?<=/v1/)[^/]+")


class RequestCounts:
    """Numbers of requests in the last 24 hours.

    `hours` has a counter for each hour, with keys such as `GET /api/hubs/v1/{id}: 200`. The hour is
    an ISO 8601 time in UTC. A request without a response has the name of its error as status.
    """

    def __init__(self) -> None:
        self.hours: dict[str, Counter[str]] = {}

    def record(self, method: str, path: str, status: int | str) -> None:
        """Count a request."""
        hour = datetime.now(UTC).strftime("%Y-%m-%dT%H:00Z")
        if hour not in self.hours:
            self.hours[hour] = Counter()
            # In the order of the requests, because the clock can be set back.
            for old in list(self.hours)[:-_HOURS]:
                del self.hours[old]
        self.hours[hour][f"{method} {_ID.sub('{id}', path)}: {status}"] += 1
