"""What docs/troubleshooting.md says that a command prints, it prints: each block that begins with `$ edge` is run."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from documented_commands import code_blocks
from edge_cli.doc_pages import find_doc_page
from edge_cli.main import run
from parts import ROOT
from tiny_model import write_tiny_model

PAGE = ROOT / "docs" / "troubleshooting.md"
BLOCKS = [block for language, block in code_blocks(PAGE) if language == "text" and block.startswith("$ edge ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the page speaks of."""
    folder = tmp_path_factory.mktemp("troubles")
    model = write_tiny_model(folder / "model.onnx", labels=("red", "green", "blue"))
    (folder / "damaged.onnx").write_bytes(model.read_bytes()[:200])
    folders = [f"{data}/{label}" for data in ("photos", "spoiled", "twice") for label in ("fox", "empty")]
    for number, name in enumerate([*folders, "one/fox", "pile"]):
        (folder / name).mkdir(parents=True)
        for index in range(4):
            noise = Image.effect_noise((40, 40), 60 + 5 * number + index)
            noise.convert("RGB").save(folder / name / f"{index}.jpg")
    (folder / "spoiled" / "fox" / "9.jpg").write_text("not a picture")
    (folder / "twice" / "empty" / "copy.jpg").write_bytes((folder / "twice" / "fox" / "3.jpg").read_bytes())
    Image.new("RGB", (40, 60), "red").save(folder / "x.jpg")
    (folder / "broken.jpg").write_bytes((folder / "photos" / "fox" / "0.jpg").read_bytes()[:300])
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return folder


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0].removeprefix("$ edge "))
def test_a_command_prints_what_the_page_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], block: str
) -> None:
    command, *expected = block.splitlines()
    words = shlex.split(command.removeprefix("$ "))
    if words[1] == "train":
        pytest.importorskip("torch")
    if words[1] == "serve":
        pytest.importorskip("uvicorn")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", words)
    assert run() in (1, 2)
    out, err = capsys.readouterr()
    # "…" stands for what is left out, at a line's end or as lines.
    pattern = "".join(r"(?:.*\n)*?" if line == "…" else f"{re.escape(line).replace('…', '.*')}\n" for line in expected)
    assert re.fullmatch(pattern, out + err), out + err


def test_each_entry_has_a_name_that_edge_docs_opens_and_a_block() -> None:
    entries = re.findall(r"(?ms)^### [^\n]*?(?:\{ #([\w-]+) \})?\n(.*?)(?=^##|\Z)", PAGE.read_text(encoding="utf-8"))
    frequent = PAGE.read_text(encoding="utf-8").partition("## Twenty frequent problems")[2]
    assert len(re.findall(r"(?m)^### ", frequent)) == 20
    assert len(BLOCKS) >= 13 and len({name for name, _ in entries}) == len(entries)
    for name, text in entries:
        assert "```" in text, name
        page = find_doc_page(name, site=ROOT / "nowhere", source=ROOT / "docs")
        assert (page.path, page.section) == (PAGE, name)
