"""Kills of the daemon and of the trainer in the middle of a fit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import unittest
from typing import Any, Callable

import keras
from keras_testing import KerasTestCase, Scripted, fit, make_model, names

import ckptd
from ckptd import v1

BEST: dict[str, Any] = {"save_weights_only": True, "save_best_only": True}


class At(keras.callbacks.Callback):
    """Comes before the checkpoints and does something when an epoch ends."""

    def __init__(self, **actions: Any) -> None:
        super().__init__()
        self._actions = actions

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._actions.get(f"epoch{epoch}", lambda: None)()


class DaemonKilled(KerasTestCase):
    def test_a_fit_goes_on_and_nothing_is_lost(self) -> None:
        values = [0.9, 0.8, 0.7, 0.85, 0.6, 0.65]
        ours = self.checkpoint("{epoch}.weights.h5", **BEST)
        kills = At(epoch1=self.daemon.kill, epoch4=self.daemon.start)
        model = make_model()
        seen: dict[int, Any] = {}
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.update({epoch + 1: model.get_weights()})
        )
        fit(model, 6, [Scripted(val_loss=values), keep, kills, ours])
        self.assertEqual(names(self.place), [f"{epoch}.weights.h5" for epoch in (1, 2, 3, 5)])
        for epoch in (2, 3):  # decided on later, with the weights they had then
            model.load_weights(self.place / f"{epoch}.weights.h5")
            for one, two in zip(model.get_weights(), seen[epoch]):
                self.assertEqual(one.tobytes(), two.tobytes())
        self.assertEqual(len(ckptd.history("r", ["val_loss"])["val_loss"]), 6)


SCRIPT = """
    import os, sys, time
    sys.path.insert(0, os.environ["TESTS"])
    from keras_testing import Scripted, fit, make_model
    import keras
    from ckptd.keras import ModelCheckpoint

    checkpoint_filepath = os.environ["PLACE"] + "/best.weights.h5"
    values = [float(v) for v in os.environ["VALUES"].split()]
    model_checkpoint_callback = ModelCheckpoint(
        filepath=checkpoint_filepath,
        save_weights_only=True,
        monitor="val_loss",
        mode="min",
        save_best_only=True,
    )

    class Talk(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            print("begins", epoch, flush=True)
            if epoch == int(os.environ.get("HANG", -1)):
                sys.stdin.read()

    model = make_model()
    fit(model, len(values), [Scripted(val_loss=values), model_checkpoint_callback, Talk()])
    model.load_weights(checkpoint_filepath)
    print("done", flush=True)
"""


class TrainerKilled(KerasTestCase):
    def start(self, values: str, hang: int = -1) -> subprocess.Popen[str]:
        script = self.folder / "train.py"
        script.write_text(textwrap.dedent(SCRIPT))
        return subprocess.Popen(
            [sys.executable, str(script)],
            env={
                **os.environ,
                "VALUES": values,
                "HANG": str(hang),
                "PLACE": str(self.place),
                "TESTS": os.path.dirname(os.path.abspath(__file__)),
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, holds: Callable[[], bool]) -> None:
        """Asks the daemon again and again; what it asks about is on its way."""
        while True:
            with contextlib.suppress(ckptd.NotFoundError):
                if holds():
                    return

    def test_the_same_script_goes_on_with_its_best(self) -> None:
        trainer = self.start("0.5 0.4 0.6 0.7", hang=3)
        assert trainer.stdout is not None
        for line in trainer.stdout:
            if line == "begins 3\n":
                break
        client = ckptd.Client()
        self.addCleanup(client.close)
        self.wait_for(lambda: client.checkpoint("train", "best").epoch == 1)  # it is on its way
        trainer.kill()
        trainer.communicate()
        self.wait_for(lambda: client.run("train").state == v1.Run.STATE_DISCONNECTED)
        winner = client.best("train").read()
        (self.place / "best.weights.h5").unlink(missing_ok=True)

        out, _ = self.start("9 9 0.6 0.7 0.45").communicate()
        # After the epoch of its newest checkpoint; nothing after it beats the best.
        self.assertEqual(out.split("\n"), ["begins 2", "begins 3", "begins 4", "done", ""])
        self.assertEqual((self.place / "best.weights.h5").read_bytes(), winner)
        self.assertEqual(client.best("train").metrics["val_loss"], 0.4)

        out, _ = self.start("0.8").communicate()  # that training ended; the next is another
        self.assertEqual(out.split("\n"), ["begins 0", "done", ""])
        self.assertEqual([run.name for run in client.runs()], ["runs/train", "runs/train-2"])


if __name__ == "__main__":
    unittest.main()
