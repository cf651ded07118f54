"""Several runs as one file: the mean of their probabilities, measured on what none of them trained on."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

import numpy as np

from edge_export import export
from edge_export.networks.ensemble import average_cards, common_validation, read_members
from edge_export.settings import ExportSettings
from edge_runtime import Classifier, Run, UsageError, newest_run
from edge_train import Checkpoint, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def originals(make_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("ensembles") / "runs"
    make_run(runs / "first", "squeezenet1_1")
    make_run(runs / "second", "shufflenet_v2_x0_5", seed=1)
    make_run(runs / "larger", "squeezenet1_1", size=56, seed=2)
    return runs


@pytest.fixture
def runs(originals: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals, tmp_path / "runs"))


def change_card(run: Path, **changes: Any) -> None:
    checkpoint = load_checkpoint(run / "best.pt")
    card = replace(checkpoint.card, **changes)
    save_checkpoint(run / "best.pt", Checkpoint(card, checkpoint.network, checkpoint.epoch, {}))


def move_to_train(run: Path, count: int) -> set[str]:
    """Let the run have trained on its first `count` validation images; gives their paths."""
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    moved = [row for row in rows if row[0] == "val"][:count]
    for row in moved:
        row[0] = "train"
    with (run / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return {row[2] for row in moved}


def test_the_file_averages_what_its_members_say(runs: Path) -> None:
    members = [Run(runs / "first"), Run(runs / "second")]
    (done,) = export(members)
    assert done.path == runs / "first" / "ensemble.onnx"
    assert not (runs / "first" / "model.onnx").exists(), "the first run's own file is another one"
    separate = [Classifier(export(run)[0].path, threads=1) for run in members]
    together = Classifier(done.path, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), np.uint8)
    mean = np.mean([each.probabilities(pixels) for each in separate], axis=0)
    np.testing.assert_allclose(together.probabilities(pixels), mean, atol=1e-5)
    card = together.card
    assert (card.backbone, card.strategy) == ("squeezenet1_1+shufflenet_v2_x0_5", "ensemble")
    assert [(m["run"], m["temperature"]) for m in card.members] == [("first", 1.25), ("second", 1.25)]
    assert card.metrics.keys() == {"val", "test"} and card.metrics["val"]["n"] == card.metrics["test"]["n"] == 12
    assert card.metrics["val"]["accuracy"] == done.validation.whole.accuracy
    assert done.parity.max_difference <= 1e-4 and not done.validation.recorded
    record = json.loads((runs / "first" / "export.json").read_text())["files"][0]
    assert record["members"] == ["first", "second"]
    assert newest_run(runs).name in {"first", "second", "larger"}


def test_what_is_a_members_own_is_not_said_of_the_ensemble(runs: Path) -> None:
    data = dict(load_checkpoint(runs / "first" / "best.pt").card.data)
    change_card(runs / "first", architecture={"stem": "small"}, data=data | {"pretrained": "torchvision A"})
    change_card(runs / "second", data=data | {"pretrained": "torchvision B"})
    card = average_cards(read_members([Run(runs / "first"), Run(runs / "second")]))
    assert (card.architecture, dict(card.data)) == ({}, data)
    assert [member["architecture"] for member in card.members] == [{"stem": "small"}, {}]
    assert [member["data"]["pretrained"] for member in card.members] == ["torchvision A", "torchvision B"]
    change_card(runs / "second", architecture={"stem": "small"}, data=data | {"pretrained": "torchvision A"})
    card = average_cards(read_members([Run(runs / "first"), Run(runs / "second")]))
    assert (card.architecture, card.data["pretrained"]) == ({"stem": "small"}, "torchvision A")


def test_accuracy_is_measured_on_images_that_no_member_trained_on(runs: Path) -> None:
    trained = move_to_train(runs / "second", 5)
    members = read_members([Run(runs / "first"), Run(runs / "second")])
    said: list[str] = []
    _, samples = common_validation(members, None, said.append)
    assert len(samples) == 7 and not trained & {sample.path for sample in samples}
    assert "7 validation images" in said[0] and "5 others" in said[0]


def exchange_validation(run: Path) -> None:
    """Let the run have trained on all its validation images and kept as many others for validation."""
    with (run / "split.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    train = [row for row in rows if row[0] == "train"]
    for before in [row for row in rows if row[0] == "val"]:
        before[0] = "train"
        train.pop()[0] = "val"
    with (run / "split.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def test_members_without_a_common_validation_image_are_refused(runs: Path) -> None:
    exchange_validation(runs / "second")
    members = read_members([Run(runs / "first"), Run(runs / "second")])
    with pytest.raises(UsageError, match="no image is in the validation split of all 2 runs") as caught:
        common_validation(members, None, lambda _: None)
    assert "`seed`" in caught.value.hint


def test_other_data_of_the_same_names_is_not_common(runs: Path, tmp_path: Path) -> None:
    change_card(runs / "second", data={"name": "other", "fingerprint": "sha256:other"})
    config = json.loads((runs / "second" / "config.json").read_text())
    (runs / "second" / "config.json").write_text(json.dumps({**config, "data_root": str(tmp_path / "other")}))
    members = read_members([Run(runs / "first"), Run(runs / "second")])
    with pytest.raises(UsageError, match="no image is in the validation split"):
        common_validation(members, None, lambda _: None)


def test_what_cannot_be_averaged_is_refused_with_the_way_out(runs: Path) -> None:
    first, second = Run(runs / "first"), Run(runs / "second")
    with pytest.raises(UsageError, match=r"takes 48×48 pixels.*56×56") as caught:
        read_members([first, Run(runs / "larger")])
    assert "`image_size` 48" in caught.value.hint
    with pytest.raises(UsageError, match="twice"):
        read_members([first, Run(runs / "second" / ".." / "first")])
    with pytest.raises(UsageError, match="no one embedding"):
        export([first, second], settings=ExportSettings(with_embedding=True))
    change_card(second.path, labels=("square", "circle", "triangle"))
    with pytest.raises(UsageError, match="same labels in another order"):
        read_members([first, second])
    change_card(second.path, labels=("circle", "square", "star"))
    with pytest.raises(UsageError, match="different labels: star, triangle"):
        read_members([first, second])
    contract = replace(first_card(first).preprocessing, interpolation="bicubic")
    change_card(second.path, labels=first_card(first).labels, preprocessing=contract)
    with pytest.raises(UsageError, match="interpolation bilinear and bicubic"):
        read_members([first, second])


def first_card(run: Run) -> Any:
    return load_checkpoint(run.best).card


def test_three_members_and_torchscript(runs: Path, make_run: Any) -> None:
    from edge_export import read_torchscript

    make_run(runs / "third", "squeezenet1_1", seed=3)
    members = [Run(runs / name) for name in ("first", "second", "third")]
    (done,) = export(members, ("torchscript",))
    assert done.path == runs / "first" / "ensemble.torchscript.pt"
    _, card = read_torchscript(done.path)
    assert [member["run"] for member in card.members] == ["first", "second", "third"]
