"""Several processes of one training, under torch.distributed: the first one speaks and writes."""

from __future__ import annotations

import os
import unittest
from pathlib import Path

import torch
import torch.multiprocessing as multiprocessing
from keras_testing import KerasTestCase, fit, make_model, names

import ckptd
from ckptd.keras import ModelCheckpoint


def one_rank(rank: int, place: str, store: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    for name, arguments in (("w.weights.h5", {"save_weights_only": True}), ("m.keras", {})):
        ours = ModelCheckpoint(Path(place) / name, run=f"run-{name}", **arguments)
        fit(make_model(), 2, [ours])
        torch.distributed.barrier()
        assert (Path(place) / name).is_file()


class Ranks(KerasTestCase):
    def test_one_of_them_writes_where_all_look(self) -> None:
        store = os.path.join(self.folder, "store")
        multiprocessing.spawn(one_rank, args=(str(self.place), store), nprocs=2)
        self.assertEqual(names(self.place), ["m.keras", "w.weights.h5"])
        for name in names(self.place):
            listed = ckptd.checkpoints(f"run-{name}")
            self.assertEqual([checkpoint.epoch for checkpoint in listed], [1])


if __name__ == "__main__":
    unittest.main()
