"""Policies and arguments, before any daemon sees them."""

from __future__ import annotations

import unittest
from typing import Any

import ckptd
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
        with self.assertRaisesRegex(TypeError, r"best\(\) .*'metrics'; did you mean 'metric'\?"):
            ckptd.best("r", metrics="val_loss")  # type: ignore[call-arg]
        with self.assertRaisesRegex(TypeError, "'polcy'; did you mean 'policy'"):
            ckptd.Client("unix:/none").best("r", polcy="best")  # type: ignore[call-arg]

    def test_wrong_values_are_named_before_any_daemon_is_asked(self) -> None:
        policy = CheckpointPolicy("p", "f")
        for error, words, arguments in (
            (
                ValueError,
                "on_unavailable is 'ignore'; .* raise, warn",
                {"on_unavailable": "ignore"},
            ),
            (ValueError, "when_busy is 'drop'; .* wait, skip", {"when_busy": "drop"}),
            (ValueError, "start is 'restart'; .* resume, fresh, create", {"start": "restart"}),
            (
                ValueError,
                "server is 'localhost'; .* HOST:PORT or unix:PATH",
                {"server": "localhost"},
            ),
            (ValueError, "server is 'http://h:1'", {"server": "http://h:1"}),
            (ValueError, "server is 7070", {"server": 7070}),
            (TypeError, "run is None; it must be a str", {"run": None}),
            (
                TypeError,
                r"policies is Checkpoint.*a list of CheckpointPolicy",
                {"policies": policy},
            ),
            (TypeError, "one of policies is 'p'", {"policies": ["p"]}),
            (TypeError, "policy_names is 'p'; .* a list of str", {"policy_names": "p"}),
            (TypeError, "weights is b'w'; .* a function", {"weights": b"w"}),
            (TypeError, "label 'team' is 7; it must be a str", {"labels": {"team": 7}}),
            (TypeError, "reconnect_timeout is '5'", {"reconnect_timeout": "5"}),
            (ValueError, "exit_timeout is -1; it must be 0 or more", {"exit_timeout": -1}),
            (ValueError, "max_uploads is 0; it must be 1 or more", {"max_uploads": 0}),
            (ValueError, "max_buffered_events is 0", {"max_buffered_events": 0}),
        ):
            given: dict[str, Any] = {"run": "r", "server": "unix:/none", **arguments}
            with self.subTest(**arguments), self.assertRaisesRegex(error, words):
                Run(**given)

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
