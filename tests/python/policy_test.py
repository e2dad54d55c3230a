"""Policies and arguments, before any daemon sees them."""

from __future__ import annotations

import unittest

from ckptd import CheckpointPolicy, Run, StorageOptions, v1
from ckptd.version import skew_warning


class Policy(unittest.TestCase):
    def test_fields_arrive_in_the_message(self) -> None:
        message = CheckpointPolicy(
            "best",
            "w-{epoch}",
            monitor="acc",
            verbose=1,
            save_best_only=True,
            mode="max",
            save_freq=7,
            initial_value_threshold=0.0,
            options=StorageOptions(projection="copy", acknowledge="durable"),
        ).to_message()
        self.assertEqual(message.save_freq.number_value, 7)
        self.assertTrue(message.HasField("initial_value_threshold"))
        self.assertFalse(message.HasField("period"))
        self.assertEqual(message.options.projection, v1.StorageOptions.PROJECTION_COPY)
        self.assertEqual(message.options.acknowledge, v1.StorageOptions.ACKNOWLEDGE_DURABLE)

    def test_save_freq_is_checked_as_the_reference_does(self) -> None:
        for good in ("epoch", 1, 0, -1, True):
            CheckpointPolicy("p", "f", save_freq=good).to_message()
        for bad in ("batch", 2.0, None):
            with (
                self.subTest(bad=bad),
                self.assertRaisesRegex(ValueError, "Unrecognized save_freq"),
            ):
                CheckpointPolicy("p", "f", save_freq=bad).to_message()  # type: ignore[arg-type]

    def test_wrong_words_are_answered_with_the_right_ones(self) -> None:
        with self.assertRaisesRegex(ValueError, "'symlink'; it must be one of link, reflink, copy"):
            StorageOptions(projection="symlink").to_message()
        with self.assertRaisesRegex(TypeError, r"'savebest_only'; did you mean 'save_best_only'\?"):
            CheckpointPolicy("p", "f", savebest_only=True)  # type: ignore[call-arg]
        with self.assertRaisesRegex(TypeError, r"Run\(\) .*'polices'; did you mean 'policies'\?"):
            Run("r", polices=[])  # type: ignore[call-arg]
        with self.assertRaisesRegex(ValueError, '"raise" or "warn"'):
            Run("r", on_unavailable="ignore")
        with self.assertRaisesRegex(ValueError, "resume, fresh, create"):
            Run("r", start="restart")

    def test_an_older_daemon_is_mentioned(self) -> None:
        for version, warns in (
            ("0.1.0", False),
            ("0.2.0", False),
            ("1.0", False),
            ("", False),
            ("0.0.9", True),
            ("dev", False),
        ):
            self.assertEqual(bool(skew_warning("s", version)), warns, version)


if __name__ == "__main__":
    unittest.main()
