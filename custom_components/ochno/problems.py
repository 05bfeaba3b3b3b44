"""Errors and repair issues that the user sees."""

import time
from typing import Final

from homeassistant.config_entries import (
    SIGNAL_CONFIG_ENTRY_CHANGED,
    SOURCE_REAUTH,
    SOURCE_RECONFIGURE,
    ConfigEntry,
    ConfigEntryChange,
    ConfigEntryState,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import (
    HomeAssistantError,
    OAuth2TokenRequestBaseError,
    OAuth2TokenRequestReauthError,
)
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.update_coordinator import UpdateFailed
from homeassistant.util.hass_dict import HassKey

from .const import DOMAIN, USER_GUIDE
from .operated.budget import MAX_RETRY_AFTER
from .operated.errors import (
    OperatedError,
    OperatedForbiddenError,
    OperatedRateLimitError,
    OperatedResponseError,
    OperatedStatusError,
    OperatedUnauthorizedError,
)
from .operated.models import Hub

# A repair issue is created when responses have been invalid for this time, in seconds.
UNKNOWN_SHAPE_ISSUE_AFTER: Final = 24 * 3600
# Seconds that the API must reject valid tokens before the user is asked to sign in again.
REAUTH_AFTER: Final = 300
# Seconds between two polls after that.
REAUTH_POLL_INTERVAL: Final = 300
# Seconds before the next poll after a rate limit, also if the server demands less.
MIN_RETRY_AFTER: Final = 30

_ISSUES: Final = ("answer_not_understood", "control_scope_missing", "push_refused", "scope_missing")

# Monotonic time by entry id. Kept between attempts to set up an entry.
_UNKNOWN_SHAPE_SINCE: Final[HassKey[dict[str, float]]] = HassKey(f"{DOMAIN}_unknown_shape_since")
_REJECTED_SINCE: Final[HassKey[dict[str, float]]] = HassKey(f"{DOMAIN}_rejected_since")


@callback
def async_start_reauth(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Ask the user to sign in again.

    Home Assistant does not ask while a dialog to reconfigure the entry is open, which can be
    forgotten in another browser tab. So that dialog is closed, unless the user has been asked
    already. A sign-in that is being completed continues.
    """
    if not any(entry.async_get_active_flows(hass, {SOURCE_REAUTH})):
        _abort_flows(hass, entry, SOURCE_RECONFIGURE)
    entry.async_start_reauth(hass)


def _abort_flows(hass: HomeAssistant, entry: ConfigEntry, source: str) -> None:
    for flow in list(entry.async_get_active_flows(hass, {source})):
        hass.config_entries.flow.async_abort(flow["flow_id"])


@callback
def async_handle_rejected_token(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Handle a 401 for a token that was just renewed; return whether the user must sign in again.

    A short disturbance of the API is no reason to sign in again.
    """
    now = time.monotonic()
    since = hass.data.setdefault(_REJECTED_SINCE, {}).setdefault(entry.entry_id, now)
    if now - since < REAUTH_AFTER:
        return False
    async_start_reauth(hass, entry)
    return True


@callback
def async_handle_accepted_token(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Close the dialog to sign in again if the API accepts the token after all."""
    if hass.data.get(_REJECTED_SINCE, {}).pop(entry.entry_id, None) is not None:
        _abort_flows(hass, entry, SOURCE_REAUTH)


@callback
def async_setup_problems(hass: HomeAssistant) -> None:
    """Delete the repair issues of each entry that is unloaded or disabled.

    Home Assistant does not call `async_unload_entry` for an entry that could not be set up.
    """

    @callback
    def handle_change(_change: ConfigEntryChange, entry: ConfigEntry) -> None:
        if entry.domain == DOMAIN and entry.state is ConfigEntryState.NOT_LOADED:
            async_delete_issues(hass, entry)

    async_dispatcher_connect(hass, SIGNAL_CONFIG_ENTRY_CHANGED, handle_change)


@callback
def async_remove_problems(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Delete everything about the problems of an entry that is removed."""
    async_delete_issues(hass, entry)
    for key in (_UNKNOWN_SHAPE_SINCE, _REJECTED_SINCE):
        hass.data.get(key, {}).pop(entry.entry_id, None)


@callback
def async_create_issue(hass: HomeAssistant, entry: ConfigEntry, key: str) -> None:
    """Create the repair issue `key`, one of `_ISSUES`. It stays until it is deleted.

    The user guide has a section with the name of the issue.
    """
    ir.async_create_issue(
        hass,
        DOMAIN,
        f"{key}_{entry.entry_id}",
        is_fixable=False,
        learn_more_url=f"{USER_GUIDE}#{key.replace('_', '-')}",
        severity=ir.IssueSeverity.WARNING if key == "push_refused" else ir.IssueSeverity.ERROR,
        translation_key=key,
        translation_placeholders={"account": entry.title},
    )


@callback
def async_delete_issue(hass: HomeAssistant, entry: ConfigEntry, key: str) -> None:
    """Delete a repair issue if it exists."""
    ir.async_delete_issue(hass, DOMAIN, f"{key}_{entry.entry_id}")


@callback
def async_delete_issues(hass: HomeAssistant, entry: ConfigEntry) -> None:
    """Delete all repair issues of an entry."""
    for key in _ISSUES:
        async_delete_issue(hass, entry, key)


@callback
def async_update_response_issue(
    hass: HomeAssistant, entry: ConfigEntry, *, understood: bool
) -> None:
    """Create the issue about invalid responses after one day; delete it after a valid response."""
    since = hass.data.setdefault(_UNKNOWN_SHAPE_SINCE, {})
    now = time.monotonic()
    if understood:
        since.pop(entry.entry_id, None)
        async_delete_issue(hass, entry, "answer_not_understood")
    elif now - since.setdefault(entry.entry_id, now) >= UNKNOWN_SHAPE_ISSUE_AFTER:
        async_create_issue(hass, entry, "answer_not_understood")


def error_summary(err: BaseException) -> str:
    """Return a short description of an error for the log and for diagnostics.

    Messages of third-party exceptions may contain the request URL, so only their type is used.
    """
    return repr(err) if isinstance(err, OperatedError) else type(err).__name__


def update_failed(
    err: OperatedError | OAuth2TokenRequestBaseError, retry_after: float
) -> UpdateFailed:
    """Return the error of a failed poll.

    It has the seconds to wait before the next poll: 30 to 3,600 after a rate limit, otherwise
    `retry_after`.
    """
    if isinstance(err, OAuth2TokenRequestBaseError):
        return UpdateFailed(
            translation_domain=err.translation_domain,
            translation_key=err.translation_key,
            translation_placeholders=err.translation_placeholders,
            retry_after=retry_after,
        )
    placeholders: dict[str, str] | None = None
    match err:
        case OperatedForbiddenError():
            key = "scope_missing"
        case OperatedRateLimitError():
            key = "rate_limited"
            retry_after = min(max(err.retry_after or 0, MIN_RETRY_AFTER), MAX_RETRY_AFTER)
        case OperatedStatusError():
            key = "server_error"
            placeholders = {"status": str(err.status)}
        case OperatedResponseError():
            key = "answer_not_understood"
        case OperatedUnauthorizedError():
            key = "unauthorized"
        case _:
            key = "cannot_connect"
    return UpdateFailed(
        translation_domain=DOMAIN,
        translation_key=key,
        translation_placeholders=placeholders,
        retry_after=retry_after,
    )


def command_superseded(hub: Hub) -> HomeAssistantError:
    """Return the error of a command that was superseded before it was sent."""
    return HomeAssistantError(
        translation_domain=DOMAIN,
        translation_key="overruled",
        translation_placeholders={"hub": hub.name},
    )


def command_failed(err: Exception, hub: Hub) -> HomeAssistantError:
    """Return the error of a command that failed."""
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
