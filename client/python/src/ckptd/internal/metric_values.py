"""Metrics as trainers have them, as numbers."""

from __future__ import annotations

import numbers
import sys
from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np

Number = Union[int, float]
# Whole numbers beyond this are sent as doubles.
_MAX_INTEGER = 2**63


def to_number(name: str, value: Any) -> Number:
    """The number that a scalar of any kind stands for: Python's, numpy's, or a tensor of one
    element. Errors: TypeError, which names the metric and what it is."""
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, float):
        return value
    if isinstance(value, numbers.Integral):
        if abs(int(value)) > sys.float_info.max:
            raise TypeError(f"metric {name!r} is a whole number beyond every float")
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    size = _size(value)
    if size is not None and size != 1:
        raise TypeError(
            f"metric {name!r} is {_describe(value)}; a metric is one number:"
            " report a mean, or each element by a name of its own"
        )
    item = getattr(value, "item", None)
    if callable(item):
        return to_number(name, _plain(name, item()))
    numpy = getattr(value, "numpy", None)
    if callable(numpy):
        return to_number(name, _plain(name, np.asarray(numpy()).item()))
    raise TypeError(f"metric {name!r} is {_describe(value)}, which is no number")


def to_numbers(logs: Optional[Mapping[str, Any]]) -> dict[str, Number]:
    """None, as some callbacks are given, has no metrics. Errors: as to_number."""
    if not isinstance(logs, (Mapping, type(None))):
        raise TypeError(f"logs is {_describe(logs)}, not a dict of numbers by the metrics' names")
    return {str(name): to_number(str(name), value) for name, value in (logs or {}).items()}


def is_integer(value: Number) -> bool:
    """Whether it travels as a whole number, which file names show without a decimal point."""
    return isinstance(value, int) and -_MAX_INTEGER <= value < _MAX_INTEGER


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return value
    raise TypeError(f"metric {name!r} is {_describe(value)}, which is no real number")


def _size(value: Any) -> Optional[int]:
    shape = getattr(value, "shape", None)
    if shape is None:
        return None
    try:
        return int(np.prod([int(length) for length in shape], dtype=np.int64))
    except (TypeError, ValueError):
        return None


def _describe(value: Any) -> str:
    kind = f"a {type(value).__module__}.{type(value).__qualname__}"
    shape = getattr(value, "shape", None)
    return kind if shape is None else f"{kind} of shape {tuple(shape)}"
