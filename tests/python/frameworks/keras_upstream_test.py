"""Those of the scenarios of Keras's own tests that are no table of files: see the table in
tests/python/README.md."""

from __future__ import annotations

import os
import unittest
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras_testing import BATCHES, KerasTestCase, fit, make_model, names

import ckptd
from ckptd.keras import ModelCheckpoint

W: dict[str, Any] = {"save_weights_only": True}
ONCE: dict[str, Any] = {"shuffle": False}


class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(2, activation="softmax")

    def call(self, inputs: Any) -> Any:
        return self.dense(inputs)


class Unstorable(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs

    def get_config(self) -> Any:
        raise ZeroDivisionError("no config today")


def make_subclassed() -> Any:
    keras.utils.set_random_seed(1)
    model = Subclassed()
    model.compile(optimizer="adam", loss="categorical_crossentropy")
    return model


class Upstream(KerasTestCase):
    def assert_same_weights(self, one: Any, other: Any, same: bool = True) -> None:
        pairs = zip(one.get_weights(), other.get_weights())
        self.assertEqual(all(np.array_equal(a, b) for a, b in pairs), same)

    def test_a_path_without_an_ending_is_refused_in_keras_words(self) -> None:
        for arguments in ({}, W):
            words = []
            for callback in (keras.callbacks.ModelCheckpoint, ModelCheckpoint):
                with self.assertRaises(ValueError) as caught:
                    callback("checkpoint", **arguments)
                words.append(str(caught.exception))
            self.assertEqual(words[1], words[0])

    def test_a_subclassed_model(self) -> None:
        theirs = self.folder / "theirs"
        callbacks = [
            keras.callbacks.ModelCheckpoint(str(theirs / "w.weights.h5"), **W),
            self.checkpoint("w.weights.h5", **W),
        ]
        fit(make_subclassed(), 2, callbacks)
        self.assertEqual(
            (self.place / "w.weights.h5").read_bytes(), (theirs / "w.weights.h5").read_bytes()
        )

    def test_a_model_that_cannot_be_stored_raises_what_it_would_with_keras(self) -> None:
        theirs = keras.callbacks.ModelCheckpoint(str(self.folder / "theirs.keras"))
        for callback in (theirs, self.checkpoint("ours.keras")):
            model = keras.Sequential([Unstorable(), keras.layers.Dense(2)])
            model.compile(loss="mse")
            with self.assertRaisesRegex(ZeroDivisionError, "no config today"):
                fit(model, 1, [callback])
        self.assertEqual(list(ckptd.checkpoints("r")), [])

    def test_load_weights_on_restart(self) -> None:
        name = "{epoch}.weights.h5"
        fit(make_model(), 3, [self.checkpoint(name, **W)], **ONCE)
        self.assertEqual(names(self.place), [f"{epoch}.weights.h5" for epoch in (1, 2, 3)])
        expected = make_model()
        expected.optimizer.build(expected.trainable_variables)  # its state is in the file, too
        expected.load_weights(self.place / "3.weights.h5")
        fit(expected, 1, [], **ONCE)

        restored = make_model()
        again = self.checkpoint(name, load_weights_on_restart=True, **W)
        fit(restored, 1, [again], **ONCE)
        self.assert_same_weights(restored, expected)
        self.assertEqual(ckptd.Client().checkpoint("r", "latest").filepath, "1.weights.h5")

        anew = make_model()
        fit(anew, 1, [self.checkpoint(name, run="other", **W)], **ONCE)
        self.assert_same_weights(anew, expected, same=False)

    def test_a_cluster_of_one_worker(self) -> None:
        cluster = '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 0}}'
        with mock.patch.dict(os.environ, TF_CONFIG=cluster):
            fit(make_model(), 1, [self.checkpoint("w.weights.h5", **W)])
        self.assertEqual(names(self.place), ["w.weights.h5"])

    def test_batches_are_reported_only_where_they_count(self) -> None:
        for save_freq, values in (("epoch", 1), (100, 1 + BATCHES)):
            with self.subTest(save_freq=save_freq):
                run = f"r-{save_freq}"
                ours = self.checkpoint("w.weights.h5", run=run, save_freq=save_freq, **W)
                self.assertEqual(ours._implements_train_batch_hooks(), save_freq != "epoch")
                fit(make_model(), 1, [ours])
                self.assertEqual(len(ckptd.history(run, ["loss"])["loss"]), values)

    def test_the_newest_is_the_last_that_was_saved_whatever_the_files_times(self) -> None:
        model = make_model()
        for epoch in (2, 1, 0):
            ours = self.checkpoint("{epoch:02d}.weights.h5", **W)
            fit(model, epoch + 1, [ours], initial_epoch=epoch)
        os.utime(self.place / "03.weights.h5")
        (self.place / "04.weights.h5").write_bytes(b"not one of the run's")
        self.assertEqual(ckptd.Client().checkpoint("r", "latest").filepath, "01.weights.h5")


if __name__ == "__main__":
    unittest.main()
