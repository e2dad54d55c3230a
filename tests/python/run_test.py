"""A run against the real daemon: decisions, files, kills of the daemon."""

from __future__ import annotations

import io
import threading
import unittest
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from daemon import DaemonTestCase

import ckptd
from ckptd import v1
from ckptd.internal.channel import callable_for, make_channel

BEST = ckptd.CheckpointPolicy("best", "w-{epoch:02d}", save_best_only=True, mode="min")
BATCHES = ckptd.CheckpointPolicy("batches", "b-{batch}", save_freq=2, save_weights_only=True)


class Model:
    """Whose bytes tell the moment at which they were taken."""

    def __init__(self, size: int = 1) -> None:
        self.moment = 0
        self._size = size

    def take(self, save: v1.Checkpoint) -> bytes:
        return f"moment {self.moment} ".encode() * self._size


class RunTestCase(DaemonTestCase):
    shared_memory = True

    def setUp(self) -> None:
        super().setUp()
        self.model = Model()
        self.notices: list[str] = []

    def run_of(self, *policies: ckptd.CheckpointPolicy, **options: Any) -> ckptd.Run:
        options.setdefault("weights", self.model.take)
        options.setdefault("shared_memory", self.shared_memory)
        return ckptd.Run(
            "r", policies=policies, server=self.daemon.server, notify=self.notices.append, **options
        )

    def ask_for_save(self) -> v1.Checkpoint:
        """Returns when the trainer has been asked."""
        channel = make_channel(self.daemon.server, bulk=False)
        self.addCleanup(channel.close)
        call = callable_for(channel, "CatalogService", "SaveRun")(v1.SaveRunRequest(name="runs/r"))
        self.addCleanup(call.cancel)
        return next(call).checkpoint

    def epochs(self, run: ckptd.Run, values: list[float], first: int = 0) -> None:
        for epoch, value in enumerate(values, first):
            run.on_epoch_begin(epoch)
            self.model.moment = epoch + 1
            run.on_epoch_end(epoch, {"val_loss": np.float32(value)})


class Decisions(RunTestCase):
    def test_winners_are_kept_with_the_bytes_of_their_moment(self) -> None:
        with self.run_of(BEST) as run:
            run.on_train_begin()
            self.epochs(run, [0.5, 0.6, float("nan"), 0.4])
            run.on_train_end()
        self.assertEqual(self.daemon.files("r"), {"w-01": b"moment 1 ", "w-04": b"moment 4 "})

    def test_batch_policies_are_asked_at_the_right_batches(self) -> None:
        with self.run_of(BATCHES) as run:
            run.on_epoch_begin(0)
            for batch in range(5):
                self.model.moment = batch + 1
                run.on_batch_end(batch, {"loss": 1})
        self.assertEqual(self.daemon.files("r"), {"b-2": b"moment 2 ", "b-4": b"moment 4 "})

    def test_large_parts_arrive_as_they_were(self) -> None:
        weights = np.random.default_rng(1).integers(0, 256, 5_000_001, dtype=np.uint8)
        with self.run_of(BEST, weights=lambda save: weights) as run:
            run.on_epoch_end(0, {"val_loss": 1})
            expected = weights.tobytes()
            weights[:] = 0
        self.assertEqual(self.daemon.files("r")["w-01"], expected)

    def test_several_parts_make_a_folder(self) -> None:
        with self.run_of(BEST, weights=lambda save: {"a": b"1", "b": b"2"}) as run:
            run.on_epoch_end(0, {"val_loss": 1})
        self.assertEqual(self.daemon.files("r"), {"w-01/a": b"1", "w-01/b": b"2"})

    def test_words_are_printed_as_the_reference_does(self) -> None:
        spoken = io.StringIO()
        loud = ckptd.CheckpointPolicy("best", "w", save_best_only=True, verbose=1)
        with redirect_stdout(spoken), self.run_of(loud) as run:
            run.on_epoch_end(0, {"val_loss": 0.25})
        self.assertEqual(
            spoken.getvalue(),
            "\nEpoch 1: val_loss improved from inf to 0.25000, saving model to w\n",
        )

    def test_best_survives_a_new_process(self) -> None:
        with self.run_of(BEST) as run:
            self.epochs(run, [0.5])
        with self.run_of(BEST) as run:
            self.assertEqual(run.info.policy_states[0].best, 0.5)
            self.epochs(run, [0.7], first=1)
        self.assertEqual(list(self.daemon.files("r")), ["w-01"])

    def test_an_operator_may_have_it_saved(self) -> None:
        with self.run_of(BEST) as run:
            self.epochs(run, [0.5])
            save = self.ask_for_save()
            self.model.moment = 2
            run.on_epoch_end(1, {"val_loss": 0.6})
            run.flush()
            self.assertEqual(save.name, "runs/r/checkpoints/2")
        self.assertEqual(
            self.daemon.files("r"), {"w-01": b"moment 1 ", "on-demand/2": b"moment 2 "}
        )

    def test_an_operators_save_waits_for_an_event_with_weights(self) -> None:
        def weights(save: v1.Checkpoint) -> bytes:
            return b"of the event"

        with self.run_of(BEST, weights=None) as run:
            self.ask_for_save()
            run.on_epoch_end(0, {"val_loss": float("nan")})  # the decision has come
            run.on_epoch_begin(1)
            run.flush()
            run.on_epoch_end(1, {"val_loss": float("nan")}, weights)
            self.ask_for_save()  # and the end of training gives it up
        self.assertEqual(self.daemon.files("r"), {"on-demand/1": b"of the event"})

    def test_committed_checkpoints_are_announced_with_their_bytes(self) -> None:
        seen: list[tuple[str, bytes]] = []
        with self.run_of(
            BEST, on_committed=lambda c, s: seen.append((c.name, bytes(s.parts[0].view)))
        ) as run:
            self.epochs(run, [0.5])
        self.assertEqual(seen, [("runs/r/checkpoints/1", b"moment 1 ")])


class DecisionsOverGrpc(Decisions):
    shared_memory = False


class Kills(RunTestCase):
    def test_a_daemon_killed_between_events_is_found_again(self) -> None:
        with self.run_of(BEST) as run:
            self.epochs(run, [0.5])
            run.flush()
            self.daemon.kill()
            starter = threading.Thread(target=self.daemon.start)
            starter.start()
            self.epochs(run, [0.4, 0.6], first=1)
            starter.join()
        self.assertEqual(self.daemon.files("r"), {"w-01": b"moment 1 ", "w-02": b"moment 2 "})

    def test_uploads_go_on_after_a_kill(self) -> None:
        self.model = Model(size=1_000_000)
        with self.run_of(BEST) as run:
            for epoch in range(4):
                self.epochs(run, [1.0 - epoch / 10], first=epoch)
                self.daemon.kill()
                self.daemon.start()
        files = self.daemon.files("r")
        self.assertEqual(sorted(files), ["w-01", "w-02", "w-03", "w-04"])
        for number, name in enumerate(sorted(files), 1):
            self.assertEqual(files[name], f"moment {number} ".encode() * 1_000_000)

    def test_training_goes_on_without_a_daemon_and_nothing_is_lost(self) -> None:
        with self.run_of(BEST, on_unavailable="warn", reconnect_timeout=0.2) as run:
            self.epochs(run, [0.5])
            run.flush(60)  # connects, if it was too slow for the short timeout
            self.daemon.kill()
            self.epochs(run, [0.4, 0.45, 0.3], first=1)
            self.daemon.start()
        self.assertEqual(
            self.daemon.files("r"),
            {"w-01": b"moment 1 ", "w-02": b"moment 2 ", "w-04": b"moment 4 "},
        )
        self.assertIn("no answer from ckptd", self.notices[0])
        self.assertIn("answers", self.notices[-1])

    def test_training_starts_without_a_daemon(self) -> None:
        self.daemon.kill()
        with self.run_of(BEST, on_unavailable="warn", reconnect_timeout=0.2) as run:
            run.on_train_begin()
            self.epochs(run, [0.5, 0.4])
            self.daemon.start()
            self.epochs(run, [0.3], first=2)
        self.assertEqual(sorted(self.daemon.files("r")), ["w-01", "w-02", "w-03"])
        self.assertEqual(self.daemon.files("r")["w-02"], b"moment 2 ")

    def test_what_is_lost_is_said(self) -> None:
        run = self.run_of(BEST, on_unavailable="warn", reconnect_timeout=0.1, exit_timeout=0.3)
        self.daemon.kill()
        self.epochs(run, [0.5])
        run.close()
        self.assertRegex(self.notices[-1], "not safe yet: 2 events, 1 snapshots")


class KillsOverGrpc(Kills):
    shared_memory = False


class SharedMemory(RunTestCase):
    """That it is used, and what happens where it is not to be had."""

    def bytes_shared(self) -> float:
        metrics = self.daemon.metrics()
        return metrics["ckptd_local_bytes_total"]

    def weights(self, size: int) -> Any:
        return np.random.default_rng(size).integers(0, 256, size, dtype=np.uint8)

    def test_every_kind_of_content_is_handed_over_in_it(self) -> None:
        array = self.weights(3_000_001)
        parts = {"a": array, "b": b"small"}
        contents: list[Any] = [array, array.tobytes(), bytearray(array), parts]
        with self.run_of(BEST, weights=lambda save: contents[save.epoch]) as run:
            self.epochs(run, [0.9, 0.8, 0.7, 0.6])
        # The small one took the shorter way.
        self.assertEqual(self.bytes_shared(), 4 * array.nbytes)
        files = self.daemon.files("r")
        self.assertEqual(files["w-04/b"], b"small")
        for name in ("w-01", "w-02", "w-03", "w-04/a"):
            self.assertEqual(files[name], array.tobytes(), name)

    def test_slots_are_used_again(self) -> None:
        array = self.weights(2_000_000)
        with self.run_of(BEST, weights=lambda save: array, max_uploads=2) as run:
            for epoch in range(10):
                self.epochs(run, [1 - epoch / 10], first=epoch)
            run.flush()
            self.assertLessEqual(
                self.daemon.metrics()["ckptd_slot_memory_bytes"], 2 * (array.nbytes + 4096)
            )
        self.assertEqual(self.bytes_shared(), 10 * array.nbytes)

    def test_parts_of_changing_sizes(self) -> None:
        with self.run_of(BEST, weights=lambda save: self.weights(1000 * 3**save.epoch)) as run:
            for epoch in range(8):
                self.epochs(run, [1 - epoch / 10], first=epoch)
        for epoch in range(8):
            expected = self.weights(1000 * 3**epoch).tobytes()
            self.assertEqual(self.daemon.files("r")[f"w-{epoch + 1:02d}"], expected)

    def test_without_it_grpc_does(self) -> None:
        self.daemon.stop()
        self.daemon.start("local: {socket: off}")
        array = self.weights(2_000_000)
        with self.run_of(BEST, weights=lambda save: array) as run:
            self.epochs(run, [0.5])
        self.assertEqual(self.bytes_shared(), 0)
        self.assertEqual(self.daemon.metrics()["ckptd_upload_memory_bytes"], 0)
        self.assertEqual(self.daemon.files("r")["w-01"], array.tobytes())

    def test_slots_over_the_limit_go_by_grpc(self) -> None:
        self.daemon.stop()
        self.daemon.start("local: {max_trainer_mib: 1}")
        array = self.weights(2_000_000)
        with self.run_of(BEST, weights=lambda save: array) as run:
            self.epochs(run, [0.5])
        self.assertEqual(self.bytes_shared(), 0)
        self.assertEqual(self.daemon.files("r")["w-01"], array.tobytes())

    def test_a_save_may_be_skipped_when_all_are_busy(self) -> None:
        with self.run_of(
            BEST, weights=lambda save: self.weights(200_000_000), max_uploads=1, when_busy="skip"
        ) as run:
            self.epochs(run, [0.9, 0.8, 0.7, 0.6])
        kept = sorted(self.daemon.files("r"))
        self.assertEqual(kept[0], "w-01")
        self.assertLess(len(kept), 4)


if __name__ == "__main__":
    unittest.main()
