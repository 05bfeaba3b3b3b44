"""Names that the whole integration shares."""

from enum import StrEnum
import logging
from typing import Final

DOMAIN: Final = "ochno"
LOGGER: Final = logging.getLogger(__package__)

CONF_ACCESS: Final = "access"
CONF_PUSH: Final = "push"
CONF_SERVER: Final = "server"
PRODUCTION: Final = "https://operated.ochno.com"
STAGING: Final = "https://staging.ochno.com"


class PushState(StrEnum):
    """Whether changes arrive at once, or why only by polling."""

    ACTIVE = "active"
    OFF = "off"
    NO_URL = "no_url"
    REFUSED = "refused"
    FAILING = "failing"


class Access(StrEnum):
    """What the user lets Home Assistant do."""

    READ = "read"
    CONTROL = "control"
