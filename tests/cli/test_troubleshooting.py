"""What docs/troubleshooting.md says that a command prints, it prints: each block that begins with `$ edge` is run.

The diagnoses are held by tests/train/report/test_troubleshooting_page.py, int8's refusal by that of its budget.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from documented_commands import code_blocks
from edge_cli.doc_pages import find_doc_page
from edge_cli.main import run
from edge_data.sets.leaks import Leak
from edge_runtime import Run
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
    scene = Image.effect_noise((5, 4), 90).resize((40, 40), Image.Resampling.BICUBIC)
    for name in ("good", "scratched"):
        (folder / "line" / name).mkdir(parents=True)
        for index in range(4):
            frame = Image.blend(scene, Image.effect_noise((40, 40), 40), 0.1)
            frame.convert("RGB").save(folder / "line" / name / f"{index}.png")
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
    frequent = PAGE.read_text(encoding="utf-8").partition("## Frequent problems")[2]
    assert len(re.findall(r"(?m)^### ", frequent)) >= 20
    assert len(BLOCKS) >= 13 and len({name for name, _ in entries}) == len(entries)
    for name, text in entries:
        assert "```" in text, name
        page = find_doc_page(name, site=ROOT / "nowhere", source=ROOT / "docs")
        assert (page.path, page.section) == (PAGE, name)


def quoted(name: str) -> list[str]:
    """The lines that the entry of that name quotes."""
    entry = PAGE.read_text(encoding="utf-8").partition(f"{{ #{name} }}\n")[2].partition("\n## ")[0]
    return entry.partition("```text\n")[2].partition("```")[0].splitlines()


def said_by(words: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["edge", *shlex.split(words)])
    run()
    return "".join(capsys.readouterr())


def test_a_package_that_is_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("edge_runtime.extras.find_spec", lambda name: None if name == "torch" else found(name))
    said = said_by("train --data photos", folder, monkeypatch, capsys)
    assert said.splitlines() == quoted("missing-package")


def test_weights_of_another_network(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    from torchvision.models import resnet18

    torch.save(resnet18(weights=None).state_dict(), folder / "resnet18.pth")
    said = said_by("train --data photos --backbone mobilenet_v2 --weights resnet18.pth", folder, monkeypatch, capsys)
    assert said.replace(str(folder.resolve()), "…").splitlines()[-2:] == quoted("other-weights")


def test_weights_that_cannot_be_downloaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch")

    def nobody(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("EDGE_WEIGHTS_DIR", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    words = f"train --data photos --epochs 1 --image-size 32 --threads 1 --out {tmp_path / 'runs'}"
    said = said_by(words, folder, monkeypatch, capsys)
    for line in quoted("no-network"):
        assert line.removesuffix("…") in said


def test_pictures_on_both_sides() -> None:
    example = ("val/Covid/0100.jpg", "train/Covid/COVID-00022.jpg")
    assert f"WARNING: {Leak('val', 10, 66, example, 'the same or nearly').text}" == " ".join(quoted("leak"))


def test_a_training_that_is_interrupted() -> None:
    pytest.importorskip("torch")
    from edge_train.run.interruption import WHOLE, interruptible
    from quick_training import Ear

    ear, (line,) = Ear(), quoted("interrupted")
    job: Any = SimpleNamespace(progress=ear, part=WHOLE, listeners=SimpleNamespace(end=lambda _: None))
    kept = Run(Path(line.partition(" keeps ")[0]))
    with pytest.raises(KeyboardInterrupt), interruptible(job, kept, lambda: True):
        raise KeyboardInterrupt
    assert ear.lines == [line]


def test_a_port_in_use(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = said_by(f"serve --model model.onnx --port {port}", folder, monkeypatch, capsys)
    (shown,) = re.findall(r"`(error: port \d+ is in use)`", PAGE.read_text(encoding="utf-8"))
    assert re.sub(r"\d+", "N", shown) in re.sub(r"\d+", "N", said)
