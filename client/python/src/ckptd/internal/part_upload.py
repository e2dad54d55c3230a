"""One part on its way to the daemon, over as many streams as it takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, Callable, Optional

import grpc

from ckptd import v1
from ckptd.errors import make_error
from ckptd.internal.crc32c import crc32c
from ckptd.internal.digests import content_digest
from ckptd.internal.rpc_status import from_grpc

_CHUNK_BYTES = 1 << 20


class _Window:
    """How far the daemon lets one stream go: told by the thread that reads the answers, waited for
    by gRPC's that sends."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._started: Optional[v1.UploadStarted] = None
        self._end = 0
        self._closed = False

    def start(self, started: v1.UploadStarted) -> None:
        with self._changed:
            self._started = started
            self._end = started.window_end
            self._changed.notify()

    def extend(self, end: int) -> None:
        with self._changed:
            self._end = max(self._end, end)
            self._changed.notify()

    def close(self) -> None:
        """The stream is over; who waits gets nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def wait_started(self) -> Optional[v1.UploadStarted]:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._started is not None)
            return self._started

    def wait_beyond(self, offset: int, size: int) -> int:
        """How many of the `size` bytes at `offset` may be sent, at least one; 0 if the stream is
        over."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._end or self._end > offset)
            if self._closed:
                return 0
            return min(size, self._end - offset) if self._end else size


class PartUpload:
    """Each attempt goes on where the daemon says it can. Used by one thread at a time; `cancel`
    may come from any."""

    def __init__(self, start: v1.UploadStart, view: memoryview) -> None:
        """`start` names the target and the part; `view` stays unchanged while this lives."""
        self._start = start
        self._view = view
        self._digest: Optional[bytes] = None
        self._accepted = 0
        self._progressed = False
        self._lock = threading.Lock()
        self._call: Any = None
        self._cancelled = False

    def attempt(
        self, upload: Callable[..., Any], server: str, begun: Callable[[], None]
    ) -> v1.UploadFinished:
        """Takes one stream; calls `begun` when gRPC has the threads for it. Errors: those of
        WeightService.Upload."""
        window = _Window()
        try:
            call = upload(self._requests(window))
            begun()
            with self._lock:
                self._call = call
                if self._cancelled:
                    call.cancel()
            finished: Optional[v1.UploadFinished] = None
            for response in call:
                kind = response.WhichOneof("message")
                if kind == "started":
                    self._accept(response.started.offset)
                    window.start(response.started)
                elif kind == "progress":
                    self._accept(response.progress.persisted)
                    window.extend(response.progress.window_end)
                elif kind == "finished":
                    finished = response.finished
        except grpc.RpcError as error:
            raise from_grpc(error, server) from None
        finally:
            window.close()
            with self._lock:
                self._call = None
        if finished is None:
            raise make_error("UNAVAILABLE", f"ckptd at {server} ended an upload early")
        return finished

    def cancel(self) -> None:
        with self._lock:
            self._cancelled = True
            if self._call is not None:
                self._call.cancel()

    def take_progress(self) -> bool:
        """Whether the daemon has taken bytes since the last call."""
        progressed, self._progressed = self._progressed, False
        return progressed

    def _requests(self, window: _Window) -> Iterator[v1.UploadRequest]:
        """What gRPC is to send, on a thread of gRPC's."""
        yield v1.UploadRequest(start=self._start)
        started = window.wait_started()
        if started is None:
            return
        offset = started.offset
        chunk_bytes = min(_CHUNK_BYTES, started.max_chunk_bytes or _CHUNK_BYTES)
        while offset < self._view.nbytes:
            size = min(chunk_bytes, self._view.nbytes - offset)
            request = self._chunk(offset, size)  # made while waiting
            allowed = window.wait_beyond(offset, size)
            if not allowed:
                return
            yield request if allowed == size else self._chunk(offset, allowed)
            offset += allowed
        if self._digest is None:
            self._digest = content_digest(self._view)
        yield v1.UploadRequest(
            finish=v1.UploadFinish(size=self._view.nbytes, xxh3_128=self._digest)
        )

    def _chunk(self, offset: int, size: int) -> v1.UploadRequest:
        data = bytes(self._view[offset : offset + size])
        chunk = v1.UploadChunk(offset=offset, crc32c=crc32c(data), data=data)
        return v1.UploadRequest(chunk=chunk)

    def _accept(self, offset: int) -> None:
        if offset > self._accepted:
            self._accepted = offset
            self._progressed = True
