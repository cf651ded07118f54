"""A name stands for one thing, and a test lies where what it tests lies."""

from __future__ import annotations

from collections import Counter

import pytest

from parts import ROOT, handed_out, packages

PARTS = packages()
MODULES = {
    part: [path for path in folder.rglob("*.py") if path.name != "__init__.py"] for part, folder in PARTS.items()
}


@pytest.mark.parametrize("part", PARTS)
def test_a_file_name_stands_once_in_a_part(part: str) -> None:
    assert not {name: n for name, n in Counter(path.name for path in MODULES[part]).items() if n > 1}


def test_a_file_name_stands_once_in_the_house() -> None:
    """But for `settings`, of which every part has its own, and the verbs of the command, called as they are."""
    paths = [path for modules in MODULES.values() for path in modules if path.parent.name != "commands"]
    names = Counter(path.name for path in paths if path.stem not in ("settings", "__main__"))
    assert not {name: n for name, n in names.items() if n > 1}


@pytest.mark.parametrize("part", PARTS)
def test_no_module_is_called_like_something_that_the_door_hands_out(part: str) -> None:
    modules = {path.stem for path in MODULES[part]}
    subpackages = {path.name for path in PARTS[part].rglob("*") if path.is_dir()}
    clashes = handed_out(part).keys() & (modules | subpackages)
    assert not clashes


@pytest.mark.parametrize("part", PARTS)
def test_the_tests_lie_as_the_modules_do(part: str) -> None:
    """tests/PART/SUB/test_M.py: SUB is a folder of the part, the one of module M where there is such a module."""
    home = PARTS[part].parent
    modules = {path.stem: path.parent for path in [*MODULES[part], *home.glob("*/*.py")] if path.name != "__init__.py"}
    for test in (ROOT / "tests" / home.name).rglob("test_*.py"):
        below = test.parent.relative_to(ROOT / "tests" / home.name)
        folders = (PARTS[part] / below, home / below)
        assert any(folder.is_dir() for folder in folders), f"{test}: the part has no such folder"
        subject = modules.get(test.stem.removeprefix("test_"))
        assert subject is None or subject in folders, f"{test}: {subject} is where the module lies"
