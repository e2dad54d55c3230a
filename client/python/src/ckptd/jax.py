"""For JAX: any pytree of arrays as a checkpoint.

    from ckptd import jax as ckptd_jax

    loaded = ckptd_jax.load_state("digits", like=state)  # None when there is nothing yet
    ...
    ckptd_jax.save_state(run, state, epoch=epoch, logs={"val_loss": val_loss})

Leaves are stored as safetensors under their paths, such as "['params']['w']".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Union

import jax
import numpy as np

from ckptd import safetensors, v1
from ckptd.checkpoint import Checkpoint
from ckptd.client import Client
from ckptd.errors import NotFoundError
from ckptd.internal.arguments import suggests_arguments
from ckptd.run import Run


@suggests_arguments
def save_state(
    run: Run,
    tree: Any,
    *,
    epoch: Optional[int] = None,
    batch: Optional[int] = None,
    logs: Optional[Mapping[str, Any]] = None,
) -> v1.Decision:
    """Reports that an epoch has ended, or a batch if `batch` is given, and hands the pytree over if
    a policy wants it. Errors: those of Run's events; what cannot be stored fails the save."""

    def weights(save: v1.Checkpoint) -> safetensors.Content:
        return pack(tree)

    if batch is not None:
        return run.on_batch_end(batch, logs or {}, weights)
    if epoch is None:
        raise TypeError("save_state() needs the epoch that has ended, or the batch")
    return run.on_epoch_end(epoch, logs or {}, weights)


@suggests_arguments
def load_state(
    run: str,
    *,
    like: Any,
    id: Union[str, int] = "latest",
    server: Optional[str] = None,
) -> Optional[tuple[Any, Checkpoint]]:
    """A pytree of the structure of `like`, and the checkpoint it is from; None when there is none.

    Errors: ValueError names a leaf that is missing, left over or of another shape or type.
    """
    with Client(server) as client:
        try:
            checkpoint = client.checkpoint(run, id)
        except NotFoundError:
            return None
        return unpack(checkpoint.read(), like), checkpoint


def pack(tree: Any) -> safetensors.Content:
    """Errors: TypeError names a leaf that is no array of numbers."""
    arrays = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(path)
        try:
            arrays[name] = np.asarray(leaf)
        except TypeError as error:
            raise TypeError(f"leaf {name} is a {type(leaf).__qualname__}: {error}") from None
    return safetensors.Content(arrays)


def unpack(content: Any, like: Any) -> Any:
    arrays, _ = safetensors.load(content)
    leaves = []
    paths, structure = jax.tree_util.tree_flatten_with_path(like)
    for path, leaf in paths:
        name = jax.tree_util.keystr(path)
        array = arrays.pop(name, None)
        expected = np.asarray(leaf)
        if array is None:
            raise ValueError(f"the checkpoint has no leaf {name}")
        if (array.shape, array.dtype) != (expected.shape, expected.dtype):
            raise ValueError(
                f"leaf {name} is {array.dtype}{list(array.shape)} in the checkpoint, and"
                f" {expected.dtype}{list(expected.shape)} in the program"
            )
        leaves.append(jax.numpy.asarray(array) if isinstance(leaf, jax.Array) else array.copy())
    if arrays:
        raise ValueError(f"the checkpoint has a leaf {min(arrays)} that the program has not")
    return jax.tree_util.tree_unflatten(structure, leaves)
