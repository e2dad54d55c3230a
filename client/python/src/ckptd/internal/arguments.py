"""Wrong argument names are answered with the closest right one."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Iterable
from typing import Any, Callable, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Class = TypeVar("_Class", bound=type)


def unexpected_argument(function: str, name: str, known: Iterable[str]) -> TypeError:
    message = f"{function}() got an unexpected keyword argument {name!r}"
    close = difflib.get_close_matches(name, list(known), n=1)
    return TypeError(message + (f"; did you mean {close[0]!r}?" if close else ""))


def suggests_arguments(function: _Function) -> _Function:
    """For functions without **kwargs."""
    known = [name for name in inspect.signature(function).parameters if name != "self"]
    shown = function.__qualname__.replace(".__init__", "")

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in known:
                raise unexpected_argument(shown, name, known)
        return function(*args, **kwargs)

    return cast(_Function, checked)


def constructor_suggests_arguments(cls: _Class) -> _Class:
    """The same for a class."""
    constructor = vars(cls)["__init__"]
    setattr(cls, "__init__", suggests_arguments(constructor))  # noqa: B010  (mypy refuses `=`)
    return cls
