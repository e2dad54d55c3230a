"""The saves that this process owes the daemon, and the threads that deliver them.

A save is decided, then on its way, then ended: committed or failed. Decided saves wait for the
thread of the events; those on their way are bounded by max_uploads.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ckptd import v1
from ckptd.errors import ClosedError, Error, SaveError, make_error
from ckptd.internal.backoff import Retry
from ckptd.internal.hand_over import HandOver
from ckptd.internal.local_link import LocalLinks
from ckptd.internal.parts import Snapshot

_MAX_FAILURES_KEPT = 64
_MAX_AWAITED = 1024  # of Hello.awaited_saves
# These Pythons start no thread once the main thread has ended, and gRPC needs some for each stream.
_NO_THREADS_AT_EXIT = (3, 12) <= sys.version_info < (3, 12, 2)

# What is done with a save that was committed, while its bytes are still there, on an upload thread.
OnCommitted = Callable[[v1.Checkpoint, Snapshot], None]


@dataclass(frozen=True)
class UploaderOptions:
    server: str
    max_uploads: int
    # How long an upload goes on trying while nothing gets through, seconds.
    patience: float
    # Tells the daemon that a save is given up. Called on an upload's thread, not under the lock.
    abandon: Callable[[str, str], None]
    on_committed: Optional[OnCommitted] = None
    # Hand-over in shared memory; None: gRPC only.
    links: Optional[LocalLinks] = None


class _Save:
    def __init__(self, checkpoint: v1.Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.name = checkpoint.name
        self.label = self.name
        if checkpoint.placements:
            self.label += f" ({checkpoint.placements[0].filepath})"
        self.snapshot: Optional[Snapshot] = None
        self.outcome: Optional[v1.SaveOutcome] = None
        self.upload: Optional[HandOver] = None
        self.begun = False  # has every thread it needs, unless an attempt fails


class Uploader:
    """`await_slot`, `upload`, `skip` and `give_up` belong to the thread of the events; the rest is
    thread-safe."""

    def __init__(self, upload: Any, options: UploaderOptions) -> None:
        self._upload_call = upload
        self._options = options
        self._changed = threading.Condition()  # what follows, under its lock
        self._saves: dict[str, _Save] = {}
        self._queue: deque[_Save] = deque()
        self._on_their_way = 0  # queued or with a thread
        self._failures: list[Error] = []
        self._more_failures = 0  # beyond those kept
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def stop(self) -> None:
        """Stops what is on its way and joins the threads. Nothing is abandoned any more."""
        with self._changed:
            self._stopping = True
            for save in self._saves.values():
                if save.upload is not None:
                    save.upload.cancel()
            self._changed.notify_all()
        if self._options.links is not None:
            self._options.links.close()
        for thread in self._threads:
            thread.join()

    # ---- The side of the events.

    def await_slot(self, wait: bool = True) -> bool:
        """Whether another save can be on its way; waits until it can, if `wait`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._stopping or self._on_their_way < self._options.max_uploads,
                None if wait else 0,
            )

    def upload(self, save: str, snapshot: Snapshot) -> None:
        """Puts a decided save on its way. Takes `snapshot` over. Where no thread can be started at
        exit, the last part's transfer has begun when this returns."""
        with self._changed:
            found = self._saves.get(save)
            if found is None or self._stopping:
                snapshot.release()
                return
            found.snapshot = snapshot
            self._queue.append(found)
            self._on_their_way += 1
            if len(self._threads) < min(self._on_their_way, self._options.max_uploads):
                thread = threading.Thread(target=self._work, name="ckptd-upload", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify_all()
            if _NO_THREADS_AT_EXIT:
                self._changed.wait_for(lambda: found.begun or self._stopping)

    def give_up(self, save: str, why: Error) -> None:
        """Ends a decided save as failed and tells the daemon."""
        with self._changed:
            found = self._saves.get(save)
            if found is None:
                return
            self._on_their_way += 1
        self._end(found, why)

    def skip(self, save: str, why: str) -> None:
        """Ends a decided save without its bytes and tells the daemon. Not a failure."""
        with self._changed:
            self._saves.pop(save, None)
        self._options.abandon(save, why)

    def await_idle(self, timeout: Optional[float] = None) -> bool:
        """Waits until no save is on its way. False when some still are after `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self._on_their_way == 0, timeout)

    def on_their_way(self) -> list[str]:
        """What would be lost now, for people."""
        with self._changed:
            return [save.label for save in self._saves.values() if save.snapshot is not None]

    def take_failures(self) -> Optional[SaveError]:
        """Every save that failed since the last call, as one error."""
        with self._changed:
            failures, self._failures = self._failures, []
            more, self._more_failures = self._more_failures, 0
        if not failures:
            return None
        first = failures[0]
        message = first.message
        if len(failures) > 1:
            every = "; ".join(failure.message for failure in failures)
            message = f"{len(failures) + more} saves failed; {every}"
            message += f"; and {more} more" if more else ""
        return SaveError(message, code=first.code, reason=first.reason, metadata=first.metadata)

    # ---- The side of the session, see SaveListener.

    def on_decided(self, save: v1.Checkpoint) -> None:
        with self._changed:
            self._saves.setdefault(save.name, _Save(save))

    def owes(self, save: str) -> bool:
        with self._changed:
            return save in self._saves

    def on_outcome(self, outcome: v1.SaveOutcome) -> None:
        with self._changed:
            found = self._saves.get(outcome.save)
            if found is None:
                return
            found.outcome = outcome
            if not outcome.HasField("checkpoint") and found.upload is not None:
                found.upload.cancel()
            self._changed.notify_all()

    def awaited(self) -> list[str]:
        with self._changed:
            names = [save.name for save in self._saves.values() if save.outcome is None]
        return names[:_MAX_AWAITED]

    # ---- The uploads' threads.

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or bool(self._queue))
                if self._stopping:
                    return
                save = self._queue.popleft()
            failure: Optional[Error] = None
            try:
                self._deliver(save)
            except Error as error:
                failure = error
            except Exception as error:  # a bug of ours, or of on_committed, must not hang a flush
                failure = make_error("INTERNAL", f"{type(error).__name__}: {error}")
            self._end(save, failure)

    def _end(self, save: _Save, failure: Optional[Error]) -> None:
        with self._changed:
            told = (
                save.outcome is not None or save.checkpoint.state == v1.Checkpoint.STATE_COMMITTED
            )
            tell_daemon = (
                failure is not None
                and not self._stopping
                and not told
                and failure.reason != "SAVE_NOT_OPEN"
            )
            if failure is not None:
                self._remember(save, failure)
        if failure is not None and tell_daemon:
            self._options.abandon(save.name, failure.message)
        with self._changed:
            self._on_their_way -= 1
            save.begun = True
            self._saves.pop(save.name, None)
            if save.snapshot is not None:
                save.snapshot.release()
            self._changed.notify_all()

    def _remember(self, save: _Save, failure: Error) -> None:
        if len(self._failures) == _MAX_FAILURES_KEPT:
            self._more_failures += 1
            return
        self._failures.append(
            make_error(
                failure.code,
                f"save {save.label}: {failure.message}",
                reason=failure.reason,
                metadata=failure.metadata,
            )
        )

    def _deliver(self, save: _Save) -> None:
        """Returns when the save is committed and on_committed is done."""
        assert save.snapshot is not None
        try:
            committed = self._upload_parts(save, save.snapshot)
        except Error:
            with self._changed:
                outcome = save.outcome
            if outcome is None:
                raise
            committed = _committed(outcome)
        if committed is None:
            committed = self._await_outcome(save)
        save.checkpoint = committed
        if self._options.on_committed is not None:
            self._options.on_committed(committed, save.snapshot)

    def _upload_parts(self, save: _Save, snapshot: Snapshot) -> Optional[v1.Checkpoint]:
        """The checkpoint, if it is committed already."""
        checkpoint = None
        for part in snapshot.parts:
            start = v1.UploadStart(
                save=save.name,
                part=part.name,
                part_count=len(snapshot.parts),
                size=part.view.nbytes,
            )
            hand_over = HandOver(start, snapshot, part, self._options.links)
            is_last = part is snapshot.parts[-1]
            checkpoint = self._hand_over(save, hand_over, is_last).checkpoint
        if checkpoint is not None and checkpoint.state == v1.Checkpoint.STATE_COMMITTED:
            return checkpoint
        return None

    def _hand_over(self, save: _Save, upload: HandOver, is_last: bool) -> v1.UploadFinished:
        retry = Retry(self._options.patience)
        with self._changed:
            save.upload = upload
            if self._stopping or self._failed(save):
                upload.cancel()
        try:
            while True:
                try:
                    return upload.attempt(
                        self._upload_call,
                        self._options.server,
                        lambda: self._note_begun(save) if is_last else None,
                    )
                except Error as error:
                    self._note_begun(save)  # trying again may take long
                    with self._changed:
                        if self._told(save):
                            raise
                    pause = retry.after(error, upload.take_progress())
                    if pause is None or not self._pause(save, pause):
                        raise
        finally:
            with self._changed:
                save.upload = None

    def _note_begun(self, save: _Save) -> None:
        with self._changed:
            save.begun = True
            self._changed.notify_all()

    def _await_outcome(self, save: _Save) -> v1.Checkpoint:
        with self._changed:
            self._changed.wait_for(lambda: self._told(save))
            outcome = save.outcome
        if outcome is None:
            raise ClosedError("the run was closed", code="CANCELLED")
        return _committed(outcome)

    def _pause(self, save: _Save, seconds: float) -> bool:
        """False when the save need not go on."""
        until = time.monotonic() + seconds
        with self._changed:
            while not self._told(save) and time.monotonic() < until:
                self._changed.wait(until - time.monotonic())
            return not self._told(save)

    def _failed(self, save: _Save) -> bool:
        return save.outcome is not None and not save.outcome.HasField("checkpoint")

    def _told(self, save: _Save) -> bool:
        return self._stopping or save.outcome is not None


def _committed(outcome: v1.SaveOutcome) -> v1.Checkpoint:
    if outcome.HasField("checkpoint"):
        return outcome.checkpoint
    reason = v1.ErrorReason.Name(outcome.reason).replace("ERROR_REASON_", "", 1)
    raise make_error("ABORTED", outcome.message or "the save failed", reason=reason)
