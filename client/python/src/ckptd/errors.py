"""What goes wrong, as exceptions. Every one is a `ckptd.Error`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Optional


class Error(Exception):
    """An error of the daemon, or about it.

    `code` is gRPC's name of its kind ("NOT_FOUND"), `reason` the name of an ErrorReason of the
    contract without its prefix ("RUN_NOT_FOUND"), or "", and `metadata` the values it is about.
    `retry_delay` is the daemon's wish for a pause in seconds, if it has one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "UNKNOWN",
        reason: str = "",
        metadata: Optional[Mapping[str, str]] = None,
        retry_delay: Optional[float] = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.retry_delay = retry_delay

    @property
    def message(self) -> str:
        return str(self.args[0])


class UnavailableError(Error):
    """No daemon answers, or it is shutting down."""


class NotFoundError(Error):
    """The run, the checkpoint or the part does not exist."""


class InvalidArgumentError(Error, ValueError):
    """A value that the daemon refuses; the message names it."""


class DataLossError(Error):
    """Stored or received bytes are damaged."""


class FencedError(Error):
    """A newer process has taken the run over; this one can no longer report to it."""


class ClosedError(Error):
    """The run has been closed, or belongs to the process that this one was forked from."""


class SaveError(Error):
    """One or more saves did not become checkpoints; the message names them all."""


_CLASSES = {
    "UNAVAILABLE": UnavailableError,
    "NOT_FOUND": NotFoundError,
    "INVALID_ARGUMENT": InvalidArgumentError,
    "DATA_LOSS": DataLossError,
}


def make_error(
    code: str,
    message: str,
    *,
    reason: str = "",
    metadata: Optional[Mapping[str, str]] = None,
    retry_delay: Optional[float] = None,
) -> Error:
    """The error of the class that `code` and `reason` ask for."""
    kind = FencedError if reason == "WRITER_FENCED" else _CLASSES.get(code, Error)
    return kind(message, code=code, reason=reason, metadata=metadata, retry_delay=retry_delay)
