"""The commands of all pages that need neither torch nor a person are run as they stand, and end with 0."""

from __future__ import annotations

import io
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from documented_commands import shown
from edge_cli.doc_pages import SITE, SOURCE
from edge_cli.main import run
from edge_runtime import missing_package
from other_models import write_foreign
from tiny_model import write_tiny_model

VERBS = ("backbones", "data", "docs", "evaluate", "info", "predict", "sign")
# Flags, and names of files, that need what no drawn folder has; test_tutorials runs most of them.
ELSEWHERE = {
    "--watch": "waits for pictures",
    "--explain": "needs torch",
    "--engine": "needs Ray",
    "--reject-unlike": "needs a model with distances",
    "--exact": "needs an int8 model",
    "suspects": "needs a cross-validated run",
    "model-int8.onnx": "needs an int8 model",
    "timm:mobilenetv4_conv_small": "needs torch",
    "--attention": "needs torch",
    "broken.jpg": "shown as it fails",
    "damaged.onnx": "shown as it fails",
    "huge.png": "shown as it fails",
    "spoiled": "shown as it fails",
    "twice": "shown as it fails",
    "--require-signature": "needs cryptography",
    "~/.cache/edge/shapes-0-v1/test/triangle/0000.png": "is the demo's",
}
# Those of the course's scripts take what the script before them drew.
SHOWN = [(page, words) for page, words in shown() if page.endswith(".md")]
COMMANDS = {tuple(words): page for page, words in SHOWN if words[0] in VERBS and not ELSEWHERE.keys() & set(words)}
# Of a run, whose pictures and split a trained one has.
COMMANDS = {words: page for words, page in COMMANDS.items() if words[0] != "evaluate" or "--data" in words}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: photos of two classes, a run with its model, and what else the pages name."""
    home = tmp_path_factory.mktemp("shown")
    model = write_tiny_model(home / "model.onnx", labels=("red", "lime"))
    run_folder = home / "runs" / "photos-tiny-scratch-20260101-000000"
    run_folder.mkdir(parents=True)
    (run_folder / "config.json").write_text('{"created": "2026-01-01T00:00:00+00:00"}', encoding="utf-8")
    (run_folder / "model.onnx").write_bytes(model.read_bytes())
    for name in ("photos", "new-photos", "later-photos", "xrays", "things", "pages", "other-hospital", "line"):
        for label in ("red", "lime"):
            (home / name / label).mkdir(parents=True)
            for number in range(21):
                Image.new("RGB", (40 + number, 40), label).save(home / name / label / f"{number}.png")
    write_foreign(home / "squeezenet.onnx", classes=5)
    (home / "imagenet.txt").write_text("".join(f"thing {number}\n" for number in range(5)))
    for name in ("frames", "frames2", "new", "scans", "2024/07"):
        (home / name).mkdir(parents=True)
        Image.new("RGB", (50, 40), "red").save(home / name / "1.jpg")
    for name in ("x.jpg", "x.png", "photo.jpg", "new-photo.jpg"):
        Image.new("RGB", (50, 40), "red").save(home / name)
    rows = [f"photos/{label}/{number}.png,{label}\n" for label in ("red", "lime") for number in range(21)]
    for name in ("labels.csv", "two.csv"):
        (home / name).write_text("path,label\n" + "".join(rows))
    (home / "mended.csv").write_text("path,label\nphotos/red/0.png,red\n")
    return home


def test_most_of_what_needs_no_torch_is_run() -> None:
    assert len(COMMANDS) >= 25


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_of_a_page_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    if words[0] == "sign" and missing_package("sign"):
        pytest.skip("cryptography is absent")
    if words[0] == "backbones" and missing_package("train"):
        pytest.skip("torch is absent")
    if words[0] == "docs" and not ((SITE / "index.html").is_file() or (SOURCE / "index.md").is_file()):
        pytest.skip("this install carries no documentation")
    for flag, out in pairwise(words):
        if flag in ("--out", "--mistakes"):
            # Of another page's command; nothing is written over.
            (folder / out).unlink(missing_ok=True)
    stdin = b"x.jpg\n" if "--files-from" in words else (folder / "x.jpg").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    monkeypatch.setattr("webbrowser.open", lambda _: True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["edge", *words])
    code = run()
    assert code == 0, f"{COMMANDS[words]}: edge {' '.join(words)}: {capsys.readouterr().err}"
