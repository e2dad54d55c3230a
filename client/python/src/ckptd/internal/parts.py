"""The bytes of a save while they are on their way.

What a weights callback returns is taken as a snapshot before training goes on: bytes are held as
they are, anything else is copied once, into memory that earlier saves have used already, because
memory that is new to the process costs many times a copy.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Protocol, Union, runtime_checkable

import numpy as np
import numpy.typing as npt


@runtime_checkable
class Content(Protocol):
    """Bytes that can be written where they are needed."""

    @property
    def size(self) -> int: ...

    def write_into(self, destination: memoryview) -> None:
        """Fills `destination`, which has `size` bytes."""


PartContent = Union[bytes, bytearray, memoryview, npt.NDArray[Any], Content]
# The parts of a save by name; one alone is called `weights`.
Parts = Union[PartContent, Mapping[str, PartContent]]

_DEFAULT_PART = "weights"


class BufferPool:
    """Memory for snapshots, kept for the next one. Thread-safe."""

    def __init__(self, max_free: int) -> None:
        self._max_free = max_free
        self._lock = threading.Lock()
        self._free: list[npt.NDArray[np.uint8]] = []

    def take(self, size: int) -> npt.NDArray[np.uint8]:
        with self._lock:
            fitting = [b for b in self._free if size <= b.nbytes <= 2 * size]
            if fitting:
                best = min(fitting, key=lambda b: b.nbytes)
                self._free = [b for b in self._free if b is not best]
                return best
        return np.empty(size, dtype=np.uint8)

    def give_back(self, buffer: npt.NDArray[np.uint8]) -> None:
        with self._lock:
            self._free = [buffer, *self._free][: self._max_free]


@dataclass
class Part:
    """One part. `view` stays unchanged until `release`."""

    name: str
    view: memoryview
    buffer: Optional[npt.NDArray[np.uint8]] = None


class Snapshot:
    """The parts of one save."""

    def __init__(self, pool: BufferPool, parts: Parts) -> None:
        """Errors: TypeError for what is no content, and those of `Content.write_into`."""
        self._pool = pool
        self.parts: list[Part] = []
        named = parts if isinstance(parts, Mapping) else {_DEFAULT_PART: parts}
        if not named:
            raise ValueError("the weights callback gave no parts")
        try:
            for name, content in named.items():
                self.parts.append(self._hold(name, content))
        except BaseException:
            self.release()
            raise

    @property
    def size(self) -> int:
        return sum(part.view.nbytes for part in self.parts)

    def release(self) -> None:
        """The bytes are needed no more."""
        parts, self.parts = self.parts, []
        for part in parts:
            if part.buffer is not None:
                self._pool.give_back(part.buffer)

    def _hold(self, name: str, content: PartContent) -> Part:
        if isinstance(content, bytes):
            return Part(name, memoryview(content))
        if isinstance(content, (bytearray, memoryview)):
            content = np.frombuffer(content, dtype=np.uint8)
        size = content.nbytes if isinstance(content, np.ndarray) else _size_of(name, content)
        buffer = self._pool.take(size)
        view = buffer[:size].data
        if isinstance(content, np.ndarray):
            flat = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
            np.copyto(buffer[:size], flat)
        else:
            content.write_into(view)
        return Part(name, view, buffer)


def _size_of(name: str, content: Any) -> int:
    if not isinstance(content, Content):
        raise TypeError(
            f"part {name!r} is a {type(content).__qualname__}; the weights callback returns bytes,"
            " a numpy array, something with `size` and `write_into`, or a dict of those by name"
        )
    return content.size
