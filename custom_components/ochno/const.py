"""Names that the whole integration shares."""

import logging
from typing import Final

DOMAIN: Final = "ochno"
LOGGER: Final = logging.getLogger(__package__)

CONF_SERVER: Final = "server"
PRODUCTION: Final = "https://operated.ochno.com"
STAGING: Final = "https://staging.ochno.com"
