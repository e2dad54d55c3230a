"""Checkpoints that are stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, Union

from ckptd import safetensors, v1
from ckptd.errors import NotFoundError
from ckptd.internal.download import read_chunks, read_part
from ckptd.internal.fetch import fetch

if TYPE_CHECKING:
    from ckptd.client import Client


class Checkpoint:
    """A committed checkpoint. `message` is the contract's record of it."""

    def __init__(self, client: Client, message: v1.Checkpoint) -> None:
        self._client = client
        self.message = message

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def run(self) -> str:
        return self.message.name.split("/")[1]

    @property
    def id(self) -> int:
        return int(self.message.name.rsplit("/", 1)[1])

    @property
    def epoch(self) -> int:
        """0-based."""
        return self.message.epoch

    @property
    def batch(self) -> Optional[int]:
        """0-based; None for an epoch's end."""
        return self.message.batch if self.message.HasField("batch") else None

    @property
    def next_epoch(self) -> int:
        """The epoch to train next, 0-based: one that was under way is begun again."""
        return self.epoch if self.batch is not None else self.epoch + 1

    @property
    def metrics(self) -> dict[str, float]:
        return dict(self.message.metrics)

    @property
    def filepath(self) -> str:
        """Its first name, below the run's folder."""
        return self.message.placements[0].filepath if self.message.placements else ""

    @property
    def policies(self) -> list[str]:
        """Those that chose it."""
        return [placement.policy for placement in self.message.placements]

    @property
    def size(self) -> int:
        return self.message.size

    @property
    def commit_time(self) -> datetime:
        return self.message.commit_time.ToDatetime().replace(tzinfo=timezone.utc)

    def read(self, part: str = "") -> bytearray:
        """The bytes of a part (or the only one), verified. Errors: NotFoundError, DataLossError."""
        found = self._part(part)
        return read_part(self._chunks(found), self.name, found)

    def fetch(self, path: Union[str, Path], part: str = "") -> Path:
        """Downloads a part (or the only one) to `path`, where nothing appears until it is complete,
        verified and synced. Goes on with the PATH.part that an interrupted fetch has left, where
        the package xxhash is installed. Returns the path. Errors: NotFoundError, DataLossError,
        OSError.
        """
        target = Path(path)
        found = self._part(part)
        fetch(target, self.name, found, lambda offset: self._chunks(found, offset))
        return target

    def arrays(self, part: str = "") -> dict[str, safetensors.Array]:
        """What a safetensors part holds. Errors: ValueError when it is something else."""
        return safetensors.load(self.read(part))[0]

    def load_into(self, model: Any) -> None:
        """Loads it into a Keras model or a PyTorch module.

        Errors: TypeError for any other model, and what the framework raises when it does not fit.
        """
        kinds = {f"{kind.__module__}.".split(".", 1)[0] for kind in type(model).__mro__}
        # Keras first: with its torch backend its models are modules, too.
        for framework in ("keras", "torch"):
            if framework in kinds:
                import_module(f"ckptd.{framework}").load_weights(self, model)
                return
        raise TypeError(
            f"a {type(model).__qualname__} is neither a Keras model nor a PyTorch module;"
            " use arrays() or read()"
        )

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={value:.5g}" for name, value in self.metrics.items())
        at = f"epoch={self.epoch}" + (f", batch={self.batch}" if self.batch is not None else "")
        return f"<Checkpoint {self.run}@{self.id} {at} {metrics} {self.filepath!r}>"

    def _part(self, name: str) -> v1.Part:
        parts = [part for part in self.message.parts if name in ("", part.part)]
        if len(parts) == 1:
            return parts[0]
        there = ", ".join(part.part for part in self.message.parts)
        raise NotFoundError(
            f"{self.name} has the parts {there}; " + (f"not {name!r}" if name else "name one"),
            code="NOT_FOUND",
            reason="PART_NOT_FOUND",
        )

    def _chunks(self, part: v1.Part, offset: int = 0) -> Iterator[bytes]:
        return read_chunks(self._client._download, self._client.server, self.name, part, offset)
