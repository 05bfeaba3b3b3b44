"""Rate limit and concurrency limit for the requests of one account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
import time
from typing import Final

from .errors import OperatedRateLimitError
from .requests import RequestCounts

# Maximum of Retry-After, in seconds. A longer time is more likely an error.
MAX_RETRY_AFTER: Final = 3600
# The vendor documents no limit. Ten requests a second is a common limit. With these values, any
# second has at most nine requests: six at the even rate, and a burst of three.
REQUESTS_PER_MINUTE: Final = 360
_REQUESTS_IN_A_ROW: Final = 3
_REQUEST_INTERVAL: Final = 60 / REQUESTS_PER_MINUTE
# Seconds without a request after the server refused one. A server that counts the requests of the
# last second then counts none.
_PAUSE: Final = 1
_MAX_CONCURRENT: Final = 4
# Commands leave one of the concurrent requests for reads, and reads leave one for commands.
_MAX_CONCURRENT_OF_A_KIND: Final = _MAX_CONCURRENT - 1


class RequestBudget:
    """Limits for the requests of one account: rate, concurrent requests, and Retry-After.

    `requests` counts the sent requests.
    """

    def __init__(self) -> None:
        self.requests = RequestCounts()
        self._not_before = 0.0
        # The time of the next request at an even rate.
        self._next_request = 0.0
        self._rate = asyncio.Lock()
        self._all = asyncio.Semaphore(_MAX_CONCURRENT)
        self._commands = asyncio.Semaphore(_MAX_CONCURRENT_OF_A_KIND)
        self._reads = asyncio.Semaphore(_MAX_CONCURRENT_OF_A_KIND)

    def postpone(self, seconds: float) -> None:
        """Allow no request for these seconds, up to an hour."""
        not_before = time.monotonic() + min(seconds, MAX_RETRY_AFTER)
        self._not_before = max(self._not_before, not_before)

    def pause(self) -> None:
        """Start no request for a second: the server refused one without a time to wait."""
        even = time.monotonic() + _PAUSE + (_REQUESTS_IN_A_ROW - 1) * _REQUEST_INTERVAL
        self._next_request = max(self._next_request, even)

    def check(self) -> None:
        """Raise OperatedRateLimitError, with the seconds left, if no request is allowed now."""
        if (seconds_left := self._not_before - time.monotonic()) > 0:
            raise OperatedRateLimitError(seconds_left)

    @asynccontextmanager
    async def slot(self, *, is_command: bool) -> AsyncIterator[None]:
        """Wait until another request may be sent. Raises OperatedRateLimitError as `check` does."""
        self.check()
        async with self._commands if is_command else self._reads, self._all:
            await self._wait_for_rate()
            self.check()
            yield

    async def _wait_for_rate(self) -> None:
        # Without the lock, all waiting requests would be sent at once after the event loop blocked.
        async with self._rate:
            earliest = self._next_request - (_REQUESTS_IN_A_ROW - 1) * _REQUEST_INTERVAL
            await asyncio.sleep(max(0, earliest - time.monotonic()))
            self._next_request = max(self._next_request, time.monotonic()) + _REQUEST_INTERVAL
