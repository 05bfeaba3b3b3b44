"""Limits of the requests of one account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
import time
from typing import Final

from .errors import OperatedRateLimitError
from .requests import RequestCounts

# Seconds that the server can demand at most. A longer time is more likely an error.
MAX_RETRY_AFTER: Final = 3600
_MAX_CONCURRENT: Final = 4
# Reads leave one of the concurrent requests to commands.
_MAX_CONCURRENT_READS: Final = _MAX_CONCURRENT - 1


class RequestBudget:
    """The server's demand to wait (Retry-After), and the number of concurrent requests.

    `requests` counts what was sent.
    """

    def __init__(self) -> None:
        self.requests = RequestCounts()
        self._not_before = 0.0
        self._all = asyncio.Semaphore(_MAX_CONCURRENT)
        self._reads = asyncio.Semaphore(_MAX_CONCURRENT_READS)

    def postpone(self, seconds: float) -> None:
        """Allow no request for these seconds, up to an hour."""
        not_before = time.monotonic() + min(seconds, MAX_RETRY_AFTER)
        self._not_before = max(self._not_before, not_before)

    def check(self) -> None:
        """Raise OperatedRateLimitError, with the seconds left, if no request is allowed now."""
        if (seconds_left := self._not_before - time.monotonic()) > 0:
            raise OperatedRateLimitError(seconds_left)

    @asynccontextmanager
    async def slot(self, *, is_command: bool) -> AsyncIterator[None]:
        """Wait until another request may be sent. Raises OperatedRateLimitError as `check` does."""
        self.check()
        async with AsyncExitStack() as stack:
            if not is_command:
                await stack.enter_async_context(self._reads)
            await stack.enter_async_context(self._all)
            self.check()
            yield
