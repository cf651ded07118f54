"""Values that are written as JSON objects and read back: what each holds is said once, by its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from operator import attrgetter
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints


@dataclass(frozen=True, slots=True)
class PlainData:
    """A frozen dataclass as one JSON object: a key for each field, and one for each figure that is made of them.

    `computed` maps such a figure's key to the attribute that gives it, `renamed` a field to its key where that is
    another than its name.
    """

    computed: ClassVar[Mapping[str, str]] = {}
    renamed: ClassVar[Mapping[str, str]] = {}

    def to_json(self) -> dict[str, Any]:
        """As the report carries it."""
        places = {self.renamed.get(field.name, field.name): field.name for field in fields(self)} | dict(self.computed)
        return {key: _plain(attrgetter(place)(self)) for key, place in places.items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """What `to_json` gave; a field that has a default may be absent, as it is from what was written before it came.

        Raises KeyError, TypeError or ValueError where `value` is nothing like it.
        """
        kinds = get_type_hints(cls)
        keys = {each.name: cls.renamed.get(each.name, each.name) for each in fields(cls)}
        there = [each.name for each in fields(cls) if keys[each.name] in value or each.default is MISSING]
        return cls(**{name: _read(kinds[name], value[keys[name]]) for name in there})


def _plain(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Path):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


def _read(kind: Any, value: Any) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if value is None else _read(next(each for each in inner if each is not type(None)), value)
    if hasattr(kind, "from_json"):
        return kind.from_json(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    plain = {tuple: list, Mapping: dict}.get(origin, kind)
    if kind is Any or (value in inner if origin is Literal else isinstance(value, plain)):
        return tuple(_read(inner[0], each) for each in value) if origin is tuple else value
    raise TypeError(f"{value!r} is no {kind}")
