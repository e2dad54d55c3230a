"""Snapshots of moments that the daemon was away at: should it decide to save them when it is back,
their bytes are still there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Optional

from ckptd import v1
from ckptd.internal.metric_values import Number
from ckptd.internal.parts import Snapshot
from ckptd.policy import CheckpointPolicy


@dataclass
class Moment:
    event: v1.Event  # of the log, so that its number is right
    logs: Mapping[str, Number]
    snapshots: dict[int, Snapshot]  # by payload

    @property
    def size(self) -> int:
        return sum(snapshot.size for snapshot in self.snapshots.values())

    def release(self) -> None:
        for snapshot in self.snapshots.values():
            snapshot.release()
        self.snapshots.clear()


def improves(policy: CheckpointPolicy, logs: Mapping[str, Number], best: Optional[float]) -> bool:
    """What the reference would decide at an epoch's end; `best` is None while there is none."""
    if not policy.save_best_only:
        return True
    value = logs.get(policy.monitor)
    if value is None:
        return False
    by_name = "acc" in policy.monitor or policy.monitor.startswith("fmeasure")
    maximize = policy.mode == "max" or (policy.mode != "min" and by_name)
    if best is None:
        best = policy.initial_value_threshold
    if best is None:
        best = float("-inf" if maximize else "inf")
    return value > best if maximize else value < best


class LateDecisions:
    """Of the thread of the events alone."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._moments: list[Moment] = []

    def __len__(self) -> int:
        return len(self._moments)

    @property
    def events(self) -> list[v1.Event]:
        return [moment.event for moment in self._moments]

    def keep(
        self,
        event: v1.Event,
        logs: Mapping[str, Number],
        policies: Sequence[v1.CheckpointPolicy],
        take: Callable[[int], Snapshot],
    ) -> bool:
        """Keeps what the policies might choose of this moment; `take` makes the snapshot for a
        payload. When there is no room the oldest moments go. False if any did."""
        if policies and not any(self._might_choose(policy, logs) for policy in policies):
            return True
        payloads = {_payload(policy) for policy in policies} or {v1.Checkpoint.PAYLOAD_FULL}
        self._moments.append(Moment(event, logs, {p: take(p) for p in sorted(payloads)}))
        complete = True
        while len(self._moments) > 1 and sum(m.size for m in self._moments) > self._max_bytes:
            self._moments.pop(0).release()
            complete = False
        return complete

    def take(self, seq: int, payload: int) -> Optional[Snapshot]:
        """The snapshot of the event of that number."""
        for moment in self._moments:
            if moment.event.seq == seq:
                return moment.snapshots.pop(payload, None)
        return None

    def take_all(self) -> list[Moment]:
        """Oldest first; they are the caller's to release."""
        moments, self._moments = self._moments, []
        return moments

    def forget(self, seq: int) -> None:
        """That event has been decided on."""
        for moment in [m for m in self._moments if m.event.seq == seq]:
            moment.release()
            self._moments.remove(moment)

    def _might_choose(self, policy: v1.CheckpointPolicy, logs: Mapping[str, Number]) -> bool:
        """False only where a moment that is kept is certain to be preferred."""
        if not policy.save_best_only or policy.mode not in ("min", "max"):
            return True
        value = logs.get(policy.monitor)
        if value is None:
            return True
        sign = 1 if policy.mode == "max" else -1
        return not any(
            sign * moment.logs.get(policy.monitor, float("nan")) >= sign * value
            for moment in self._moments
        )


def _payload(policy: v1.CheckpointPolicy) -> int:
    if policy.save_weights_only:
        return int(v1.Checkpoint.PAYLOAD_WEIGHTS)
    return int(v1.Checkpoint.PAYLOAD_FULL)
