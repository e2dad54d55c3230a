"""The safetensors file format: a JSON header, then the tensors' bytes.

    {"weight": array, "bias": array}  <->  8 bytes: length of the header (little-endian)
                                           header: name -> dtype, shape, data_offsets
                                           the arrays, one after the other, little-endian

Nothing in such a file is ever executed. `Content` writes one right into the memory it is to be in.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
METADATA = "__metadata__"

_NAMES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "complex64": "C64",
}
_DTYPES = {code: name for name, code in _NAMES.items()}
# Bytes of an element.
_SIZES = {
    code: 1 if code in ("BOOL", "F8_E4M3", "F8_E5M2") else int(re.sub(r"\D", "", code)) // 8
    for code in _DTYPES
}
# The format has them padded with spaces, so that the arrays begin aligned.
_ALIGNMENT = 8
_MAX_HEADER = 100_000_000
_LENGTH = struct.Struct("<Q")
# What reading a header raises that is none.
_MALFORMED = (
    AttributeError,
    KeyError,
    TypeError,
    UnicodeDecodeError,
    RecursionError,
    json.JSONDecodeError,
)


class Content:
    """Arrays as the content of one file. They must not change until it is written."""

    def __init__(
        self,
        arrays: Mapping[str, Array],
        metadata: Optional[Mapping[str, str]] = None,
        codes: Optional[Mapping[str, str]] = None,
    ) -> None:
        """codes: the format's types of arrays whose elements numpy cannot name, such as "BF16".
        Errors: TypeError names an array whose type the format does not have."""
        header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
        self._arrays: list[tuple[int, Array]] = []
        offset = 0
        # Larger elements first, so that each array is aligned; then by name, as others do.
        for name in sorted(arrays, key=lambda n: (-arrays[n].dtype.itemsize, n)):
            array = arrays[name]
            code = (codes or {}).get(name) or _NAMES.get(array.dtype.name)
            if code is None:
                raise TypeError(f"array {name!r} is of type {array.dtype}, unknown to safetensors")
            end = offset + array.nbytes
            header[name] = {
                "dtype": code,
                "shape": list(array.shape),
                "data_offsets": [offset, end],
            }
            self._arrays.append((offset, array))
            offset = end
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self._head = _LENGTH.pack(len(text)) + text
        self.size = len(self._head) + offset

    def write_into(self, destination: memoryview) -> None:
        """numpy copies without holding the interpreter's lock."""
        head = len(self._head)
        destination[:head] = self._head
        memory = np.frombuffer(destination, dtype=np.uint8)[head:]
        for offset, array in self._arrays:
            target = memory[offset : offset + array.nbytes].view(_little(array.dtype))
            np.copyto(target.reshape(array.shape), array)

    def to_bytes(self) -> bytes:
        content = bytearray(self.size)
        self.write_into(memoryview(content))
        return bytes(content)


@dataclass(frozen=True)
class Entry:
    """An array as it is stored."""

    code: str  # such as "F32"
    shape: tuple[int, ...]
    data: npt.NDArray[np.uint8]

    def array(self) -> Array:
        """A view of the stored bytes. Errors: ImportError for types that need ml_dtypes."""
        dtype = _dtype(_DTYPES[self.code])
        return self.data.view(dtype).reshape(self.shape)


def load(content: Any) -> tuple[dict[str, Array], dict[str, str]]:
    """The arrays, as views of `content`, and the metadata. Errors: as `entries`."""
    stored, metadata = entries(content)
    return {name: entry.array() for name, entry in stored.items()}, metadata


def entries(content: Any) -> tuple[dict[str, Entry], dict[str, str]]:
    """Errors: ValueError for what is no safetensors file, whatever it holds."""
    view = memoryview(content).cast("B")
    if len(view) < _LENGTH.size:
        raise ValueError("no safetensors file: it is too short")
    (length,) = _LENGTH.unpack(view[: _LENGTH.size])
    begin = _LENGTH.size + length
    if length > _MAX_HEADER or begin > len(view):
        raise ValueError(f"no safetensors file: a header of {length} bytes does not fit")
    try:
        header = json.loads(bytes(view[_LENGTH.size : begin]))
        metadata = header.pop(METADATA, {})
        stored = {name: _entry(view[begin:], name, entry) for name, entry in header.items()}
        return stored, {str(key): str(value) for key, value in metadata.items()}
    except _MALFORMED as error:
        raise ValueError(f"no safetensors file: its header is malformed ({error!r})") from None


def looks_like(content: Any) -> bool:
    view = memoryview(content).cast("B")
    if len(view) < _LENGTH.size + 1:
        return False
    (length,) = _LENGTH.unpack(view[: _LENGTH.size])
    return length <= len(view) - _LENGTH.size and view[_LENGTH.size] == ord("{")


def _entry(data: memoryview, name: str, entry: Mapping[str, Any]) -> Entry:
    first, end = entry["data_offsets"]
    code = entry["dtype"]
    if code not in _SIZES:
        raise ValueError(f"array {name!r} is of type {code!r}, which is unknown")
    shape = tuple(int(length) for length in entry["shape"])
    size = _SIZES[code]
    for length in shape:
        size *= length
    if min(shape, default=0) < 0 or not 0 <= first <= end <= len(data):
        raise ValueError(f"array {name!r} is not within the file")
    if end - first != size:
        raise ValueError(f"array {name!r} has {end - first} bytes, not those of its shape {shape}")
    return Entry(code, shape, np.frombuffer(data[first:end], dtype=np.uint8))


def _dtype(name: str) -> np.dtype[Any]:
    try:
        return _little(np.dtype(name))
    except TypeError:
        import ml_dtypes  # of JAX and Keras; numpy has no bfloat16 of its own

        special: np.dtype[Any] = np.dtype(getattr(ml_dtypes, name))
        return special


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    swapped: np.dtype[Any] = dtype.newbyteorder("<")
    return swapped if dtype.byteorder == ">" else dtype
