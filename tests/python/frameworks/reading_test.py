"""Checkpoints and history as frames, arrays and plots."""

from __future__ import annotations

import unittest
import xml.etree.ElementTree as ElementTree

import numpy as np
from daemon import DaemonTestCase

import ckptd


class Frames(DaemonTestCase):
    def setUp(self) -> None:
        super().setUp()
        policy = ckptd.CheckpointPolicy("best", "w-{epoch}<b>", save_best_only=True)
        with ckptd.Run(
            "r", policies=[policy], server=self.daemon.server, weights=lambda save: b"w"
        ) as run:
            for epoch, value in enumerate([0.5, float("nan"), 0.25]):
                run.on_epoch_end(epoch, {"val_loss": value, "lr": 0.1})

    def test_a_frame(self) -> None:
        frame = ckptd.checkpoints("r", order_by="metrics.val_loss", server=self.daemon.server)
        frame = frame.to_pandas()
        self.assertEqual(list(frame["epoch"]), [2, 0])
        self.assertEqual(list(frame["val_loss"]), [0.25, 0.5])

    def test_a_plot_is_well_formed_and_escaped(self) -> None:
        history = ckptd.history("r", server=self.daemon.server)
        np.testing.assert_array_equal(history["val_loss"].values, [0.5, np.nan, 0.25])
        svg = ElementTree.fromstring(f"<div>{history._repr_html_()}</div>")
        circles = list(svg.iter("{http://www.w3.org/2000/svg}circle"))
        self.assertEqual(len(circles), 4)  # two checkpoints, two metrics
        table = ckptd.checkpoints("r", server=self.daemon.server)._repr_html_()
        self.assertEqual(len(list(ElementTree.fromstring(table).iter("td"))), 12)
        self.assertIn("w-1&lt;b&gt;", table)


if __name__ == "__main__":
    unittest.main()
