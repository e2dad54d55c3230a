"""Nested state (dicts, lists, numbers, arrays) as arrays by name and a text that nests them."""

from __future__ import annotations

import json
from typing import Any, Callable


def flatten(tree: Any, name: str, is_array: Callable[[Any], bool]) -> tuple[str, dict[str, Any]]:
    """The text, and the arrays by names below `name`.

    Errors: TypeError, which names the place of what is neither an array nor plain data.
    """
    arrays: dict[str, Any] = {}

    def encode(value: Any, path: str) -> Any:
        if is_array(value):
            arrays[path] = value
            return {"array": path}
        if value is None or isinstance(value, (bool, int, float, str)):
            return {"value": value}
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, (str, int)):
                    raise TypeError(f"{path} has the key {key!r}; keys are text or whole numbers")
            return {"dict": [[key, encode(one, f"{path}/{key}")] for key, one in value.items()]}
        if isinstance(value, (list, tuple)):
            kind = "list" if isinstance(value, list) else "tuple"
            return {kind: [encode(one, f"{path}/{index}") for index, one in enumerate(value)]}
        raise TypeError(
            f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be"
            " stored: state is made of tensors, numbers, text, lists and dicts"
        )

    return json.dumps(encode(tree, name)), arrays


def unflatten(text: str, arrays: dict[str, Any]) -> Any:
    """Errors: ValueError for a text that `flatten` has not made, or arrays that are not there."""

    def decode(node: Any) -> Any:
        ((kind, value),) = node.items()
        if kind == "array":
            return arrays[value]
        if kind == "value":
            return value
        if kind == "dict":
            return {key: decode(one) for key, one in value}
        if kind in ("list", "tuple"):
            items = [decode(one) for one in value]
            return items if kind == "list" else tuple(items)
        raise KeyError(kind)

    try:
        return decode(json.loads(text))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"malformed state ({error!r})") from None
