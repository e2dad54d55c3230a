"""Whether and when to try again."""

from __future__ import annotations

import random
import time
from typing import Optional

from ckptd.errors import Error
from ckptd.internal.rpc_status import is_transient

_FIRST = 0.05
_LAST = 0.5
# A daemon's wish is honoured up to here, seconds.
_LONGEST = 60.0
_MAX_DAMAGED = 3


class Backoff:
    """Pauses in seconds that grow, with jitter."""

    def __init__(self) -> None:
        self._step = _FIRST

    def next(self, error: Error) -> float:
        own = random.uniform(self._step / 2, self._step)
        self._step = min(self._step * 2, _LAST)
        return max(own, min(error.retry_delay or 0.0, _LONGEST))

    def reset(self) -> None:
        self._step = _FIRST


class Retry:
    """Goes on while bytes get through, and for `patience` seconds while none do."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._backoff = Backoff()
        self._last_progress = time.monotonic()
        self._damaged = 0

    def after(self, error: Error, progressed: bool) -> Optional[float]:
        """The pause before the next attempt; None when there is to be none."""
        if error.reason in ("CHUNK_CORRUPT", "DIGEST_MISMATCH"):
            self._damaged += 1
            return None if self._damaged == _MAX_DAMAGED else self._backoff.next(error)
        if not is_transient(error):
            return None
        if progressed:
            self._backoff.reset()
            self._last_progress = time.monotonic()
        elif time.monotonic() - self._last_progress >= self._patience:
            return None
        return self._backoff.next(error)
