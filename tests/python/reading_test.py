"""Questions to the real daemon: best, lists, bytes, history."""

from __future__ import annotations

import unittest
from typing import Any

import numpy as np
from daemon import DaemonTestCase

import ckptd
from ckptd import safetensors


class Reading(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.content = np.random.default_rng(2).integers(0, 256, 3_000_000, dtype=np.uint8)
        policies = [
            ckptd.CheckpointPolicy("every", "e-{epoch}"),
            ckptd.CheckpointPolicy("last", "tensors", save_weights_only=True, period=3),
        ]
        with ckptd.Run(
            "r", policies=policies, server=self.daemon.server, weights=self.weights
        ) as run:
            for epoch, (loss, acc) in enumerate([(0.5, 0.7), (0.3, 0.6), (0.4, 0.9)]):
                run.on_epoch_begin(epoch)
                run.on_batch_end(0, {"loss": loss})
                run.on_epoch_end(epoch, {"val_loss": loss, "val_acc": acc})
        self.client = ckptd.Client(self.daemon.server)
        self.addCleanup(self.client.close)

    def weights(self, save: Any) -> Any:
        if save.payload == ckptd.v1.Checkpoint.PAYLOAD_WEIGHTS:
            return safetensors.Content({"a": np.arange(3), "b": np.float32([[1.5]])})
        return self.content

    def test_best_by_policy_and_by_metric(self) -> None:
        for arguments, epoch in (
            ({}, 1),
            ({"metric": "val_acc"}, 2),
            ({"metric": "val_acc", "mode": "min"}, 1),
        ):
            best = self.client.best("r", **arguments)  # type: ignore[arg-type]
            self.assertEqual(best.epoch, epoch, arguments)
        self.assertEqual(best.metrics, {"val_loss": 0.3, "val_acc": 0.6})

    def test_bytes_are_those_that_were_saved(self) -> None:
        best = self.client.best("r", policy="every")
        self.assertEqual(bytes(best.read()), self.content.tobytes())
        path = best.fetch(self.folder / "there" / "w")
        self.assertEqual(path.read_bytes(), self.content.tobytes())
        self.assertEqual([p.name for p in path.parent.iterdir()], ["w"])

    def test_arrays(self) -> None:
        (tensors,) = self.client.checkpoints("r", filter='policy = "last"')
        arrays = tensors.arrays()
        np.testing.assert_array_equal(arrays["a"], [0, 1, 2])
        self.assertEqual((arrays["b"].dtype, arrays["b"].shape), (np.float32, (1, 1)))
        with self.assertRaisesRegex(ValueError, "no safetensors file"):
            self.client.best("r", policy="every").arrays()

    def test_lists(self) -> None:
        listed = self.client.checkpoints("r", filter='policy = "every"', order_by="epoch desc")
        self.assertEqual([c.epoch for c in listed], [2, 1, 0])
        self.assertEqual([c.epoch for c in listed], [2, 1, 0])  # asked for anew
        self.assertEqual([run.name for run in self.client.runs()], ["runs/r"])
        with self.assertRaises(ckptd.NotFoundError) as caught:
            self.client.best("none")
        self.assertEqual(caught.exception.reason, "RUN_NOT_FOUND")
        with self.assertRaises(ckptd.InvalidArgumentError):
            list(self.client.checkpoints("r", filter="epoch >"))

    def test_history(self) -> None:
        history = self.client.history("r")
        self.assertEqual(list(history), ["loss", "val_acc", "val_loss"])
        np.testing.assert_array_equal(history["val_acc"].values, [0.7, 0.6, 0.9])
        np.testing.assert_array_equal(history["loss"].batch, [0, 0, 0])
        self.assertEqual(len(history["loss"].epoch_ends()), 0)
        self.assertEqual(len(history["val_loss"].epoch_ends()), 3)
        self.assertEqual(history._repr_html_().count("<circle"), 8)  # four checkpoints, two metrics
        self.assertEqual(list(self.client.history("r", "val_acc")), ["val_acc"])
        with self.assertRaisesRegex(KeyError, "no metric 'val_los'; did you mean 'val_loss'"):
            self.client.history("r", ["val_los"])

    def test_history_of_few_points(self) -> None:
        losses = np.random.default_rng(4).random(3000)
        losses[1234] = 9.0
        with ckptd.Run("long", server=self.daemon.server) as run:
            run.on_epoch_begin(0)
            for batch, loss in enumerate(losses):
                run.on_batch_end(batch, {"loss": loss, **{f"m{i}": i for i in range(12)}})
        history = self.client.history("long", points=30)
        self.assertEqual(len(history), 13)  # more than one call takes
        loss = history["loss"]
        self.assertLessEqual(len(loss), 30)
        self.assertIn(1234, loss.batch)  # no spike is lost
        self.assertEqual(loss.batch[-1], 2999)
        np.testing.assert_array_equal(loss.values, losses[loss.batch])
        every = self.client.history("long", "loss", points=10_000)["loss"]
        np.testing.assert_array_equal(every.values, losses)
        np.testing.assert_array_equal(every.seq, self.client.history("long", "loss")["loss"].seq)
        for error, words, metrics, points in (
            (KeyError, "no metric 'los'; did you mean 'loss'", ["los"], 9),
            (ValueError, "points is 0; it must be 1 or more", None, 0),
            (ValueError, "points is 10001; it must be 10000 or less", None, 10_001),
        ):
            with self.subTest(words), self.assertRaisesRegex(error, words):
                self.client.history("long", metrics, points=points)
        with self.assertRaises(ckptd.NotFoundError):
            self.client.history("none", points=9)

    def test_a_closed_client_says_so(self) -> None:
        self.client.close()
        with self.assertRaisesRegex(ckptd.ClosedError, "the Client is closed"):
            self.client.best("r")

    def test_no_model_of_a_known_kind(self) -> None:
        with self.assertRaisesRegex(TypeError, "a dict is neither a Keras model nor"):
            self.client.best("r").load_into({})


class Files(unittest.TestCase):
    def test_what_is_no_safetensors_file_is_refused(self) -> None:
        good = safetensors.Content({"a": np.arange(4, dtype=np.int16)}).to_bytes()
        for name, content in {
            "empty": b"",
            "short": good[:6],
            "cut": good[:-1],
            "length": b"\xff" * 8 + good[8:],
            "json": good[:8] + b"[" + good[9:],
            "no json": good[:9] + b"'" + good[10:],
            "text": good.replace(b"I16", b"I61"),
            "shape": good.replace(b"[4]", b"[5]"),
            "offsets": good.replace(b"[0,8]", b"[8,0]"),
            "types": good.replace(b'"I16"', b"[[[]]]"[:5]),
        }.items():
            with self.subTest(name), self.assertRaises(ValueError):
                safetensors.load(content)
        np.testing.assert_array_equal(safetensors.load(good)[0]["a"], [0, 1, 2, 3])


if __name__ == "__main__":
    unittest.main()
