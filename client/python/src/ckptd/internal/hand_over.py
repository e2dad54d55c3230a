"""One part on its way, in whichever way there is at the moment: shared memory, or gRPC."""

from __future__ import annotations

from typing import Any, Callable, Optional

from ckptd import v1
from ckptd.internal.local_link import LocalLink, LocalLinks, SlotRefusedError
from ckptd.internal.part_upload import PartUpload
from ckptd.internal.parts import Part, Snapshot

# Less is sent sooner than it is copied and announced.
_LEAST_BYTES_TO_MOVE = 1 << 20


class HandOver:
    """Used by one thread at a time; `cancel` may come from any."""

    def __init__(
        self,
        start: v1.UploadStart,
        snapshot: Snapshot,
        part: Part,
        links: Optional[LocalLinks],
        in_memory: bool,
    ) -> None:
        """in_memory: it is to stay in shared memory, and so cannot go by gRPC."""
        self._start = start
        self._snapshot = snapshot
        self._part = part
        self._links = links
        self._in_memory = in_memory
        self._upload = PartUpload(start, part.view)

    def attempt(
        self, upload: Callable[..., Any], server: str, begun: Callable[[], None]
    ) -> v1.UploadFinished:
        """`begun` is called when every thread is there that this attempt needs. Errors: those of
        WeightService.Upload."""
        link = self._link()
        if link is not None and self._in_slot():
            assert self._part.slot is not None
            try:
                link.make_known(self._part.slot)
            except SlotRefusedError as refused:
                if self._in_memory:
                    raise refused.error from None
            else:
                begun()
                return link.submit(self._part.slot, self._start)
        return self._upload.attempt(upload, server, begun)

    def cancel(self) -> None:
        """What the daemon has been given in shared memory is its own: that is not taken back."""
        self._upload.cancel()

    def take_progress(self) -> bool:
        """Whether the daemon has taken bytes since the last call."""
        return self._upload.take_progress()

    def _link(self) -> Optional[LocalLink]:
        if self._links is None:
            return None
        return self._links.required() if self._in_memory else self._links.current()

    def _in_slot(self) -> bool:
        part = self._part
        moves = self._in_memory or part.view.nbytes >= _LEAST_BYTES_TO_MOVE
        if part.slot is None and moves:
            self._snapshot.move_into_slot(part)
        return part.slot is not None and part.slot.fd is not None
