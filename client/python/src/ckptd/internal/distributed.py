"""Which of several training processes speaks to the daemon."""

from __future__ import annotations

import sys
from typing import Any


def is_chief(model: Any = None) -> bool:
    """Whether this process is the first of its training, as far as the frameworks that are loaded
    know. A process alone is."""
    extended = getattr(getattr(model, "distribute_strategy", None), "extended", None)
    if not getattr(extended, "should_checkpoint", True):
        return False
    distributed = getattr(sys.modules.get("torch"), "distributed", None)
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank()) == 0
    jax = sys.modules.get("jax")
    is_initialized = getattr(getattr(jax, "distributed", None), "is_initialized", None)
    if jax is not None and is_initialized is not None and is_initialized():
        return int(jax.process_index()) == 0
    return True
