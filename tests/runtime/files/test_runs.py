"""Run folders: the newest is the one made last, and a folder that is no run is said to be none."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from edge_runtime import CheckpointError, Run, UsageError, find_run, newest_run


def make_run(root: Path, name: str, created: object, *files: str) -> Run:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"created": created}), encoding="utf-8")
    for file in files or ("best.pt",):
        (folder / file).touch()
    return Run(folder)


def test_the_paths_of_a_run_are_the_promised_ones() -> None:
    run = Run(Path("runs/x"))
    assert run.name == "x"
    found = [run.config, run.split, run.metrics, run.best, run.last, run.summary, run.model, run.torchscript]
    assert [path.name for path in found] == [
        "config.json", "split.csv", "metrics.csv", "best.pt", "last.pt", "summary.json", "model.onnx",
        "model.torchscript.pt",
    ]  # fmt: skip
    assert {path.parent for path in found} == {run.path}


def test_the_newest_run_is_the_one_created_last_whatever_happened_to_its_folder(tmp_path: Path) -> None:
    newest = make_run(tmp_path, "a", "2026-03-01T10:00:00.000002+00:00")
    old = make_run(tmp_path, "z", "2026-03-01T10:00:00.000001+00:00")
    os.utime(newest.path, (0, 0))
    os.utime(newest.config, (0, 0))
    assert newest_run(tmp_path) == newest
    shutil.copytree(old.path, tmp_path / "zz copied today")
    assert newest_run(tmp_path) == newest


def test_two_runs_of_one_instant_are_told_apart_by_name(tmp_path: Path) -> None:
    runs = [make_run(tmp_path, name, "2026-03-01T10:00:00+00:00") for name in ("b", "c", "a")]
    assert newest_run(tmp_path) == runs[1]


def test_what_is_no_whole_run_is_passed_over(tmp_path: Path) -> None:
    good = make_run(tmp_path, "good", "2026-01-01T00:00:00+00:00")
    make_run(tmp_path, "no checkpoint yet", "2026-09-09T00:00:00+00:00", "last.pt")
    make_run(tmp_path, ".hidden", "2026-09-09T00:00:00+00:00")
    (tmp_path / "no config").mkdir()
    (tmp_path / "no config" / "best.pt").touch()
    for name, text in (("damaged", '{"created": "2026-0'), ("list", "[]"), ("binary", "\xff\x00")):
        make_run(tmp_path, name, "").config.write_text(text, encoding="latin-1")
    (tmp_path / "2026 notes.txt").touch()
    assert newest_run(tmp_path) == good
    assert newest_run(tmp_path, needs=("last.pt",)).name == "no checkpoint yet"


def test_without_a_run_the_way_to_one_is_said(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UsageError, match="there is no run in") as caught:
            newest_run(root)
        assert str(root) in caught.value.message and "edge train" in caught.value.hint


def test_a_run_that_lacks_the_file_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    make_run(tmp_path, "from another machine", "2026-01-01T00:00:00+00:00", "model.onnx")
    with pytest.raises(UsageError, match=r"no run with best\.pt") as caught:
        newest_run(tmp_path)
    assert "from another machine" in caught.value.hint


def test_a_run_is_found_by_path_and_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs", "mine", "2026-01-01T00:00:00+00:00")
    assert find_run(run.path) == run
    assert find_run("mine", tmp_path / "runs") == run
    assert find_run(f"{run.path}/") == run
    monkeypatch.chdir(tmp_path)
    assert find_run("mine") == Run(Path("runs/mine")) == newest_run()


def test_a_name_that_is_no_run_is_answered_with_the_latest_there_are(tmp_path: Path) -> None:
    for day in range(1, 6):
        make_run(tmp_path, f"shapes-resnet18-2026010{day}", f"2026-01-0{day}T00:00:00+00:00")
    (tmp_path / "empty").mkdir()
    for name in ("gone", "empty"):
        with pytest.raises(UsageError, match=f"{name} is not a run folder") as caught:
            find_run(name, tmp_path)
        assert "20260105, shapes-resnet18-20260104" in caught.value.hint and "20260102" not in caught.value.hint
    with pytest.raises(UsageError) as caught:
        find_run("gone", tmp_path / "nowhere")
    assert "edge train" in caught.value.hint


def test_the_config_is_read(tmp_path: Path) -> None:
    assert make_run(tmp_path, "x", "now").read_config() == {"created": "now"}


@pytest.mark.parametrize("content", [b"", b"{", b"[1, 2]", b'"text"', b"\xff\xfe\x00"])
def test_a_damaged_config_is_named(tmp_path: Path, content: bytes) -> None:
    run = make_run(tmp_path, "x", "now")
    run.config.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"config\.json") as caught:
        run.read_config()
    assert str(run.path) in caught.value.message and "`run`" in caught.value.hint


def test_a_missing_config_means_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a run folder"):
        Run(tmp_path).read_config()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json"):
        Run(tmp_path).read_config()


@pytest.mark.parametrize("file", ["comparison.json", "tune.json"])
def test_after_a_comparison_or_a_sweep_the_newest_run_is_the_one_it_found_best(tmp_path: Path, file: str) -> None:
    best = make_run(tmp_path, "shapes-frozen", "2026-01-01T00:00:00+00:00")
    make_run(tmp_path, "shapes-scratch", "2026-01-02T00:00:00+00:00")
    folder = tmp_path / "comparison-shapes"
    folder.mkdir()
    text = json.dumps({"created": "2026-01-03T00:00:00+00:00", "best_run": f"elsewhere/{best.name}"})
    (folder / file).write_text(text)
    assert newest_run(tmp_path) == best
    newer = make_run(tmp_path, "shapes-newer", "2026-01-04T00:00:00+00:00")
    assert newest_run(tmp_path) == newer
    for damaged in ("", "{", "[]", '{"created": 3}'):
        (folder / file).write_text(damaged)
        assert newest_run(tmp_path) == newer
