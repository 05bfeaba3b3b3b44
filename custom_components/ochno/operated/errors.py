"""What can go wrong when talking to Ochno Operated, as a caller must tell it apart.

The vendor documents no error bodies, so only the HTTP status tells the cases apart.
"""

from typing import override


class OperatedError(Exception):
    """Base of all errors raised by the client."""


class OperatedConnectionError(OperatedError):
    """The server was not reached, or did not answer in full and in time."""


class OperatedUnauthorizedError(OperatedError):
    """The access token was refused (401), and so was a renewed one."""


class OperatedForbiddenError(OperatedError):
    """The access token is good but lacks a scope (403)."""


class OperatedStatusError(OperatedError):
    """The server answered with a status that means failure."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status

    @override
    def __str__(self) -> str:
        return f"status {self.status}"


class OperatedRateLimitError(OperatedStatusError):
    """Too many requests (429).

    `retry_after` is the number of seconds the server asks to wait; None if it does not say.
    """

    def __init__(self, retry_after: float | None) -> None:
        super().__init__(429)
        self.retry_after = retry_after


class OperatedResponseError(OperatedError):
    """The answer is not JSON, or not of the documented shape."""
