"""What the pages say of the house is there: every path, module and make target they name."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from parts import ROOT, packages

MAP = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
READMES = [folder.parent / "README.md" for folder in packages().values()]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *READMES]


def missing(page: Path, text: str) -> set[str]:
    """The paths that `text` names and that are neither below the root nor below the part whose README it is."""
    packed = [folder for folder in packages().values() if folder.parent == page.parent]
    inside = [path for folder in packed for path in (folder, *folder.rglob("*")) if path.is_dir()]
    words = set(re.findall(r"(?<![\w./:~-])(?:[\w.-]+/)*[\w-]+\.py\b", text))
    words |= {word for word in re.findall(r"`([\w.-]+(?:/[\w.-]+)*/?)`", text) if "/" in word}
    return {word for word in words if not any((folder / word).exists() for folder in (ROOT, page.parent, *inside))}


@pytest.mark.parametrize("page", [ROOT / "CONTRIBUTING.md", *READMES])
def test_the_paths_that_the_map_and_a_part_name_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    gone = missing(page, text)
    assert not gone
    assert missing(page, f"{text} `nowhere/at_all.py`") == {"nowhere/at_all.py"}


@pytest.mark.parametrize("page", PAGES)
def test_the_scripts_modules_and_pages_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for script in re.findall(r"(?:benchmarks|tests|\.ci)/[\w/]+\.(?:py|sh)", text):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"-m (edge_[\w.]+)", text):
        assert find_spec(module), module
    for link in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        assert (page.parent / link).exists(), link
    for named in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", text):
        assert (ROOT / named).is_file(), named


def test_the_map_answers_each_question_in_five_lines() -> None:
    answers = re.findall(r"(?ms)^\*\*([^*]+)\*\*\n(.*?)(?=^\*\*|^## )", MAP)
    assert len(answers) == 10
    for question, answer in answers:
        assert 2 <= len(answer.strip().splitlines()) <= 5, question
        assert re.search(r"`\w+/\w", answer), question


def test_every_part_is_on_the_map_and_has_a_page() -> None:
    for package, folder in packages().items():
        assert f"| `{folder.parent.name}/` | `{package}` |" in MAP
        assert len((folder.parent / "README.md").read_text(encoding="utf-8").splitlines()) >= 7


def test_the_commands_on_the_map_are_makes() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (section,) = re.findall(r"(?ms)^## Five commands\n(.*?)^## ", MAP)
    targets = re.findall(r"(?m)^    make ([\w-]+)", section)
    assert len(targets) == 5
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets)
