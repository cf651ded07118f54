"""What the parts hand out: no more than others use, all of it documented."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator

import pytest

from edge_runtime import EXTRAS
from parts import handed_out, imported_names, packages

PARTS = packages()
# edge_vision is for users: docs/python.md and tests/python say what it hands out.
DOORS = [part for part in PARTS if part not in ("edge_cli", "edge_vision")]


@pytest.mark.parametrize("part", DOORS)
def test_a_door_hands_out_what_it_lists(part: str) -> None:
    door = importlib.import_module(part)
    assert door.__all__ == dir(door) == sorted(handed_out(part))
    for name in door.__all__:
        try:
            assert getattr(door, name) is not None
        except ModuleNotFoundError as error:  # on the lean install
            assert any(error.name in needed for needed in EXTRAS.values())
    with pytest.raises(AttributeError, match=f"{part}.*nothing_like_it"):
        door.nothing_like_it  # noqa: B018


@pytest.mark.parametrize("part", DOORS)
def test_a_door_hands_out_nothing_that_no_other_part_uses(part: str) -> None:
    others = [path for other, folder in PARTS.items() if other != part for path in folder.parent.rglob("*.py")]
    used = {name for path in others for module, name in imported_names(path) if module == part}
    # `edge_runtime.Classifier` after `import edge_runtime`.
    used |= {name for path in others for name in _attributes(path.read_text(encoding="utf-8"), part)}
    unused = handed_out(part).keys() - used
    assert not unused


def _attributes(text: str, package: str) -> Iterator[str]:
    if f"import {package}\n" in text:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == package:
                yield node.attr


@pytest.mark.parametrize("part", DOORS)
def test_what_a_door_hands_out_is_documented(part: str) -> None:
    for name, module in handed_out(part).items():
        path = PARTS[part].joinpath(*module.split(".")[1:]).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
                assert ast.get_docstring(node), f"{module}.{name}"
