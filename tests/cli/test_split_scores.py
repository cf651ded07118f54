"""What a person reads of a split's figures."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edge_cli.split_scores import class_line, headline_text, other_figures, print_classes, print_scores, print_threshold
from edge_runtime import measure

TRUTH = np.array([0, 0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.2, 0.8, 0], [0.1, 0.9, 0]], np.float32)
FOUND = measure(("ant", "bee", "wasp"), TRUTH, PROBABILITIES)


def test_the_headlines_classes_come_last_with_intervals_and_what_is_absent_is_named(capsys: Any) -> None:
    val = replace(FOUND, calibration_folds=5)
    print_scores({"metrics": {"val": val.to_json(), "test": FOUND.to_json()}, "headline": "test"})
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert lines[0].startswith("val accuracy 75.0% (n 4, 95 % interval 30.1% to 95.4%)")
    assert lines[0].endswith("(cross-fitted in 5 parts)")
    assert lines[2].startswith("test accuracy 75.0%") and "cross-fitted" not in lines[2]
    print_scores({"metrics": {"val": replace(FOUND, calibration_folds=0).to_json()}, "headline": "val"})
    assert "(not cross-fitted: validation is one group)" in capsys.readouterr().out.splitlines()[0]
    assert "balanced accuracy 0.750" in lines[1] and "AUROC 1.000" in lines[1] and "Brier 0.2" in lines[1]
    assert text.count("specificity") == 1, "one table, of the headline"
    (ant,) = [" ".join(line.split()) for line in lines if line.split()[:1] == ["ant"]]
    assert ant == "ant 1.000 0.500 0.095 to 0.905 1.000 0.342 to 1.000 0.667 1.000 1.000 2"
    assert lines[-1].startswith("no image of wasp")


def test_the_headline_is_the_test_split_where_there_is_one() -> None:
    val, test = {"accuracy": 0.9, "n": 30}, {"accuracy": 0.8, "n": 20}
    assert headline_text({"val": val, "test": test}) == "test accuracy 80.0% (n 20)"
    assert headline_text({"val": val}) == "val accuracy 90.0% (n 30)"
    assert not headline_text({}) and not headline_text({"val": {"accuracy": "x"}})


@pytest.mark.parametrize(
    ("split", "images", "said"),
    [
        ("cross-validated", "398 cross-validated images", "cross-validated, which it was chosen on: "),
        ("val", "398 validation images", "val, which it was chosen on: "),
        ("test", "398 validation images", "test: "),
    ],
)
def test_what_a_threshold_was_chosen_on_is_said(split: str, images: str, said: str, capsys: Any) -> None:
    point = {"positive": "ill", "threshold": 0.1, "min_sensitivity": 0.95, "n": 398, "positives": 60}
    print_threshold(point, {split: {"at_threshold": {"sensitivity": 0.97, "found": 58, "missed": 2}}}, split)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(f"chosen on {images}, 60 of them ill") and second.startswith(f"  {said}sensitivity 0.970")


def test_older_figures_say_what_they_have() -> None:
    assert not other_figures({"accuracy": 0.5, "n": 2})
    assert other_figures({"auroc": None, "brier": 0.25}) == "AUROC –, Brier 0.250"


@pytest.mark.parametrize("hostile", [{}, {"recall": "x", "recall_interval_95": "ab", "auroc": []}, {"label": None}])
def test_a_row_of_a_card_can_be_anything(hostile: dict[str, Any]) -> None:
    assert "sensitivity – (–)" in class_line(hostile)


def test_very_many_classes_are_for_programs(capsys: Any) -> None:
    many = measure(tuple(map(str, range(21))), np.array([0]), np.eye(21, dtype=np.float32)[:1])
    print_classes(many.to_json())
    text = capsys.readouterr().out
    assert "21 classes: --json" in text and "no image of 1, 2," in text and "19, 20:" in text


def test_folds_are_told_with_their_mean_and_what_became_of_the_images(capsys: Any) -> None:
    rows = [{"fold": n, "n": 2, "accuracy": share, "epoch": 3, "best_epoch": n} for n, share in ((1, 0.5), (2, 1.0))]
    cross = {"folds": rows, "mean_accuracy": 0.75, "standard_deviation": 0.354, "n": 4, "epochs": 2}
    metrics = {"cross-validated": FOUND.to_json()}
    print_scores({"metrics": metrics, "headline": "cross-validated", "cross_validation": cross})
    text = capsys.readouterr().out
    assert text.startswith("cross-validated accuracy 75.0% (n 4, 95 % interval 30.1% to 95.4%)")
    assert "mean of 2 folds 75.0% ± 35.4 points; each image was answered by a network that never saw it" in text
    assert "the model learned from all 4 images in 2 epochs, the median of the folds' best" in text
    assert [" ".join(line.split()) for line in text.splitlines() if line.split()[:2] == ["2", "2"]] == [
        "2 2 100.0% 3 2"
    ]


def test_a_cross_validated_headline_has_its_interval() -> None:
    figures = {"accuracy": 0.75, "n": 4, "accuracy_interval_95": [0.301, 0.954]}
    expected = "cross-validated accuracy 75.0% (n 4, 95 % interval 30.1% to 95.4%)"
    assert headline_text({"cross-validated": figures}) == expected
    for hostile in ([], ["a", "b"], "ab", None):
        told = headline_text({"cross-validated": {**figures, "accuracy_interval_95": hostile}})
        assert told == "cross-validated accuracy 75.0% (n 4)"
