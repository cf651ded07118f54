"""Values as JSON objects: whatever a field may hold comes back as it was, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import pytest

from edge_benchmarks.plain_data import PlainData


@dataclass(frozen=True, slots=True)
class Inner(PlainData):
    side: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer(PlainData):
    name: str
    sure: bool = True
    count: int | None = None
    kind: Literal["a", "b"] = "a"
    inner: Inner | None = None
    many: tuple[Inner, ...] = ()
    versions: Mapping[str, str] | None = None
    computed: ClassVar = {"length": "length", "side": "inner.side"}

    @property
    def length(self) -> int:
        """Of the name."""
        return len(self.name)


FULL = Outer(
    name="x", sure=False, count=3, kind="b", inner=Inner(2), many=(Inner(1.5), Inner(0.5)), versions={"a": "1"}
)


def test_what_is_written_is_read_again_and_figures_stand_beside_it() -> None:
    value = json.loads(json.dumps(FULL.to_json()))
    assert value["length"] == 1 and value["side"] == 2 and value["many"] == [{"side": 1.5}, {"side": 0.5}]
    assert Outer.from_json(value) == FULL and isinstance(Outer.from_json(value).inner.side, float)
    bare = replace(FULL, count=None, versions=None)
    assert Outer.from_json({**bare.to_json(), "of a later schema": 1}) == bare


def test_a_field_that_came_later_has_its_default_and_one_without_is_missed() -> None:
    value = {key: each for key, each in FULL.to_json().items() if key not in ("kind", "many")}
    assert Outer.from_json(value) == replace(FULL, kind="a", many=())
    with pytest.raises(KeyError, match="name"):
        Outer.from_json({key: each for key, each in value.items() if key != "name"})


@pytest.mark.parametrize(
    "damage",
    [
        {"name": 3},
        {"name": None},
        {"sure": "yes"},
        {"count": 1.5},
        {"kind": "c"},
        {"inner": 3},
        {"inner": {"side": True}},
        {"inner": {"side": "2"}},
        {"inner": {}},
        {"many": {"side": 1.0}},
        {"many": [None]},
        {"versions": ["a"]},
    ],
)
def test_what_is_no_such_value_is_refused(damage: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Outer.from_json({**FULL.to_json(), **damage})
