"""Training on manifests: the run that their folders give, resumed, averaged and exported from where they are named."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_data import choose_evaluation, list_images  # noqa: E402
from edge_runtime import DataError, Run, UsageError, scan  # noqa: E402
from edge_train import TrainResult, TrainSettings, resume, train  # noqa: E402
from edge_train.report.page import repeat_command  # noqa: E402
from quick_training import SMALL, equal, quick_settings, weights  # noqa: E402


@pytest.fixture(scope="module")
def shapes(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn shapes, and a manifest of them beside their folder."""
    folder = tmp_path_factory.mktemp("listed")
    shutil.copytree(few_shapes, folder / "shapes")
    (folder / "labels.csv").write_text("".join(list_images(scan(folder / "shapes"), folder)))
    return folder


@pytest.fixture(scope="module")
def listed(shapes: Path) -> TrainResult:
    return train(quick_settings(shapes / "labels.csv", shapes / "runs", backbone=SMALL))


def test_a_manifest_of_folders_trains_bit_for_bit_what_they_do(shapes: Path, listed: TrainResult) -> None:
    by_folder = train(quick_settings(shapes / "shapes", shapes.parent / "elsewhere", backbone=SMALL))
    assert equal(weights(listed.run), weights(by_folder.run))
    assert listed.run.name.startswith("labels-small_net")
    assert listed.splits.how == "train, val and test as found"
    config = listed.run.read_config()
    assert config["data_root"] == str(shapes)
    assert config["data_sources"] == [str(shapes / "labels.csv")]
    assert config["settings"]["label_from"] == "top"


def test_it_goes_on_after_a_kill_and_begins_again_where_nothing_was_kept(shapes: Path, listed: TrainResult) -> None:
    whole = weights(listed.run)
    run = Run(shapes / "runs" / "afresh")
    shutil.copytree(listed.run.path, run.path)
    for name in ("last.pt", "best.pt", "metrics.csv", "summary.json"):
        (run.path / name).unlink()
    assert equal(weights(resume(run).run), whole)
    text = (shapes / "labels.csv").read_text()
    try:
        (shapes / "labels.csv").write_text(text.replace(",val", ",test"))
        with pytest.raises(DataError, match="have changed"):
            resume(run)
        (shapes / "labels.csv").unlink()
        with pytest.raises(DataError, match=r"labels\.csv does not exist"):
            resume(run)
    finally:
        (shapes / "labels.csv").write_text(text)


def test_a_run_from_before_manifests_goes_on(shapes: Path) -> None:
    begun = train(quick_settings(shapes / "shapes", shapes / "runs", epochs=1, backbone=SMALL)).run
    config = json.loads(begun.config.read_text())
    del config["data_sources"], config["settings"]["label_from"], config["card"]["data"]["label_from"]
    begun.config.write_text(json.dumps(config))
    resume(begun)
    for name in ("last.pt", "best.pt", "metrics.csv", "summary.json"):
        (begun.path / name).unlink()
    resume(begun)


def test_several_places_are_one_run_and_it_resumes(shapes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = list(csv.DictReader((shapes / "labels.csv").read_text().splitlines()))
    more = shapes / "star.csv"
    stars = [row for row in rows if row["label"] == "circle"]
    more.write_text("path,label,split\n" + "".join(f"../extra/{row['path']},star,{row['split']}\n" for row in stars))
    shutil.copytree(shapes / "shapes", shapes.parent / "extra/shapes", dirs_exist_ok=True)
    monkeypatch.chdir(shapes)
    made = train(replace(quick_settings(shapes, Path("runs"), epochs=1, backbone=SMALL), data=("shapes", "star.csv")))
    assert made.card.labels == ("circle", "square", "star", "triangle")
    assert made.run.name.startswith("shapes+star-small_net")
    config = made.run.read_config()
    assert config["settings"]["data"] == ["shapes", "star.csv"]
    assert config["data_sources"] == [str(shapes / "shapes"), str(more)]
    assert repeat_command(config["settings"]).startswith("edge train --data shapes --data star.csv --backbone")
    monkeypatch.chdir(shapes.parent)
    run = Run(shapes / "runs" / made.run.name)
    before = weights(run)
    for name in ("last.pt", "best.pt", "metrics.csv", "summary.json"):
        (run.path / name).unlink()
    assert equal(weights(resume(run).run), before)
    chosen = choose_evaluation(made.card, run, [shapes / "shapes", more])
    assert {sample.path for sample in chosen.samples} == {sample.path for sample in made.splits.test}


def test_a_column_of_the_manifest_keeps_groups_whole(shapes: Path) -> None:
    rows = list(csv.DictReader((shapes / "labels.csv").read_text().splitlines()))
    grouped = shapes / "grouped.csv"
    lines = [f"{row['path']},{row['label']},s{number % 20}\n" for number, row in enumerate(rows)]
    grouped.write_text("path,label,Scene\n" + "".join(lines))
    made = train(quick_settings(grouped, shapes / "runs", epochs=1, group_by="scene", backbone=SMALL))
    scene_of = {line.split(",")[0]: line.split(",")[2] for line in lines}
    sides = [{scene_of[s.path] for s in part} for part in (made.splits.train, made.splits.val, made.splits.test)]
    assert all(sides) and not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    again = choose_evaluation(made.card, None, grouped)
    assert again.samples == made.splits.test


def test_classes_may_be_called_like_the_innermost_folder(shapes: Path) -> None:
    deep = shapes / "deep"
    for split in ("train", "val"):
        shutil.copytree(shapes / "shapes" / split, deep / split / "site")
    made = train(quick_settings(deep, shapes / "runs", epochs=1, label_from="parent", backbone=SMALL))
    assert made.card.labels == ("circle", "square", "triangle")
    assert made.card.data["label_from"] == "parent"
    assert choose_evaluation(made.card, made.run, deep).samples == made.splits.val


def test_runs_may_lie_beside_a_manifest_but_not_among_class_folders(shapes: Path) -> None:
    with pytest.raises(UsageError, match="lies inside the data folder"):
        several = (str(shapes / "labels.csv"), str(shapes / "shapes"))
        train(replace(quick_settings(shapes, shapes / "shapes/runs", backbone=SMALL), data=several))


def test_settings_of_one_place_are_what_they_were() -> None:
    assert TrainSettings(data=("photos",)) == TrainSettings(data="photos")
    assert TrainSettings(data=["a", "b.csv"]).data == ("a", "b.csv")  # type: ignore[arg-type]
