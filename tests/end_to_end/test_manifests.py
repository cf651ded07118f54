"""Lists of labelled images by the commands, as a person types them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge_data import draw_shapes


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    draw_shapes(folder / "photos", counts=(24, 9, 9), size_px=32)
    return folder


def test_a_list_goes_to_the_standard_output_or_to_a_new_file(edge: Any, home: Path) -> None:
    done = edge("data", "list", "photos", cwd=home)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["path,label,split", "photos/train/circle/0000.png,circle,train"]
    assert len(lines) == 1 + 42
    inside = edge("data", "list", "photos", "--out", "photos/labels.tsv", cwd=home)
    assert (inside.stdout, inside.stderr) == ("", "photos/labels.tsv: 42 images of 3 classes\n")
    assert (home / "photos/labels.tsv").read_text().splitlines()[1] == "train/circle/0000.png\tcircle\ttrain"
    for out, said in (("photos/labels.tsv", "is there already"), ("labels.txt", "is no .csv or .tsv file")):
        refused = edge("data", "list", "photos", "--out", out, cwd=home)
        assert refused.returncode == 2 and said in refused.stderr
    (home / "mended.csv").write_text("path,label\nphotos/train/circle/0000.png,disc\n")
    listed_again = edge("data", "list", "photos/labels.tsv", "--relabel", "mended.csv", cwd=home)
    first = "photos/train/circle/0000.png,"
    assert sorted(listed_again.stdout.splitlines()) == sorted([*lines[:1], f"{first}disc,train", *lines[2:]])
    assert listed_again.stderr == "mended.csv changes 1 label\n"


def test_a_list_is_utf_8_whatever_the_terminal(edge: Any, tmp_path: Path) -> None:
    for label in ("Käfer", "猫"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        Image.new("RGB", (8, 8), "red").save(tmp_path / "photos" / label / "1.png")
    done = edge("data", "list", "photos", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["path,label", "photos/Käfer/1.png,Käfer", "photos/猫/1.png,猫"]
    (tmp_path / "photos").rename(tmp_path / os.fsdecode(b"\xff"))
    done = edge("data", "list", os.fsdecode(b"\xff"))
    assert (done.returncode, done.stdout) == (2, "") and "not valid UTF-8" in done.stderr


def test_faults_are_one_line_and_the_exit_code_of_wrong_data(edge: Any, home: Path) -> None:
    (home / "bad.csv").write_text("path,label\nphotos/train/circle/0000.png,circle\ngone.png,square\n,\n'=no.png,x\n")
    done = edge("data", "check", "bad.csv", cwd=home)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[0] == "error: bad.csv, line 3: no file 'gone.png'; line 5: no file \"'=no.png\""
    gone = edge("data", "check", "labls.csv", cwd=home)
    assert gone.returncode == 2
    assert "--data labls.csv: no such folder or manifest" in gone.stderr


def test_a_manifest_is_trained_on_exported_with_and_scored(edge: Any, home: Path) -> None:
    pytest.importorskip("torch")
    (home / "labels.csv").write_text(edge("data", "list", "photos", cwd=home).stdout)
    quick = ("--strategy", "scratch", "--backbone", "squeezenet1_1", "--image-size", "48", "--epochs", "1")
    trained = edge("train", "--data", "labels.csv", *quick, cwd=home)
    assert trained.returncode == 0, trained.stderr
    assert "24 train, 9 val, 9 test images, 3 classes (train, val and test as found)" in trained.stderr
    exported = edge("export", "--data", "labels.csv", cwd=home)
    assert exported.returncode == 0, exported.stderr
    by_list = edge("evaluate", "--data", "labels.csv", "--json", cwd=home)
    assert json.loads(by_list.stdout)["n"] == 9 and "split.csv" in by_list.stderr
    by_both = edge("evaluate", "--data", "photos/test", "--data", "photos/val", "--json", cwd=home)
    assert (json.loads(by_both.stdout)["n"], json.loads(by_both.stdout)["split"]) == (18, "all")
