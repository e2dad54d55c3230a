"""A small training with Keras that is the same each time, and a daemon for it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from daemon import DaemonTestCase

from ckptd.keras import ModelCheckpoint

BATCH = 8
BATCHES = 5  # of an epoch


def make_model(metrics: Sequence[Any] = ("accuracy",)) -> Any:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Input((6,)),
            keras.layers.Dense(5, activation="relu"),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    loss = "categorical_crossentropy"
    model.compile(optimizer="adam", loss=loss, metrics=list(metrics))
    return model


def data() -> tuple[Any, Any]:
    random = np.random.default_rng(3)
    x = random.normal(size=(BATCH * BATCHES, 6)).astype("float32")
    y = np.eye(2, dtype="float32")[(x.sum(axis=1) > 0).astype(int)]
    return x, y


def fit(model: Any, epochs: int, callbacks: Sequence[Any], **options: Any) -> Any:
    x, y = data()
    validation = (
        x[::-1][:16],
        y[:16],
    )  # labels that do not belong to the images: it goes up and down
    return model.fit(
        x, y, epochs=epochs, batch_size=BATCH, validation_data=validation, verbose=0,
        callbacks=list(callbacks), **options,
    )  # fmt: skip


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


class Scripted(keras.callbacks.Callback):
    """Comes before the checkpoints and gives each epoch the metrics of a script."""

    def __init__(self, **metrics: Sequence[float]) -> None:
        super().__init__()
        self._metrics = metrics

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for name, values in self._metrics.items():
            logs[name] = values[epoch]


class KerasTestCase(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.place = self.folder / "script"
        warnings.simplefilter("ignore")  # those of other packages; tests of ours record them
        os.environ["CKPT_SERVER"] = self.daemon.server

    def checkpoint(self, name: str, **arguments: Any) -> ModelCheckpoint:
        arguments.setdefault("run", "r")
        return ModelCheckpoint(self.place / name, **arguments)
