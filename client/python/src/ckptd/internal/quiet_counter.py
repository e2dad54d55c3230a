"""Tells at which batch ends a decision may be due."""

from __future__ import annotations

from typing import Optional


class QuietCounter:
    """Counts batch ends down from the daemon's promise (see v1.Decision.quiet_batches).

    Errs towards "due": waiting for a decision that nobody makes costs a round trip, missing one
    costs a save at its moment.
    """

    def __init__(self) -> None:
        self._remaining = 0
        self._previous: Optional[int] = None

    def restart(self, quiet_batches: int) -> None:
        """A promise as of the newest batch end that has been counted."""
        self._remaining = quiet_batches

    def restart_elsewhere(self, quiet_batches: int) -> None:
        """A promise as of a batch end that this counter may not have seen."""
        self._remaining = quiet_batches
        self._previous = None

    def count(self, batch: int) -> bool:
        """Batch `batch` has ended. Returns whether a policy may act on it."""
        above = self._previous is not None and batch > self._previous
        step = batch - (self._previous or 0) if above else batch + 1
        self._previous = batch
        if self._remaining > 0:
            self._remaining -= step
        return self._remaining <= 0
