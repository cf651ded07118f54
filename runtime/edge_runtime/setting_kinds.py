"""A setting's value as the kind its field has: Python's callers give a text for a path, a path for a text, a list."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from edge_runtime.errors import UsageError, one_line

_NEEDED = {int: "a whole number", float: "a number", bool: "True or False", str: "a text", Path: "a path"}


def as_kind(value: Any, kind: Any, name: str) -> Any:
    """`value` as one of `kind`, the type of a settings field, which a message calls `name`.

    A path is taken for a text and a text for a path, one value for a tuple of such, any whole number for an int. Of a
    dataclass only its own are taken. A kind that is not known here has any value.

    Raises:
        UsageError: it is of another kind, such as "5" or 2.5 where a whole number is needed, or None where the kind has
            no None.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        if value is None and NoneType in get_args(kind):
            return None
        kinds = [each for each in get_args(kind) if each is not NoneType]
        several = isinstance(value, list | tuple)
        return as_kind(value, next((each for each in kinds if (get_origin(each) is tuple) == several), kinds[0]), name)
    if origin is tuple:
        parts = value if isinstance(value, list | tuple) else (value,)
        return tuple(as_kind(part, get_args(kind)[0], name) for part in parts)
    if origin is Literal and value is None and None not in get_args(kind):
        raise UsageError(f"{name} None is not known", f"choose {', '.join(map(str, get_args(kind)))}")
    if type(value) is kind or not (kind in _NEEDED or hasattr(kind, "__dataclass_fields__")):
        return value
    try:
        return _turned(value, kind)
    except (TypeError, ValueError):
        needed = _NEEDED.get(kind) or kind.__name__
        said = f"{name} {one_line(repr(value))[:60]}: {needed} {'are' if needed.endswith('s') else 'is'} needed"
        raise UsageError(said, f"not {type(value).__name__}") from None


def _turned(value: Any, kind: Any) -> Any:
    """Raises TypeError or ValueError where it is none."""
    if kind in (str, Path):
        text = os.fspath(value)
        if isinstance(text, bytes):
            raise TypeError
        return Path(text) if kind is Path and not isinstance(value, Path) else value if kind is Path else text
    # A whole number where a fraction may stand is kept as it was written.
    if isinstance(value, kind) or (kind is float and isinstance(value, int)):
        if isinstance(value, bool):
            raise TypeError
        return value
    if isinstance(value, bool | str | bytes) or kind not in _NEEDED:
        raise TypeError
    if kind is bool:
        # NumPy's own; not the numbers 0 and 1, nor a text, which is true whatever it says.
        if type(value).__name__ not in ("bool", "bool_"):
            raise TypeError
        return bool(value)
    return operator.index(value) if kind is int else float(value)
