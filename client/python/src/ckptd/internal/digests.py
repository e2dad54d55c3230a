"""XXH3-128 of whole contents, where the package xxhash is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_xxhash: Any
try:
    _xxhash = import_module("xxhash")
except ImportError:
    _xxhash = None

HAS_DIGESTS = _xxhash is not None


def content_digest(view: memoryview) -> bytes:
    """Nothing where there are no digests."""
    return bytes(_xxhash.xxh3_128(view).digest()) if HAS_DIGESTS else b""


def stream_digest() -> Any:
    """Something with `update` and `digest`; only where there are digests."""
    return _xxhash.xxh3_128()
