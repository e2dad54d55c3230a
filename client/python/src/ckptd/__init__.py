"""Python client of the checkpoint daemon ckptd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional, Union

from ckptd.checkpoint import Checkpoint
from ckptd.client import Client
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
from ckptd.history import Checkpoints, History, Series
from ckptd.internal.arguments import suggests_arguments
from ckptd.policy import CheckpointPolicy, StorageOptions
from ckptd.run import Run
from ckptd.version import __version__

__all__ = [
    "Checkpoint",
    "CheckpointPolicy",
    "Checkpoints",
    "Client",
    "ClosedError",
    "DataLossError",
    "Error",
    "FencedError",
    "History",
    "InvalidArgumentError",
    "NotFoundError",
    "Run",
    "SaveError",
    "Series",
    "StorageOptions",
    "UnavailableError",
    "__version__",
    "best",
    "checkpoints",
    "history",
]


@suggests_arguments
def best(
    run: str, metric: str = "", *, mode: str = "", policy: str = "", server: Optional[str] = None
) -> Checkpoint:
    """The best checkpoint of a run, by its policy or by `metric`; see Client.best."""
    return Client(server).best(run, metric, mode=mode, policy=policy)


@suggests_arguments
def checkpoints(
    run: Optional[str] = None,
    *,
    filter: str = "",
    order_by: str = "",
    server: Optional[str] = None,
) -> Checkpoints:
    """The checkpoints of one run, or of all; see Client.checkpoints."""
    return Client(server).checkpoints(run, filter=filter, order_by=order_by)


@suggests_arguments
def history(
    run: str,
    metrics: Union[str, Sequence[str], None] = None,
    *,
    points: Optional[int] = None,
    server: Optional[str] = None,
) -> History:
    """The recorded metrics of a run; see Client.history."""
    return Client(server).history(run, metrics, points=points)
