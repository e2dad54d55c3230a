"""Snapshots that stay in shared memory: held, persisted when they are needed, let go otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
import unittest
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np
from run_test import BEST, RunTestCase

import ckptd
from ckptd import v1
from ckptd.errors import make_error
from ckptd.internal.channel import callable_for, make_channel
from ckptd.internal.local_link import LocalLink, LocalLinks
from ckptd.internal.parts import Snapshot
from ckptd.internal.slots import SlotPool
from ckptd.internal.uploader import Uploader, UploaderOptions


def rescue(snapshots: int = 1) -> ckptd.CheckpointPolicy:
    options = ckptd.StorageOptions(placement="memory", snapshots=snapshots)
    return ckptd.CheckpointPolicy("rescue", "s-{epoch:02d}", options=options)


def name(save: int) -> str:
    return f"runs/r/checkpoints/{save}"


class SnapshotTestCase(RunTestCase):
    def status(self) -> v1.Status:
        channel = make_channel(self.daemon.server, bulk=False)
        self.addCleanup(channel.close)
        return callable_for(channel, "AdminService", "GetStatus")(v1.GetStatusRequest())

    def ids(self) -> list[int]:
        with ckptd.Client(self.daemon.server) as client:
            return sorted(checkpoint.id for checkpoint in client.checkpoints("r"))

    def successor(self, *awaited: int) -> tuple[v1.Welcome, dict[str, v1.SaveOutcome]]:
        """What a new trainer is told, once it has been told how these saves ended."""
        hello = v1.Hello(
            run="runs/r", holds_snapshots=True, awaited_saves=[name(save) for save in awaited]
        )
        done = threading.Event()

        def requests() -> Iterator[v1.TrainRequest]:
            yield v1.TrainRequest(hello=hello)
            done.wait()

        channel = make_channel(self.daemon.server, bulk=False)
        self.addCleanup(channel.close)
        call = callable_for(channel, "TrainingService", "Train")(requests())
        welcome = next(call).welcome
        outcomes: dict[str, v1.SaveOutcome] = {}
        while not set(hello.awaited_saves) <= set(outcomes):
            response = next(call)
            outcomes[response.outcome.save] = response.outcome
        done.set()
        call.cancel()
        return welcome, outcomes


class Held(SnapshotTestCase):
    def test_nothing_is_written_while_training_goes_on(self) -> None:
        with self.run_of(rescue(2)) as run:
            self.epochs(run, [1.0] * 5)
            run.flush()
            self.assertEqual(self.status().snapshots, 2)
            self.assertEqual(self.daemon.files("r"), {})
            run.on_train_end()
        self.assertEqual(self.ids(), [])

    def test_the_memory_is_that_of_those_that_are_kept_and_one_more(self) -> None:
        array = np.random.default_rng(1).integers(0, 256, 2_000_000, dtype=np.uint8)
        with self.run_of(rescue(2), weights=lambda save: array, max_uploads=4) as run:
            self.epochs(run, [1.0] * 20)
            run.flush()
            self.assertLessEqual(
                self.daemon.metrics()["ckptd_slot_memory_bytes"], 3 * (array.nbytes + 4096)
            )
            run.on_train_end()

    def test_every_kind_of_content_is_held(self) -> None:
        contents: list[Any] = [b"", b"small", bytes(2_000_000), {"a": b"1", "b": np.arange(3)}]
        with self.run_of(rescue(4), weights=lambda save: contents[save.epoch]) as run:
            self.epochs(run, [1.0] * 4)
            run.flush()
            self.assertEqual(self.status().snapshots, 4)
            self.daemon.stop()
            self.assertEqual(
                self.daemon.files("r"), {"s-04/a": b"1", "s-04/b": np.arange(3).tobytes()}
            )
            self.daemon.start()

    def test_other_policies_are_stored_beside_it(self) -> None:
        with self.run_of(rescue(), BEST) as run:
            self.epochs(run, [0.5, 0.6, 0.4])
            run.on_train_end()
        self.assertEqual(self.daemon.files("r"), {"w-01": b"moment 1 ", "w-03": b"moment 3 "})

    def test_at_the_end_of_training_they_are_let_go(self) -> None:
        with self.run_of(rescue(2)) as run:
            self.epochs(run, [1.0] * 3)
            run.on_train_end()
        self.daemon.stop()
        self.assertEqual(self.daemon.files("r"), {})
        self.daemon.start()
        self.assertEqual(self.ids(), [])

    def test_a_trainer_that_closes_before_the_end_of_training_leaves_the_newest(self) -> None:
        with self.run_of(rescue(2)) as run:
            self.epochs(run, [1.0] * 3)
        self.successor(3)
        self.assertEqual(self.daemon.files("r"), {"s-03": b"moment 3 "})


class Persisted(SnapshotTestCase):
    def test_an_operator_may_have_the_newest_saved(self) -> None:
        seen: list[tuple[str, bytes]] = []
        with self.run_of(
            rescue(2), on_committed=lambda c, s: seen.append((c.name, bytes(s.parts[0].view)))
        ) as run:
            self.epochs(run, [1.0] * 3)
            run.flush()
            channel = make_channel(self.daemon.server, bulk=False)
            self.addCleanup(channel.close)
            save = callable_for(channel, "CatalogService", "SaveRun")
            states = [answer.checkpoint for answer in save(v1.SaveRunRequest(name="runs/r"))]
            self.assertEqual(states[-1].name, name(3))
            self.assertEqual(states[-1].state, v1.Checkpoint.STATE_COMMITTED)
            self.assertEqual(self.daemon.files("r"), {"s-03": b"moment 3 "})
            self.epochs(run, [1.0] * 3, first=3)
            run.on_train_end()
        self.assertEqual(seen, [(name(3), b"moment 3 ")])
        self.assertEqual(self.ids(), [3])

    def test_a_daemon_that_is_told_to_stop_persists_the_newest(self) -> None:
        with self.run_of(rescue(2)) as run:
            self.epochs(run, [1.0] * 3)
            run.flush()
            self.daemon.stop()
            self.assertEqual(self.daemon.files("r"), {"s-03": b"moment 3 "})
            self.daemon.start()
            self.epochs(run, [1.0], first=3)
            run.on_train_end()
        self.assertEqual(self.ids(), [3])

    def test_after_a_kill_of_the_daemon_the_next_one_gets_them(self) -> None:
        with self.run_of(rescue(2)) as run:
            self.epochs(run, [1.0] * 3)
            run.flush()
            for _ in range(2):
                self.daemon.kill()
                self.daemon.start()
                run.on_train_begin()
                run.flush()
                self.assertEqual(self.status().snapshots, 2)
            self.daemon.stop()
            self.assertEqual(self.daemon.files("r"), {"s-03": b"moment 3 "})
            self.daemon.start()

    def test_one_that_is_copied_while_the_daemon_is_killed_is_held_by_the_next_one(self) -> None:
        failed = threading.Event()  # to hand it over, before the next Welcome
        connect = LocalLinks.required

        def required(links: LocalLinks) -> LocalLink:
            try:
                return connect(links)
            except ckptd.Error:
                failed.set()
                raise

        def weights(save: v1.Checkpoint) -> bytes:
            if save.epoch == 1:
                self.daemon.kill()
                self.daemon.start()
            return self.model.take(save)

        with (
            mock.patch.object(LocalLinks, "required", required),
            ckptd.Run(
                "r",
                policies=[rescue()],
                server=self.daemon.server,
                weights=weights,
                notify=lambda words: self.assertTrue(failed.wait(60)),  # on the session's thread
            ) as run,
        ):
            self.epochs(run, [1.0] * 2)
            run.on_train_begin()
            run.flush()
            self.assertEqual(self.status().snapshots, 1)
        self.successor(2)
        self.assertEqual(self.daemon.files("r"), {"s-02": b"moment 2 "})

    def test_moments_without_a_daemon_are_held_by_the_next_one(self) -> None:
        with self.run_of(rescue(2), on_unavailable="warn", reconnect_timeout=0.2) as run:
            self.epochs(run, [1.0])
            self.daemon.kill()
            self.epochs(run, [1.0] * 4, first=1)
            self.daemon.start()
            run.flush(60)
            self.assertEqual(self.status().snapshots, 2)
            self.daemon.stop()
            self.assertEqual(self.daemon.files("r"), {"s-05": b"moment 5 "})
            self.daemon.start()
            run.flush(60)

    def test_a_connection_that_is_lost_is_made_again(self) -> None:
        with self.run_of(rescue()) as run:
            self.epochs(run, [1.0])
            run.flush()
            assert run._links is not None
            run._links.required().close()
            self.epochs(run, [1.0], first=1)
            run.flush()
        self.successor(2)
        self.assertEqual(self.daemon.files("r"), {"s-02": b"moment 2 "})


class Killed(SnapshotTestCase):
    """The trainer is a process of its own, and is killed."""

    def killed_after(self, words: str, text: str, snapshots: int = 2) -> None:
        """Kills a trainer that says `words`; nothing is on the disk then. `text` goes on from where
        there is a `run`, whose weights are `weights`."""
        head = f"""
            import sys, numpy as np, ckptd

            def weights(save):
                return np.full(3_000_000, save.epoch, np.uint8)

            rescue = ckptd.CheckpointPolicy(
                "rescue", "s-{{epoch:02d}}",
                options=ckptd.StorageOptions(placement="memory", snapshots={snapshots}))
            run = ckptd.Run("r", policies=[rescue], server={self.daemon.server!r},
                            weights=lambda save: weights(save))

            def say(words):
                print(words, flush=True)
                sys.stdin.read()
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(text)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as trainer:
            assert trainer.stdout is not None
            try:
                self.assertEqual(trainer.stdout.readline().strip(), words)
                self.assertEqual(self.daemon.files("r"), {})
            finally:
                trainer.kill()

    def test_the_newest_becomes_a_checkpoint(self) -> None:
        self.killed_after(
            "held",
            """
            for epoch in range(4):
                run.on_epoch_end(epoch, {})
            run.flush()
            say("held")
            """,
        )
        _, outcomes = self.successor(3, 4)
        self.assertTrue(outcomes[name(4)].HasField("checkpoint"), outcomes)
        self.assertFalse(outcomes[name(3)].HasField("checkpoint"), outcomes)
        self.assertEqual(self.daemon.files("r"), {"s-04": bytes([3]) * 3_000_000})
        with ckptd.Client(self.daemon.server) as client:
            checkpoint = client.checkpoint("r")
            self.assertEqual(bytes(checkpoint.read()), bytes([3]) * 3_000_000)

    def test_amid_a_copy_the_one_before_does(self) -> None:
        self.killed_after(
            "copying",
            """
            class Half:
                size = 3_000_000

                def write_into(self, destination):
                    destination[: self.size // 2] = bytes(self.size // 2)
                    say("copying")

            for epoch in range(4):
                run.on_epoch_end(epoch, {})
            run.flush()
            weights = lambda save: Half()
            run.on_epoch_end(4, {})
            """,
        )
        self.successor(4)
        self.assertEqual(self.daemon.files("r"), {"s-04": bytes([3]) * 3_000_000})
        self.assertEqual(self.ids(), [4])


class Refused(SnapshotTestCase):
    """Where there is no shared memory to be had."""

    def refusal(self, **options: Any) -> ckptd.Error:
        with self.assertRaises(ckptd.Error) as caught, self.run_of(rescue(), **options):
            pass
        self.assertEqual(caught.exception.reason, "SHARED_MEMORY_REQUIRED")
        return caught.exception

    def test_by_the_trainer(self) -> None:
        self.assertRegex(str(self.refusal(shared_memory=False)), "'rescue' .*PLACEMENT_MEMORY")

    def test_by_the_daemon(self) -> None:
        self.daemon.stop()
        self.daemon.start("local: {socket: off}")
        self.assertRegex(str(self.refusal()), "'rescue' .*PLACEMENT_MEMORY")
        self.assertRegex(str(self.refusal(on_unavailable="warn")), "PLACEMENT_MEMORY")

    def test_on_another_host(self) -> None:
        with self.run_of(BEST):
            pass
        welcome, _ = self.successor()
        os.unlink(welcome.local_socket)  # is not there, either
        self.assertRegex(str(self.refusal()), f"cannot be reached .*{welcome.local_socket}")
        with self.run_of(BEST) as run:  # others go by gRPC
            self.epochs(run, [0.5])

    def test_a_slot_over_the_limit_fails_the_save_alone(self) -> None:
        self.daemon.stop()
        self.daemon.start("local: {max_trainer_mib: 1}")
        run = self.run_of(rescue())
        run.on_epoch_end(0, {}, weights=lambda save: bytes(2_000_000))
        with self.assertRaisesRegex(ckptd.SaveError, "s-01") as caught:
            run.flush()
        self.assertEqual(caught.exception.reason, "LIMIT_EXCEEDED")
        self.epochs(run, [1.0], first=1)
        run.close()
        self.successor(2)
        self.assertEqual(self.daemon.files("r"), {"s-02": b"moment 2 "})


class Lost(SnapshotTestCase):
    """No stream will come, and so no outcome."""

    def test_a_run_that_was_taken_over_is_told(self) -> None:
        run = self.run_of(rescue())
        with mock.patch.object(run._uploader, "on_lost") as told:
            self.successor()
            with self.assertRaises(ckptd.FencedError):
                for epoch in range(1000):
                    self.epochs(run, [0.5], first=epoch)
            with self.assertRaises(ckptd.FencedError):
                run.close()
        self.assertEqual(told.call_args.args[0].reason, "WRITER_FENCED")

    def test_nobody_waits_for_what_will_not_come(self) -> None:
        options = UploaderOptions(
            server="", max_uploads=1, patience=1, abandon=lambda save, why: None
        )

        def attempt(upload: Any, server: str, begun: Callable[[], None]) -> v1.UploadFinished:
            begun()
            return v1.UploadFinished()

        with mock.patch("ckptd.internal.uploader.HandOver") as hand_over:
            hand_over.return_value.attempt = attempt
            uploader = Uploader(None, options)
            self.addCleanup(uploader.stop)
            for save in "ab":
                uploader.on_decided(v1.Checkpoint(name=save))
            uploader.upload("a", Snapshot(SlotPool(1), b"w"))
            self.assertFalse(uploader.await_slot("b", wait=False))
            uploader.on_lost(make_error("ABORTED", "fenced", reason="WRITER_FENCED"))
            self.assertTrue(uploader.await_slot("b", wait=False))
            uploader.await_idle()
        failures = uploader.take_failures()
        assert failures is not None
        self.assertEqual(failures.reason, "WRITER_FENCED")


if __name__ == "__main__":
    unittest.main()
