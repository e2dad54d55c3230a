"""The daemon of the tests itself."""

from __future__ import annotations

import unittest

from daemon import DaemonTestCase


class Starts(DaemonTestCase):
    def test_a_daemon_that_ends_before_it_is_ready_is_an_error_with_its_words(self) -> None:
        self.daemon.stop()
        with self.assertRaisesRegex(RuntimeError, "(?s)ended with [1-9].*no_such_setting"):
            self.daemon.start("no_such_setting: 1")
        self.daemon.start()


if __name__ == "__main__":
    unittest.main()
