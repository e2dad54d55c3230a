"""CRC-32C (Castagnoli), with the package google-crc32c where it is installed, else with numpy.

The numpy way works on words of four bytes, because the checksum is linear: a word w at some place
counts as much as the word shift(w, distance) so many words later. The content is cut into rows that
are folded into the last one, and that row in halves, until one word is left.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Callable, Optional, Union

import numpy as np
import numpy.typing as npt

_native: Optional[Callable[[bytes], int]] = None
with contextlib.suppress(ImportError):
    import google_crc32c

    _native = google_crc32c.value

Bytes = Union[bytes, bytearray, memoryview]
_Words = npt.NDArray[np.uint32]
_POLYNOMIAL = 0x82F63B78  # reflected
_ROW_WORDS = 16384


def crc32c(data: Bytes) -> int:
    if _native is not None:
        return _native(bytes(data))
    return numpy_crc32c(data)


def numpy_crc32c(data: Bytes) -> int:
    view = memoryview(data).cast("B")
    whole = len(view) // 4 * 4
    crc = 0xFFFFFFFF
    if whole:
        words = np.frombuffer(view[:whole], dtype="<u4").copy()
        words[0] ^= np.uint32(crc)
        crc = int(_shift(_fold(words), 1)[0])
    table = _byte_table()
    for byte in view[whole:]:
        crc = int(table[(crc ^ byte) & 0xFF]) ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _fold(words: _Words) -> _Words:
    """One word that counts as much at its end as all of them do."""
    head = len(words) % _ROW_WORDS
    row = np.zeros(_ROW_WORDS, dtype=np.uint32)
    if head:
        row[_ROW_WORDS - head :] = words[:head]
    for begin in range(head, len(words), _ROW_WORDS):
        row = _shift(row, _ROW_WORDS) ^ words[begin : begin + _ROW_WORDS]
    while len(row) > 1:
        half = len(row) // 2
        row = _shift(row[:half], half) ^ row[half:]
    return row


def _shift(words: _Words, distance: int) -> _Words:
    """What the words count for so many words later."""
    low, high = _shift_tables(distance)
    halves = words.astype("<u4", copy=False).view("<u2")
    shifted: _Words = low.take(halves[0::2].astype(np.intp))
    shifted ^= high.take(halves[1::2].astype(np.intp))
    return shifted


@cache
def _shift_tables(distance: int) -> tuple[_Words, _Words]:
    """Shifts of every lower and every upper half of a word."""
    basis = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    if distance == 1:
        table = _byte_table()
        for _ in range(4):
            basis = table[basis & np.uint32(0xFF)] ^ (basis >> np.uint32(8))
    else:
        basis = _shift(_shift(basis, distance // 2), distance // 2)
    return _span(basis[:16]), _span(basis[16:])


def _span(basis: _Words) -> _Words:
    """The value of each combination of the basis, by its bits."""
    table = np.zeros(1, dtype=np.uint32)
    for value in basis:
        table = np.concatenate([table, table ^ value])
    return table


@cache
def _byte_table() -> _Words:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table.astype(np.uint32)
