"""The course's table: trained once, read again, gone on with after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("torchvision")

import torch

from bench_command import Done
from edge_benchmarks import program
from edge_benchmarks.training import course_on_cifar10
from edge_benchmarks.training.course_table import COLUMNS, StrategyRow, Target, markdown_report
from edge_benchmarks.training.resumable_run import Outcome, Trial
from edge_data import draw_shapes
from edge_runtime import UsageError
from edge_train import build, find_backbone

PROGRAM = (sys.executable, "-m", "edge_benchmarks.training.course_on_cifar10")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
BACKBONE = "shufflenet_v2_x0_5"
# Enough that a run is at work for a while after its first.
EPOCHS = 6


def recipes(path: Path, *, epochs: int) -> Path:
    flags = ["--backbone", BACKBONE, "--image-size", "32", "--epochs", str(epochs), "--augment", "none"]
    path.write_text(json.dumps(dict.fromkeys(("feature-extraction", "scratch"), flags)), encoding="utf-8")
    return path


def command(folder: Path, *words: str | Path) -> list[str]:
    options = ("--data", folder / "shapes", "--out", folder / "out", "--threads", "1", "--quiet", *words)
    return [*PROGRAM, *map(str, options)]


def cifar10(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(folder, *words), env=ENVIRONMENT, capture_output=True, text=True, timeout=500, check=False
    )


@pytest.fixture
def again(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """The program in this process, which has loaded torch; what it trains it trains in others."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # What it does to its process would stay in this one.
    monkeypatch.setattr(course_on_cifar10, "exit_code", lambda measure, **_: measure())

    def run(folder: Path, *words: str | Path) -> Done:
        capfd.readouterr()
        code = course_on_cifar10.main(command(folder, *words)[len(PROGRAM) :])
        said = capfd.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with drawn shapes in it."""
    draw_shapes(tmp_path / "shapes", counts=(30, 15, 15), size_px=32)
    return tmp_path


@pytest.mark.slow
def test_the_table_is_made_once_and_read_again(folder: Path, again: Callable[..., Done]) -> None:
    (folder / "weights").mkdir()
    state = build(find_backbone(BACKBONE), classes=1000).state_dict()
    torch.save(state, folder / "weights" / f"{BACKBONE}-imagenet.pth")
    words = ("--recipes", recipes(folder / "recipes.json", epochs=1), "--strategies", "feature-extraction,scratch")
    words = (*words, "--seeds", "0", "--weights", folder / "weights")
    first = cifar10(folder, *words, "--json")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    assert [row["strategy"] for row in report["rows"]] == ["feature-extraction", "scratch"]
    for row in report["rows"]:
        (run,) = row["runs"]
        assert run["test_images"] == 15
        assert 0 <= run["train_accuracy"] <= 1
        assert run["seconds"] == pytest.approx(row["minutes"] * 60)
        assert Path(run["run"], "best.pt").is_file()
        assert row["met"] is (row["test_accuracy"] >= 0.8)
    frozen, scratch = (row["runs"][0] for row in report["rows"])
    assert frozen["parameters_trained"] == 3 * 1024 + 3
    assert scratch["parameters_trained"] == scratch["parameters"] == frozen["parameters"]
    assert report["environment"]["torch"]

    written = folder / "table.md"
    done = again(folder, *words, "--markdown", written, "--check")
    assert done.stderr.count("finished before") == 2
    assert "training in" not in done.stderr
    table = done.stdout.splitlines()
    assert all(word in done.stdout for word in COLUMNS)
    assert any("3,075 (0.9%)" in line and "feature-extraction" in line for line in table)
    text = written.read_text(encoding="utf-8")
    assert "| feature-extraction |" in text
    assert "- cpu: " in text and "- torch: " in text
    met = all(row["met"] for row in report["rows"])
    assert done.returncode == (0 if met else 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
def test_a_killed_benchmark_goes_on_without_repeating_what_is_finished(folder: Path) -> None:
    words = ("--recipes", recipes(folder / "recipes.json", epochs=EPOCHS), "--strategies", "scratch", "--seeds", "0,1")
    out = folder / "out"
    process = subprocess.Popen(
        command(folder, *words),
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 240
        while not (last := list(out.glob("scratch-seed1-*/*/last.pt"))):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    (finished,) = out.glob("scratch-seed0-*/*/summary.json")
    before = finished.stat().st_mtime_ns
    assert not (last[0].parent / "summary.json").exists()

    done = cifar10(folder, *words, "--json")
    assert done.returncode == 0, done.stderr
    assert finished.stat().st_mtime_ns == before
    assert len(list(out.glob("*/*/config.json"))) == 2, "a run was made anew"
    (row,) = json.loads(done.stdout)["rows"]
    first, second = row["runs"]
    assert (first["invocations"], second["invocations"]) == (1, 2)
    assert second["run"] == str(last[0].parent)
    # What the killed invocation took is not known, so its run has no time and the median is the other's.
    assert second["seconds"] is None
    assert row["minutes"] == pytest.approx(first["seconds"] / 60)
    epochs = (last[0].parent / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert len(epochs) == 1 + EPOCHS


def test_a_run_that_fails_does_not_keep_the_others_and_is_told(folder: Path) -> None:
    bad = folder / "bad.json"
    bad.write_text(json.dumps({"scratch": ["--backbone", "resnet19"]}), encoding="utf-8")
    done = cifar10(folder, "--recipes", bad, "--strategies", "scratch", "--seeds", "0")
    assert done.returncode == 1
    assert "resnet19" in done.stderr
    assert "1 of 1 runs failed: scratch, seed 0: edge train ended with 2" in done.stderr
    assert "no run" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--strategies", "magic"), "--strategies magic"),
        (("--seeds", "0,x"), "--seeds 0,x"),
        (("--recipes", "gone.json"), "--recipes gone.json"),
        (("--weights", "."), "has no file for mobilenet_v2"),
    ],
)
def test_wrong_usage_is_one_line(
    tmp_path: Path,
    words: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # What it does to its process would stay in this one.
    monkeypatch.setattr(program, "prepare_process", lambda: None)
    monkeypatch.setattr(program.signal, "signal", lambda *_: None)  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    monkeypatch.chdir(tmp_path)
    assert course_on_cifar10.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and said in line


def test_a_trial_that_another_process_trains_is_refused(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    trial = Trial("scratch", 0, ("--epochs", "1"), tmp_path)
    trial.folder.mkdir(parents=True)
    with (trial.folder / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="trained by another process"):
            trial.train(quiet=True)


def test_another_recipe_is_another_trial(tmp_path: Path) -> None:
    folders = {
        Trial("scratch", seed, flags, tmp_path).folder
        for seed in (0, 1)
        for flags in (("--epochs", "1"), ("--limit", "9"))
    }
    assert len(folders) == 4


def outcome(test: float | None, seconds: float | None) -> Outcome:
    facts: dict[str, Any] = {"train_accuracy": 0.9, "val_accuracy": 0.85, "invocations": 1}
    return Outcome(
        strategy="scratch",
        seed=0,
        run=Path("run"),
        test_accuracy=test,
        test_images=10_000 if test is not None else 0,
        seconds=seconds,
        parameters=100,
        parameters_trained=50,
        **facts,
    )


@pytest.mark.parametrize(
    ("runs", "met", "said"),
    [
        ([(0.80, 60.0), (0.82, 120.0), (0.84, 180.0)], "yes", "2.0 (1.0..3.0)"),
        ([(0.80, 60.0), (0.82, None)], "yes", "1.0, 1 resumed"),
        ([(0.82, None)], "unknown", "resumed"),
        ([(0.79, None)], "no", "resumed"),
        ([(0.82, 400.0)], "no", "6.7"),
        ([(None, 60.0)], "unknown", "1.0"),
    ],
)
def test_a_target_is_met_by_accuracy_and_time_together(
    runs: list[tuple[float | None, float | None]], met: str, said: str
) -> None:
    row = StrategyRow("scratch", tuple(outcome(*run) for run in runs), "5 min", Target(0.80, 5))
    cells = dict(zip(COLUMNS, row.cells(), strict=True))
    assert (cells["met"], cells["minutes"], cells["runs"]) == (met, said, str(len(runs)))
    assert cells["trained"] == "50 (50.0%)"
    assert cells["target"] == "80% in 5 min"


def test_the_spread_stands_beside_the_mean() -> None:
    row = StrategyRow("scratch", (outcome(0.80, 60), outcome(0.84, 60)), "5 min", Target(0.80))
    cells = dict(zip(COLUMNS, row.cells(), strict=True))
    assert cells["test"] == "82.0% (80.0..84.0)"
    assert cells["test images"] == "10,000"
    text = markdown_report([row], {"cpu": "a fast one"}, {"scratch": ["--epochs", "5"]})
    assert "| scratch | 90.0% | 85.0% | 82.0% (80.0..84.0) | 2 |" in text
    assert "`edge train --strategy scratch --epochs 5`" in text
    assert "- cpu: a fast one" in text
