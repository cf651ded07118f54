"""What a setting says is read by the Python reference from the code alone, without running it."""

from __future__ import annotations

import ast

import pytest

from parts import packages

PARTS = packages()


def _words(call: ast.Call) -> list[ast.expr]:
    default = call.args[3:4] or [each.value for each in call.keywords if each.arg == "shown_default"]
    return [call.args[0], *default]


def _is_readable(words: ast.expr) -> bool:
    """A literal, a name that was given one, or str(NAME): what docs/griffe_settings.py understands."""
    if isinstance(words, ast.Call) and isinstance(words.func, ast.Name) and words.func.id == "str":
        words = words.args[0]
    return isinstance(words, ast.Constant | ast.Name)


@pytest.mark.parametrize("part", PARTS)
def test_the_words_of_a_setting_are_read_without_running_it(part: str) -> None:
    for path in PARTS[part].rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Setting":
                assert all(map(_is_readable, _words(call))), f"{path}:{call.lineno}"
