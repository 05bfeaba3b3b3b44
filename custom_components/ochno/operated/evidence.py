"""Evidence about responses that were not understood, in whole or in part."""

import logging
from typing import Final

_LOGGER: Final = logging.getLogger(__name__)
# Per endpoint.
_MAX_DESCRIPTIONS: Final = 10


class Evidence:
    """Descriptions of what was not understood. Each is logged once, up to a limit.

    `descriptions` has the number of times by endpoint and description. A description says what was
    expected, and has the redacted shape of the response.
    """

    def __init__(self) -> None:
        self.descriptions: dict[str, dict[str, int]] = {}

    def record(self, endpoint: str, description: str) -> None:
        """Count a description, and log it as a warning if it is new."""
        counts = self.descriptions.setdefault(endpoint, {})
        if description in counts:
            counts[description] += 1
        elif len(counts) < _MAX_DESCRIPTIONS:
            counts[description] = 1
            _LOGGER.warning(
                "Ochno Operated sent something that is not understood (%s): %s",
                endpoint,
                description,
            )
