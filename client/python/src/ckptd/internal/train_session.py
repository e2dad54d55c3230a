"""A training process's conversation with the daemon, across broken streams and daemon restarts.

A thread of its own keeps one Train stream up:
  1. Hello, and Welcome; everything up to Welcome.durable_seq leaves the log.
  2. Every other event is sent (again), then new ones as they come. Events that come while a
     message is on its way go into the next one together.
  3. When the stream breaks: a pause, then 1. Errors that a retry cannot cure end the session.
"""

from __future__ import annotations

import enum
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, Protocol

import grpc

from ckptd import v1
from ckptd.errors import ClosedError, Error, make_error
from ckptd.internal.backoff import Backoff
from ckptd.internal.channel import fork_hint
from ckptd.internal.event_log import EventLog
from ckptd.internal.metric_values import Number
from ckptd.internal.quiet_counter import QuietCounter
from ckptd.internal.rpc_status import from_grpc, is_transient

# Everything is durable when a stream is closed; the daemon's goodbye is only waited for so long.
_GOODBYE = 5.0
_MAX_ABANDON_MESSAGE = 1024


class SaveListener(Protocol):
    """Where the saves of a session are kept. Called on the session's thread, not under its lock."""

    def on_decided(self, save: v1.Checkpoint) -> None:
        """The daemon has decided on a save; its bytes are owed until it ends."""

    def owes(self, save: str) -> bool:
        """Whether `save` was announced by on_decided and has not ended."""

    def on_outcome(self, outcome: v1.SaveOutcome) -> None: ...

    def awaited(self) -> list[str]:
        """Names of the saves whose outcome has not come, at most 1,024: a new stream asks for
        them."""

    def on_welcomed(self, open_saves: list[str]) -> None:
        """The stream is new. Of these saves the daemon may not have the bytes any more."""

    def on_lost(self, why: Error) -> None:
        """There will be no other stream: outcomes that have not come will not come any more."""


@dataclass(frozen=True)
class SessionOptions:
    server: str
    hello: v1.Hello  # of a new process
    reconnect_timeout: float  # seconds
    max_buffered_events: int
    # Batch ends that no policy acts on, as far as is known before the daemon has said so.
    quiet_batches: int
    # Told, on the session's thread, when the daemon is lost and when it is back.
    notify: Callable[[str], None]


class Ask(enum.Enum):
    """When to wait for the decision on an event."""

    NEVER = 0
    IF_DUE = 1
    ALWAYS = 2


def _with_defaults(limits: v1.Limits) -> v1.Limits:
    """Limits, also of a daemon that does not state them."""
    limits.max_events_per_batch = limits.max_events_per_batch or 4096
    limits.max_metrics_per_event = limits.max_metrics_per_event or 1024
    limits.max_metric_name_bytes = limits.max_metric_name_bytes or 256
    return limits


class _Stream:
    """One Train call. The fields need the session's lock."""

    def __init__(self) -> None:
        self.call: Any = None
        self.welcomed = False
        self.over = False


class TrainSession:
    """`report` comes from one thread at a time; everything else may come from any."""

    def __init__(self, train: Any, options: SessionOptions, saves: SaveListener) -> None:
        self._train = train
        self._options = options
        self._saves = saves

        self._lost_announced = False  # of the session's thread alone

        self._changed = threading.Condition()  # what follows, under its lock
        self._undecided: list[v1.Event] = []  # that wait for a decision, oldest first
        self._newest_decided = 0
        self._log = EventLog()
        self._quiet = QuietCounter()
        self._quiet.restart(options.quiet_batches)
        self._welcome: Optional[v1.Welcome] = None
        self._stream: Optional[_Stream] = None
        self._lost_since = time.monotonic()
        self._awaited: Optional[v1.Event] = None
        self._answer: Optional[v1.Decision] = None
        self._unasked: list[v1.Decision] = []
        self._abandons: list[v1.AbandonSave] = []
        self._last_error: Optional[Error] = None  # why the link is down
        self._failure: Optional[Error] = None  # final
        self._closing = False
        self._stopping = False

        self._thread = threading.Thread(
            target=self._keep_connected, name="ckptd-session", daemon=True
        )
        self._thread.start()

    # ---- The caller's side.

    def await_welcome(self, timeout: float) -> None:
        """Waits for the first Welcome. Errors: the daemon's; UnavailableError after `timeout`
        seconds."""
        with self._changed:
            self._wait(lambda: self._welcome is not None, timeout)

    @property
    def welcome(self) -> Optional[v1.Welcome]:
        """The newest one, limits filled in; None before the first."""
        with self._changed:
            return self._welcome

    @property
    def is_up(self) -> bool:
        with self._changed:
            return self._stream is not None and self._stream.welcomed

    def report(self, event: v1.Event, logs: Mapping[str, Number], ask: Ask) -> v1.Decision:
        """Sends an event, whose number is assigned here. Waits while the log is full, and for the
        decision where `ask` says so; the decision is empty otherwise. On UnavailableError an event
        with a number is in the log and is not to be reported again; one without is not."""
        with self._changed:
            self._check_usable()
            self._wait(lambda: len(self._log.pending) < self._options.max_buffered_events)
            self._log.dictionary.encode(logs, self._limits(), event)
            maybe = event.kind == v1.Event.KIND_BATCH_END and self._quiet.count(event.batch)
            due = ask is Ask.ALWAYS or (ask is Ask.IF_DUE and maybe)
            event.wants_decision = due
            self._log.append(event)
            self._changed.notify_all()
            if not due:
                return v1.Decision()
            self._undecided.append(event)
            self._awaited = event
            try:
                self._wait(lambda: self._answer is not None)
            finally:
                self._awaited = None
                answer, self._answer = self._answer, None
            return answer or v1.Decision()

    def take_unasked(self) -> list[v1.Decision]:
        """Decisions that came without a report waiting for them, since the last call."""
        with self._changed:
            unasked, self._unasked = self._unasked, []
            return unasked

    def abandon(self, save: str, why: str) -> None:
        """Gives a save up. Repeated after a reconnect, if need be, until the daemon knows."""
        message = why.encode()[:_MAX_ABANDON_MESSAGE].decode(errors="ignore")
        with self._changed:
            self._abandons.append(v1.AbandonSave(save=save, message=message))
            self._changed.notify_all()

    def await_durable(self, timeout: Optional[float] = None) -> None:
        """Waits until every event reported so far is durable; for `timeout` seconds instead of
        reconnect_timeout, if given, whether or not the daemon is there."""
        with self._changed:
            self._check_usable()
            target = self._log.pending[-1] if self._log.pending else None
            self._wait(lambda: target is None or self._log.durable_seq >= target.seq, timeout)

    def await_decided(self, event: v1.Event, timeout: Optional[float] = None) -> None:
        """Waits until the daemon has decided on a reported event. As await_durable."""
        with self._changed:
            self._check_usable()
            self._wait(lambda: all(one is not event for one in self._undecided), timeout)

    @property
    def undurable_events(self) -> int:
        with self._changed:
            return len(self._log.pending)

    def close(self) -> None:
        """Ends the stream in good order; waits a few seconds for the daemon to do so too. Every
        other call fails with ClosedError from now on."""
        with self._changed:
            self._closing = True
            stream = self._stream
            call = None if stream is None or stream.welcomed else stream.call
            self._changed.notify_all()
        if call is not None:  # there is nobody to say goodbye to
            call.cancel()
        self._thread.join(_GOODBYE)
        self.stop()

    def stop(self) -> None:
        """Breaks the stream, if it is still up, and joins the thread."""
        with self._changed:
            self._stopping = True
            call = self._stream.call if self._stream is not None else None
            self._changed.notify_all()
        if call is not None:
            call.cancel()
        self._thread.join()

    def _limits(self) -> v1.Limits:
        return self._welcome.limits if self._welcome is not None else _with_defaults(v1.Limits())

    def _check_usable(self) -> None:
        if self._closing or self._stopping:
            raise ClosedError("the run is closed", code="FAILED_PRECONDITION")
        if self._failure is not None:
            raise self._failure

    def _wait(self, done: Callable[[], bool], timeout: Optional[float] = None) -> None:
        """Needs the lock. Waits for as long as there is a daemon, or for `timeout` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while not done():
            if self._failure is not None:
                raise self._failure
            up = self._stream is not None and self._stream.welcomed
            limit = until
            if limit is None and not up:
                limit = self._lost_since + self._options.reconnect_timeout
            left = None if limit is None else limit - time.monotonic()
            if left is not None and left <= 0:
                raise self._last_error or make_error(
                    "UNAVAILABLE", f"no answer from ckptd at {self._options.server}{fork_hint()}"
                )
            self._changed.wait(left)

    # ---- The session's thread.

    def _keep_connected(self) -> None:
        backoff = Backoff()
        while True:
            error = self._run_stream()
            with self._changed:
                if self._stopping or self._closing or self._failure is not None:
                    break
                if not is_transient(error):
                    self._failure = error
                    break
                if self._last_error is None:
                    backoff.reset()
                self._last_error = error
                self._changed.notify_all()
            if not self._lost_announced:
                self._lost_announced = True
                self._options.notify(f"{error.message}. Trying again; events are kept meanwhile")
            with self._changed:
                self._changed.wait_for(lambda: self._stopping or self._closing, backoff.next(error))
                if self._stopping or self._closing:
                    break
        with self._changed:
            failure = self._failure
            self._changed.notify_all()
        if failure is not None:
            self._saves.on_lost(failure)

    def _run_stream(self) -> Error:
        stream = _Stream()
        awaited = self._saves.awaited()
        with self._changed:
            self._stream = stream
            hello = self._hello(awaited)
            # gRPC looks at a connection that is being made only every 5 seconds, unless a call
            # waits for it.
            wait_for_ready = self._last_error is not None
        try:
            call = self._train(self._requests(stream, hello), wait_for_ready=wait_for_ready)
            with self._changed:
                stream.call = call
                if self._stopping:
                    call.cancel()
            for response in call:
                self._on_response(stream, response)
            return make_error("UNAVAILABLE", f"ckptd at {self._options.server} ended the stream")
        except grpc.RpcError as error:
            return from_grpc(error, self._options.server)
        except RuntimeError as error:  # no thread can be started, at exit for one
            return make_error("UNAVAILABLE", str(error))
        finally:
            with self._changed:
                if stream.welcomed:
                    self._lost_since = time.monotonic()
                stream.welcomed = False
                stream.over = True
                self._stream = None
                self._changed.notify_all()

    def _hello(self, awaited: list[str]) -> v1.Hello:
        hello = v1.Hello()
        hello.CopyFrom(self._options.hello)
        if self._welcome is not None:
            hello.start = v1.Hello.START_RESUME
            hello.resumed_from = ""
            hello.writer_epoch = self._welcome.writer_epoch
            hello.last_decided_seq = self._last_decided()
            hello.awaited_saves.extend(awaited)
        return hello

    def _last_decided(self) -> int:
        """Every event up to this number that wanted a decision has it. Needs the lock. Saves are
        told when they are durable, so a later event may have been decided on before."""
        return self._undecided[0].seq - 1 if self._undecided else self._newest_decided

    def _requests(self, stream: _Stream, hello: v1.Hello) -> Iterator[v1.TrainRequest]:
        """What gRPC is to send, on a thread of gRPC's."""
        yield v1.TrainRequest(hello=hello)
        while True:
            with self._changed:
                request = None
                while request is None:
                    if stream.over or self._stopping:
                        return
                    if stream.welcomed:
                        request = self._next_request()
                        if request is None and self._closing:
                            return
                    if request is None:
                        self._changed.wait()
            yield request

    def _next_request(self) -> Optional[v1.TrainRequest]:
        if self._abandons:
            return v1.TrainRequest(abandon=self._abandons.pop())
        batch = self._log.take_batch(self._limits())
        return None if batch is None else v1.TrainRequest(events=batch)

    def _on_response(self, stream: _Stream, response: v1.TrainResponse) -> None:
        kind = response.WhichOneof("message")
        if kind == "welcome":
            self._on_welcome(stream, response.welcome)
        elif kind == "decision":
            self._on_decision(response.decision)
        elif kind == "progress":
            with self._changed:
                self._log.acknowledge(response.progress.durable_seq)
                self._changed.notify_all()
        elif kind == "outcome":
            self._saves.on_outcome(response.outcome)

    def _on_welcome(self, stream: _Stream, welcome: v1.Welcome) -> None:
        _with_defaults(welcome.limits)
        with self._changed:
            if self._welcome is None:
                self._newest_decided = welcome.durable_seq
            self._failure = self._resume(welcome)
            if self._failure is not None:
                stream.call.cancel()
                self._changed.notify_all()
                return
        self._adopt_open_saves(welcome)
        with self._changed:
            self._welcome = welcome
            self._last_error = None
            stream.welcomed = True
            self._changed.notify_all()
        self._saves.on_welcomed([save.name for save in welcome.open_saves])
        if self._lost_announced:  # whoever hears of it may report events at once
            self._lost_announced = False
            self._options.notify(f"ckptd at {self._options.server} answers")

    def _resume(self, welcome: v1.Welcome) -> Optional[Error]:
        """Needs the lock."""
        durable = welcome.durable_seq
        if self._welcome is None:
            self._log.start_after(durable)
        elif not self._log.durable_seq <= durable <= self._log.last_seq:
            # What the daemon has lost cannot be sent again; what it has more is not ours.
            return make_error(
                "OUT_OF_RANGE",
                f"ckptd at {self._options.server} came back with another history of the run: its"
                f" newest event is {durable}, not {self._log.durable_seq} to {self._log.last_seq}",
                reason="SEQUENCE_GAP",
            )
        self._log.acknowledge(durable)
        self._log.rewind()
        self._abandons.clear()  # those still needed are found again in the open saves
        self._quiet.restart_elsewhere(welcome.quiet_batches)
        for event in self._log.pending:
            if event.kind == v1.Event.KIND_BATCH_END:
                self._quiet.count(event.batch)
        return None

    def _adopt_open_saves(self, welcome: v1.Welcome) -> None:
        """Saves that nobody here knows of: an unsolicited decision that was lost is taken up now;
        what was decided and forgotten (a weights callback failed) is given up again. Other lost
        decisions come anew."""
        with self._changed:
            last_decided = self._last_decided()
        for save in welcome.open_saves:
            if self._saves.owes(save.name):
                continue
            if save.seq == 0:
                self._on_decision(v1.Decision(saves=[save]))
            elif save.seq <= last_decided:
                self.abandon(save.name, "the trainer no longer has its bytes")

    def _on_decision(self, decision: v1.Decision) -> None:
        saves = [save for save in decision.saves if not self._saves.owes(save.name)]
        for save in saves:
            self._saves.on_decided(save)
        with self._changed:
            waiting = [event for event in self._undecided if event.seq != decision.seq]
            news = decision.seq == 0 or len(waiting) < len(self._undecided)
            if not news and not saves:
                return  # told before it was durable, and told again when the event came anew
            self._undecided = waiting
            self._newest_decided = max(self._newest_decided, decision.seq)
            awaited = self._awaited
            if awaited is not None and decision.seq != 0 and decision.seq == awaited.seq:
                self._quiet.restart(decision.quiet_batches)
                self._answer = decision
            else:
                self._unasked.append(decision)
            self._changed.notify_all()
