"""The saves that this process owes the daemon, and the threads that deliver them.

A save is decided, then on its way, then ended: committed or failed. Decided saves wait for the
thread of the events; those on their way are bounded by max_uploads. A snapshot in memory
(PLACEMENT_MEMORY) is held between being on its way and its end: the daemon has it, in slots that
are its own until then, and nobody waits for it.
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
from ckptd.internal.snapshots import is_in_memory

_MAX_FAILURES_KEPT = 64
_MAX_AWAITED = 1024  # of Hello.awaited_saves
_TOLD_WITHIN = 30.0  # seconds; how far the stream may be behind the answer to an upload
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
        self.in_memory = any(map(is_in_memory, checkpoint.placements))
        self.held = False


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
        self._kept: dict[str, int] = {}  # snapshots in memory, by policy
        self._lost: Optional[Error] = None  # why no outcome will come any more
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

    def await_slot(self, save: str, wait: bool = True) -> bool:
        """Whether a decided save can be on its way; waits until it can, if `wait`."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._stopping or self._lost is not None or self._has_slot(save),
                None if wait else 0,
            )

    def _has_slot(self, save: str) -> bool:
        """Needs the lock. Beside the snapshots in memory that are kept there is one that is being
        handed over, so that memory for these is enough."""
        if self._on_their_way >= self._options.max_uploads:
            return False
        found = self._saves.get(save)
        if found is None or not found.in_memory:
            return True
        taken = sum(s.in_memory and s.snapshot is not None for s in self._saves.values())
        return taken <= sum(self._kept.values())

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
            saves = self._saves.values()
            return [save.label for save in saves if save.snapshot is not None and not save.held]

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
            for placement in filter(is_in_memory, save.placements):
                self._kept[placement.policy] = max(1, placement.options.snapshots)
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
            if found.held:
                self._end_held(found, outcome)
            elif not outcome.HasField("checkpoint") and found.upload is not None:
                found.upload.cancel()
            self._changed.notify_all()

    def _end_held(self, save: _Save, outcome: v1.SaveOutcome) -> None:
        """Needs the lock."""
        if outcome.HasField("checkpoint"):
            self._deliver_again(save)
            return
        self._remember(save, _failure(outcome))
        self._forget(save)

    def on_welcomed(self, open_saves: list[str]) -> None:
        with self._changed:
            for name in open_saves:
                save = self._saves.get(name)
                if save is not None and save.held:
                    self._deliver_again(save)
            self._changed.notify_all()

    def _deliver_again(self, save: _Save) -> None:
        """Needs the lock. The thread that delivered it before, or another one, is there."""
        save.held = False
        self._queue.append(save)
        self._on_their_way += 1

    def on_lost(self, why: Error) -> None:
        with self._changed:
            self._lost = why
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
                if self._deliver(save):
                    continue
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
            self._forget(save)
            self._changed.notify_all()

    def _forget(self, save: _Save) -> None:
        """Needs the lock. Its slots are free for the next one."""
        self._saves.pop(save.name, None)
        if save.snapshot is not None:
            save.snapshot.release()

    def _remember(self, save: _Save, failure: Error) -> None:
        # A daemon that was away when it dropped a snapshot knows only that it is gone.
        if save.in_memory and failure.reason in ("SNAPSHOT_DROPPED", "SAVE_NOT_OPEN"):
            return
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

    def _deliver(self, save: _Save) -> bool:
        """Returns when the save is committed and on_committed is done, or, with True, when the
        daemon holds it."""
        assert save.snapshot is not None
        try:
            committed = self._ended(save) or self._upload_parts(save, save.snapshot)
        except Error as error:
            self._await_reason(save, error)
            committed = self._ended(save)
            if committed is None:
                raise
        if committed is None:
            if save.in_memory and self._hold(save):
                return True
            committed = self._await_outcome(save)
        save.checkpoint = committed
        if self._options.on_committed is not None:
            self._options.on_committed(committed, save.snapshot)
        return False

    def _await_reason(self, save: _Save, failure: Error) -> None:
        """A save that is not open has ended otherwise, or another trainer has the run: the stream
        tells, perhaps a bit later. Errors: that the run was taken over."""
        if failure.reason != "SAVE_NOT_OPEN":
            return
        with self._changed:
            self._changed.wait_for(
                lambda: self._told(save) or self._lost is not None,
                min(self._options.patience, _TOLD_WITHIN),
            )
            if self._lost is not None and not self._told(save):
                raise self._lost

    def _ended(self, save: _Save) -> Optional[v1.Checkpoint]:
        """The checkpoint, if it is known to be committed. Errors: why the save failed."""
        with self._changed:
            return None if save.outcome is None else _committed(save.outcome)

    def _hold(self, save: _Save) -> bool:
        """False when it has ended."""
        with self._changed:
            if save.outcome is not None:
                return False
            save.held = True
            self._on_their_way -= 1
            self._changed.notify_all()
            return True

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
            hand_over = HandOver(start, snapshot, part, self._options.links, save.in_memory)
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
            self._changed.wait_for(lambda: self._told(save) or self._lost is not None)
            outcome = save.outcome
            lost = self._lost
        if outcome is None:
            raise lost or ClosedError("the run was closed", code="CANCELLED")
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
    raise _failure(outcome)


def _failure(outcome: v1.SaveOutcome) -> Error:
    reason = v1.ErrorReason.Name(outcome.reason).replace("ERROR_REASON_", "", 1)
    return make_error("ABORTED", outcome.message or "the save failed", reason=reason)
