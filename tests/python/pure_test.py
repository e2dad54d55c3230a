"""Parts that need no daemon: checksums, counting, the log, snapshots, retries."""

from __future__ import annotations

import os
import random
import unittest
from collections.abc import Iterator

import numpy as np

from ckptd import v1
from ckptd.errors import make_error
from ckptd.internal.backoff import Backoff, Retry
from ckptd.internal.crc32c import numpy_crc32c
from ckptd.internal.event_log import EventLog
from ckptd.internal.late_decisions import LateDecisions
from ckptd.internal.part_upload import PartUpload
from ckptd.internal.parts import Snapshot
from ckptd.internal.quiet_counter import QuietCounter
from ckptd.internal.rpc_status import is_transient
from ckptd.internal.slots import SlotPool

LIMITS = v1.Limits(max_events_per_batch=2, max_metrics_per_event=3, max_metric_name_bytes=8)


class Crc32c(unittest.TestCase):
    def test_known_values(self) -> None:
        self.assertEqual(numpy_crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(numpy_crc32c(bytes(32)), 0x8A9136AA)
        self.assertEqual(numpy_crc32c(b""), 0)

    def test_agrees_with_the_definition(self) -> None:
        data = random.Random(1).randbytes(66_000)
        for size in (1, 3, 4, 5, 63, 65_535, 65_536, 65_541):
            crc = 0xFFFFFFFF
            for byte in data[:size]:
                crc ^= byte
                for _ in range(8):
                    crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
            self.assertEqual(numpy_crc32c(data[:size]), crc ^ 0xFFFFFFFF, size)


class Counting(unittest.TestCase):
    def test_due_when_the_promise_is_used_up(self) -> None:
        for quiet, batches, due in (
            (0, [0], [True]),
            (2, [0, 1], [False, True]),
            (3, [1, 0], [False, True]),  # a new epoch counts b + 1
            (3, [5], [True]),  # steps_per_execution
        ):
            counter = QuietCounter()
            counter.restart(quiet)
            self.assertEqual([counter.count(b) for b in batches], due, (quiet, batches))


class Uploads(unittest.TestCase):
    """Of one part, to a daemon that takes what it let come and only then lets more come."""

    def upload(self, size: int, offset: int, window: int) -> None:
        content = random.Random(size).randbytes(size)
        taken = bytearray(content[:offset])

        def daemon(requests: Iterator[v1.UploadRequest]) -> Iterator[v1.UploadResponse]:
            self.assertTrue(next(requests).HasField("start"))
            end = offset + window if window else 0
            started = v1.UploadStarted(offset=offset, max_chunk_bytes=1000, window_end=end)
            yield v1.UploadResponse(started=started)
            for request in requests:
                if request.HasField("finish"):
                    self.assertEqual(request.finish.size, size)
                    yield v1.UploadResponse(finished=v1.UploadFinished())
                    return
                self.assertEqual(request.chunk.offset, len(taken))
                taken.extend(request.chunk.data)
                if window:
                    self.assertLessEqual(len(taken), end)
                if len(taken) == end:
                    end += window
                    yield v1.UploadResponse(progress=v1.UploadProgress(window_end=end))

        part = PartUpload(v1.UploadStart(), memoryview(content))
        part.attempt(daemon, "here", lambda: None)
        self.assertEqual(taken, content)

    def test_a_part_keeps_to_the_daemons_window(self) -> None:
        for size, offset, window in (
            (5000, 0, 0),  # it knows none
            (0, 0, 1),
            (50, 0, 1),
            (5000, 0, 999),
            (5000, 0, 1000),
            (5000, 7, 1001),
            (10_001, 500, 2500),
            (5000, 0, 10_000),
        ):
            with self.subTest(size=size, offset=offset, window=window):
                self.upload(size, offset, window)


class Log(unittest.TestCase):
    def test_batches_names_and_acknowledgements(self) -> None:
        log = EventLog()
        log.start_after(10)
        for value in (1, 2.5, 3):
            event = v1.Event(kind=v1.Event.KIND_BATCH_END)
            log.dictionary.encode({"loss": value, "n": 1}, LIMITS, event)
            log.append(event)
        first = log.take_batch(LIMITS)
        assert first is not None
        self.assertEqual([e.seq for e in first.events], [11, 12])
        self.assertEqual([n.name for n in first.metrics], ["loss", "n"])
        self.assertEqual(list(first.events[0].integers), [1, 1])
        self.assertEqual(list(first.events[1].values), [2.5])
        second = log.take_batch(LIMITS)
        assert second is not None
        self.assertEqual(([e.seq for e in second.events], len(second.metrics)), ([13], 0))
        log.acknowledge(12)
        log.rewind()
        again = log.take_batch(LIMITS)
        assert again is not None
        self.assertEqual(([e.seq for e in again.events], len(again.metrics)), ([13], 2))
        self.assertIsNone(log.take_batch(LIMITS))

    def test_events_of_before_the_first_welcome_get_their_numbers_then(self) -> None:
        log = EventLog()
        event = v1.Event(kind=v1.Event.KIND_TRAIN_BEGIN)
        log.append(event)
        log.start_after(41)
        self.assertEqual((event.seq, log.last_seq), (42, 42))

    def test_limits_are_named(self) -> None:
        log = EventLog()
        for logs, words in (
            ({"a": 1, "b": 1, "c": 1, "d": 1}, "4 metrics of an event; the limit is 3"),
            ({"ninebytes": 1}, "9 bytes of a metric name"),
            ({"a\nb": 1}, "without control characters"),
            ({"": 1}, "without control characters"),
        ):
            with self.subTest(logs=logs), self.assertRaisesRegex(Exception, words):
                log.dictionary.encode(logs, LIMITS, v1.Event())


class Snapshots(unittest.TestCase):
    def test_a_snapshot_does_not_change_and_memory_is_used_again(self) -> None:
        pool = SlotPool(max_saves=1)
        model = np.arange(4, dtype=np.float32)
        snapshot = Snapshot(pool, {"a": model, "b": b"bytes", "c": bytearray(b"xy")})
        model[:] = 9
        self.assertEqual(
            [bytes(part.view) for part in snapshot.parts],
            [np.arange(4, dtype=np.float32).tobytes(), b"bytes", b"xy"],
        )
        slot = snapshot.parts[0].slot
        self.assertEqual(snapshot.size, 16 + 5 + 2)
        snapshot.release()
        again = Snapshot(pool, np.zeros(2))
        self.assertIs(again.parts[0].slot, slot)

    def test_a_slot_shows_whether_it_is_whole(self) -> None:
        class Odd:
            size = 8

            def write_into(self, destination: memoryview) -> None:
                self.seen = slot.generation
                destination[:] = b"12345678"

        pool = SlotPool(max_saves=1)
        slot = pool.take(8)
        pool.give_back(slot)
        content = Odd()
        snapshot = Snapshot(pool, content)
        self.assertIs(snapshot.parts[0].slot, slot)
        self.assertEqual((content.seen, slot.generation), (1, 2))
        assert slot.fd is not None
        self.assertEqual(os.pread(slot.fd, 8, 4096), b"12345678")

    def test_what_is_surplus_is_let_go(self) -> None:
        pool = SlotPool(max_saves=1)
        pool.expect(2)
        slots = [pool.take(100) for _ in range(4)]
        for slot in slots:
            pool.give_back(slot)
        self.assertEqual([slot.closed for slot in slots], [True, True, False, False])

    def test_what_is_no_content_is_named(self) -> None:
        with self.assertRaisesRegex(TypeError, "part 'weights' is a list; the weights callback"):
            Snapshot(SlotPool(1), [1, 2])  # type: ignore[arg-type]
        with self.assertRaisesRegex(ValueError, "no parts"):
            Snapshot(SlotPool(1), {})


class Late(unittest.TestCase):
    def keep(self, late: LateDecisions, seq: int, value: float) -> bool:
        policy = v1.CheckpointPolicy(monitor="m", mode="min", save_best_only=True)
        pool = SlotPool(1)
        return late.keep(
            v1.Event(seq=seq), {"m": value}, [policy], lambda payload: Snapshot(pool, bytes(10))
        )

    def test_only_what_may_be_chosen_is_kept(self) -> None:
        late = LateDecisions(max_bytes=100)
        for seq, value in ((1, 0.5), (2, 0.6), (3, 0.4), (4, float("nan"))):
            self.assertTrue(self.keep(late, seq, value))
        full = int(v1.Checkpoint.PAYLOAD_FULL)
        kept = [seq for seq in (1, 2, 3, 4) if late.take(seq, full) is not None]
        self.assertEqual(kept, [1, 3, 4])

    def test_the_oldest_goes_when_there_is_no_room(self) -> None:
        late = LateDecisions(max_bytes=20)
        self.assertTrue(self.keep(late, 1, 3))
        self.assertTrue(self.keep(late, 2, 2))
        self.assertFalse(self.keep(late, 3, 1))
        self.assertIsNone(late.take(1, int(v1.Checkpoint.PAYLOAD_FULL)))
        late.forget(3)
        self.assertEqual([event.seq for event in late.events], [2])


class Retries(unittest.TestCase):
    def test_what_is_tried_again(self) -> None:
        reset = "Received RST_STREAM with error code 11"
        for code, message, reason, transient in (
            ("UNAVAILABLE", "", "DRAINING", True),
            ("INTERNAL", "", "", True),
            ("INTERNAL", "", "INTERNAL", False),
            ("ABORTED", "", "UPLOAD_BUSY", True),
            ("ABORTED", "", "WRITER_FENCED", False),
            ("RESOURCE_EXHAUSTED", "", "DISK_FULL", False),
            ("RESOURCE_EXHAUSTED", "Received message larger than max (5 vs. 4)", "", False),
            ("RESOURCE_EXHAUSTED", reset, "", True),
            ("RESOURCE_EXHAUSTED", reset, "LIMIT_EXCEEDED", False),
        ):
            error = make_error(code, message, reason=reason)
            self.assertEqual(is_transient(error), transient, error)

    def test_damage_is_sent_three_times_and_no_more(self) -> None:
        retry = Retry(patience=100)
        damage = make_error("ABORTED", "", reason="CHUNK_CORRUPT")
        self.assertEqual(
            [retry.after(damage, True) is None for _ in range(3)], [False, False, True]
        )

    def test_a_wish_of_the_daemon_is_honoured(self) -> None:
        self.assertEqual(Backoff().next(make_error("UNAVAILABLE", "", retry_delay=2.0)), 2.0)


if __name__ == "__main__":
    unittest.main()
