"""Cross-validation: each image answered by a network that never saw it, then one that learned from all of them."""

from __future__ import annotations

import csv
import json
import shutil
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import edge_train.run.epochs  # noqa: E402
from edge_data import ImageStore, read_split  # noqa: E402
from edge_data.sets.out_of_fold import read_out_of_fold  # noqa: E402
from edge_runtime import CROSS_VALIDATED, Run, Sample, UsageError, measure, newest_run  # noqa: E402
from edge_train import Network, TrainSettings, compare, load_checkpoint, resume, train  # noqa: E402
from edge_train.run.batches import evaluation_batches  # noqa: E402
from edge_train.run.split_answers import SplitAnswers  # noqa: E402
from edge_train.run.train_result import TrainResult  # noqa: E402
from edge_train.several_runs.cross_validation import CrossValidation  # noqa: E402
from quick_training import SMALL, Ear, equal, quick_settings, weights  # noqa: E402

FOLDS, EPOCHS, IMAGES, TEST = 3, 3, 33, 9
Settings = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def frozen(few_shapes: Path, small_weights: Path) -> Settings:
    def make(out: Path, **others: Any) -> TrainSettings:
        given = {"backbone": SMALL, "strategy": "feature-extraction", "weights": str(small_weights)}
        return quick_settings(few_shapes, out, **{**given, "epochs": EPOCHS, "folds": FOLDS, **others})

    return make


@pytest.fixture(scope="module")
def heard() -> Ear:
    return Ear()


@pytest.fixture(scope="module")
def done(frozen: Settings, heard: Ear, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    return train(frozen(tmp_path_factory.mktemp("done")), heard)


def folds_of(run: Run) -> list[Run]:
    return [Run(run.path / f"fold-{number}") for number in range(1, FOLDS + 1)]


def rows_of(run: Run) -> list[dict[str, str]]:
    with (run.path / "out-of-fold.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_image_is_held_out_once_and_no_fold_trains_on_what_it_is_measured_on(done: TrainResult) -> None:
    labels = done.card.labels
    splits = [read_split(run.split, labels) for run in folds_of(done.run)]
    held = [sample for split in splits for sample in split.val]
    assert len(held) == IMAGES and set(held) == set(done.splits.train)
    for split in splits:
        assert not split.test and set(split.train) == set(held) - set(split.val)
    whole = read_split(done.run.split, labels)
    assert set(whole.train) == set(held) and not whole.val and len(whole.test) == TEST
    assert not {sample.path for sample in whole.test} & {sample.path for sample in held}


def test_the_answers_of_all_images_are_those_of_the_folds_networks(done: TrainResult) -> None:
    """Where a fold answers with its best epoch or its last, best.pt or last.pt must give what the file says."""
    labels, compared = done.card.labels, 0
    rows = {row["path"]: row for row in rows_of(done.run)}
    assert len(rows) == IMAGES
    for number, run in enumerate(folds_of(done.run), start=1):
        row = done.summary["cross_validation"]["folds"][number - 1]
        held = read_split(run.split, labels).val
        assert {rows[sample.path]["fold"] for sample in held} == {str(number)}
        if row["epoch"] not in (row["best_epoch"], EPOCHS):
            continue
        compared += 1
        network = load_checkpoint(run.best if row["epoch"] == row["best_epoch"] else run.last).build()
        store = ImageStore(Path(run.read_config()["data_root"]), done.card.preprocessing, cache_bytes=0, threads=1)
        ((images, _),) = evaluation_batches(store, held, batch_size=len(held))
        with torch.inference_mode():
            logits = network(images)
        expected = torch.softmax(logits / done.card.temperature, dim=1).numpy()
        for sample, given in zip(held, expected, strict=True):
            told = rows[sample.path]
            assert told["label"] == labels[sample.label] and told["answer"] == labels[int(given.argmax())]
            assert [float(told[f"p {label}"]) for label in labels] == pytest.approx(given.tolist(), abs=1e-4)
    assert compared


def test_the_figure_is_that_of_the_answers_and_says_so_wherever_it_stands(done: TrainResult) -> None:
    labels = done.card.labels
    rows = rows_of(done.run)
    truth = np.array([labels.index(row["label"]) for row in rows])
    given = np.array([[float(row[f"p {label}"]) for label in labels] for row in rows], np.float32)
    expected = measure(labels, truth, given)
    figures = load_checkpoint(done.run.best).card.metrics
    assert set(figures) == {CROSS_VALIDATED, "test"}, "validation there is none"
    found = figures[CROSS_VALIDATED]
    assert found["n"] == IMAGES and found["accuracy"] == expected.accuracy and found["folds"] == FOLDS
    assert found["accuracy_interval_95"] == list(expected.interval)
    shares = [
        np.mean([row["answer"] == row["label"] for row in rows if row["fold"] == str(number + 1)])
        for number in range(FOLDS)
    ]
    assert found["mean_of_folds"] == pytest.approx(statistics.fmean(shares))
    assert found["standard_deviation_of_folds"] == pytest.approx(statistics.stdev(shares))
    summary = json.loads(done.run.summary.read_text())
    assert summary["metrics"][CROSS_VALIDATED]["confusion"] == expected.confusion.tolist()
    assert summary["headline"] == "test" and summary["metrics"]["test"]["n"] == TEST
    assert json.loads((done.run.path / "folds.json").read_text()) == summary["cross_validation"]
    page = (done.run.path / "report.html").read_text()
    assert "<strong>Cross-validated</strong> in 3 folds" in page and "all images" in page
    assert f"{expected.correct} of {IMAGES} right" in page


def test_the_temperature_is_fitted_to_the_answers_of_all_images(done: TrainResult) -> None:
    pooled = done.answers[CROSS_VALIDATED]
    assert len(pooled.labels) == IMAGES and done.card.temperature == pooled.fit_temperature()


def test_everything_is_trained_for_the_median_of_the_folds_best_epochs(done: TrainResult, heard: Ear) -> None:
    best = [json.loads(run.summary.read_text())["best_epoch"] for run in folds_of(done.run)]
    epochs = statistics.median_high(best)
    assert load_checkpoint(done.run.best).epoch == load_checkpoint(done.run.last).epoch == epochs
    assert done.summary["best_epoch"] == epochs
    assert equal(weights(done.run, "best"), weights(done.run, "last"))
    told = f"all {IMAGES} images train for {epochs} epochs, the median of the folds' best ({', '.join(map(str, best))})"
    assert told in heard.lines
    rows = done.run.metrics.read_text().splitlines()
    assert len(rows) == 1 + epochs and rows[1].split(",")[3:7] == ["", "", "", ""], "nothing validates it"


def test_no_image_has_a_say_in_the_epoch_that_answers_it(done: TrainResult) -> None:
    rows = done.summary["cross_validation"]["folds"]
    for row in rows:
        others = [other["best_epoch"] for other in rows if other is not row]
        assert row["epoch"] == statistics.median_high(others)


def test_the_frozen_backbone_sees_each_image_once_for_all_folds(
    frozen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    forward = Network.forward

    def counted(self: Network, images: torch.Tensor) -> torch.Tensor:
        # Two drawn pictures ask a network of one's own whether its head is its last.
        if len(images) > 2:
            seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", counted)
    ear = Ear()
    train(frozen(tmp_path, epochs=3, views=2), ear)
    assert seen == [IMAGES, IMAGES, TEST], "two views of all images, and the test split through the whole network"
    assert "the frozen backbone sees each image once in 2 views, for all folds" in ear.lines


@pytest.fixture(scope="module")
def left_alone(frozen: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], TrainResult]:
    """A run that nothing interrupts, of that strategy."""
    done: dict[str, TrainResult] = {}

    def find(strategy: str) -> TrainResult:
        if strategy not in done:
            out = tmp_path_factory.mktemp(strategy)
            done[strategy] = train(frozen(out, strategy=strategy, augment="light", limit=27, epochs=2))
        return done[strategy]

    return find


@pytest.mark.parametrize(
    ("strategy", "at"),
    [
        ("feature-extraction", "in a fold"),
        ("feature-extraction", "before a fold is finished"),
        ("feature-extraction", "at the end"),
        ("fine-tune", "in a fold"),
    ],
)
def test_killed_anywhere_it_goes_on_to_the_same_end(
    left_alone: Callable[[str], TrainResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, at: str
) -> None:
    left = left_alone(strategy)
    epochs = 2
    settings = TrainSettings(**{**left.run.read_config()["settings"], "out": tmp_path / "killed"})
    stop = {"in a fold": epochs + 1, "before a fold is finished": 2 * epochs, "at the end": FOLDS * epochs + 1}[at]
    kept = edge_train.run.epochs._keep
    seen = 0

    def killed(*args: Any, **more: Any) -> None:
        nonlocal seen
        kept(*args, **more)
        seen += 1
        if seen == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(edge_train.run.epochs, "_keep", killed)
    ear = Ear()
    with pytest.raises(KeyboardInterrupt):
        train(settings, ear)
    (path,) = (tmp_path / "killed").iterdir()
    assert ear.lines[-1].endswith(f"go on with edge train --resume {path}")
    assert not (path / "summary.json").exists()
    trained: list[int] = []

    def noted(*args: Any, **more: Any) -> None:
        trained.append(args[2].epoch)
        kept(*args, **more)

    monkeypatch.setattr(edge_train.run.epochs, "_keep", noted)
    again = resume(Run(path))
    final = load_checkpoint(again.run.best).epoch
    assert len(trained) == FOLDS * epochs + final - stop, "what was done is not done again"
    assert equal(weights(again.run), weights(left.run)) and again.card.temperature == left.card.temperature
    for one, two in zip(folds_of(again.run), folds_of(left.run), strict=True):
        assert equal(weights(one, "best"), weights(two, "best"))
        assert one.split.read_text() == two.split.read_text()
    assert rows_of(again.run) == rows_of(left.run)
    assert again.summary["metrics"] == left.summary["metrics"]
    parts = [json.loads(run.summary.read_text())["training_seconds"] for run in folds_of(again.run)]
    assert again.summary["seconds"] > sum(parts) + again.summary["training_seconds"]


def test_a_finished_one_resumed_is_as_it_was(done: TrainResult) -> None:
    before = {path: path.read_bytes() for path in done.run.path.rglob("*.csv")}
    done.run.summary.write_text(json.dumps({**done.summary, "seconds": 5000.0}))
    again = resume(done.run)
    assert again.summary["seconds"] > 5000
    assert equal(weights(again.run), weights(done.run)) and again.card == done.card
    assert {path: path.read_bytes() for path in done.run.path.rglob("*.csv")} == before


def test_a_fold_is_resumed_with_the_others(done: TrainResult) -> None:
    with pytest.raises(UsageError, match=r"fold-2 is a fold of .* \(resume them together: edge train --resume"):
        resume(folds_of(done.run)[1])


def test_the_newest_run_is_the_one_that_learned_from_everything(done: TrainResult) -> None:
    assert newest_run(done.run.path.parent).path == done.run.path


def test_what_makes_no_sense_with_folds_is_refused(
    frozen: Settings, tmp_path: Path, done: TrainResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="`folds`"):
        frozen(tmp_path, folds=1)
    with pytest.raises(UsageError, match="`folds` measure on every image, and the `teacher`"):
        frozen(tmp_path, teacher=str(done.run.path))
    with pytest.raises(UsageError, match="on one split, not on `folds`"):
        compare(frozen(tmp_path))
    with pytest.raises(UsageError, match="`folds` 12 is more than class 'circle' can be cut into: it has 11 images"):
        train(frozen(tmp_path, folds=12))
    assert not list(tmp_path.iterdir()), "what is refused leaves no run"
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="in one process"):
        train(frozen(tmp_path))


def test_a_rare_class_is_judged_alike_in_every_fold_and_its_threshold_is_of_unseen_images(
    few_shapes: Path, frozen: Settings, tmp_path: Path
) -> None:
    lean = Path(shutil.copytree(few_shapes, tmp_path / "lean", ignore=shutil.ignore_patterns("triangle")))
    for path in [*sorted((lean / "train" / "circle").iterdir())[1:], *sorted((lean / "val" / "circle").iterdir())[1:]]:
        path.unlink()
    settings = replace(frozen(tmp_path / "runs", folds=2, epochs=1), data=str(lean), positive="circle")
    result = train(settings)
    of_folds = [json.loads((result.run.path / f"fold-{n}" / "summary.json").read_text())["best_by"] for n in (1, 2)]
    assert of_folds == ["balanced-accuracy"] * 2 and result.summary["best_by"] == "balanced-accuracy"
    point = load_checkpoint(result.run.best).card.operating_point
    assert point is not None and (point.positives, point.n) == (2, 13), "all images, each answered by another's network"
    rows = rows_of(result.run)
    found = sum(float(row["p circle"]) >= point.threshold for row in rows if row["label"] == "circle")
    assert found == 2 and result.summary["metrics"][CROSS_VALIDATED]["at_threshold"]["found"] == 2
    assert "cross-validated, which it was chosen on" in (result.run.path / "report.html").read_text()


def test_names_with_any_line_end_are_read_back(tmp_path: Path) -> None:
    samples = tuple(Sample(path, label) for label, path in enumerate(("a\r/1.png", "b/\r\n2.png", "c\n/3,.png")))
    answers = SplitAnswers(samples, np.eye(3, dtype=np.float32), np.arange(3))
    validated = SimpleNamespace(folds=[SimpleNamespace(number=1)], answered=[(1, answers)], temperature=1.0)
    CrossValidation.write_answers(cast(Any, validated), tmp_path / "a.csv", ["a\r", "b", "c\n"])
    found = read_out_of_fold(tmp_path / "a.csv")
    assert found.paths == [sample.path for sample in samples] and found.labels == ("a\r", "b", "c\n")
