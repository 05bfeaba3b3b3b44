"""Errors of the Ochno Operated client.

The vendor documents no error bodies. Only the HTTP status distinguishes the cases.
"""

from typing import override


class OperatedError(Exception):
    """Base class of all errors that the client raises."""


class OperatedConnectionError(OperatedError):
    """The server could not be reached, or the response was incomplete or timed out."""


class OperatedUnauthorizedError(OperatedError):
    """The access token was rejected (401), also after a renewal."""


class OperatedForbiddenError(OperatedError):
    """The access token is valid but lacks a scope (403)."""


class OperatedStatusError(OperatedError):
    """The server responded with a status other than 2xx."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    @override
    def __str__(self) -> str:
        return f"status {self.status}"


class OperatedRateLimitError(OperatedStatusError):
    """Too many requests (429).

    `retry_after` is the time in seconds from the Retry-After header; None without a valid one.
    """

    def __init__(self, retry_after: float | None) -> None:
        super().__init__(429)
        self.retry_after = retry_after


class OperatedResponseError(OperatedError):
    """The response is not JSON, or has an unexpected structure.

    The message says what was expected, and has the redacted shape of the response.
    """
