"""Python client of the checkpoint daemon ckptd."""

from __future__ import annotations

from ckptd.errors import (
    ClosedError,
    DataLossError,
    Error,
    FencedError,
    InvalidArgumentError,
    NotFoundError,
    SaveError,
    UnavailableError,
)
from ckptd.policy import CheckpointPolicy, StorageOptions
from ckptd.run import Run
from ckptd.version import __version__

__all__ = [
    "CheckpointPolicy",
    "ClosedError",
    "DataLossError",
    "Error",
    "FencedError",
    "InvalidArgumentError",
    "NotFoundError",
    "Run",
    "SaveError",
    "StorageOptions",
    "UnavailableError",
    "__version__",
]
