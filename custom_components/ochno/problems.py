"""Problems, in the words in which the user is told: errors, and issues that last."""

from datetime import datetime, timedelta
from typing import Final

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import (
    HomeAssistantError,
    OAuth2TokenRequestReauthError,
)
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.update_coordinator import UpdateFailed
from homeassistant.loader import async_get_loaded_integration
from homeassistant.util import dt as dt_util
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .operated.models import Hub

# Answers of an unknown shape are an issue only when they last for so long.
UNKNOWN_SHAPE_AFTER: Final = timedelta(days=1)
# Whatever the server asks for.
SHORTEST_WAIT: Final = 30
LONGEST_WAIT: Final = 3600

_ISSUES: Final = ("answer_not_understood", "control_scope_missing", "push_refused", "scope_missing")

# By entry: it must outlive the attempts to set one up.
_NOT_UNDERSTOOD_SINCE: HassKey[dict[str, datetime]] = HassKey(f"{DOMAIN}_not_understood_since")


@callback
def async_report_issue(hass: HomeAssistant, entry: ConfigEntry, key: str) -> None:
    """Tell of a problem that lasts until somebody does something about it."""
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{key}_{entry.entry_id}",
        is_fixable=False,
        learn_more_url=async_get_loaded_integration(hass, DOMAIN).documentation,
        severity=ir.IssueSeverity.WARNING if key == "push_refused" else ir.IssueSeverity.ERROR,
        translation_key=key,
        translation_placeholders={"account": entry.title},
    )


@callback
def async_settle_issue(hass: HomeAssistant, entry: ConfigEntry, key: str) -> None:
    """Take back what was told, if it was."""
    ir.async_delete_issue(hass, DOMAIN, f"{key}_{entry.entry_id}")


@callback
def async_settle_issues(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Take back all that was told of an entry."""
    for key in _ISSUES:
        async_settle_issue(hass, entry, key)


@callback
def async_note_answer(hass: HomeAssistant, entry: ConfigEntry, *, understood: bool) -> None:
    """Report answers that could not be understood, in whole or in part, for a whole day."""
    since = hass.data.setdefault(_NOT_UNDERSTOOD_SINCE, {})
    now = dt_util.utcnow()
    if understood:
        since.pop(entry.entry_id, None)
        async_settle_issue(hass, entry, "answer_not_understood")
    elif now - since.setdefault(entry.entry_id, now) >= UNKNOWN_SHAPE_AFTER:
        async_report_issue(hass, entry, "answer_not_understood")


def name_of(err: BaseException) -> str:
    """Name an error to developers; the words of others than our own may hold the request."""
    return repr(err) if isinstance(err, OperatedError) else type(err).__name__


def update_failed(err: OperatedError) -> UpdateFailed:
    """Say in words what went wrong, and when to try again."""
    placeholders: dict[str, str] | None = None
    retry_after: float | None = None
    match err:
        case OperatedForbiddenError():
            key = "scope_missing"
        case OperatedRateLimitError():
            key = "rate_limited"
            retry_after = min(max(err.retry_after or 0, SHORTEST_WAIT), LONGEST_WAIT)
        case OperatedStatusError():
            key = "server_error"
            placeholders = {"status": str(err.status)}
        case OperatedResponseError():
            key = "answer_not_understood"
        case _:
            key = "cannot_connect"
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders=placeholders,
        retry_after=retry_after,
    )


def overruled(hub: Hub, port: int) -> HomeAssistantError:
    """Say in words why a command was not even sent."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="overruled",
        translation_placeholders={"hub": hub.name, "port": str(port)},
    )


def command_failed(err: Exception, hub: Hub) -> HomeAssistantError:
    """Say in words why a port was not made active."""
    placeholders = {"hub": hub.name}
    match err:
        case TimeoutError():
            key = "not_confirmed"
        case OperatedUnauthorizedError() | OAuth2TokenRequestReauthError():
            key = "unauthorized"
        case OperatedForbiddenError():
            key = "control_scope_missing"
        case OperatedRateLimitError():
            key = "rate_limited"
        case OperatedStatusError():
            key = "command_refused"
            placeholders["status"] = str(err.status)
        case _:
            key = "cannot_connect"
    return HomeAssistantError(
        translation_domain=DOMAIN, translation_key=key, translation_placeholders=placeholders
    )
