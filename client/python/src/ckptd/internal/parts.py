"""The bytes of a save while they are on their way.

What a weights callback returns is taken as a snapshot before training goes on: bytes are held as
they are, anything else is copied once, into a slot that earlier saves have used already.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Protocol, Union, runtime_checkable

import numpy as np
import numpy.typing as npt

from ckptd.internal.slots import Slot, SlotPool


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


@dataclass
class Part:
    """One part. `view` stays unchanged until `release`; it is in `slot`, if there is one."""

    name: str
    view: memoryview
    slot: Optional[Slot] = None


class Snapshot:
    """The parts of one save."""

    def __init__(self, pool: SlotPool, parts: Parts) -> None:
        """Errors: TypeError for what is no content, and those of `Content.write_into`."""
        self._pool = pool
        self.parts: list[Part] = []
        named = parts if isinstance(parts, Mapping) else {_DEFAULT_PART: parts}
        if not named:
            raise ValueError("the weights callback gave no parts")
        pool.expect(len(named))
        try:
            for name, content in named.items():
                if not isinstance(name, str):
                    raise TypeError(f"a part is called {name!r:.80}; parts have names of text")
                self.parts.append(self._hold(name, content))
        except BaseException:
            self.release()
            raise

    @property
    def size(self) -> int:
        return sum(part.view.nbytes for part in self.parts)

    def move_into_slot(self, part: Part) -> None:
        """Copies a part that was held as it is. Errors: those of Slot."""
        moved = self._fill(part.name, np.frombuffer(part.view, dtype=np.uint8), part.view.nbytes)
        part.view, part.slot = moved.view, moved.slot

    def release(self) -> None:
        """The bytes are needed no more."""
        parts, self.parts = self.parts, []
        for part in parts:
            if part.slot is not None:
                self._pool.give_back(part.slot)

    def _hold(self, name: str, content: PartContent) -> Part:
        if isinstance(content, memoryview) and not content.c_contiguous:
            content = content.tobytes()
        if isinstance(content, bytes):
            return Part(name, memoryview(content))
        if isinstance(content, (bytearray, memoryview)):
            content = np.frombuffer(content, dtype=np.uint8)
        if isinstance(content, np.ndarray):
            if content.dtype.hasobject:
                raise TypeError(f"part {name!r} is an array of Python objects, not of numbers")
            return self._fill(name, content, content.nbytes)
        return self._fill(name, content, _size_of(name, content))

    def _fill(self, name: str, content: Union[npt.NDArray[Any], Content], size: int) -> Part:
        slot = self._pool.take(size)
        try:
            with slot.writing():
                if isinstance(content, np.ndarray):
                    flat = np.ascontiguousarray(content).view(np.uint8).reshape(-1)
                    np.copyto(slot.content[:size], flat)
                else:
                    content.write_into(slot.content[:size].data)
        except BaseException:
            self._pool.give_back(slot)
            raise
        return Part(name, slot.content[:size].data, slot)


def _size_of(name: str, content: Any) -> int:
    if not isinstance(content, Content):
        raise TypeError(
            f"part {name!r} is a {type(content).__qualname__}; the weights callback returns bytes,"
            " a numpy array, something with `size` and `write_into`, or a dict of those by name"
        )
    return content.size
