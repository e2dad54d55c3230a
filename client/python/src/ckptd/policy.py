"""Policies: what a trainer asks for, field by field as in the contract's policy.proto."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Union

from ckptd import v1
from ckptd.internal.arguments import constructor_suggests_arguments


@constructor_suggests_arguments
@dataclass
class StorageOptions:
    """How the daemon stores what a policy chose; see v1.StorageOptions."""

    projection: str = "link"  # or "reflink", "copy"
    acknowledge: str = "visible"  # or "durable"
    placement: str = "disk"  # or "memory": snapshots that become checkpoints only at need
    snapshots: int = 0  # of placement "memory": how many are kept; 0 means 1

    def to_message(self) -> v1.StorageOptions:
        """Errors: ValueError for a word that is not in the contract."""
        message = v1.StorageOptions(snapshots=int(self.snapshots))
        for name in ("projection", "acknowledge", "placement"):
            word = getattr(self, name)
            prefix = name.upper() + "_"
            value = getattr(v1.StorageOptions, prefix + str(word).upper(), None)
            if value is None:
                kinds: Any = getattr(v1.StorageOptions, name.capitalize())
                words = [key.replace(prefix, "").lower() for key in kinds.keys()[1:]]
                raise ValueError(f"{name} is {word!r}; it must be one of {', '.join(words)}")
            setattr(message, name, value)
        return message


@constructor_suggests_arguments
@dataclass
class CheckpointPolicy:
    """One ModelCheckpoint, with the names, defaults and meaning of TensorFlow 2.9's callback; see
    v1.CheckpointPolicy. `name` tells the run's policies apart, and its remembered best belongs to
    it. `filepath` is a template below the run's folder."""

    name: str
    filepath: str
    monitor: str = "val_loss"
    verbose: int = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = "auto"
    save_freq: Union[str, int] = "epoch"
    initial_value_threshold: Optional[float] = None
    period: Optional[int] = None
    options: StorageOptions = field(default_factory=StorageOptions)

    def to_message(self) -> v1.CheckpointPolicy:
        """Errors: ValueError for a save_freq that the reference refuses."""
        message = v1.CheckpointPolicy(
            name=self.name,
            filepath=self.filepath,
            monitor=self.monitor,
            verbose=max(0, int(self.verbose)),
            save_best_only=self.save_best_only,
            save_weights_only=self.save_weights_only,
            mode=self.mode,
            initial_value_threshold=self.initial_value_threshold,
            period=self.period,
            options=self.options.to_message(),
        )
        if isinstance(self.save_freq, int):
            message.save_freq.number_value = int(self.save_freq)
        elif self.save_freq == "epoch":
            message.save_freq.string_value = "epoch"
        else:
            raise ValueError(
                f"Unrecognized save_freq: {self.save_freq!r}."
                ' Expected save_freq are "epoch" or a whole number'
            )
        return message
