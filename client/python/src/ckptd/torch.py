"""For plain PyTorch loops: report an epoch and hand the state over, in place of `torch.save`.

    from ckptd import torch as ckptd_torch

    loaded = ckptd_torch.load_state("digits", model, optimizer)  # None when there is nothing yet
    run = ckptd_torch.start_run("digits", policies=policies, resumed_from=loaded)
    for epoch in range(loaded.next_epoch if loaded else 0, epochs):
        ...
        ckptd_torch.save_state(run, model, optimizer, epoch=epoch, logs={"val_loss": val_loss})

State is stored as safetensors: the model's tensors under their own names, so that other tools read
the file, and the rest under "optimizer/…" and "others/…". Nothing is pickled. Under
torch.distributed the first rank reports and stores, and all of them load the same checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np
import torch

from ckptd import safetensors, v1
from ckptd.checkpoint import Checkpoint
from ckptd.client import Client
from ckptd.errors import NotFoundError
from ckptd.internal.arguments import suggests_arguments
from ckptd.internal.distributed import is_chief
from ckptd.internal.state_tree import flatten, unflatten
from ckptd.run import Run

_STATE = "ckptd.state"
_CODES = {
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
}
_TORCH_NAMES = {code: name.split(".")[1] for name, code in _CODES.items()}


def start_run(
    run: str, *, resumed_from: Union[Checkpoint, str, int, None] = None, **options: Any
) -> Optional[Run]:
    """A ckptd.Run with its options, on the first rank; None on the others."""
    if not is_chief():
        return None
    if isinstance(resumed_from, Checkpoint):
        resumed_from = resumed_from.id
    return Run(run, resumed_from=resumed_from, **options)


@suggests_arguments
def save_state(
    run: Optional[Run],
    model: torch.nn.Module,
    optimizer: Any = None,
    *,
    epoch: Optional[int] = None,
    batch: Optional[int] = None,
    logs: Optional[Mapping[str, Any]] = None,
    others: Optional[Mapping[str, Any]] = None,
) -> v1.Decision:
    """Reports that an epoch has ended, or a batch if `batch` is given, and hands the state over if
    a policy wants it: weights alone for policies with save_weights_only, else all of it.

    others: more objects with `state_dict`, such as a scheduler, by names of your choice. Call it on
    every rank; where `run` is None it does nothing. Errors: those of Run's events; what cannot be
    stored fails the save (see Run.flush).
    """
    if run is None:
        return v1.Decision()

    def weights(save: v1.Checkpoint) -> safetensors.Content:
        if save.payload == v1.Checkpoint.PAYLOAD_WEIGHTS:
            return pack(model)
        return pack(model, optimizer, others)

    if batch is not None:
        return run.on_batch_end(batch, logs or {}, weights)
    if epoch is None:
        raise TypeError("save_state() needs the epoch that has ended, or the batch")
    return run.on_epoch_end(epoch, logs or {}, weights)


@suggests_arguments
def load_state(
    run: str,
    model: torch.nn.Module,
    optimizer: Any = None,
    *,
    others: Optional[Mapping[str, Any]] = None,
    id: Union[str, int] = "latest",
    server: Optional[str] = None,
) -> Optional[Checkpoint]:
    """Loads what save_state has stored. None, and nothing is changed, when there is none yet.

    Errors: ValueError when the checkpoint holds no state for what is given; what PyTorch raises
    when it does not fit; DataLossError.
    """
    with Client(server) as client:
        try:
            found = client.checkpoint(run, id) if is_chief() else None
        except NotFoundError:
            found = None
        number = _agreed(found.id if found is not None else 0)
        if number == 0:
            return None
        checkpoint = found if found is not None else client.checkpoint(run, number)
        unpack(checkpoint.read(), model, optimizer, others)
        return checkpoint


def load_weights(checkpoint: Checkpoint, model: torch.nn.Module) -> None:
    """Only the model's tensors."""
    unpack(checkpoint.read(), model)


def pack(
    model: torch.nn.Module, optimizer: Any = None, others: Optional[Mapping[str, Any]] = None
) -> safetensors.Content:
    """State as the content of a safetensors file. Errors: TypeError names what cannot be stored."""
    tensors = dict(_bare(model).state_dict())
    for name, tensor in tensors.items():
        if not torch.is_tensor(tensor):
            raise TypeError(f"{name} of the model is a {type(tensor).__qualname__}, no tensor")
    rest = {name: one.state_dict() for name, one in (others or {}).items()}
    metadata = {"format": "pt"}
    for name, state in (
        ("optimizer", optimizer.state_dict() if optimizer else None),
        ("others", rest),
    ):
        if state:
            text, arrays = flatten(state, name, torch.is_tensor)
            metadata[f"{_STATE}.{name}"] = text
            tensors.update(arrays)
    codes = {name: _CODES[str(t.dtype)] for name, t in tensors.items() if str(t.dtype) in _CODES}
    return safetensors.Content({name: _array(t) for name, t in tensors.items()}, metadata, codes)


def unpack(
    content: Any,
    model: torch.nn.Module,
    optimizer: Any = None,
    others: Optional[Mapping[str, Any]] = None,
) -> None:
    """The opposite of pack. Errors: ValueError, and PyTorch's when something does not fit."""
    stored, metadata = safetensors.entries(content)
    tensors = {name: _tensor(entry) for name, entry in stored.items()}
    states: dict[str, Any] = {}
    for name in ("optimizer", "others"):
        text = metadata.get(f"{_STATE}.{name}")
        if text is not None:
            states[name] = unflatten(text, tensors)
            for key in [key for key in tensors if key.startswith(f"{name}/")]:
                del tensors[key]
    if optimizer is not None and "optimizer" not in states:
        raise ValueError("the checkpoint holds weights alone; there is no optimizer's state in it")
    missing = sorted(set(others or {}) - set(states.get("others", {})))
    if missing:
        raise ValueError(f"the checkpoint holds no state of {missing[0]!r}")
    _bare(model).load_state_dict(tensors)
    if optimizer is not None:
        optimizer.load_state_dict(states["optimizer"])
    for name, one in (others or {}).items():
        one.load_state_dict(states["others"][name])


def _bare(model: torch.nn.Module) -> Any:
    """Without the wrapper of distributed training, whose names differ."""
    wrappers = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    return model.module if isinstance(model, wrappers) else model


def _array(tensor: Any) -> safetensors.Array:
    plain = tensor.detach().cpu().contiguous()
    if str(plain.dtype) in _CODES:
        plain = plain.view(torch.int16 if plain.element_size() == 2 else torch.uint8)
    array: safetensors.Array = plain.numpy()
    return array


def _tensor(entry: safetensors.Entry) -> Any:
    if entry.code in _TORCH_NAMES:
        carrier = np.int16 if entry.code == "BF16" else np.uint8
        array = entry.data.view(carrier).reshape(entry.shape)
        return torch.from_numpy(array.copy()).view(getattr(torch, _TORCH_NAMES[entry.code]))
    return torch.from_numpy(entry.array().copy())


def _agreed(number: int) -> int:
    """The first rank's number, on every rank."""
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return number
    nccl = distributed.get_backend() == "nccl"
    told = torch.tensor([number], dtype=torch.int64, device="cuda" if nccl else "cpu")
    distributed.broadcast(told, src=0)
    return int(told.item())
