"""Arguments: wrong names are answered with the closest right one, wrong values by their own."""

from __future__ import annotations

import difflib
import functools
import inspect
import numbers
import operator
from collections.abc import Collection, Iterable
from typing import Any, Callable, TypeVar, cast

_MAX_INDEX = 2**53

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


def check_type(what: str, value: Any, kind: type) -> None:
    """Errors: TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{what} is {value!r:.80}; it must be a {kind.__name__}")


def check_word(what: str, value: Any, words: Collection[str]) -> None:
    """Errors: ValueError."""
    if value not in words:
        raise ValueError(f"{what} is {value!r:.80}; it must be one of {', '.join(words)}")


def check_list(what: str, values: Any, kind: type) -> None:
    """Errors: TypeError, for one alone, too."""
    if isinstance(values, (str, kind)) or not isinstance(values, Iterable):
        raise TypeError(f"{what} is {values!r:.80}; it must be a list of {kind.__name__}")
    for value in values:
        check_type(f"one of {what}", value, kind)


def check_at_least(what: str, value: Any, least: int) -> None:
    """Errors: TypeError, ValueError."""
    if not isinstance(value, numbers.Real):
        raise TypeError(f"{what} is {value!r:.80}; it must be a number")
    if not float(value) >= least:
        raise ValueError(f"{what} is {value}; it must be {least} or more")


def index(what: str, value: Any) -> int:
    """Of an epoch or a batch. Errors: TypeError, ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{what} is {value!r:.80}; it must be a whole number") from None
    if not 0 <= number <= _MAX_INDEX:
        raise ValueError(f"{what} is {number}, not within 0 to 2^53")
    return number


def constructor_suggests_arguments(cls: _Class) -> _Class:
    """The same for a class."""
    constructor = vars(cls)["__init__"]
    setattr(cls, "__init__", suggests_arguments(constructor))  # noqa: B010  (mypy refuses `=`)
    return cls
