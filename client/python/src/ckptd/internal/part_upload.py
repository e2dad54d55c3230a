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
        started = threading.Event()
        answer: list[v1.UploadStarted] = []
        try:
            call = upload(self._requests(started, answer))
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
                    answer.append(response.started)
                    started.set()
                elif kind == "progress":
                    self._accept(response.progress.persisted)
                elif kind == "finished":
                    finished = response.finished
        except grpc.RpcError as error:
            raise from_grpc(error, server) from None
        finally:
            started.set()
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

    def _requests(
        self, started: threading.Event, answer: list[v1.UploadStarted]
    ) -> Iterator[v1.UploadRequest]:
        """What gRPC is to send, on a thread of gRPC's."""
        yield v1.UploadRequest(start=self._start)
        started.wait()
        if not answer:
            return
        offset = answer[0].offset
        chunk_bytes = min(_CHUNK_BYTES, answer[0].max_chunk_bytes or _CHUNK_BYTES)
        while offset < self._view.nbytes:
            data = bytes(self._view[offset : offset + chunk_bytes])
            chunk = v1.UploadChunk(offset=offset, crc32c=crc32c(data), data=data)
            yield v1.UploadRequest(chunk=chunk)
            offset += len(data)
        if self._digest is None:
            self._digest = content_digest(self._view)
        yield v1.UploadRequest(
            finish=v1.UploadFinish(size=self._view.nbytes, xxh3_128=self._digest)
        )

    def _accept(self, offset: int) -> None:
        if offset > self._accepted:
            self._accepted = offset
            self._progressed = True
