"""Memory for snapshots: kept for the next one, and mapped by the daemon, too, where it can be.

Memory that is new to the process costs many times a copy, so it is written to once when it is made
and used again. The layout is that of proto/ckpt/v1/local.proto: a header with the generation, odd
while the content is being written, then the content.
"""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

HEADER_BYTES = 4096
# Not in every Python's modules; the values are Linux's.
_MAP_POPULATE = 0x8000
_ADD_SEALS = 1033
_SEAL_SHRINK_AND_GROW = 0x2 | 0x4

# Whether a daemon could map it.
CAN_BE_SHARED = hasattr(os, "memfd_create")

_numbers = itertools.count(1)


class Slot:
    """`capacity` bytes. Used by one thread at a time."""

    def __init__(self, capacity: int) -> None:
        """Errors: OSError, MemoryError."""
        self.number = next(_numbers)
        self.capacity = capacity
        self.fd: Optional[int] = _memory_file(HEADER_BYTES + capacity)
        memory: Any
        if self.fd is None:  # no Linux: good enough to be uploaded from
            memory = bytearray(HEADER_BYTES + capacity)
        else:
            flags = mmap.MAP_SHARED | _MAP_POPULATE
            memory = mmap.mmap(self.fd, HEADER_BYTES + capacity, flags=flags)
        self._header = np.frombuffer(memory, dtype="<u8", count=1)
        self.content: npt.NDArray[np.uint8] = np.frombuffer(
            memory, dtype=np.uint8, offset=HEADER_BYTES
        )

    @property
    def generation(self) -> int:
        return int(self._header[0])

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Around everything that changes the content."""
        self._header[0] += 1
        try:
            yield
        finally:
            self._header[0] += 1

    @property
    def closed(self) -> bool:
        """Whether nobody uses it any more."""
        return self.fd is None

    def close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def __del__(self) -> None:
        if getattr(self, "fd", None) is not None:
            self.close()


def _memory_file(size: int) -> Optional[int]:
    if not CAN_BE_SHARED:
        return None
    fd = os.memfd_create("ckptd-slot", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(fd, size)
        fcntl.fcntl(fd, _ADD_SEALS, _SEAL_SHRINK_AND_GROW)
    except BaseException:
        os.close(fd)
        raise
    return fd


class SlotPool:
    """Slots for the parts of `max_saves` saves at a time; of those that are free the newest are
    kept. Thread-safe."""

    def __init__(self, max_saves: int) -> None:
        self._max_saves = max_saves
        self._max_free = max_saves
        self._lock = threading.Lock()
        self._free: list[Slot] = []

    def expect(self, parts: int) -> None:
        """A save has so many parts."""
        with self._lock:
            self._max_free = self._max_saves * max(1, parts)

    def take(self, size: int) -> Slot:
        """One of at least `size` bytes."""
        with self._lock:
            fitting = [slot for slot in self._free if size <= slot.capacity <= 2 * size]
            if fitting:
                best = min(fitting, key=lambda slot: slot.capacity)
                self._free = [slot for slot in self._free if slot is not best]
                return best
        return Slot(max(1, size))

    def give_back(self, slot: Slot) -> None:
        with self._lock:
            self._free.insert(0, slot)
            for surplus in self._free[self._max_free :]:
                surplus.close()
            del self._free[self._max_free :]
