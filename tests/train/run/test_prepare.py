"""What training makes of groups: whole on one side, said, kept by every way a run goes on; and leaks told loudly."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image  # noqa: E402

from edge_data import choose_evaluation, read_split, write_split  # noqa: E402
from edge_data.sets.splits import split  # noqa: E402
from edge_runtime import ModelCard, OutputError, Run, UsageError, scan  # noqa: E402
from edge_train import TrainSettings, compare, resume, train  # noqa: E402
from edge_train.several_runs.averaging import average  # noqa: E402
from quick_training import QUICK, SMALL, Ear, quick_settings  # noqa: E402

FRAMES = 4


def film(folder: Path, number: int, frames: int) -> None:
    """Pictures of one scene, each a little brighter and noisier than the one before."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(30, 200, (5, 5, 3), np.uint8)).resize((48, 48), Image.Resampling.BICUBIC)
    folder.mkdir(parents=True, exist_ok=True)
    for frame in range(frames):
        noise = random.normal(3 * frame, 4, (48, 48, 3))
        shown = (np.asarray(coarse, np.float32) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(shown).save(folder / f"film{number:02d}-{frame}.png")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of ten films of four frames each."""
    root = tmp_path_factory.mktemp("films") / "data"
    for number in range(20):
        film(root / ("day", "night")[number % 2], number, FRAMES)
    return root


@pytest.fixture(scope="module")
def run(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, list[str]]:
    ear = Ear()
    return train(quick_settings(films, tmp_path_factory.mktemp("runs"), backbone=SMALL, epochs=1), ear).run, ear.lines


def rows(run: Run) -> list[dict[str, str]]:
    with run.split.open(newline="") as file:
        return list(csv.DictReader(file))


def test_films_stay_whole_and_their_number_is_said(run: tuple[Run, list[str]]) -> None:
    made, lines = run
    how = "split 80/10/10 by class with seed 0, 80 images kept together in 20 groups"
    assert any(line.startswith("data data: 64 train, 8 val, 8 test images") and how in line for line in lines)
    sides: dict[str, set[str]] = {}
    for row in rows(made):
        assert row["group"] == f"{row['path'][:-5]}0.png"
        sides.setdefault(row["group"], set()).add(row["split"])
    assert len(sides) == 20 and all(len(side) == 1 for side in sides.values())
    config = json.loads(made.config.read_text())
    assert config["settings"]["group_by"] == "auto"
    assert config["card"]["data"]["group_by"] == "auto" and config["card"]["data"]["split"] == how
    assert how in made.path.joinpath("report.html").read_text(encoding="utf-8")


def test_another_seed_and_a_limit_keep_films_whole(films: Path, run: tuple[Run, list[str]], tmp_path: Path) -> None:
    other = train(quick_settings(films, tmp_path, backbone=SMALL, epochs=1, seed=3, limit=30))
    groups = {name: {s.path[:-5] for s in getattr(other.splits, name)} for name in ("train", "val", "test")}
    assert not groups["train"] & groups["val"] and not groups["train"] & groups["test"]
    assert sum(len(getattr(other.splits, name)) for name in ("train", "val", "test")) == 30
    with pytest.raises(UsageError, match="split differently") as caught:
        average([run[0], other.run], out=tmp_path, threads=1)
    assert "--group" not in caught.value.hint and "`group_by`" in caught.value.hint


def test_groups_by_expression_and_by_folder(films: Path, tmp_path: Path) -> None:
    # Five cameras, each of which filmed for both classes.
    made = train(quick_settings(films, tmp_path, backbone=SMALL, epochs=1, group_by=r"film\d*?([0-4]|[5-9])-"))
    cameras = {name: {s.path.split("-")[0][-1] for s in getattr(made.splits, name)} for name in ("train", "val")}
    assert cameras["train"] and cameras["val"] and not cameras["train"] & cameras["val"]
    assert made.card.data["group_by"] == r"film\d*?([0-4]|[5-9])-"


def test_none_splits_as_before_there_were_groups(films: Path, tmp_path: Path) -> None:
    made = train(quick_settings(films, tmp_path, backbone=SMALL, epochs=1, group_by="none"))
    before = split(scan(films), seed=0)
    assert (made.splits.train, made.splits.val, made.splits.test) == (before.train, before.val, before.test)
    assert made.splits.how == "split 80/10/10 by class with seed 0"


def test_a_run_from_before_groups_goes_on_with_the_split_it_has(films: Path, tmp_path: Path) -> None:
    begun = train(quick_settings(films, tmp_path, backbone=SMALL, epochs=1, group_by="none")).run
    config = json.loads(begun.config.read_text())
    del config["settings"]["group_by"], config["card"]["data"]["group_by"]
    begun.config.write_text(json.dumps(config))
    before = read_split(begun.split, ("day", "night"))
    text = "\n".join(line.rpartition(",")[0] for line in begun.split.read_text().splitlines())
    begun.split.write_text(text)
    for name in ("last.pt", "best.pt", "metrics.csv", "summary.json"):
        (begun.path / name).unlink()
    ended = resume(begun)
    assert (ended.splits.train, ended.splits.val, ended.splits.test) == (before.train, before.val, before.test)
    assert begun.split.read_text() == text


def test_a_file_without_its_run_is_scored_on_what_its_run_held_out(films: Path, run: tuple[Run, list[str]]) -> None:
    card = ModelCard.from_json(json.loads(run[0].config.read_text())["card"], where="here")
    held = {row["path"] for row in rows(run[0]) if row["split"] == "test"}
    assert {sample.path for sample in choose_evaluation(card, None, films).samples} == held
    assert {sample.path for sample in choose_evaluation(card, run[0], films).samples} == held


def test_a_file_from_before_groups_is_scored_as_it_was(films: Path, run: tuple[Run, list[str]]) -> None:
    value: dict[str, Any] = json.loads(run[0].config.read_text())["card"]
    del value["data"]["group_by"]
    chosen = choose_evaluation(ModelCard.from_json(value, where="here"), None, films)
    assert chosen.samples == split(scan(films), seed=0).test


def test_strategies_are_compared_on_one_grouped_split(films: Path, small_weights: Path, tmp_path: Path) -> None:
    settings = TrainSettings(
        **{**QUICK, "data": str(films), "out": tmp_path, "epochs": 1, "weights": str(small_weights)}
        | {"backbone": SMALL, "strategy": "auto", "limit": 40}
    )
    compared = compare(settings, strategies=("feature-extraction", "fine-tune"))
    one, two = (row.run.split.read_text() for row in compared.rows if row.run)
    assert one == two and ",night/film" in one and one.splitlines()[1].endswith("-0.png")


def test_what_stands_on_both_sides_is_told_once_and_travels(tmp_path: Path) -> None:
    for number in range(12):
        film(tmp_path / "data/train" / ("day", "night")[number % 2], number, 1)
    for number in range(20, 28):
        film(tmp_path / "data/val" / ("day", "night")[number % 2], number, 1)
    shutil.copy(tmp_path / "data/train/day/film00-0.png", tmp_path / "data/val/day/again.png")
    film(tmp_path / "data/val/night", 3, 2)
    ear = Ear()
    made = train(quick_settings(tmp_path / "data", tmp_path / "runs", backbone=SMALL, epochs=1), ear)
    (told,) = [line for line in ear.lines if line.startswith("WARNING")]
    assert "3 of 11 val images stand in training, too (27.3%), the same or nearly" in told
    assert "train/" in told and "val/" in told
    assert made.card.data["split"].endswith("; 3 of 11 val images stand in training, too")
    quiet = Ear()
    train(quick_settings(tmp_path / "data", tmp_path / "runs", backbone=SMALL, epochs=1, group_by="none"), quiet)
    assert not [line for line in quiet.lines if line.startswith("WARNING")]


def test_the_drawn_shapes_stand_on_one_side(few_shapes: Path, tmp_path: Path) -> None:
    ear = Ear()
    train(quick_settings(few_shapes, tmp_path, backbone=SMALL, epochs=1), ear)
    assert not [line for line in ear.lines if line.startswith("WARNING")]


def test_a_student_is_not_measured_on_the_twin_of_what_its_teacher_learned(
    films: Path, run: tuple[Run, list[str]], tmp_path: Path
) -> None:
    teacher = Run(shutil.copytree(run[0].path, tmp_path / "teacher"))
    # The teacher learned from the first frames alone, as after a limit; the student is measured on the others.
    whole = read_split(teacher.split, ("day", "night"))
    first = tuple(s for s in (*whole.train, *whole.val, *whole.test) if s.path.endswith("-0.png"))
    twins = {sample.path: sample.path for sample in first}
    write_split(teacher.split, type(whole)(first, whole.val[:0], (), "by hand", groups=twins), ("day", "night"))
    with pytest.raises(UsageError, match="was trained on 16 of the images this run is measured on"):
        train(quick_settings(films, tmp_path / "runs", backbone=SMALL, epochs=1, teacher=str(teacher.path)))


def test_a_training_that_is_refused_leaves_no_folder(few_shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        train(quick_settings(few_shapes, tmp_path / "new" / "runs", weights="gone.pth", strategy="fine-tune"))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="cannot make a run folder"):
        train(quick_settings(few_shapes, tmp_path / "file" / "runs"))
    (tmp_path / "kept").mkdir()
    with pytest.raises(UsageError, match="does not exist"):
        train(quick_settings(few_shapes, tmp_path / "kept", weights="gone.pth", strategy="fine-tune"))
    assert (tmp_path / "kept").is_dir(), "it was there before"
