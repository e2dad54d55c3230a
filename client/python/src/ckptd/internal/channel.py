"""Where the daemon is, and calls to it by the contract's descriptors."""

from __future__ import annotations

import os
import re
from typing import Any, Optional

import grpc

from ckptd import v1
from ckptd.errors import ClosedError

_DEFAULT_SERVER = "127.0.0.1:7070"
_UNIX_PREFIX = "unix:"
_SERVER = re.compile(r"unix:.+|(\[[^\s/\]]+\]|[^\s/:]+):[0-9]{1,5}")
# A page of 1,000 checkpoints is large, a chunk is not.
_MAX_CONTROL_MESSAGE = 64 << 20
_MAX_BULK_MESSAGE = 8 << 20
_KEEPALIVE_MS = 30_000
# The pause between attempts is ours to choose (see Backoff); the channel only must not add to it.
_CHANNEL_BACKOFF_MS = 100
_CONNECT_TIMEOUT_MS = 10_000


_used_by: Optional[int] = None  # the process that made the first channel


def fork_hint() -> str:
    """For people whose calls in a fork are not answered; "" in other processes."""
    if _used_by in (None, os.getpid()):
        return ""
    return (
        f". Process {os.getpid()} is a fork of one that used gRPC before, and gRPC may not work in"
        " those: start it anew instead (multiprocessing calls that 'spawn')"
    )


def server_or_default(server: Optional[str]) -> str:
    """`server`, or else $CKPT_SERVER, or else 127.0.0.1:7070. Errors: ValueError for what names no
    server: gRPC would look for one all the same, on a port of its own choice."""
    if not server:
        server = os.environ.get("CKPT_SERVER") or _DEFAULT_SERVER
    if not (isinstance(server, str) and _SERVER.fullmatch(server)):
        raise ValueError(f"server is {server!r}; it must be HOST:PORT or unix:PATH")
    return server


def make_channel(server: str, *, bulk: bool) -> grpc.Channel:
    """A connection of its own for bulk data, so that decisions do not queue behind chunks.

    Errors: ClosedError in a fork, which gRPC would end with a fault (see ckptd/internal)."""
    global _used_by
    if fork_hint() and os.environ.get("GRPC_ENABLE_FORK_SUPPORT") == "0":
        message = f"no connection to ckptd at {server}{fork_hint()}"
        raise ClosedError(message, code="FAILED_PRECONDITION")
    if _used_by is None:
        _used_by = os.getpid()
    options: list[tuple[str, Any]] = [
        ("ckpt.traffic", "bulk" if bulk else "control"),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", _MAX_BULK_MESSAGE if bulk else _MAX_CONTROL_MESSAGE),
        ("grpc.max_send_message_length", -1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.initial_reconnect_backoff_ms", _CHANNEL_BACKOFF_MS),
        ("grpc.max_reconnect_backoff_ms", _CHANNEL_BACKOFF_MS),
        ("grpc.min_reconnect_backoff_ms", _CONNECT_TIMEOUT_MS),
    ]
    if server.startswith(_UNIX_PREFIX):
        target = server
    else:
        target = "dns:///" + server
        options += [
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_MS),
        ]
    return grpc.insecure_channel(target, options=options)


def callable_for(channel: grpc.Channel, service: str, name: str) -> Any:
    """gRPC's callable for a method of the contract, as a generated stub would hold it."""
    method = v1.method(service, name)
    kinds = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, True): channel.stream_stream,
    }
    streams = _STREAMING.get((service, name), (False, False))
    return kinds[streams](
        f"/ckpt.v1.{service}/{name}",
        request_serializer=v1.message_class(method.input_type.full_name).SerializeToString,
        response_deserializer=v1.message_class(method.output_type.full_name).FromString,
    )


# Descriptors of services tell what streams only in newer runtimes of protobuf.
_STREAMING = {
    ("CatalogService", "SaveRun"): (False, True),
    ("TrainingService", "Train"): (True, True),
    ("WeightService", "Upload"): (True, True),
    ("WeightService", "Download"): (False, True),
}
