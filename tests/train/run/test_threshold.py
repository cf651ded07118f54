"""A run with a class that must not be missed: its threshold from validation, measured on test, in card and report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from edge_runtime import OperatingPoint, Run, UsageError, measure_at  # noqa: E402
from edge_train import TrainResult, load_checkpoint, resume, train  # noqa: E402
from edge_train.run.threshold import strictest  # noqa: E402
from quick_training import StopAt, quick_settings  # noqa: E402


@pytest.fixture(scope="module")
def two(few_shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Circles and squares: 16 images to train on, 6 to validate with, 6 to test with."""
    folder = Path(shutil.copytree(few_shapes, tmp_path_factory.mktemp("two") / "shapes"))
    for split in ("train", "val", "test"):
        shutil.rmtree(folder / split / "triangle")
    return folder


@pytest.fixture(scope="module")
def result(two: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    out = tmp_path_factory.mktemp("runs")
    return train(quick_settings(two, out, positive="square", min_sensitivity=0.9))


def test_the_threshold_is_of_validation_and_is_measured_on_both_splits(result: TrainResult) -> None:
    point = result.card.operating_point
    assert point is not None and (point.positive, point.min_sensitivity, point.n, point.positives) == (
        "square",
        0.9,
        6,
        3,
    )
    summary = json.loads(result.run.summary.read_text())
    assert summary["operating_point"] == point.to_json()
    assert "--positive square --min-sensitivity 0.9" in summary["command"]
    for split in ("val", "test"):
        answers = result.answers[split]
        probabilities = answers.probabilities(result.card.temperature)
        found = measure_at(point, result.card.labels, answers.labels, probabilities)
        assert summary["metrics"][split]["at_threshold"] == found.to_json()
        assert result.card.metrics[split]["at_threshold"] == found.to_json()
    val = result.answers["val"]
    scores = val.probabilities(result.card.temperature)[:, 1]
    # All three must be found for 90 %, and the threshold lies close below the last.
    assert point.threshold <= scores[val.labels == 1].min() <= point.threshold + 2e-4
    assert load_checkpoint(result.run.best).card == result.card
    page = (result.run.path / "report.html").read_text(encoding="utf-8")
    assert "At the threshold" in page and "validation, which it was chosen on" in page
    assert f"square is the answer from a probability of {point.threshold:.3f} on" in page


def test_it_defaults_to_95_percent_and_is_absent_unless_asked_for(two: Path, tmp_path: Path) -> None:
    card = train(quick_settings(two, tmp_path, positive="circle", epochs=1)).card
    assert card.operating_point is not None and card.operating_point.min_sensitivity == 0.95
    plain = train(quick_settings(two, tmp_path, epochs=1))
    assert plain.card.operating_point is None and "operating_point" not in plain.summary
    assert "At the threshold" not in (plain.run.path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"positive": "triangle"}, "`positive` triangle is not one of the classes"),
        ({"min_sensitivity": 0.9}, "`min_sensitivity` is that of the class in `positive`"),
        ({"positive": "circle", "min_sensitivity": 0.0}, "`min_sensitivity` 0: more than 0"),
        ({"positive": "circle", "min_sensitivity": 1.01}, "`min_sensitivity` 1.01: at most 1"),
        ({"positive": "circle", "min_sensitivity": np.nan}, "`min_sensitivity` nan"),
    ],
)
def test_what_no_threshold_can_be_chosen_for_is_refused_at_once(
    two: Path, tmp_path: Path, others: dict[str, object], said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        train(quick_settings(two, tmp_path, **others))
    assert said in caught.value.message and not list(tmp_path.iterdir())


def test_three_classes_and_a_class_without_validation_images_are_refused(
    few_shapes: Path, two: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="is for two classes, but there are 3"):
        train(quick_settings(few_shapes, tmp_path / "runs", positive="circle"))
    bare = Path(shutil.copytree(two, tmp_path / "bare"))
    for picture in (bare / "val" / "square").iterdir():
        picture.unlink()
    with pytest.raises(UsageError, match="no validation image is of square"):
        train(quick_settings(bare, tmp_path / "runs", positive="square"))
    # As good as none, which is seen when they are read, and neither by the last epoch nor at a resume after it.
    (bare / "val" / "square" / "1.png").write_text("no picture")
    with pytest.raises(UsageError, match="no validation image is of square"):
        train(quick_settings(bare, tmp_path / "runs", positive="square", on_bad_image="skip"))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())


def test_a_run_is_not_resumed_to_a_threshold_that_no_picture_is_left_for(two: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(two, tmp_path / "data"))
    started = quick_settings(data, tmp_path / "runs", positive="square", on_bad_image="skip", epochs=2)
    with pytest.raises(KeyboardInterrupt):
        train(started, StopAt("epoch 1/2"))
    (path,) = (tmp_path / "runs").iterdir()
    for picture in (data / "val" / "square").iterdir():
        picture.write_bytes(b"?" * picture.stat().st_size)
    with pytest.raises(UsageError, match="no validation image is of square"):
        resume(Run(path))


def test_an_average_takes_the_strictest_of_one_class_and_says_where_they_differ() -> None:
    low, high, other = (OperatingPoint(*made, 10, 5) for made in (("a", 0.4, 0.9), ("a", 0.2, 0.95), ("b", 0.5, 0.99)))
    assert strictest([None, None]) == (None, "") and strictest([low, low]) == (low, "")
    for points in ([low, high], [high, None], [None, low, high]):
        point, said = strictest(points)
        assert point == high and "a sensitivity of at least 95.0% for a, the strictest" in said
    point, said = strictest([high, other])
    assert point is None and "so the average has none" in said
