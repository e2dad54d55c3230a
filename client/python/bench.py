"""How long a save keeps the training thread, and how long it takes to be safe.

    python3 client/python/bench.py [--mib 64 512 2048] [--repeats 5] [--json] [--folder DIR]

Each way is given the same arrays, once a round, in an order that changes; shown are the medians of
`repeats` rounds after one to warm up. "stall" is until training can go on, "durable" until the
bytes survive a crash (fsync of the file; for asynchronous ways, until they say so). "x memcpy" is
the stall as a multiple of a copy of the same arrays into warm memory, measured in the same rounds.
Ways whose packages are missing are named and left out. A daemon is started on --folder (a temporary
folder) and ended.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np

import ckptd
from ckptd import safetensors

ARRAYS = 200  # a model has many, of different sizes
Arrays = dict[str, Any]
# Saves, calls `training_goes_on` when it has returned to the trainer, and returns when durable.
Way = Callable[[Arrays, Callable[[], None]], None]


def make_arrays(mib: int) -> Arrays:
    generator = np.random.default_rng(1)
    weights = generator.random(ARRAYS) + 0.1
    counts = (weights / weights.sum() * mib * 2**18).astype(int)
    return {
        f"layer{i}/kernel": generator.standard_normal(count, dtype=np.float32)
        for i, count in enumerate(counts)
    }


def memcpy(folder: Path) -> Way:
    targets: Arrays = {}

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        for name, array in arrays.items():
            if name not in targets or targets[name].size != array.size:
                targets[name] = np.empty_like(array)
            np.copyto(targets[name], array)
        training_goes_on()

    return save


def by_ckptd(run: ckptd.Run) -> Way:
    epochs = iter(range(1_000_000))

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        run.on_epoch_end(next(epochs), {}, weights=lambda save: safetensors.Content(arrays))
        training_goes_on()
        run.flush()

    return save


def by_torch_save(folder: Path) -> Way:
    import torch

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        with (folder / "torch.pt").open("wb") as file:
            torch.save(tensors, file)
            file.flush()
            os.fsync(file.fileno())
        training_goes_on()

    return save


def by_dcp_async_save(folder: Path) -> Way:
    import torch
    import torch.distributed.checkpoint as dcp

    numbers = iter(range(1_000_000))

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        target = folder / f"dcp{next(numbers)}"
        future = dcp.async_save(tensors, checkpoint_id=str(target))
        training_goes_on()
        future.result()
        shutil.rmtree(target)

    return save


def by_keras_save_weights(folder: Path) -> Way:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    models: dict[int, Any] = {}

    def model_of(arrays: Arrays) -> Any:
        if id(arrays) not in models:
            models.clear()
            layers = [keras.layers.Dense(array.size, use_bias=False) for array in arrays.values()]
            for layer, array in zip(layers, arrays.values()):
                layer.build((None, 1))
                layer.set_weights([array.reshape(1, -1)])
            inputs = keras.Input((1,))
            outputs = [layer(inputs) for layer in layers]
            models[id(arrays)] = keras.Model(inputs, outputs)
        return models[id(arrays)]

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        path = folder / "keras.weights.h5"
        model_of(arrays).save_weights(path, overwrite=True)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        training_goes_on()

    return save


def by_orbax_async(folder: Path) -> Way:
    import orbax.checkpoint as orbax

    checkpointer = orbax.AsyncCheckpointer(orbax.StandardCheckpointHandler())
    numbers = iter(range(1_000_000))

    def save(arrays: Arrays, training_goes_on: Callable[[], None]) -> None:
        target = folder / f"orbax{next(numbers)}"
        checkpointer.save(target, args=orbax.args.StandardSave(arrays))
        training_goes_on()
        checkpointer.wait_until_finished()
        shutil.rmtree(target)

    return save


# Name -> the module it needs, and how it is made.
PEERS: dict[str, tuple[str, Callable[[Path], Way]]] = {
    "memcpy": ("numpy", memcpy),
    "torch.save + fsync": ("torch", by_torch_save),
    "torch DCP async_save": ("torch.distributed.checkpoint.state_dict_saver", by_dcp_async_save),
    "Keras save_weights + fsync": ("keras", by_keras_save_weights),
    "Orbax AsyncCheckpointer": ("orbax.checkpoint", by_orbax_async),
}


def installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def daemon_in(folder: Path) -> Iterator[str]:
    binary = os.environ.get(
        "CKPTD_BINARY", str(Path(__file__).parents[2] / "build" / "bin" / "ckptd")
    )
    server = f"unix:{folder}/ckptd.sock"
    command = [binary, "--data-dir", str(folder / "data"), "--listen", server, "--http", "off"]
    with subprocess.Popen([*command, "--log-level", "error"]) as process:
        try:
            yield server
        finally:
            process.terminate()


def run_on(server: str, name: str, shared_memory: bool) -> ckptd.Run:
    policy = ckptd.CheckpointPolicy("last", "last.safetensors")
    return ckptd.Run(
        name,
        policies=[policy],
        server=server,
        shared_memory=shared_memory,
        notify=lambda text: None,
    )


def measure(way: Way, arrays: Arrays) -> tuple[float, float]:
    """Seconds of stall, and until durable."""
    stalls: list[float] = []
    begin = time.perf_counter()
    way(arrays, lambda: stalls.append(time.perf_counter() - begin))
    return stalls[0], time.perf_counter() - begin


def rounds(ways: dict[str, Way], arrays: Arrays, repeats: int) -> dict[str, Any]:
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    order = list(ways)
    for number in range(repeats + 1):
        random.Random(number).shuffle(order)
        for name in order:
            os.sync()  # nobody waits for what the one before has left to the disk
            taken[name].append(measure(ways[name], arrays))
    medians = {
        name: [statistics.median(column) for column in zip(*times[1:])]
        for name, times in taken.items()
    }
    copy = medians["memcpy"][0]
    return {
        name: {"stall_s": stall, "durable_s": durable, "stall_per_memcpy": stall / copy}
        for name, (stall, durable) in medians.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mib", type=int, nargs="+", default=[64, 512, 2048])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="ckptd-bench-", dir=options.folder)).resolve()
    results: dict[str, Any] = {}
    try:
        for server in daemon_in(folder):
            with run_on(server, "shared", True) as shared, run_on(server, "grpc", False) as grpc:
                ways: dict[str, Way] = {}
                for name, (module, make) in PEERS.items():
                    if installed(module):
                        ways[name] = make(folder)
                    else:
                        print(f"left out: {name} ({module} is not installed)", file=sys.stderr)
                ways["ckptd, shared memory"] = by_ckptd(shared)
                ways["ckptd, gRPC"] = by_ckptd(grpc)
                for mib in options.mib:
                    results[str(mib)] = rounds(ways, make_arrays(mib), options.repeats)
                    if not options.json:
                        show(mib, results[str(mib)])
    finally:
        shutil.rmtree(folder)
    if options.json:
        print(json.dumps(results, indent=2))


def show(mib: int, result: dict[str, Any]) -> None:
    print(f"{mib} MiB{'':<22} stall ms   durable ms   x memcpy")
    for name, figures in result.items():
        print(
            f"  {name:<28}{figures['stall_s'] * 1e3:>9.1f}{figures['durable_s'] * 1e3:>13.1f}"
            f"{figures['stall_per_memcpy']:>11.2f}"
        )


if __name__ == "__main__":
    main()
