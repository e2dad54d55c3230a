"""The examples train on real data, are killed, and go on. EXAMPLE says which."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from daemon import DaemonTestCase

import ckptd

EXAMPLES = Path(__file__).resolve().parents[3] / "client" / "examples"
EXAMPLE = os.environ["EXAMPLE"]


class Example(DaemonTestCase):
    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, str(EXAMPLES / f"{EXAMPLE}.py"), *arguments],
            cwd=self.folder,
            env={**os.environ, "CKPT_SERVER": self.daemon.server},
            stdout=subprocess.PIPE,
            text=True,
        )

    def test_it_learns_is_killed_and_goes_on(self) -> None:
        trainer = self.start("--epochs", "1000")
        client = ckptd.Client(self.daemon.server)
        self.addCleanup(client.close)
        assert trainer.stdout is not None
        for line in trainer.stdout:
            if re.match(r"epoch 4|Epoch 5/", line):
                break
        trainer.kill()
        trainer.communicate()
        self.daemon.stop()  # what it had been handed is committed by then
        self.daemon.start()
        saved = client.checkpoint(EXAMPLE, "latest").next_epoch
        out, _ = self.start("--epochs", str(saved + 12)).communicate()
        first = re.search(r"(?:epoch|Epoch) (\d+)", out)
        assert first is not None, out
        self.assertEqual(int(first[1]), saved + 1)
        result = re.search(r"best val_(accuracy|loss) (0\.\d+)", out)
        assert result is not None, out
        metric, value = result.groups()
        best = client.best(EXAMPLE, f"val_{metric}").metrics[f"val_{metric}"]
        self.assertAlmostEqual(best, float(value), places=3)
        self.assertTrue(best > 0.85 if metric == "accuracy" else best < 0.5, out)


if __name__ == "__main__":
    unittest.main()
