"""The three strategies side by side: the same split, each an ordinary run, and what is wrong said before the work."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from edge_data import draw_shapes  # noqa: E402
from edge_runtime import (  # noqa: E402
    EdgeError,
    MissingExtraError,
    Run,
    Silence,
    UsageError,
    WeightsError,
)
from edge_train import STRATEGIES, TrainSettings, build, find_backbone, train  # noqa: E402
from edge_train.several_runs.comparing import _look, _make_folder, compare  # noqa: E402
from edge_train.several_runs.comparison import (  # noqa: E402
    Comparison,
)

QUICK = {"backbone": "shufflenet_v2_x0_5", "image_size": 32, "batch_size": 8, "threads": 1, "epochs": 2}


class Listener(Silence):
    """Keeps what is said, and does something when it hears `word`."""

    def __init__(self, word: str = "", then: object = None) -> None:
        self.lines: list[str] = []
        self.word, self.then = word, then

    def say(self, text: str) -> None:
        self.lines.append(text)
        if self.word and self.word in text:
            self.word = ""
            self.then()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_shapes(tmp_path_factory.mktemp("data") / "shapes", counts=(24, 9, 9))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state dict as a user would bring one, of a network that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "pretrained.pth"
    torch.save(build(find_backbone("shufflenet_v2_x0_5"), classes=1000).state_dict(), path)
    return path


def settings(data: Path, out: Path, weights: Path | str = "none", **others: object) -> TrainSettings:
    return TrainSettings(data=str(data), out=out, weights=str(weights), **{**QUICK, **others})


@pytest.fixture(scope="module")
def heard() -> Listener:
    return Listener()


@pytest.fixture(scope="module")
def compared(data: Path, weights: Path, heard: Listener, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compare(settings(data, tmp_path_factory.mktemp("runs") / "runs", weights), heard)


def test_each_strategy_is_an_ordinary_run_on_the_same_split(compared: Comparison) -> None:
    out = compared.folder.parent
    runs = [row.run for row in compared.rows]
    assert [row.strategy for row in compared.rows] == list(STRATEGIES)
    assert sorted(path.name for path in out.iterdir()) == sorted([compared.folder.name, *(run.name for run in runs)])
    assert all(run.best.is_file() and run.summary.is_file() for run in runs)
    assert len({run.split.read_bytes() for run in runs}) == 1
    assert [run.read_config()["strategy"] for run in runs] == list(STRATEGIES)
    assert [run.read_config()["settings"]["seed"] for run in runs] == [0, 0, 0]
    assert compared.folder.name.startswith("comparison-shapes-shufflenet_v2_x0_5-")


def test_the_rows_say_what_the_runs_say(compared: Comparison) -> None:
    for row in compared.rows:
        summary = json.loads(row.run.summary.read_text())
        with row.run.metrics.open() as file:
            epochs = list(csv.DictReader(file))
        best = epochs[summary["best_epoch"] - 1]
        assert f"{row.train_accuracy:.6f}" == best["train_accuracy"] and row.best_epoch == int(best["epoch"])
        for name, accuracy, n, interval in (
            ("val", row.val_accuracy, row.val_n, row.val_interval),
            ("test", row.test_accuracy, row.test_n, row.test_interval),
        ):
            found = summary["metrics"][name]
            assert (accuracy, n, list(interval)) == (found["accuracy"], 9, found["accuracy_interval_95"])
        assert row.seconds == summary["seconds"] > 0 and row.reason is None
    frozen, tuned, scratch = compared.rows
    assert frozen.parameters_trained == 3 * 1024 + 3
    assert tuned.parameters_trained == scratch.parameters_trained == tuned.parameters and tuned.parameters_share == 1
    assert frozen.parameters_share == frozen.parameters_trained / frozen.parameters < 0.02


def test_the_comparison_is_written_and_drawn(compared: Comparison) -> None:
    written = json.loads((compared.folder / "comparison.json").read_text())
    assert written.pop("created") and written == compared.to_json()
    assert written["best"] in STRATEGIES and written["best_run"] == str(compared.best_run.path)
    assert sorted(path.name for path in compared.folder.iterdir()) == [
        "comparison.json",
        "comparison.png",
        "predictions.png",
    ]
    for name in ("comparison.png", "predictions.png"):
        with Image.open(compared.folder / name) as picture:
            assert picture.format == "PNG" and picture.width == 1240 and len(picture.getcolors(1 << 20)) > 50


def test_a_strategy_in_a_comparison_ends_as_the_same_run_alone(
    data: Path, compared: Comparison, tmp_path: Path
) -> None:
    alone = train(settings(data, tmp_path, strategy="scratch"))
    assert alone.summary["metrics"]["val"] == json.loads(compared.rows[2].run.summary.read_text())["metrics"]["val"]


def test_every_strategy_is_announced(compared: Comparison, heard: Listener) -> None:
    announced = [line for line in heard.lines if line.startswith("strategy ") and " of 3: " in line]
    assert announced == [f"strategy {n} of 3: {name}" for n, name in enumerate(STRATEGIES, start=1)]
    assert str(compared.folder) in heard.lines[-1]


def test_without_pretrained_weights_it_compares_what_it_can_and_says_so(data: Path, tmp_path: Path) -> None:
    listener = Listener()
    made = compare(settings(data, tmp_path, epochs=1), listener)
    assert [row.run is not None for row in made.rows] == [False, False, True] and made.best == "scratch"
    for row in made.rows[:2]:
        assert "`weights` is none" in row.reason and row.val_accuracy is None and row.to_json()["run"] is None
        assert any(line.startswith(f"note: {row.strategy} is not trained") for line in listener.lines)
    assert (made.folder / "comparison.png").is_file() and (made.folder / "predictions.png").is_file()


def test_what_a_run_knows_is_not_read_back_from_its_files(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    read = Path.open

    def watched(path: Path, mode: str = "r", *others: object, **more: object) -> object:
        if "r" in mode and path.is_relative_to(tmp_path):
            opened.append(path.name)
        return read(path, mode, *others, **more)

    monkeypatch.setattr(Path, "open", watched)
    compare(settings(data, tmp_path, epochs=1), strategies=("scratch",))
    assert not set(opened) & {"config.json", "metrics.csv", "split.csv", "summary.json"}


def test_a_failed_download_is_tried_once_and_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def no_network(url: str, *_: object, **__: object) -> None:
        tried.append(url)
        raise WeightsError(f"cannot download {url}: no network", "bring a file with `weights` FILE")

    monkeypatch.setattr("edge_train.network.weights.download", no_network)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    made = compare(settings(data, tmp_path / "runs", "default", epochs=1))
    assert made.best == "scratch" and len(tried) == 1
    assert all("no network" in row.reason and "`weights` FILE" in row.reason for row in made.rows[:2])


def test_nothing_to_compare_is_an_error(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`weights` is none"):
        compare(settings(data, tmp_path / "runs"), strategies=("feature-extraction", "fine-tune"))
    with pytest.raises(UsageError, match="no strategy"):
        compare(settings(data, tmp_path / "runs"), strategies=())
    with pytest.raises(UsageError, match="distil"):
        compare(settings(data, tmp_path / "runs"), strategies=("distil",))  # type: ignore[arg-type]
    assert not (tmp_path / "runs").exists()


def test_without_what_draws_the_report_nothing_is_trained(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match="matplotlib"):
        compare(settings(data, tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("wrong", ["weights", "data"])
def test_what_is_wrong_for_all_ends_it_before_anything_is_trained(
    data: Path, weights: Path, tmp_path: Path, wrong: str
) -> None:
    given = settings(data, tmp_path / "runs", weights)
    listener = Listener()
    with pytest.raises(UsageError, match="nowhere"):
        compare(replace(given, **{wrong: str(tmp_path / "nowhere")}), listener)
    assert not any("epoch" in line for line in listener.lines)
    assert not list((tmp_path / "runs").glob("*"))


def test_weights_that_do_not_fit_end_it(data: Path, tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    torch.save({"layer.weight": torch.zeros(3)}, file)
    with pytest.raises(WeightsError, match="does not fit"):
        compare(settings(data, tmp_path / "runs", file))


def test_a_strategy_that_diverges_is_a_row_and_the_others_are_trained(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    given = settings(data, tmp_path, weights, epochs=1, optimizer="sgd", lr_scale=1e6)
    made = compare(given, strategies=("scratch", "feature-extraction"))
    scratch, frozen = made.rows
    assert scratch.run is None and "loss" in scratch.reason and frozen.run is not None
    assert made.best == "feature-extraction" and "no other strategy was trained" in made.why
    with pytest.raises(EdgeError, match="loss"):
        compare(given, strategies=("scratch",))


def test_an_interruption_leaves_the_finished_runs(data: Path, weights: Path, tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(settings(data, tmp_path, weights, epochs=1), Listener("strategy 2 of 3", interrupt))
    (run,) = tmp_path.iterdir()
    assert "feature-extraction" in run.name and Run(run).best.is_file() and Run(run).summary.is_file()


def test_images_that_change_between_two_runs_are_noticed(data: Path, weights: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(data, tmp_path / "mine"))
    victim = next((mine / "train").rglob("*.png"))
    listener = Listener("strategy 2 of 2", victim.unlink)
    with pytest.raises(EdgeError, match="same split"):
        compare(settings(mine, tmp_path / "runs", weights, epochs=1), listener, strategies=STRATEGIES[:2])
    assert not list((tmp_path / "runs").glob("comparison-*"))


def test_pictures_that_are_gone_are_no_reason_to_lose_the_comparison(data: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(data, tmp_path / "mine"))
    listener = Listener("epoch 1/1 ", lambda: shutil.rmtree(mine))
    made = compare(settings(mine, tmp_path / "runs", epochs=1), listener)
    assert sorted(path.name for path in made.folder.iterdir()) == ["comparison.json", "comparison.png"]
    assert any("predictions.png" in line for line in listener.lines)


def test_images_that_can_be_read_are_shown_though_others_are_gone(data: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(data, tmp_path / "mine"))
    result = train(settings(mine, tmp_path / "runs", epochs=1, strategy="scratch"))
    victim = next((mine / "test").rglob("*.png"))
    victim.unlink()
    answers = _look({"scratch": result}, 1)
    assert answers.split == "test" and len(answers.images) == 8 and answers.strategies == ("scratch",)
    assert all(np.isclose(given.sum(), 1, atol=1e-5) for each in answers.images for given in each.probabilities)


def test_a_folder_that_exists_is_never_used_again(tmp_path: Path) -> None:
    folders = {_make_folder(tmp_path, "my photos/2024", "resnet18") for _ in range(4)}
    assert len(folders) == 4 and all(
        folder.name.startswith("comparison-my_photos_2024-resnet18-") for folder in folders
    )
