"""The scenarios of Keras's own tests of ModelCheckpoint, through ckptd's."""

from __future__ import annotations

import os
import tempfile
import unittest
import warnings
from typing import Any
from unittest import mock

import numpy as np
from keras_testing import KerasTestCase, Scripted, fit, make_model, names

import ckptd
from ckptd.internal import keras_files
from ckptd.keras import ModelCheckpoint

W = {"save_weights_only": True}
BEST = {**W, "save_best_only": True}


class Scenarios(KerasTestCase):
    def test_files(self) -> None:
        table: list[tuple[str, dict[str, Any], int, list[str]]] = [
            ("w.weights.h5", {**W, "monitor": "val_loss"}, 1, ["w.weights.h5"]),
            ("w.weights.h5", {**W, "mode": "min"}, 1, ["w.weights.h5"]),
            ("w.weights.h5", {**W, "mode": "max", "monitor": "val_accuracy"}, 1, ["w.weights.h5"]),
            ("w.weights.h5", {**BEST, "mode": "max", "monitor": "val_accuracy"}, 1,
             ["w.weights.h5"]),
            ("w.weights.h5", {**BEST, "monitor": "unknown"}, 1, []),
            ("{epoch:02d}.weights.h5", {**W, "period": 2}, 4, ["02.weights.h5", "04.weights.h5"]),
            ("{epoch:02d}.weights.h5", {**W, "period": 5, "save_freq": "epoch"}, 10,
             ["05.weights.h5", "10.weights.h5"]),
            ("{epoch:02d}.weights.h5", {**W, "save_freq": 15, "period": 100}, 10,
             ["03.weights.h5", "06.weights.h5", "09.weights.h5"]),
            ("{epoch:02d}{batch:02d}.weights.h5", {**W, "save_freq": 1}, 2,
             [f"{e:02d}{b:02d}.weights.h5" for e in (1, 2) for b in (1, 2, 3, 4, 5)]),
            ("w.weights.h5", {**BEST, "mode": "max", "monitor": "val_accuracy",
                              "initial_value_threshold": -0.01}, 1, ["w.weights.h5"]),
            ("w.weights.h5", {**BEST, "initial_value_threshold": None}, 1, ["w.weights.h5"]),
            ("w.weights.h5", {**BEST, "mode": "min", "initial_value_threshold": 0.0}, 1, []),
            ("w.weights.h5", {**BEST, "initial_value_threshold": 0.0}, 1, []),
            ("no/such/folder/w.weights.h5", {**W}, 1, ["no/such/folder/w.weights.h5"]),
            ("{epoch:02d}.weights.h5", {**W}, 3,
             ["01.weights.h5", "02.weights.h5", "03.weights.h5"]),
        ]  # fmt: skip
        for number, (name, arguments, epochs, expected) in enumerate(table):
            with self.subTest(name=name, **arguments):
                self.place = self.folder / f"script{number}"
                fit(make_model(), epochs, [self.checkpoint(name, run=f"s{number}", **arguments)])
                self.assertEqual(names(self.place), expected)

    def test_values_that_are_no_numbers(self) -> None:
        nan, inf = float("nan"), float("inf")
        for number, (values, saved) in enumerate(
            (
                ([nan, 0.5, 0.4], [2, 3]),
                ([0.5, nan, 0.4], [1, 3]),
                ([inf, inf, 0.4], [3]),
                ([-inf, -1e9, -inf], [1]),
                ([0.5, 0.5, 0.4999999], [1, 3]),
            )
        ):
            with self.subTest(values=values):
                self.place = self.folder / f"script{number}"
                ours = self.checkpoint("{epoch}.weights.h5", run=f"v{number}", **BEST)
                fit(make_model(), 3, [Scripted(val_loss=values), ours])
                self.assertEqual(names(self.place), [f"{epoch}.weights.h5" for epoch in saved])

    def test_a_saved_file_has_the_weights_of_its_moment(self) -> None:
        for name, arguments in (
            ("w.weights.h5", W),
            ("w.safetensors", W),
            ("m.keras", {}),
            ("m.h5", {}),
        ):
            with self.subTest(name=name):
                model = make_model()
                fit(model, 2, [self.checkpoint(name, run=name, **arguments)])
                other = make_model()
                ckptd.Client().checkpoint(name).load_into(other)
                for one, two in zip(model.get_weights(), other.get_weights()):
                    np.testing.assert_array_equal(one, two)

    def test_files_for_which_memory_has_no_room_are_made_on_the_disk(self) -> None:
        with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=2 << 20)):
            for size, folder in ((1 << 20, "/dev/shm"), (3 << 20, tempfile.gettempdir())):
                with keras_files.scratch(size) as made:
                    self.assertEqual(os.path.dirname(made), folder)
            fit(make_model(), 1, [self.checkpoint("w.weights.h5", **W)])
        self.assertEqual(names(self.place), ["w.weights.h5"])

    def test_an_existing_file_is_replaced(self) -> None:
        self.place.mkdir()
        (self.place / "w.weights.h5").write_bytes(b"old")
        fit(make_model(), 1, [self.checkpoint("w.weights.h5", **W)])
        self.assertGreater((self.place / "w.weights.h5").stat().st_size, 1000)

    def test_the_same_object_goes_on_with_its_best(self) -> None:
        ours = self.checkpoint("{epoch}.weights.h5", **BEST)
        model = make_model()
        fit(model, 1, [Scripted(val_loss=[1.0]), ours])
        fit(model, 2, [Scripted(val_loss=[2.0, 0.5]), ours])
        self.assertEqual(names(self.place), ["1.weights.h5", "2.weights.h5"])

    def test_two_callbacks_share_a_run(self) -> None:
        fit(
            make_model(),
            3,
            [
                Scripted(val_loss=[3.0, 1.0, 2.0]),
                self.checkpoint("best.weights.h5", **BEST),
                self.checkpoint("every-{epoch}.weights.h5", **W),
                self.checkpoint("batch-{epoch}-{batch}.weights.h5", save_freq=6, **W),
            ],
        )
        every = [f"every-{epoch}.weights.h5" for epoch in (1, 2, 3)]
        batches = ["batch-2-1.weights.h5", "batch-3-2.weights.h5"]
        self.assertEqual(names(self.place), [*batches, "best.weights.h5", *every])
        read = {name: (self.place / name).read_bytes() for name in names(self.place)}
        self.assertEqual(read["best.weights.h5"], read["every-2.weights.h5"])


class Refusals(KerasTestCase):
    def test_arguments(self) -> None:
        for error, words, arguments in (
            (ValueError, "Unrecognized save_freq", {"save_freq": "invalid_save_freq"}),
            (ValueError, "Unrecognized save_freq", {"save_freq": 2.0}),
            (TypeError, "'monitr'; did you mean 'monitor'", {"monitr": "loss"}),
            (TypeError, "tf.train.CheckpointOptions", {"options": 1}),
            (ValueError, r"must end in `.weights.h5`", {"filepath": "w.keras"}),
            (TypeError, "monitor is None; it must be a str", {"monitor": None}),
            (ValueError, "on_unavailable is 'wrn'; .* raise, warn", {"on_unavailable": "wrn"}),
            (ValueError, "server is 'localhost'; .* HOST:PORT", {"server": "localhost"}),
            (ValueError, r"must end in `.keras`", {"filepath": "w", "save_weights_only": False}),
        ):
            given: dict[str, Any] = {"filepath": "w.weights.h5", **W, **arguments}
            with self.subTest(**arguments), self.assertRaisesRegex(error, words):
                ModelCheckpoint(**given)
        for save_freq in ("epoch", 3):
            ModelCheckpoint("w.weights.h5", save_freq=save_freq, **W)

    def test_an_unknown_mode_warns(self) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(make_model(), 1, [self.checkpoint("w.weights.h5", mode="unknown", **W)])
        words = [str(one.message) for one in caught]
        expected = "ModelCheckpoint mode unknown is unknown, fallback to auto mode."
        self.assertIn(expected, words)

    def test_a_folder_in_the_way(self) -> None:
        (self.place / "w.weights.h5").mkdir(parents=True)
        with self.assertRaisesRegex(IOError, "Please specify a non-directory filepath"):
            fit(make_model(), 1, [self.checkpoint("w.weights.h5", **W)])

    def test_a_file_that_cannot_be_put_in_place_is_told_and_kept_by_the_daemon(self) -> None:
        self.place.write_bytes(b"no folder")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit(make_model(), 1, [self.checkpoint("w.weights.h5", **W)])
        words = [str(one.message) for one in caught if one.category is RuntimeWarning]
        self.assertRegex(words[-1], "put in place: .*w.weights.h5.*the daemon has it.*File exists")
        ckptd.best("r").load_into(make_model())

    def test_a_metric_that_is_not_there(self) -> None:
        with self.assertRaisesRegex(KeyError, "Failed to format this callback filepath"):
            fit(make_model(), 1, [self.checkpoint("{mape:.2f}.weights.h5", **W)])

    def test_a_metric_that_is_an_array(self) -> None:
        arrays: Any = [np.array([1.0, 2.0])]
        with self.assertRaisesRegex(TypeError, r"'val_loss' is a numpy.ndarray of shape \(2,\)"):
            fit(make_model(), 1, [Scripted(val_loss=arrays), self.checkpoint("w.weights.h5", **W)])

    def test_without_any_daemon_the_script_finds_its_file_all_the_same(self) -> None:
        self.daemon.kill()
        values = Scripted(val_loss=[0.5, 0.4, 0.6])
        fit(make_model(), 3, [values, self.checkpoint("{epoch}.weights.h5", **BEST)])
        self.assertEqual(names(self.place), ["1.weights.h5", "2.weights.h5"])


if __name__ == "__main__":
    unittest.main()
