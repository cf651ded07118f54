"""What other pages than docs/troubleshooting.md quote of a command's output is what it prints."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from documented_commands import PAGES, code_blocks
from edge_cli.main import run
from edge_data.sets.leaks import Leak
from parts import ROOT

DOCS = ROOT / "docs"
QUOTING = {
    page.relative_to(ROOT).as_posix(): block
    for page in PAGES
    for language, block in code_blocks(page)
    if language == "text" and block.startswith("$ edge ") and page.name != "troubleshooting.md"
}


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a folder of two kinds of pages, and loose pictures."""
    for number, name in enumerate(("pages/form/1", "pages/receipt/1", "a", "b", "c", "d")):
        path = tmp_path / f"{name}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 40), 60 + 9 * number).convert("RGB").save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_by(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `edge` says beside its output."""
    monkeypatch.setattr(sys, "argv", ["edge", *words])
    run()
    return capsys.readouterr().err


def one_line(page: str) -> str:
    return " ".join((DOCS / page).read_text(encoding="utf-8").split())


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("page", QUOTING)
def test_a_block_below_a_command(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    command, *quoted = QUOTING[page].splitlines()
    said = said_by(shlex.split(command)[2:], monkeypatch, capsys).splitlines()
    assert said == quoted


def test_the_faults_of_a_list(
    pictures: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["path,label,split", "a.jpg,x,train", "gone.jpg,y,val", "b.jpg,x,train", "c.jpg,y,train", "d.jpg,y,val"]
    (pictures / "labels.csv").write_text("\n".join([*rows, "pages/form/1.jpg,x,dev", ""]))
    error, *_ = said_by(["data", "check", "labels.csv"], monkeypatch, capsys).splitlines()
    assert error.startswith("error: labels.csv, line 3: ") and error in one_line("data.md")


def test_pictures_on_both_sides() -> None:
    leak = Leak("val", 10, 66, ("val/Covid/0100.jpg", "train/Covid/COVID-00022.jpg"), "the same or nearly")
    assert f"WARNING: {leak.text}" in one_line("data.md")
