"""The events that a crash of the daemon could still take back."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Optional

from ckptd import v1
from ckptd.errors import make_error
from ckptd.internal.metric_values import Number, is_integer

# A message is far below the 4 MiB that the daemon takes, also if its last event is a large one.
_BATCH_BYTES = 1 << 20
_MAX_NAMES = 65_536


class MetricDictionary:
    """Names by number."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._ids: dict[str, int] = {}

    def encode(self, logs: Mapping[str, Number], limits: v1.Limits, event: v1.Event) -> None:
        """Puts `logs` into `event`. Errors: InvalidArgumentError, a LIMIT_EXCEEDED Error."""
        if len(logs) > limits.max_metrics_per_event:
            raise _limit_exceeded("metrics of an event", limits.max_metrics_per_event, len(logs))
        for name, value in logs.items():
            number = self._id_of(name, limits)
            if is_integer(value):
                event.integer_metric_ids.append(number)
                event.integers.append(int(value))
            else:
                event.metric_ids.append(number)
                event.values.append(float(value))

    def _id_of(self, name: str, limits: v1.Limits) -> int:
        known = self._ids.get(name)
        if known is not None:
            return known
        if not name or any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in name):
            raise make_error(
                "INVALID_ARGUMENT",
                f"metric name {name!r}: it must be text without control characters",
                reason="FIELD_INVALID",
                metadata={"field": "metric name", "value": name},
            )
        size = len(name.encode())
        if size > limits.max_metric_name_bytes:
            raise _limit_exceeded("bytes of a metric name", limits.max_metric_name_bytes, size)
        if len(self.names) == _MAX_NAMES:
            raise _limit_exceeded("metric names of a process", _MAX_NAMES, _MAX_NAMES + 1)
        number = len(self.names)
        self.names.append(name)
        self._ids[name] = number
        return number


def _limit_exceeded(what: str, limit: int, value: int) -> Exception:
    return make_error(
        "RESOURCE_EXHAUSTED",
        f"{value} {what}; the limit is {limit}",
        reason="LIMIT_EXCEEDED",
        metadata={"limit": str(limit), "value": str(value)},
    )


class EventLog:
    """Keeps events from their first number until the daemon reports them durable, and knows which
    of them, and which names, the current stream has been given. Not thread-safe."""

    def __init__(self) -> None:
        self.dictionary = MetricDictionary()
        self.pending: deque[v1.Event] = deque()  # numbers durable_seq + 1 …
        self.durable_seq = 0
        self._sent = 0  # of pending
        self._declared: set[int] = set()  # numbers of names

    @property
    def last_seq(self) -> int:
        return self.durable_seq + len(self.pending)

    def start_after(self, durable_seq: int) -> None:
        """The events get their numbers anew, from `durable_seq` + 1 on."""
        self.durable_seq = durable_seq
        for index, event in enumerate(self.pending):
            event.seq = durable_seq + 1 + index

    def append(self, event: v1.Event) -> int:
        """Gives `event` the next number."""
        event.seq = self.last_seq + 1
        self.pending.append(event)
        return event.seq

    def acknowledge(self, durable_seq: int) -> None:
        """Events up to here are durable and are forgotten."""
        while self.pending and self.durable_seq < durable_seq:
            self.pending.popleft()
            self.durable_seq += 1
            self._sent = max(0, self._sent - 1)

    def rewind(self) -> None:
        """A new stream: every event and every name has to be sent (again)."""
        self._sent = 0
        self._declared.clear()

    def take_batch(self, limits: v1.Limits) -> Optional[v1.EventBatch]:
        """The next unsent events, and names they need; they count as sent from now on."""
        if self._sent >= len(self.pending):
            return None
        batch = v1.EventBatch()
        size = 0
        while self._sent < len(self.pending):
            if size >= _BATCH_BYTES or len(batch.events) >= limits.max_events_per_batch:
                break
            event = self.pending[self._sent]
            for number in (*event.metric_ids, *event.integer_metric_ids):
                if number not in self._declared:
                    self._declared.add(number)
                    batch.metrics.add(id=number, name=self.dictionary.names[number])
                    size += len(self.dictionary.names[number])
            batch.events.append(event)
            size += event.ByteSize()
            self._sent += 1
        return batch
