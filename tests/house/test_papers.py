"""What stands around the code: decisions, pictures, templates, and what a release and a citation say of themselves."""

from __future__ import annotations

import re
import tomllib

import pytest

from parts import ROOT

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_there_are_ten_decisions_each_with_its_price_and_what_else_was_weighed() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("[0-9]*.md"))
    index = (folder / "index.md").read_text(encoding="utf-8")
    assert len(pages) == 10
    for number, page in enumerate(pages, 1):
        text = page.read_text(encoding="utf-8")
        (title,) = re.findall(rf"\A# {number}\. (.+)\n", text)
        assert f"| {number} | [{title}]({page.name}) |" in index
        assert all(f"**{part}" in text for part in ("At stake.**", "Decision.**", "It costs**", "Weighed.**")), page
        assert len(text.splitlines()) < 30


def test_the_pictures_of_the_pages_are_small_shown_and_drawn_by_the_script() -> None:
    script = (ROOT / "docs" / "draw_pictures.py").read_text(encoding="utf-8")
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    pictures = [*(ROOT / "docs" / "pictures").iterdir()]
    assert 0 < len(pictures) <= 10
    for picture in pictures:
        assert picture.suffix == ".png" and picture.stat().st_size <= 60_000, picture
        assert f'"{picture.name}"' in script and f"pictures/{picture.name})" in pages, picture


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r"([\w/-]+\.md)$", navigation, re.MULTILINE)
    there = [page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted(there)


def test_the_release_and_the_hooks_run_what_there_is() -> None:
    yaml = pytest.importorskip("yaml")
    release = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
    commands = [step.get("run", "") for step in release["jobs"]["check"]["steps"]]
    for target in re.findall(r"make ([\w-]+)", "\n".join(commands)):
        assert re.search(rf"(?m)^{target}:", MAKEFILE), target
    assert "make release-check" in commands and release["permissions"] == {"contents": "read"}
    (hooks,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    for hook in hooks["hooks"]:
        tool, *words = hook["entry"].split()
        assert tool.startswith(".venv/bin/")
        assert all((ROOT / word).exists() for word in words if word.startswith("tests/")), hook
    for template in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(template.read_text(encoding="utf-8"))
        assert template.name == "config.yml" or {"name", "description", "body"} <= form.keys(), template


def test_the_citation_is_of_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {PROJECT['project']['version']}\n" in text
    assert f"\nlicense: {PROJECT['project']['license']}\n" in text
