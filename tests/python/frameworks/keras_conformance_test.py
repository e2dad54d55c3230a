"""Keras's own ModelCheckpoint and ckptd's, side by side in the same training."""

from __future__ import annotations

import unittest
import zipfile
from pathlib import Path
from typing import Any

import keras
from keras_testing import KerasTestCase, fit, make_model, names

from ckptd.keras import ModelCheckpoint

WEIGHTS = {"save_weights_only": True}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("w.weights.h5", {**WEIGHTS}),
    ("w-{epoch:02d}.weights.h5", {**WEIGHTS}),
    ("w-{epoch:02d}-{val_loss:.4f}-{accuracy:.2e}.weights.h5", {**WEIGHTS}),
    ("b-{epoch:02d}.weights.h5", {**WEIGHTS, "save_best_only": True}),
    ("b-{epoch:02d}.weights.h5", {**WEIGHTS, "save_best_only": True, "mode": "max"}),
    ("{epoch}/b.weights.h5", {**WEIGHTS, "save_best_only": True, "monitor": "val_accuracy"}),
    (
        "t-{epoch}.weights.h5",
        {**WEIGHTS, "save_best_only": True, "monitor": "accuracy", "initial_value_threshold": 0.01},
    ),
    ("f-{epoch:02d}{batch:02d}.weights.h5", {**WEIGHTS, "save_freq": 1}),
    ("f-{epoch:02d}{batch:02d}.weights.h5", {**WEIGHTS, "save_freq": 4}),
    ("f-{epoch:02d}{batch:02d}.weights.h5", {**WEIGHTS, "save_freq": 7}),
    ("m-{epoch:02d}.keras", {}),
    ("m-{epoch:02d}.keras", {"save_best_only": True, "monitor": "val_loss", "mode": "min"}),
    ("m.h5", {"save_best_only": True, "monitor": "accuracy", "mode": "max"}),
]


def content(path: Path) -> Any:
    """The bytes where the format is deterministic; a .keras file has the time in it."""
    if path.suffix != ".keras":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "metadata.json"}


class SideBySide(KerasTestCase):
    def test_the_same_files_with_the_same_content(self) -> None:
        for number, (name, arguments) in enumerate(CASES):
            with self.subTest(name=name, **arguments):
                theirs = self.folder / f"theirs{number}"
                ours = self.folder / f"ours{number}"
                fit(
                    make_model(),
                    6,
                    [
                        keras.callbacks.ModelCheckpoint(str(theirs / name), **arguments),
                        ModelCheckpoint(str(ours / name), run=f"case{number}", **arguments),
                    ],
                )
                self.assertEqual(names(ours), names(theirs))
                self.assertTrue(names(ours))
                for file in names(ours):
                    self.assertEqual(content(ours / file), content(theirs / file), file)

    def test_the_direction_of_a_models_own_metric(self) -> None:
        """Keras 3 knows that more AUC is better, which 2.9's rule by name does not."""
        arguments: dict[str, Any] = {**WEIGHTS, "save_best_only": True, "monitor": "val_auc"}
        theirs, ours = self.folder / "theirs", self.folder / "ours"
        name = "b-{epoch}.weights.h5"
        fit(
            make_model(metrics=[keras.metrics.AUC(name="auc")]),
            6,
            [
                keras.callbacks.ModelCheckpoint(str(theirs / name), **arguments),
                ModelCheckpoint(str(ours / name), run="auc", **arguments),
            ],
        )
        self.assertEqual(names(ours), names(theirs))


if __name__ == "__main__":
    unittest.main()
