"""State of PyTorch there and back, one process and several."""

from __future__ import annotations

import os
import unittest
from typing import Any

import torch
import torch.multiprocessing as multiprocessing
from daemon import DaemonTestCase

import ckptd
from ckptd import safetensors
from ckptd.torch import load_state, pack, save_state, start_run, unpack

POLICIES = [
    ckptd.CheckpointPolicy("best", "best.safetensors", save_best_only=True, save_weights_only=True),
    ckptd.CheckpointPolicy("last", "last.safetensors"),
]


def training(seed: int) -> tuple[Any, Any, Any]:
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, betas=(0.8, 0.9))
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    return model, optimizer, scheduler


def step(model: Any, optimizer: Any, scheduler: Any) -> None:
    optimizer.zero_grad()
    model(torch.linspace(-1, 2, 20).reshape(5, 4).square()).pow(3).sum().backward()
    optimizer.step()
    scheduler.step()


def state(*parts: Any) -> list[Any]:
    return [comparable(part.state_dict()) for part in parts]


def comparable(value: Any) -> Any:
    if torch.is_tensor(value):
        return (str(value.dtype), tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: comparable(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value), *(comparable(one) for one in value)]
    return value


class Packing(unittest.TestCase):
    def test_all_state_comes_back_bit_for_bit(self) -> None:
        model, optimizer, scheduler = training(1)
        step(model, optimizer, scheduler)
        content = pack(model, optimizer, {"scheduler": scheduler}).to_bytes()
        other = training(2)
        unpack(content, other[0], other[1], {"scheduler": other[2]})
        step(model, optimizer, scheduler)
        step(*other)
        self.assertEqual(state(*other), state(model, optimizer, scheduler))

    def test_types_that_numpy_does_not_have(self) -> None:
        model = torch.nn.Linear(3, 2).to(torch.bfloat16)
        content = pack(model).to_bytes()
        self.assertEqual(safetensors.entries(content)[0]["weight"].code, "BF16")
        other = torch.nn.Linear(3, 2).to(torch.bfloat16)
        unpack(content, other)
        self.assertTrue(torch.equal(model.weight, other.weight))

    def test_what_cannot_be_stored_or_loaded_is_named(self) -> None:
        model, optimizer, scheduler = training(1)

        class Odd:
            def state_dict(self) -> dict[str, Any]:
                return {"a": [1, {2, 3}]}

        with self.assertRaisesRegex(TypeError, "others/odd/a/1 is a builtins.set"):
            pack(model, optimizer, {"odd": Odd()})
        with self.assertRaisesRegex(ValueError, "weights alone"):
            unpack(pack(model).to_bytes(), model, optimizer)
        with self.assertRaisesRegex(ValueError, "no state of 'scheduler'"):
            unpack(pack(model).to_bytes(), model, None, {"scheduler": scheduler})


def one_rank(rank: int, server: str, store: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    model, optimizer, _ = training(5)
    run = start_run("ranks", policies=POLICIES, server=server)
    assert (run is None) == (rank != 0)
    save_state(run, model, optimizer, epoch=0, logs={"val_loss": 1.0})
    if run is not None:
        run.on_train_end()
        run.close()
    torch.distributed.barrier()
    other, other_optimizer, _ = training(6)
    loaded = load_state("ranks", other, other_optimizer, server=server)
    assert loaded is not None and loaded.next_epoch == 1
    assert state(other) == state(model)


class Loops(DaemonTestCase):
    def test_save_and_go_on(self) -> None:
        server = self.daemon.server
        model, optimizer, scheduler = training(1)
        self.assertIsNone(load_state("r", model, optimizer, server=server))
        others = {"scheduler": scheduler}
        with ckptd.Run("r", policies=POLICIES, server=server) as run:
            for epoch, value in enumerate([0.5, 0.7]):
                step(model, optimizer, scheduler)
                logs = {"val_loss": torch.tensor(value)}
                save_state(run, model, optimizer, epoch=epoch, logs=logs, others=others)
        other = training(2)
        loaded = load_state("r", other[0], other[1], others={"scheduler": other[2]}, server=server)
        assert loaded is not None
        self.assertEqual((loaded.next_epoch, loaded.policies), (2, ["last"]))
        self.assertEqual(state(*other), state(model, optimizer, scheduler))
        best = ckptd.best("r", policy="best", server=server)
        self.assertEqual(sorted(best.arrays()), sorted(model.state_dict()))
        best.load_into(other[0])
        self.assertFalse(torch.equal(other[0][0].weight, model[0].weight))

    def test_a_snapshot_in_memory_is_gone_on_from(self) -> None:
        server = self.daemon.server
        model, optimizer, scheduler = training(1)
        memory = ckptd.StorageOptions(placement="memory")
        rescue = ckptd.CheckpointPolicy("rescue", "rescue-{batch}", save_freq=1, options=memory)
        with ckptd.Run("r", policies=[rescue], server=server) as run:
            for batch in range(3):
                step(model, optimizer, scheduler)
                save_state(run, model, optimizer, batch=batch)
            run.flush()
            self.assertEqual(self.daemon.files("r"), {})
            self.daemon.stop()
            self.daemon.start()
        self.assertEqual(list(self.daemon.files("r")), ["rescue-3"])
        other, other_optimizer, _ = training(2)
        loaded = load_state("r", other, other_optimizer, server=server)
        assert loaded is not None
        self.assertEqual(state(other, other_optimizer), state(model, optimizer))

    def test_unserialisable_state_fails_the_save_alone(self) -> None:
        class Odd:
            def state_dict(self) -> dict[str, Any]:
                return {"callback": print}

        model, optimizer, _ = training(1)
        run = ckptd.Run("r", policies=POLICIES, server=self.daemon.server)
        save_state(run, model, optimizer, epoch=0, logs={"val_loss": 1}, others={"odd": Odd()})
        with self.assertRaisesRegex(ckptd.SaveError, "last.safetensors.*others/odd/callback is a"):
            run.close()
        self.assertEqual(list(self.daemon.files("r")), ["best.safetensors"])

    def test_ranks(self) -> None:
        store = os.path.join(self.folder, "store")
        multiprocessing.spawn(one_rank, args=(self.daemon.server, store), nprocs=2)
        self.assertEqual(
            sorted(self.daemon.files("ranks")), ["best.safetensors", "last.safetensors"]
        )


if __name__ == "__main__":
    unittest.main()
