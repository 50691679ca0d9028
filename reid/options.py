"""Options of functions, written as text: ``margin=0.3``. A function's parameters with a default are its options."""

import inspect
import math
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin, get_type_hints

from reid.errors import BadInputError

Value = float | bool | str


def options_of(call: Callable[..., Any]) -> dict[str, Value]:
    """A function's or class's options with their defaults.

    >>> def hinge(gap, margin=0.3, soft=False): ...
    >>> options_of(hinge)
    {'margin': 0.3, 'soft': False}
    """
    parameters = inspect.signature(call).parameters.values()
    return {one.name: one.default for one in parameters if one.default is not one.empty}


def read_option(call: Callable[..., Any], what: str, name: str, text: str) -> Value:
    """The value of one option, of the type of its default.

    Args:
        call: whose option.
        what: names it in errors.
        name: of the option.
        text: as written: a number, 0 or 1 for a switch, or one of a ``Literal``'s choices.

    Raises:
        BadInputError: an unknown option, or a value that does not fit.
    """
    options = options_of(call)
    if name not in options:
        raise BadInputError(f"{what} has no option {name!r}; it has {', '.join(options) or 'none'}")
    made: Any = call.__init__ if isinstance(call, type) else call  # type: ignore[misc]
    kind = get_type_hints(made).get(name)
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise BadInputError(f"{what}'s {name} is {text!r}; choose from {', '.join(get_args(kind))}")
        return text
    number = read_number(text, f"{what}'s {name}")
    if isinstance(options[name], bool):
        if number not in (0, 1):
            raise BadInputError(f"{what}'s {name} is {text}; write 0 or 1")
        return bool(number)
    if isinstance(options[name], int):
        if number != int(number):
            raise BadInputError(f"{what}'s {name} is {text}; write a whole number")
        return int(number)
    return number


def read_number(text: str, what: str) -> float:
    """A finite number.

    Raises:
        BadInputError: it is none.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInputError(f"{what} is {text!r}; write a finite number")
    return number
