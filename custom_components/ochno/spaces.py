"""Names of the account's spaces (rooms)."""

from collections.abc import Iterable
import time
from typing import Final

from .const import LOGGER
from .operated.client import OperatedClient
from .operated.errors import OperatedError, OperatedForbiddenError, OperatedStatusError
from .operated.models import Hub

# Seconds.
UPDATE_INTERVAL: Final = 3600
RETRY_INTERVAL: Final = 300


class SpaceNames:
    """Names of the spaces by id. They are used only for areas, so an error does not fail a poll."""

    def __init__(self, client: OperatedClient) -> None:
        self.names: dict[str, str] = {}
        self._client = client
        # Ids at the last request. An id without a name must not cause a request at each poll.
        self._requested_ids: set[str] = set()
        self._next_update = time.monotonic()

    @property
    def update_due(self) -> bool:
        """Return whether the hourly update is due."""
        return time.monotonic() >= self._next_update

    async def async_update(self, hubs: Iterable[Hub]) -> None:
        """Fetch the names if the hourly update is due or a hub has a new space id.

        Errors of the API are logged. Raises only the errors of the token source.
        """
        space_ids = {space_id for hub in hubs for space_id in hub.space_ids}
        if not self.update_due and space_ids <= self._requested_ids:
            return
        self._requested_ids = space_ids
        self._next_update = time.monotonic() + UPDATE_INTERVAL
        try:
            spaces = await self._client.spaces()
        except OperatedError as err:
            LOGGER.debug("Could not fetch the spaces: %r", err)
            if isinstance(err, OperatedForbiddenError | OperatedStatusError):
                self._client.evidence.record("GET /api/spaces/v1", repr(err))
            self._next_update = time.monotonic() + RETRY_INTERVAL
            return
        self.names = {space.id: space.name for space in spaces}
