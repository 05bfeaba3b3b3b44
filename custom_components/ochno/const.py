"""Constants."""

from enum import StrEnum
import logging
from typing import Final

DOMAIN: Final = "ochno"
LOGGER: Final = logging.getLogger(__package__)

CONF_ACCESS: Final = "access"
CONF_ACCOUNT_ID: Final = "account_id"
CONF_PUSH: Final = "push"
CONF_SERVER: Final = "server"
CONF_USER_ID: Final = "user_id"
PRODUCTION: Final = "https://operated.ochno.com"
STAGING: Final = "https://staging.ochno.com"
USER_GUIDE: Final = "https://github.com/ha-ochno/ha-ochno/blob/main/docs/troubleshooting.md"


class PushState(StrEnum):
    """State of instant updates, which are webhook deliveries: active, or the reason for polling.

    NO_URL: no public https URL. REFUSED: the vendor rejected the subscription (401 or 403).
    FAILING: another error, or a missed delivery.
    """

    ACTIVE = "active"
    OFF = "off"
    NO_URL = "no_url"
    REFUSED = "refused"
    FAILING = "failing"


class Access(StrEnum):
    """Access that the user granted to Home Assistant. Control needs the scope `hubs:write`."""

    READ = "read"
    CONTROL = "control"
