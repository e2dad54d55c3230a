"""Snapshots that stay in shared memory, by policies with PLACEMENT_MEMORY."""

from __future__ import annotations

from typing import Protocol

from ckptd import v1


class HasOptions(Protocol):
    """A policy, or a placement that it chose."""

    @property
    def options(self) -> v1.StorageOptions: ...


def is_in_memory(chosen: HasOptions) -> bool:
    return chosen.options.placement == v1.StorageOptions.PLACEMENT_MEMORY
