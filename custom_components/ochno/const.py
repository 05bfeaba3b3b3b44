"""Constants."""

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
    """State of instant updates: active, or the reason for polling."""

    ACTIVE = "active"
    OFF = "off"
    NO_URL = "no_url"
    REFUSED = "refused"
    FAILING = "failing"


class Access(StrEnum):
    """Access that the user granted to Home Assistant."""

    READ = "read"
    CONTROL = "control"
