"""What a run has recorded, as arrays, frames and small plots."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt

from ckptd import v1
from ckptd.checkpoint import Checkpoint
from ckptd.plot import Mark, line_plot, table


class Checkpoints:
    """An iterable of checkpoints, which asks the daemon anew each time it is iterated over."""

    def __init__(self, each: Callable[[], Iterator[Checkpoint]]) -> None:
        self._each = each

    def __iter__(self) -> Iterator[Checkpoint]:
        return self._each()

    def to_pandas(self) -> Any:
        """A pandas.DataFrame with one row a checkpoint. Errors: ImportError without pandas."""
        import pandas

        return pandas.DataFrame(
            [
                {
                    "run": checkpoint.run,
                    "id": checkpoint.id,
                    "epoch": checkpoint.epoch,
                    "batch": checkpoint.batch,
                    **checkpoint.metrics,
                    "size": checkpoint.size,
                    "filepath": checkpoint.filepath,
                    "commit_time": checkpoint.commit_time,
                }
                for checkpoint in self
            ]
        )

    def _repr_html_(self) -> str:
        rows = [
            [
                c.run,
                c.id,
                c.epoch,
                "" if c.batch is None else c.batch,
                _short(c.metrics),
                c.filepath,
            ]
            for c in self
        ]
        return table(["run", "id", "epoch", "batch", "metrics", "filepath"], rows)


@dataclass(frozen=True)
class Series:
    """One metric, an element for each event that had it, oldest first."""

    seq: npt.NDArray[np.int64]  # numbers of the events
    epoch: npt.NDArray[np.int64]  # 0-based
    batch: npt.NDArray[np.int64]  # 0-based; -1 for an epoch's end
    values: npt.NDArray[np.float64]

    def epoch_ends(self) -> Series:
        """Without what batches reported."""
        at = self.batch < 0
        return Series(self.seq[at], self.epoch[at], self.batch[at], self.values[at])

    def __len__(self) -> int:
        return len(self.values)


class History(Mapping[str, Series]):
    """Series by metric, and the checkpoints that were kept."""

    def __init__(self, run: str, series: dict[str, Series], checkpoints: list[Checkpoint]) -> None:
        self.run = run
        self.checkpoints = checkpoints
        self._series = series

    def __getitem__(self, metric: str) -> Series:
        return self._series[metric]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)

    def __repr__(self) -> str:
        counts = ", ".join(f"{name}: {len(series)}" for name, series in self.items())
        return f"<History of {self.run} {{{counts}}}>"

    def _repr_html_(self) -> str:
        """A plot for each metric, with a dot at each checkpoint."""
        plots = []
        for metric, series in self.items():
            marks = [
                Mark(c.message.seq, c.metrics[metric], f"{c.run}@{c.id} {c.filepath}")
                for c in self.checkpoints
                if metric in c.metrics
            ]
            plots.append(line_plot(f"{self.run}: {metric}", series.seq, series.values, marks))
        return "".join(plots)


class HistoryBuilder:
    """Takes recorded events, in order."""

    def __init__(self, run: str, metrics: Optional[Sequence[str]]) -> None:
        self._run = run
        self._names: set[str] = set()  # of all metrics there are
        self._wanted = None if metrics is None else list(metrics)
        self._rows: dict[str, list[tuple[int, int, int, float]]] = {
            name: [] for name in self._wanted or ()
        }

    def add(self, recorded: v1.RecordedEvent) -> None:
        event = recorded.event
        batch = event.batch if event.kind == v1.Event.KIND_BATCH_END else -1
        self._names.update(recorded.metrics)
        for name, value in recorded.metrics.items():
            if self._wanted is None or name in self._rows:
                self._rows.setdefault(name, []).append((event.seq, event.epoch, batch, value))

    def build(self, checkpoints: list[Checkpoint]) -> History:
        """Errors: KeyError for a metric that was asked for and never recorded."""
        check_metrics(self._run, self._rows, self._names)
        names = self._wanted if self._wanted is not None else sorted(self._rows)
        return History(self._run, {name: _series(self._rows[name]) for name in names}, checkpoints)


def check_metrics(run: str, wanted: Iterable[str], known: Collection[str]) -> None:
    """Errors: KeyError, with the name that is closest."""
    for name in wanted:
        if name not in known:
            close = difflib.get_close_matches(name, list(known), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise KeyError(f"run {run!r} has no metric {name!r}{hint}")


def sampled_series(message: v1.MetricSeries) -> Series:
    """What the daemon chose of one."""
    return Series(
        np.array(message.seqs, dtype=np.int64),
        np.array(message.epochs, dtype=np.int64),
        np.array(message.batches, dtype=np.int64),
        np.array(message.values, dtype=np.float64),
    )


def _series(rows: list[tuple[int, int, int, float]]) -> Series:
    seq, epoch, batch, values = zip(*rows)
    return Series(
        np.array(seq, dtype=np.int64),
        np.array(epoch, dtype=np.int64),
        np.array(batch, dtype=np.int64),
        np.array(values, dtype=np.float64),
    )


def _short(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.5g}" for name, value in metrics.items())
