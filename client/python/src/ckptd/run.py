"""The trainer's side: report events, hand over weights when asked.

with ckptd.Run("digits", policies=[policy], weights=serialize) as run:
    run.on_train_begin()
    for epoch in range(epochs):
        run.on_epoch_begin(epoch)
        ...
        run.on_epoch_end(epoch, {"val_loss": val_loss})
    run.on_train_end()
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Callable, Optional, Union

from ckptd import v1
from ckptd.errors import ClosedError, Error, UnavailableError, make_error
from ckptd.internal import exit_guard
from ckptd.internal.arguments import (
    check_at_least,
    check_list,
    check_type,
    check_word,
    index,
    suggests_arguments,
)
from ckptd.internal.channel import callable_for, make_channel, server_or_default
from ckptd.internal.late_decisions import LateDecisions, Moment
from ckptd.internal.local_link import LocalLinks
from ckptd.internal.metric_values import Number, to_numbers
from ckptd.internal.parts import Parts, Snapshot
from ckptd.internal.slots import CAN_BE_SHARED, SlotPool
from ckptd.internal.snapshots import is_in_memory
from ckptd.internal.train_session import Ask, SessionOptions, TrainSession
from ckptd.internal.uploader import OnCommitted, Uploader, UploaderOptions
from ckptd.internal.words import has_words, print_decision, print_notice
from ckptd.policy import CheckpointPolicy
from ckptd.version import __version__, skew_warning

# Called on the thread of the event that was decided, before the on_… call returns: takes a snapshot
# of the model. `save` says what is wanted (payload, epoch, placements). An exception gives the save
# up. Content (see internal/parts.py) is written right into memory that stays.
WeightsCallback = Callable[[v1.Checkpoint], Parts]

_STARTS = {
    "resume": v1.Hello.START_RESUME,
    "fresh": v1.Hello.START_FRESH,
    "create": v1.Hello.START_CREATE,
}
_PATIENCE = 600.0
_FIRST_PATIENCE = 60.0  # a daemon that starts at the same time is there by then
_NEVER_SEEN_TIMEOUT = 5.0
_ALWAYS_QUIET = 2**63 - 1


class Run:
    """A run in progress. Event calls (`on_…`) come from one thread; `flush` and `close` may come
    from another. Belongs to the process that made it: in a fork of it every call raises
    ClosedError."""

    @suggests_arguments
    def __init__(
        self,
        run: str,
        *,
        policies: Sequence[CheckpointPolicy] = (),
        policy_names: Sequence[str] = (),
        weights: Optional[WeightsCallback] = None,
        server: Optional[str] = None,
        start: str = "resume",
        labels: Optional[Mapping[str, str]] = None,
        resumed_from: Union[str, int, None] = None,
        on_unavailable: str = "raise",
        reconnect_timeout: Optional[float] = None,
        exit_timeout: float = 60.0,
        max_buffered_events: int = 65_536,
        max_buffered_bytes: int = 1 << 30,
        max_uploads: int = 2,
        when_busy: str = "wait",
        shared_memory: bool = True,
        print_decision: Callable[[v1.Decision], None] = print_decision,
        notify: Callable[[str], None] = print_notice,
        on_committed: Optional[OnCommitted] = None,
        on_lost: Optional[Callable[[Moment], None]] = None,
    ) -> None:
        """Connects and says Hello.

        run: id of the run. server: "HOST:PORT" or "unix:PATH"; else $CKPT_SERVER, else
        127.0.0.1:7070.
        policies, policy_names: inline policies, and those of the daemon's configuration.
        weights: see WeightsCallback; each event may bring its own instead.
        start: "resume" goes on with the run and its best, "fresh" forgets best values and counters,
        "create" insists that the run is new. resumed_from: id of the checkpoint that was loaded.
        on_unavailable: what happens while no daemon answers. "raise": calls wait for
        reconnect_timeout seconds (default 600; 60 to connect for the first time) and then raise
        UnavailableError. "warn": they wait
        for reconnect_timeout (default 5) once and then train on; what the policies may choose is
        kept in memory, up to max_buffered_bytes, and handed over when the daemon is back.
        exit_timeout: how long the interpreter's exit, and `close` while the daemon is away and
        on_unavailable is "warn", wait for what is on its way.
        max_buffered_events: events kept while they are not durable; when full, calls wait.
        max_uploads: saves on their way at once, each in memory of its own. when_busy: what the next
        SAVE does then: "wait" for one to end, or "skip" it, which gives it up.
        shared_memory: hand weights over in memory shared with a daemon on the same host; otherwise,
        and where that cannot be, they travel over gRPC.
        print_decision: shows a decision's words. notify: told when the daemon is lost and back.
        on_committed: called on an upload thread for every checkpoint, its bytes still at hand.
        on_lost: called by `close` for every moment that was kept and that no daemon decided on.

        Errors: UnavailableError, InvalidArgumentError, and those of TrainingService.Train;
        TypeError and ValueError for arguments.
        """
        check_type("run", run, str)
        check_word("on_unavailable", on_unavailable, ("raise", "warn"))
        check_word("when_busy", when_busy, ("wait", "skip"))
        check_word("start", start, _STARTS)
        check_list("policies", policies, CheckpointPolicy)
        check_list("policy_names", policy_names, str)
        for key, value in (labels or {}).items():
            check_type("a label", key, str)
            check_type(f"label {key!r}", value, str)
        if weights is not None and not callable(weights):
            raise TypeError(f"weights is {weights!r:.80}; it must be a function that gives them")
        check_at_least("exit_timeout", exit_timeout, 0)
        check_at_least(
            "reconnect_timeout", 0 if reconnect_timeout is None else reconnect_timeout, 0
        )
        check_at_least("max_buffered_events", max_buffered_events, 1)
        check_at_least("max_buffered_bytes", max_buffered_bytes, 0)
        check_at_least("max_uploads", max_uploads, 1)
        self._process = os.getpid()
        self._server = server_or_default(server)
        self._warns = on_unavailable == "warn"
        self._waits_when_busy = when_busy == "wait"
        self._weights = weights
        self._exit_timeout = exit_timeout
        self._print = print_decision
        self._notify = notify
        self._policies = [policy.to_message() for policy in policies]
        self._epoch = 0  # of the newest epoch begin
        self._closed = False
        self._reporting = threading.Lock()  # held by the event that is under way
        self._on_lost = on_lost
        self._late = LateDecisions(max_buffered_bytes)
        self._unserved: list[v1.Decision] = []  # operators' saves that no event had weights for yet
        self._pool = SlotPool(max_uploads)
        first_timeout = _FIRST_PATIENCE if reconnect_timeout is None else reconnect_timeout
        if reconnect_timeout is None:
            reconnect_timeout = 5.0 if self._warns else _PATIENCE

        hello = v1.Hello(
            run=f"runs/{run}",
            policies=self._policies,
            policy_names=policy_names,
            labels=dict(labels or {}),
            start=_STARTS[start],
            resumed_from="" if resumed_from is None else str(resumed_from),
            client=f"ckptd-python {__version__} (pid {self._process})",
            holds_snapshots=shared_memory and CAN_BE_SHARED,
        )
        self._links = (
            LocalLinks(lambda: self._session.welcome, hello.client) if shared_memory else None
        )
        self._control = make_channel(self._server, bulk=False)
        self._bulk = make_channel(self._server, bulk=True)
        self._uploader = Uploader(
            callable_for(self._bulk, "WeightService", "Upload"),
            UploaderOptions(
                server=self._server,
                max_uploads=max_uploads,
                patience=max(reconnect_timeout, _PATIENCE),
                abandon=lambda save, why: self._session.abandon(save, why),
                on_committed=on_committed,
                links=self._links,
            ),
        )
        self._session = TrainSession(
            callable_for(self._control, "TrainingService", "Train"),
            SessionOptions(
                server=self._server,
                hello=hello,
                reconnect_timeout=reconnect_timeout,
                max_buffered_events=max_buffered_events,
                quiet_batches=_ALWAYS_QUIET if _only_epochs(self._policies) else 0,
                notify=notify,
            ),
            self._uploader,
        )
        exit_guard.register(self)
        try:
            self._connect(min(first_timeout, reconnect_timeout))
        except BaseException:
            self._shut_down()
            raise

    # ---- What is known about it.

    @property
    def server(self) -> str:
        return self._server

    @property
    def info(self) -> v1.Run:
        """The run as the daemon described it at the last (re)connect; empty before the first."""
        welcome = self._session.welcome
        return v1.Run() if welcome is None else welcome.run

    @property
    def folder(self) -> str:
        """Where the run's files appear, on the daemon's machine; "" before the first connect."""
        welcome = self._session.welcome
        return "" if welcome is None else welcome.run_folder

    @property
    def warnings(self) -> dict[str, list[str]]:
        """The reference's constructor warnings, by policy name."""
        welcome = self._session.welcome
        if welcome is None:
            return {}
        return {policy.policy: list(policy.warnings) for policy in welcome.warnings}

    # ---- Events. Each returns once it is on its way; where a decision is due, once it has been
    # decided and the weights have been taken (not uploaded). The Decision is empty (no policies)
    # when no policy acted, or when on_unavailable is "warn" and the daemon is away. Errors:
    # FencedError, UnavailableError, TypeError (a metric that is no number), ClosedError,
    # RuntimeError (another event is under way, in a thread or in the weights callback).

    def on_train_begin(self) -> None:
        self._report(v1.Event(kind=v1.Event.KIND_TRAIN_BEGIN), {}, Ask.NEVER, None)

    def on_epoch_begin(self, epoch: int) -> None:
        event = v1.Event(kind=v1.Event.KIND_EPOCH_BEGIN, epoch=index("epoch", epoch))
        self._epoch = event.epoch
        self._report(event, {}, Ask.NEVER, None)

    @suggests_arguments
    def on_batch_end(
        self,
        batch: int,
        logs: Optional[Mapping[str, Any]],
        weights: Optional[WeightsCallback] = None,
    ) -> v1.Decision:
        event = v1.Event(
            kind=v1.Event.KIND_BATCH_END, epoch=self._epoch, batch=index("batch", batch)
        )
        return self._report(event, logs, Ask.IF_DUE, weights)

    @suggests_arguments
    def on_epoch_end(
        self,
        epoch: int,
        logs: Optional[Mapping[str, Any]],
        weights: Optional[WeightsCallback] = None,
    ) -> v1.Decision:
        event = v1.Event(kind=v1.Event.KIND_EPOCH_END, epoch=index("epoch", epoch))
        return self._report(event, logs, Ask.ALWAYS, weights)

    def on_train_end(self) -> None:
        self._report(v1.Event(kind=v1.Event.KIND_TRAIN_END), {}, Ask.ALWAYS, None)

    # ---- The end.

    def flush(self, timeout: Optional[float] = None) -> None:
        """Waits until every event and every save so far is durable.

        timeout: seconds; without one, as long as there is a daemon. Errors: SaveError, which names
        every save that failed since the last flush; UnavailableError, which names what is still on
        its way.
        """
        self._check_usable()
        until = None if timeout is None else time.monotonic() + timeout

        def left() -> Optional[float]:
            return None if until is None else max(0.0, until - time.monotonic())

        try:
            for event in self._late.events:
                self._session.await_decided(event, left())
            self._session.await_durable(left())
            self._serve_unasked(None)
        except UnavailableError as error:
            raise UnavailableError(self._what_is_left(error.message), code=error.code) from None
        if not self._uploader.await_idle(left()):
            raise UnavailableError(self._what_is_left("no time is left"), code="DEADLINE_EXCEEDED")
        failures = self._uploader.take_failures()
        if failures is not None:
            raise failures

    def close(self, timeout: Optional[float] = None) -> None:
        """Flush, then ends the stream. Later event calls raise ClosedError; closing again does
        nothing. The run is closed whatever is raised. With on_unavailable="warn" a daemon that is
        away is waited for exit_timeout seconds (5 at most if it never answered), and what is then
        lost is a notice, not an error."""
        if self._closed:
            return
        self._check_usable()
        try:
            if timeout is None and self._warns and not self._session.is_up:
                timeout = self._exit_timeout
                if self._session.welcome is None:  # it never was there
                    timeout = min(timeout, _NEVER_SEEN_TIMEOUT)
            self.flush(timeout)
        except UnavailableError as error:
            if not self._warns:
                raise
            self._notify(error.message)
            for moment in self._late.take_all():
                if self._on_lost is not None:
                    self._on_lost(moment)
                moment.release()
        finally:
            for decision in self._unserved + self._session.take_unasked():
                for save in decision.saves:
                    self._session.abandon(save.name, "training is over")
            self._shut_down()

    def close_at_exit(self) -> None:
        """Of the exit guard: waits for what is on its way, for a limited time, and says what is
        lost."""
        if self._closed:
            return
        try:
            self.flush(self._exit_timeout)
        except Exception as error:
            self._notify(f"at exit: {error}")
        self._shut_down()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        raised: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        if raised is None:
            self.close()
            return
        try:
            self.close(self._exit_timeout)
        except Error as error:  # must not hide what was raised
            self._notify(error.message)

    # ---- Inside.

    def _connect(self, timeout: float) -> None:
        try:
            self._session.await_welcome(timeout)
        except UnavailableError:
            if not self._warns:
                raise
            return
        welcome = self._session.welcome
        if self._links is not None and any(map(is_in_memory, self.info.policies)):
            self._links.required()  # at once, rather than at each save
        warning = skew_warning(self._server, welcome.server_version if welcome else "")
        if warning:
            self._notify(warning)

    def _report(
        self,
        event: v1.Event,
        logs: Optional[Mapping[str, Any]],
        ask: Ask,
        weights: Optional[WeightsCallback],
    ) -> v1.Decision:
        self._check_usable()
        if not self._reporting.acquire(blocking=False):
            raise RuntimeError("another event of this Run is under way: they come one at a time")
        try:
            return self._report_alone(event, to_numbers(logs), ask, weights)
        finally:
            self._reporting.release()

    def _report_alone(
        self,
        event: v1.Event,
        numbers: Mapping[str, Number],
        ask: Ask,
        weights: Optional[WeightsCallback],
    ) -> v1.Decision:
        event.time_unix_nanos = time.time_ns()
        weights = weights or self._weights
        try:
            decision = self._session.report(event, numbers, ask)
        except UnavailableError:
            if not self._warns:
                raise
            self._keep_for_later(event, numbers, weights)
            return v1.Decision()
        self._serve_unasked(weights)
        self._serve(decision, weights)
        return decision

    def _serve(self, decision: v1.Decision, weights: Optional[WeightsCallback]) -> None:
        if has_words(decision):
            self._print(decision)
        for save in decision.saves:
            if not self._uploader.await_slot(save.name, self._waits_when_busy):
                self._uploader.skip(save.name, "the uploads before it were still on their way")
                continue
            try:
                snapshot = self._take_snapshot(save, weights)
            except Exception as error:
                self._give_up(save, error)
            except BaseException:  # Ctrl-C, most likely: training may go on, this save does not
                self._uploader.skip(save.name, "it was interrupted")
                raise
            else:
                self._uploader.upload(save.name, snapshot)

    def _serve_unasked(self, weights: Optional[WeightsCallback]) -> None:
        weights = weights or self._weights
        waiting, self._unserved = self._unserved, []
        for decision in waiting + self._session.take_unasked():
            if decision.seq == 0 and weights is None:  # a later event may bring some
                self._unserved.append(decision)
                continue
            if decision.seq == 0:  # nobody's event: this moment is as good as any
                self._serve(decision, weights)
                continue
            if has_words(decision):
                self._print(decision)
            for save in decision.saves:
                snapshot = self._late.take(decision.seq, save.payload)
                if snapshot is None:
                    self._give_up(save, LookupError("its moment has passed without the daemon"))
                else:
                    self._uploader.upload(save.name, snapshot)
            self._late.forget(decision.seq)

    def _keep_for_later(
        self, event: v1.Event, logs: Mapping[str, Any], weights: Optional[WeightsCallback]
    ) -> None:
        if event.seq == 0:
            self._notify(f"{v1.Event.Kind.Name(event.kind)} is lost: the event buffer is full")
            return
        if event.kind == v1.Event.KIND_TRAIN_END or weights is None:
            return
        policies = list(self.info.policies) or self._policies

        def take(payload: int) -> Snapshot:
            save = v1.Checkpoint(payload=v1.Checkpoint.Payload.Name(payload), epoch=event.epoch)
            if event.kind == v1.Event.KIND_BATCH_END:
                save.batch = event.batch
            return self._take_snapshot(save, weights)

        try:
            complete = self._late.keep(event, logs, policies, take)
        except Exception as error:
            self._notify(f"no snapshot for later: {type(error).__name__}: {error}")
            return
        if not complete:
            self._notify("max_buffered_bytes is reached: the oldest snapshot is let go")

    def _take_snapshot(self, save: v1.Checkpoint, weights: Optional[WeightsCallback]) -> Snapshot:
        if weights is None:
            raise RuntimeError("there is no weights callback: give Run or the event one")
        return Snapshot(self._pool, weights(save))

    def _give_up(self, save: v1.Checkpoint, why: Exception) -> None:
        self._uploader.give_up(
            save.name, make_error("FAILED_PRECONDITION", f"{type(why).__name__}: {why}")
        )

    def _what_is_left(self, why: str) -> str:
        lost = [f"{self._session.undurable_events} events"]
        lost += self._uploader.on_their_way()
        if len(self._late):
            lost.append(f"{len(self._late)} snapshots that no decision was made on")
        return f"{why}; not safe yet: {', '.join(lost)}"

    def _check_usable(self) -> None:
        if os.getpid() != self._process:
            raise ClosedError(
                f"this Run belongs to process {self._process}, and process {os.getpid()} is a fork"
                " of it: report from the process that made it, or make a Run of its own",
                code="FAILED_PRECONDITION",
            )
        if self._closed:
            raise ClosedError("the run is closed", code="FAILED_PRECONDITION")

    def _shut_down(self) -> None:
        self._closed = True
        self._session.close()
        self._uploader.stop()
        self._control.close()
        self._bulk.close()
        exit_guard.unregister(self)


def _only_epochs(policies: Sequence[v1.CheckpointPolicy]) -> bool:
    return bool(policies) and not any(p.save_freq.HasField("number_value") for p in policies)
