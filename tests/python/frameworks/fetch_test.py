"""Fetches that are interrupted; needs the package xxhash, which Debian's python3 need not have."""

from __future__ import annotations

import unittest
from collections.abc import Iterator
from typing import Any

import numpy as np
from daemon import DaemonTestCase

import ckptd


class Fetches(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.content = np.random.default_rng(3).integers(0, 256, 5_000_000, np.uint8).tobytes()
        policy = ckptd.CheckpointPolicy("every", "e-{epoch}")
        with ckptd.Run(
            "r", policies=[policy], server=self.daemon.server, weights=lambda save: self.content
        ) as run:
            run.on_epoch_end(0, {"val_loss": 0.5})
        self.client = ckptd.Client(self.daemon.server)
        self.addCleanup(self.client.close)
        self.asked: list[int] = []  # offsets, in order
        self.break_after: list[int] = []  # answers, of each download
        self.download: Any = self.client._download
        self.client._download = self.counting
        self.path = self.folder / "out" / "w"
        self.partial = self.folder / "out" / "w.part"

    def counting(self, request: Any, **options: Any) -> Iterator[Any]:
        self.asked.append(request.offset)
        left = self.break_after.pop(0) if self.break_after else None
        for response in self.download(request, **options):
            if left == 0:
                raise KeyboardInterrupt
            left = None if left is None else left - 1
            yield response

    def fetch(self) -> None:
        self.client.best("r").fetch(self.path)

    def check(self) -> None:
        self.assertEqual(self.path.read_bytes(), self.content)
        self.assertEqual([one.name for one in self.path.parent.iterdir()], ["w"])

    def test_goes_on_where_an_interrupted_one_has_stopped(self) -> None:
        self.break_after = [3]
        with self.assertRaises(KeyboardInterrupt):
            self.fetch()
        self.assertFalse(self.path.exists())
        has = self.partial.stat().st_size
        self.assertTrue(0 < has < len(self.content))
        self.fetch()
        self.assertEqual(self.asked, [0, has])
        self.check()

    def test_begins_anew_where_what_is_there_is_something_else(self) -> None:
        for there, asked in (
            (b"x" * 1000, [1000, 0]),
            (b"x" * len(self.content), [0]),
            (b"x" * (len(self.content) + 1), [0]),
            (self.content, []),
            (b"", [0]),
        ):
            with self.subTest(length=len(there)):
                self.path.parent.mkdir(exist_ok=True)
                self.partial.write_bytes(there)
                self.asked.clear()
                self.fetch()
                self.assertEqual(self.asked, asked)
                self.check()

    def test_follows_no_link(self) -> None:
        self.path.parent.mkdir()
        other = self.folder / "other"
        self.partial.symlink_to(other)
        with self.assertRaises(OSError):
            self.fetch()
        self.assertFalse(other.exists())

    def test_leaves_the_partial_file_of_another_fetch_alone(self) -> None:
        self.break_after = [3, 0]

        def at_the_same_time(request: Any, **options: Any) -> Iterator[Any]:
            self.client._download = self.counting
            self.break_after.clear()
            self.fetch()
            self.check_first = self.path.read_bytes()
            return self.counting(request, **options)

        self.client._download = at_the_same_time
        self.fetch()
        self.assertEqual(self.check_first, self.content)
        self.check()


if __name__ == "__main__":
    unittest.main()
