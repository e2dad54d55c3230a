"""Keras models as files of Keras's own formats, by way of memory rather than the disk."""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from ckptd import safetensors
from ckptd.internal.parts import PartContent

WEIGHTS_FORMATS = (".weights.h5", ".safetensors")
MODEL_FORMATS = (".keras", ".h5")
# Of a .keras file, which is a zip: the weights, in the format of .weights.h5.
_WEIGHTS_MEMBER = "model.weights.h5"
_ORDER = "ckptd.order"  # of the weights, by their names
_MEMORY = "/dev/shm"
_DESCRIPTIONS = 1 << 20


def format_of(filepath: str) -> str:
    """The ending that says how a file is written; "" for an unknown one."""
    for ending in (*WEIGHTS_FORMATS, *MODEL_FORMATS):
        if filepath.endswith(ending):
            return ending
    return ""


def serialize(model: Any, ending: str) -> PartContent:
    """What Keras itself would write to a file with that ending."""
    if ending == ".safetensors":
        arrays = arrays_of(model)
        return safetensors.Content(arrays, {_ORDER: json.dumps(list(arrays))})
    with scratch(_most_bytes(model)) as folder:
        path = os.path.join(folder, "model" + ending)
        if ending in WEIGHTS_FORMATS:
            model.save_weights(path, overwrite=True)
        else:
            model.save(path, overwrite=True)
        return Path(path).read_bytes()


def arrays_of(model: Any) -> dict[str, safetensors.Array]:
    """The weights by their paths, numbered where paths are equal."""
    arrays: dict[str, safetensors.Array] = {}
    for variable in model.weights:
        path = getattr(variable, "path", variable.name)
        name = path
        number = 2
        while name in arrays:
            name = f"{path}.{number}"
            number += 1
        value = variable.numpy() if hasattr(variable, "numpy") else variable
        arrays[name] = np.asarray(value)
    return arrays


def load(model: Any, content: Any, filepath: str) -> None:
    """Loads what `serialize` made, and the state of a compiled model's optimizer where it is in it.
    Code in a file is never run: of a whole model only the weights are taken.

    Errors: those of Keras when it does not fit; ValueError for another format.
    """
    ending = format_of(filepath)
    if ending == ".safetensors":
        arrays, metadata = safetensors.load(content)
        # By place, as names of layers count up in every process.
        model.set_weights([arrays[name] for name in json.loads(metadata[_ORDER])])
        return
    if not ending:
        raise ValueError(f"{filepath!r} does not end in one of Keras's formats")
    with scratch(2 * len(content)) as folder:
        path = os.path.join(folder, "model" + ending)
        Path(path).write_bytes(content)
        if ending == ".keras":
            with zipfile.ZipFile(path) as archive:
                path = archive.extract(_WEIGHTS_MEMBER, folder)
        optimizer = getattr(model, "optimizer", None)
        if optimizer is not None and not getattr(optimizer, "built", True):
            optimizer.build(model.trainable_variables)
        model.load_weights(path)


def is_maximized(model: Any, monitor: str) -> bool:
    """Whether `monitor` is one of the model's metrics, and one of which more is better."""
    compiled = getattr(model, "_compile_metrics", None)
    wanted = monitor[len("val_") :] if monitor.startswith("val_") else monitor
    for metric in _flatten(getattr(compiled, "_user_metrics", None)):
        if isinstance(metric, str):
            metric = _metric_named(metric)
        if getattr(metric, "name", None) == wanted:
            return bool(getattr(metric, "_direction", None) == "up")
    return False


def _metric_named(name: str) -> Any:
    import keras

    try:
        found = keras.metrics.get(name)
        return found() if isinstance(found, type) else found
    except (TypeError, ValueError):
        return None


def _flatten(metrics: Any) -> list[Any]:
    if isinstance(metrics, dict):
        return [one for value in metrics.values() for one in _flatten(value)]
    if isinstance(metrics, (list, tuple)):
        return [one for value in metrics for one in _flatten(value)]
    return [metrics]


def _most_bytes(model: Any) -> int:
    """What files of the model take while they are written: at most four numbers of 8 bytes for each
    weight, with the optimizer's; and some for descriptions."""
    return _DESCRIPTIONS + 32 * sum(int(math.prod(one.shape)) for one in model.weights)


def scratch(most_bytes: int) -> tempfile.TemporaryDirectory[str]:
    """A folder in memory, or on the disk where memory has no room: containers have 64 MiB there
    unless told otherwise, and a HDF5 file that does not fit can end the process."""
    fits = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= most_bytes
    return tempfile.TemporaryDirectory(prefix="ckptd-", dir=_MEMORY if fits else None)
