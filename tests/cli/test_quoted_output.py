"""What other pages than docs/troubleshooting.md quote of a command's output is what it prints."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from documented_commands import PAGES, code_blocks
from edge_benchmarks.machine.environment import read_environment
from edge_cli.commands.export import COLUMNS as EXPORT_COLUMNS
from edge_cli.commands.tune import COLUMNS as TUNE_COLUMNS
from edge_cli.main import run
from edge_cli.predict.output import Table
from edge_cli.predict.several_output import SeveralTable
from edge_cli.predict.watch import _line as sighting_line
from edge_cli.split_scores import _print_folds as print_folds, headline_text, print_scores, print_threshold
from edge_data.sets.leaks import Leak
from edge_runtime import CROSS_VALIDATED, MultiLabelPrediction, Prediction, Sighting
from parts import ROOT

DOCS = ROOT / "docs"
MEASURED = ("p50 ms", "p90 ms", "p99 ms")
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


def quoted(page: str, begins: str) -> str:
    """The one line of a page, in or out of a block, that begins so."""
    (line,) = (line for line in (ROOT / page).read_text(encoding="utf-8").splitlines() if line.startswith(begins))
    return line


def test_a_threshold_chosen_on_cross_validated_answers(capsys: pytest.CaptureFixture[str]) -> None:
    point = {"positive": "ill", "threshold": 0.3, "min_sensitivity": 0.95, "n": 317, "positives": 227}
    found = {
        **{"sensitivity": 0.952, "sensitivity_interval_95": [0.915, 0.973]},
        **{"specificity": 0.956, "specificity_interval_95": [0.891, 0.983]},
        **{"found": 216, "missed": 11, "alarmed": 4, "left": 86},
    }
    print_threshold(point, {CROSS_VALIDATED: {"at_threshold": found}}, CROSS_VALIDATED)
    folds = {"mean_accuracy": 0.921, "standard_deviation": 0.012, "n": 317, "epochs": 9, "folds": ()}
    print_folds({**folds, "folds": [{"fold": 1, "n": 63, "accuracy": 0.9, "epoch": 9, "best_epoch": 9}] * 5})
    said = capsys.readouterr().out.splitlines()
    for begins in ("ill from a probability", "  cross-validated", "mean of 5 folds"):
        assert quoted("docs/recipes/medical.md", begins) in said


def test_what_a_watched_folder_says() -> None:
    page = "docs/tutorials/camera-trap.md"
    for line in (quoted(page, "incoming/cam1-20261107_000004"), quoted(page, "incoming/cam1-20261107_000005")):
        image, label, share, moved = line.split("  ")
        seen = Sighting(image, label, float(share.rstrip("%")) / 100, (), moved.removeprefix("moved to "))
        assert line == sighting_line(seen, None, jsonl=False)


def test_an_answer_of_several_labels(capsys: pytest.CaptureFixture[str]) -> None:
    shares = np.array([0.982, 0.982, 0.018], dtype=np.float32)
    labels = ("red", "green", "blue")
    SeveralTable(5, 0.0).write(MultiLabelPrediction("yellow.png", labels, shares, thresholds=(0.5, 0.25, 0.9)))
    for line in capsys.readouterr().out.splitlines():
        assert quoted("docs/predict.md", f"    {line}") == f"    {line}"


def test_an_answer_of_one_label(capsys: pytest.CaptureFixture[str]) -> None:
    shares = np.array([0.0051, 0.0438, 0.9510], dtype=np.float32)
    Table(5, 0.0).write(Prediction("0000.png", ("circle", "square", "triangle"), shares))
    for line in capsys.readouterr().out.splitlines()[1:]:
        assert quoted("README.md", line) == line


def test_what_a_training_says(capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch")
    from edge_train import TrainSettings, find_backbone
    from edge_train.strategy.choice import choose_strategy

    figures = {"accuracy": 1.0, "n": 60, "accuracy_interval_95": [0.94, 1.0], "expected_calibration_error": 0.033}
    absent: dict[str, list[str]] = {"per_class": [], "absent": []}
    print_scores({"metrics": {"val": {**figures, **absent}, "test": {**figures, **absent}}, "headline": "test"})
    said = capsys.readouterr().out.splitlines()
    assert quoted("README.md", "test accuracy 100.0% (n 60, 95") in said
    (val,) = (line for line in said if line.startswith("val "))
    assert quoted("README.md", "val accuracy") == val.replace("calibration error 0.033", "…")
    metrics = {"test": figures}
    assert quoted("README.md", "test accuracy 100.0% (n 60), ").startswith(f"{headline_text(metrics)}, best epoch ")
    name, why = choose_strategy(
        TrainSettings(), find_backbone("resnet18"), images=300, size_px=64, device=torch.device("cpu"), pretrained=False
    )
    assert quoted("README.md", f"strategy {name} (auto: {why}); backbone resnet18; weights: none")


def test_an_epoch_s_line() -> None:
    pytest.importorskip("torch")
    from edge_train.run.run_folder import EpochRow
    from edge_train.run.step import EpochResult

    row = EpochRow(12, EpochResult(0.043, 0.983, 84, 1.0), 0.012, 1.0)
    assert quoted("README.md", "epoch 12/12") == row.describe(12, best=True)


def test_the_columns_of_tables() -> None:
    """Some of a table's may be left out, none is called otherwise, and none stands elsewhere."""
    tables = {
        ("docs/tune.md", "    trial "): TUNE_COLUMNS,
        ("README.md", " format   precision"): EXPORT_COLUMNS,
        ("README.md", " model  "): ("model", "precision", "input px", *MEASURED, "n", "images/s (batch 8)", "accuracy"),
    }
    for (page, begins), columns in tables.items():
        shown = re.split(r" {2,}", quoted(page, begins).strip())
        place = iter(columns)
        assert all(name in place for name in shown), (page, shown)


def test_the_machine_below_a_bench() -> None:
    lines = dataclasses.replace(read_environment(), cpu="AMD EPYC", machine="x86_64").lines()
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?m)^    (\w+) {2,}\S.*$", text[: text.index("\nMeasured ")])
    assert shown == [name for name, _ in lines]


def masked(line: str) -> str:
    return re.sub(r"[+-]?\d+\.\d+", "#", line)


def test_what_the_bench_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "self_checks"))
    import overhead  # type: ignore[import-not-found]

    pair = overhead.Pair(2.945, 2.907, (1006, 1023))
    empty, row, middle = overhead.describe(overhead.Findings(0.07, 0.11, (pair,)))[:3]
    assert f"    {row}" == quoted("docs/benchmarks.md", "    bench p50 2.945")
    for line in (empty, middle):
        assert masked(f"    {line}") == masked(quoted("docs/benchmarks.md", f"    {line[:12]}"))


def test_a_server_s_answer() -> None:
    (block,) = (text for language, text in code_blocks(DOCS / "serve.md") if language == "json")
    answer = json.loads(block.replace(", …", ""))
    schema = json.loads((ROOT / "serve" / "edge_serve" / "openapi.json").read_text(encoding="utf-8"))
    (shape,) = (each for each in schema["components"]["schemas"].values() if "timing_ms" in each.get("properties", {}))
    assert list(answer) == shape["required"]
    assert list(answer["timing_ms"]) == shape["properties"]["timing_ms"]["required"]
    (prediction,) = answer["predictions"]
    assert list(prediction) == schema["components"]["schemas"]["prediction"]["required"]
