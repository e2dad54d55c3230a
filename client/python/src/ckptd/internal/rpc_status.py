"""gRPC's errors as ours."""

from __future__ import annotations

from typing import Any

import grpc

from ckptd import v1
from ckptd.errors import Error, make_error
from ckptd.internal.channel import fork_hint

_DETAILS_KEY = "grpc-status-details-bin"


def _connection_error(message: str) -> str:
    """What gRPC says about a failed connection, without its preamble."""
    for preamble in ("last error: ", "UNKNOWN: ", "UNKNOWN:", "UNAVAILABLE: "):
        _, found, rest = message.partition(preamble)
        message = rest if found else message
    return message.strip()


def _explain(code: str, message: str, server: str) -> str:
    """The message for an error that the daemon itself has not explained."""
    if code == "UNAVAILABLE":
        return (
            f"no answer from ckptd at {server} ({_connection_error(message)}); is ckptd running?"
            f" Start it, or name another server with server= or CKPT_SERVER{fork_hint()}"
        )
    if code == "DEADLINE_EXCEEDED":
        return f"ckptd at {server} did not answer in time{fork_hint()}"
    if code == "UNIMPLEMENTED":
        return (
            f"the server at {server} does not know this call ({message}); is it a ckptd, and of"
            " this version or newer?"
        )
    return message or f"the call to ckptd at {server} failed"


def _details(error: Any) -> Any:
    for key, value in error.trailing_metadata() or ():
        if key == _DETAILS_KEY:
            return v1.message_class("google.rpc.Status").FromString(value)
    return v1.message_class("google.rpc.Status")()


def from_grpc(error: grpc.RpcError, server: str) -> Error:
    """The error that a call to the daemon at `server` ended with."""
    details = _details(error)
    code = error.code().name
    message = error.details() or ""
    return _make(code, message if details.details else _explain(code, message, server), details)


def from_status(status: Any) -> Error:
    """The error of a google.rpc.Status."""
    code = next((code.name for code in grpc.StatusCode if code.value[0] == status.code), "UNKNOWN")
    return _make(code, status.message, status)


def _make(code: str, message: str, details: Any) -> Error:
    info = v1.message_class("google.rpc.ErrorInfo")()
    retry = v1.message_class("google.rpc.RetryInfo")()
    for detail in details.details:
        detail.Unpack(info)
        detail.Unpack(retry)
    return make_error(
        code,
        message,
        reason=info.reason,
        metadata=info.metadata,
        retry_delay=retry.retry_delay.ToNanoseconds() / 1e9
        if retry.HasField("retry_delay")
        else None,
    )


def is_transient(error: Error) -> bool:
    """Whether the same call may succeed later. Broken transports look like some of these; the
    daemon's own errors carry a reason."""
    if error.code == "UNAVAILABLE":
        return True
    if error.code in ("INTERNAL", "UNKNOWN", "CANCELLED", "DEADLINE_EXCEEDED"):
        return error.reason == ""
    if error.code == "RESOURCE_EXHAUSTED" and error.reason == "":
        # gRPC in the daemon has ended calls to have memory again. It also refuses messages "larger
        # than max", which stay so.
        return "larger than max" not in error.message
    return error.reason == "UPLOAD_BUSY"
