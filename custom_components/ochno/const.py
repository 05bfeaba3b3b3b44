"""Names that the whole integration shares."""

from enum import StrEnum
import logging
from typing import Final

DOMAIN: Final = "ochno"
LOGGER: Final = logging.getLogger(__package__)

CONF_ACCESS: Final = "access"
CONF_SERVER: Final = "server"
PRODUCTION: Final = "https://operated.ochno.com"
STAGING: Final = "https://staging.ochno.com"


class Access(StrEnum):
    """What the user lets Home Assistant do."""

    READ = "read"
    CONTROL = "control"
