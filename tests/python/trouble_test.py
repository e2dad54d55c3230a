"""Bad input, bad moments: what is raised, and what is said."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import textwrap
import unittest
from typing import Any, Callable
from unittest import mock

import numpy as np
from run_test import BEST, RunTestCase

import ckptd
from ckptd import v1


class Errors(RunTestCase):
    def test_an_absent_daemon_is_named(self) -> None:
        with self.assertRaisesRegex(ckptd.UnavailableError, "no answer from ckptd at unix:/none"):
            ckptd.Run("r", server="unix:/none", reconnect_timeout=0.1, notify=self.notices.append)

    def test_a_daemon_of_an_older_version_is_told(self) -> None:
        with mock.patch("ckptd.version.__version__", "99.0.0"), self.run_of(BEST):
            pass
        self.assertRegex(self.notices[0], "has version 0.* older than this package's 99.0.0")
        self.notices.clear()
        with self.run_of(BEST):
            pass
        self.assertEqual(self.notices, [])

    def test_a_bad_run_name_is_refused(self) -> None:
        with self.assertRaises(ckptd.InvalidArgumentError) as caught:
            ckptd.Run("../r", server=self.daemon.server)
        self.assertEqual(caught.exception.reason, "NAME_INVALID")

    def test_a_metric_that_is_no_number_is_refused_before_it_is_sent(self) -> None:
        with self.run_of(BEST) as run:
            with self.assertRaisesRegex(TypeError, "'val_loss' is a numpy.ndarray of shape"):
                run.on_epoch_end(0, {"val_loss": np.zeros(2)})
            self.epochs(run, [0.5])
        self.assertEqual(list(self.daemon.files("r")), ["w-01"])

    def test_a_failing_weights_callback_fails_the_save_and_gives_the_rank_back(self) -> None:
        def fail(save: v1.Checkpoint) -> bytes:
            raise ZeroDivisionError("no weights today")

        run = self.run_of(BEST)
        run.on_epoch_end(0, {"val_loss": 0.1}, weights=fail)
        with self.assertRaisesRegex(ckptd.SaveError, r"w-01.*ZeroDivisionError: no weights today"):
            run.flush()
        self.epochs(run, [0.2], first=1)
        run.close()
        self.assertEqual(list(self.daemon.files("r")), ["w-02"])

    def test_contents_that_cannot_be_stored_are_named(self) -> None:
        contents: list[tuple[str, Any]] = [
            ("part 'weights' is a NoneType", None),
            ("part 'a' is a str", {"a": "text"}),
            ("gave no parts", {}),
            ("a part is called 1", {1: b"w"}),
            (r"part '\.\./a' is not allowed", {"../a": b"w"}),
            ("part 'weights' is an array of Python objects", np.array([object()])),
        ]
        with self.run_of(BEST) as run:
            for words, content in contents:
                run.on_epoch_end(0, {"val_loss": 1}, weights=lambda save, w=content: w)  # type: ignore[misc]
                with self.subTest(words), self.assertRaisesRegex(ckptd.SaveError, words):
                    run.flush()
            strided = memoryview(b"a-b-c-")[::2]
            run.on_epoch_end(0, {"val_loss": 1}, weights=lambda save: strided)
        self.assertEqual(self.daemon.files("r"), {"w-01": b"abc"})

    def test_an_epoch_is_a_whole_number(self) -> None:
        with self.run_of(BEST) as run:
            for error, words, epoch in (
                (TypeError, "epoch is 1.5; it must be a whole number", 1.5),
                (TypeError, "epoch is '1'", "1"),
                (ValueError, "epoch is -1", -1),
            ):
                with self.subTest(epoch=epoch), self.assertRaisesRegex(error, words):
                    run.on_epoch_end(epoch, {})  # type: ignore[arg-type]
            run.on_epoch_end(np.int64(1), {"val_loss": 1})  # type: ignore[arg-type]

    def test_an_interrupted_save_is_given_up_and_training_may_go_on(self) -> None:
        def interrupt(save: v1.Checkpoint) -> bytes:
            raise KeyboardInterrupt

        with self.run_of(BEST) as run:
            with self.assertRaises(KeyboardInterrupt):
                run.on_epoch_end(0, {"val_loss": 0.1}, weights=interrupt)
            self.epochs(run, [0.2], first=1)  # its rank was given back
        self.assertEqual(list(self.daemon.files("r")), ["w-02"])

    def test_events_come_one_at_a_time(self) -> None:
        with self.run_of(BEST) as run:

            def again(save: v1.Checkpoint) -> bytes:
                with self.assertRaisesRegex(RuntimeError, "another event .* is under way"):
                    run.on_epoch_end(1, {"val_loss": 0.1})
                return b"w"

            run.on_epoch_end(0, {"val_loss": 0.5}, weights=again)
        self.assertEqual(self.daemon.files("r"), {"w-01": b"w"})

    def test_a_newer_process_fences_this_one(self) -> None:
        run = self.run_of(BEST)
        with self.run_of(BEST):
            with self.assertRaises(ckptd.FencedError):
                for epoch in range(1000):
                    self.epochs(run, [0.5], first=epoch)
            with self.assertRaises(ckptd.FencedError):
                run.close()
        with self.assertRaises(ckptd.ClosedError):
            run.on_train_begin()

    def test_an_error_in_the_block_is_not_hidden(self) -> None:
        with self.assertRaises(KeyError), self.run_of(BEST) as run:
            self.epochs(run, [0.5])
            raise KeyError("x")
        self.assertEqual(list(self.daemon.files("r")), ["w-01"])

    def test_a_failing_on_committed_is_reported(self) -> None:
        def fail(checkpoint: v1.Checkpoint, snapshot: object) -> None:
            raise OSError("no space in the attic")

        run = self.run_of(BEST, on_committed=fail)
        self.epochs(run, [0.5])
        with self.assertRaisesRegex(ckptd.SaveError, "no space in the attic"):
            run.close()
        self.assertEqual(list(self.daemon.files("r")), ["w-01"])


class Forks(RunTestCase):
    def fork(self, child: Callable[[], object]) -> tuple[int, str]:
        """A fork that does what `child` says: its process id, and the error that it got."""

        def tell(answers: multiprocessing.SimpleQueue[str]) -> None:
            try:
                child()
            except ckptd.Error as error:
                answers.put(str(error))

        fork = multiprocessing.get_context("fork")
        answers: multiprocessing.SimpleQueue[str] = fork.SimpleQueue()
        process = fork.Process(target=tell, args=(answers,))
        process.start()
        process.join()
        self.assertEqual(process.exitcode, 0)
        return process.pid or 0, answers.get()

    def test_a_fork_is_told_so_and_harms_nothing(self) -> None:
        with self.run_of(BEST) as run:
            self.epochs(run, [0.5])
            _, error = self.fork(lambda: run.on_epoch_end(1, {"val_loss": 0.1}))
            self.assertRegex(error, f"belongs to process {os.getpid()}.* is a fork of it")
            self.epochs(run, [0.4], first=1)
        self.assertEqual(sorted(self.daemon.files("r")), ["w-01", "w-02"])

    def test_a_fork_that_gets_no_answer_is_told_why_that_may_be(self) -> None:
        with self.run_of(BEST):
            child, error = self.fork(
                lambda: ckptd.Run(
                    "c", server="unix:/none", reconnect_timeout=0.1, notify=self.notices.append
                )
            )
        self.assertRegex(error, f"Process {child} is a fork of one that used gRPC before")

    def test_forks_that_close_everything_do_not_hang(self) -> None:
        with self.run_of(BEST, weights=lambda save: bytes(5_000_000)) as run:
            for epoch in range(30):
                self.epochs(run, [1.0 - epoch / 100], first=epoch)
                child = os.fork()
                if child == 0:
                    os.closerange(3, 256)
                    os._exit(0)
                os.waitpid(child, 0)
        self.assertEqual(len(self.daemon.files("r")), 30)


class Exits(RunTestCase):
    def script(
        self,
        text: str,
        run: str = "r",
        weights: str = "bytes(30_000_000)",
        shared_memory: bool = True,
    ) -> subprocess.CompletedProcess[str]:
        head = f"""
            import os, sys, ckptd
            best = ckptd.CheckpointPolicy("best", "w-{{epoch:02d}}", save_best_only=True)
            run = ckptd.Run({run!r}, policies=[best], server={self.daemon.server!r},
                            exit_timeout=EXIT, shared_memory={shared_memory},
                            weights=lambda save: {weights})
        """
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(text).replace("HEAD", textwrap.dedent(head))],
            capture_output=True,
            text=True,
            check=False,
        )

    def test_an_exit_waits_for_uploads(self) -> None:
        for ending in ("", "sys.exit(3)", "raise ValueError('boom')"):
            result = self.script(
                f"""
                EXIT = 60
                HEAD
                run.on_epoch_end(0, {{"val_loss": 0.5}})
                {ending}
                """
            )
            self.assertEqual(list(self.daemon.files("r")), ["w-01"], result.stderr)
            self.assertEqual(result.returncode, {"": 0, "sys.exit(3)": 3}.get(ending, 1))

    def test_an_exit_waits_for_every_part_whichever_way_it_goes(self) -> None:
        two_parts = "{'a': bytes(30_000_000), 'b': bytes(20_000_000)}"
        cases = [
            (weights, shared_memory)
            for weights in ("b'small'", "bytes(30_000_000)", two_parts)
            for shared_memory in (True, False)
        ]
        for weights, shared_memory in cases:
            with self.subTest(weights=weights, shared_memory=shared_memory):
                run = f"r{cases.index((weights, shared_memory))}"
                result = self.script(
                    """
                    EXIT = 60
                    HEAD
                    run.on_epoch_end(0, {"val_loss": 0.5})
                    run.on_epoch_end(1, {"val_loss": 0.4})
                    """,
                    run=run,
                    weights=weights,
                    shared_memory=shared_memory,
                )
                names = {name.split("/")[0] for name in self.daemon.files(run)}
                self.assertEqual(names, {"w-01", "w-02"}, result.stderr)
                self.assertEqual(result.stderr, "")

    def test_an_exit_says_what_is_lost(self) -> None:
        self.daemon.kill()
        result = self.script(
            """
            EXIT = 0.2
            import ckptd.run
            make = ckptd.Run
            ckptd.Run = lambda *a, **k: make(*a, on_unavailable="warn", reconnect_timeout=0.1, **k)
            HEAD
            run.on_epoch_end(0, {"val_loss": 0.5})
            """
        )
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, "ckptd: at exit: .*not safe yet: 1 events, 1 snapshots")


if __name__ == "__main__":
    unittest.main()
