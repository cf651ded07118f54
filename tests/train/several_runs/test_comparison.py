"""The three strategies side by side: same split, a fair choice, and two pictures that say what happened."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from PIL import Image, ImageColor

torch = pytest.importorskip("torch")

from edge_data import draw_shapes  # noqa: E402
from edge_data.drawing.colours import RIGHT, WRONG, tint  # noqa: E402
from edge_data.drawing.sheet import plain  # noqa: E402
from edge_runtime import (  # noqa: E402
    Accuracy,
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
    StrategyRow,
    _images_to_tell_apart,
    choose_best,
)
from edge_train.several_runs.comparison_pictures import (  # noqa: E402
    Answered,
    Answers,
    draw_comparison,
    draw_predictions,
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


def row(strategy: str, right: int, n: int = 1000, trained: int = 1_000_000, test: float | None = None) -> StrategyRow:
    return StrategyRow(
        strategy=strategy,
        run=Run(Path(strategy)),
        train_accuracy=0.5,
        val_accuracy=right / n,
        val_n=n,
        val_interval=Accuracy(right, n).interval,
        test_accuracy=test,
        test_n=None if test is None else n,
        test_interval=None if test is None else (max(0, test - 0.1), min(1, test + 0.1)),
        seconds=10.0,
        parameters_trained=trained,
        parameters=1_000_000,
        parameters_share=trained / 1_000_000,
        best_epoch=1,
    )


def test_a_clear_lead_wins_whatever_it_cost() -> None:
    best, why = choose_best([row("feature-extraction", 800, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "fine-tune" and "15.0 points ahead of feature-extraction" in why and "do not overlap" in why


def test_within_half_a_point_fewer_parameters_win() -> None:
    best, why = choose_best([row("feature-extraction", 945, trained=500), row("fine-tune", 950), row("scratch", 700)])
    assert best == "feature-extraction" and "500 instead of 1,000,000" in why
    assert "1,000 images cannot tell them apart" in why and "0.5 points ahead of feature-extraction" in why


def test_a_lead_that_may_be_chance_is_called_one_and_still_wins() -> None:
    best, why = choose_best([row("feature-extraction", 944, trained=500), row("fine-tune", 950), row("scratch", 935)])
    assert best == "fine-tune" and "1,000 images cannot tell them apart" in why
    assert "0.6 points ahead of feature-extraction and 1.5 points ahead of scratch" in why


def test_half_a_point_that_is_no_chance_wins() -> None:
    rows = [row("feature-extraction", 980_000, 1_000_000, trained=500), row("fine-tune", 984_000, 1_000_000)]
    assert choose_best(rows)[0] == "fine-tune"


def test_level_strategies_that_cost_the_same_go_to_the_pretrained_one() -> None:
    best, why = choose_best([row("scratch", 21, 21), row("fine-tune", 21, 21)])
    assert best == "fine-tune" and "level with" in why and "needs about" not in why


def test_an_untrained_strategy_is_never_the_best() -> None:
    rows = [StrategyRow(strategy="fine-tune", reason="no network"), row("scratch", 0, 9)]
    assert choose_best(rows)[0] == "scratch"
    with pytest.raises(ValueError, match="no strategy"):
        choose_best(rows[:1])


shares = st.lists(st.integers(0, 200), min_size=3, max_size=3)


@given(shares, st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_choice_is_near_the_top_and_blind_to_test_accuracy(right: list[int], tests: list[float]) -> None:
    trained = (500, 1_000_000, 1_000_000)
    seen, unseen = (
        [
            row(name, r, 200, t, test if shown else None)
            for name, r, t, test in zip(STRATEGIES, right, trained, tests, strict=True)
        ]
        for shown in (True, False)
    )
    best, why = choose_best(seen)
    assert best == choose_best(unseen)[0] and "Test accuracy had no part" in why
    assert max(right) - right[STRATEGIES.index(best)] <= 1


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_number_of_images_needed_is_enough_and_not_far_too_many(one: int, two: int) -> None:
    assume(one != two)
    low, high = sorted((one / 100, two / 100))
    needed = _images_to_tell_apart(low, high)

    def parted(n: int) -> bool:
        return Accuracy.near(low, n).interval[1] < Accuracy.near(high, n).interval[0]

    assert needed is not None and parted(100 * needed) and not parted(needed // 3 or 1)
    assert _images_to_tell_apart(low, low) is None


def answered(truth: int, said: tuple[int, ...], classes: int = 3, side: int = 32) -> Answered:
    probabilities = tuple(np.eye(classes, dtype=np.float32)[answer] * 0.9 for answer in said)
    return Answered(truth, np.full((side, side, 3), 128, np.uint8), probabilities)


def cells(target: Path) -> tuple[int, int]:
    """How much of the picture is the ground of right and of wrong answers."""
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    right, wrong = ((pixels == ImageColor.getrgb(tint(colour, 0.9))).all(axis=2).sum() for colour in (RIGHT, WRONG))
    return int(right), int(wrong)


@pytest.mark.parametrize(
    ("disputed", "agreed", "wrong"), [(20, 20, 4), (20, 0, 8), (2, 20, 2), (0, 20, 0), (20, 1, 7), (1, 1, 1)]
)
def test_half_the_images_shown_are_disputed_where_there_are_such(
    tmp_path: Path, disputed: int, agreed: int, wrong: int
) -> None:
    images = [answered(0, (0, 1, 0))] * disputed + [answered(1, (1, 1, 1))] * agreed
    draw_predictions(tmp_path / "p.png", Answers("test", ("ant", "bee", "fly"), STRATEGIES, tuple(images)))
    right_px, wrong_px = cells(tmp_path / "p.png")
    shown = min(8, disputed + agreed)
    assert round(3 * shown * wrong_px / (right_px + wrong_px)) == wrong


@pytest.mark.parametrize("classes", [2, 100])
@pytest.mark.parametrize("side", [16, 64, 600])
def test_predictions_are_drawn_whatever_the_labels_and_sizes(tmp_path: Path, classes: int, side: int) -> None:
    odd = ("a label of a hundred words " * 20, "two\nlines", "\udcff", "Großblättrige Linde", "", "木")
    labels = tuple(odd[number] if number < len(odd) else f"class {number}" for number in range(classes))
    images = tuple(answered(n % classes, (n % classes, (n + 1) % classes), classes, side) for n in range(9))
    draw_predictions(tmp_path / "p.png", Answers("validation", labels, ("fine-tune", "scratch"), images))
    with Image.open(tmp_path / "p.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert picture.size[0] == 1240 and (pixels[:, -10:] == 255).all(), "nothing runs over the right margin"


@pytest.mark.parametrize("epochs", [1, 3, 200])
@pytest.mark.parametrize("right", [(0, 0, 0), (5, 9, 9), (9, 9, 9)])
def test_a_comparison_is_drawn_whatever_came_of_it(tmp_path: Path, epochs: int, right: tuple[int, ...]) -> None:
    rows = [row(name, r, 9, test=r / 9) for name, r in zip(STRATEGIES, right, strict=True)]
    rows[0] = StrategyRow(strategy="feature-extraction", reason="no network " * 60)
    curves = {
        name: [(e, None if e == 2 else 0.1 * r) for e in range(1, epochs + 1)]
        for name, r in zip(STRATEGIES, right, strict=True)
    }
    best, why = choose_best(rows)
    made = Comparison(tmp_path, tuple(rows), best, why)
    draw_comparison(tmp_path / "c.png", made, curves, title="resnet18 on " + "photos " * 40)
    with Image.open(tmp_path / "c.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert (pixels[:, -10:] == 255).all() and (pixels[-8:] == 255).all(), "all of it has room"


def test_labels_are_drawn_in_letters_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain("two\n lines \udcff") == "two lines ?"
    monkeypatch.setattr("edge_data.drawing.sheet._wide_font", lambda _: None)
    assert plain("Käfer é") == "Kafer e"


def test_strategies_are_chosen_by_what_their_epochs_were_chosen_by() -> None:
    rows = [
        replace(row("fine-tune", 950, test=0.9), best_by="balanced-accuracy", val_value=0.7),
        replace(row("scratch", 900, test=0.9), best_by="balanced-accuracy", val_value=0.75),
    ]
    best, why = choose_best(rows)
    assert best == "scratch" and "best validation balanced accuracy 75.0% (fine-tune balanced accuracy 70.0%)" in why
    assert "Test accuracy had no part" in why
    level = [
        replace(each, val_value=-0.2, best_by="loss") for each in (rows[0], replace(rows[1], parameters_trained=5))
    ]
    best, why = choose_best(level)
    assert best == "scratch" and "loss 0.200" in why
    assert choose_best([replace(rows[0], best_by="auroc", val_value=None)])[0] == "fine-tune"
