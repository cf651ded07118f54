"""Several labels a picture: the loss, the figures, the thresholds, and a run from its list to its folder."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
sklearn = pytest.importorskip("sklearn.metrics")

from torch.nn import functional  # noqa: E402

from drawn_targets import draw_labels  # noqa: E402
from edge_data import read_split  # noqa: E402
from edge_runtime import DataError, ModelCard, Preprocessing, Run, Sample  # noqa: E402
from edge_train import TrainSettings, deploy, load_checkpoint, train  # noqa: E402
from edge_train.several_runs.measured_run import row_of  # noqa: E402
from edge_train.targets.multi_label import LabelAnswers, LabelObjective, MultiLabel  # noqa: E402
from quick_training import QUICK, quick_settings  # noqa: E402

CONTRACT = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
CARD = ModelCard(("a", "b", "c"), CONTRACT, "resnet18", "scratch", thresholds=(0.5, 0.5, 0.5))
SAMPLES = [Sample("1", 0, (0, 2)), Sample("2", 0, ()), Sample("3", 0, (1,)), Sample("4", 0, (1, 2))]
CPU = torch.device("cpu")


def loss_of(objective: LabelObjective, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    weight = objective.weight(targets)
    parts = zip(logits.tensor_split(2), targets.tensor_split(2), strict=True)
    return sum((objective(*part, weight=weight, images=len(targets)) for part in parts), torch.zeros(()))


def test_the_truth_is_a_yes_or_no_for_each_label() -> None:
    kind = MultiLabel(CARD)
    assert kind.array(SAMPLES).tolist() == [[1, 0, 1], [0, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert kind.count(SAMPLES) == {"a": 1, "b": 2, "c": 2}


def test_the_loss_is_binary_cross_entropy_whatever_pieces_the_batch_is_in() -> None:
    targets = torch.from_numpy(MultiLabel(CARD).array(SAMPLES))
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    expected = functional.binary_cross_entropy_with_logits(logits, targets)
    torch.testing.assert_close(loss_of(LabelObjective(), logits, targets), expected)
    smooth = functional.binary_cross_entropy_with_logits(logits, targets * 0.8 + 0.1)
    torch.testing.assert_close(loss_of(LabelObjective(label_smoothing=0.2), logits, targets), smooth)
    weights = MultiLabel(CARD).objective(TrainSettings(multi_label=True, class_balance="weights"), SAMPLES, CPU)
    assert isinstance(weights, LabelObjective) and weights.class_weights is not None
    assert weights.class_weights.tolist() == [3, 1, 1]
    weighed = functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=torch.tensor([3.0, 1.0, 1.0]))
    torch.testing.assert_close(loss_of(weights, logits, targets), weighed)


def test_smoothing_pulls_weighed_answers_to_a_half_as_it_does_others() -> None:
    # A picture in 31 has the label, so what is there weighs 30; the logits are those of one that has it, and of others.
    objective = LabelObjective(label_smoothing=0.1, class_weights=torch.tensor([30.0]))
    targets = torch.tensor([[1.0], *[[0.0]] * 30])
    logits = torch.logit(torch.tensor([0.95, 0.05])).requires_grad_()
    loss_of(objective, torch.cat([logits[:1], logits[1:].expand(30)])[:, None], targets).backward()
    # They are where the loss is least.
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_a_blend_weighs_by_how_much_of_a_label_it_has() -> None:
    logits, blended = torch.tensor([[0.3, -1.2]]), torch.tensor([[0.25, 1.0]])
    each = functional.binary_cross_entropy_with_logits(logits, blended, reduction="none")
    objective = LabelObjective(class_weights=torch.tensor([5.0, 3.0]))
    found = objective(logits, blended, weight=objective.weight(blended), images=1)
    torch.testing.assert_close(found, (each * torch.tensor([0.75 + 0.25 * 5, 3.0])).sum() / 2)


def test_what_is_right_is_the_share_of_a_pictures_labels() -> None:
    targets = torch.tensor([[1.0, 0, 1], [0, 0, 0]])
    logits = torch.tensor([[2.0, -1, -1], [-1, -1, -1]])
    assert float(LabelObjective().right(logits, targets)) == pytest.approx(2 / 3 + 1)


def answers(count: int = 300, heat: float = 3.0) -> LabelAnswers:
    """Logits `heat` times as large as the labels warrant."""
    draw = np.random.default_rng(0)
    honest = draw.normal(size=(count, 3)) * 2
    truth = draw.random((count, 3)) < 1 / (1 + np.exp(-honest))
    return LabelAnswers(tuple(Sample(str(n), 0) for n in range(count)), (heat * honest).astype(np.float32), truth)


def test_the_map_of_an_epoch_is_what_scikit_learn_says() -> None:
    given = answers()
    expected = sklearn.average_precision_score(given.truth, given.probabilities(1.0), average="macro")
    assert given.validated("map").more == {"val_map": pytest.approx(expected)}
    assert not replace(given, truth=np.zeros_like(given.truth)).validated("loss").more


def test_a_run_without_a_label_in_validation_is_told_by_what_there_is(tmp_path: Path) -> None:
    given = replace(answers(), truth=np.zeros((300, 3), bool))
    figures = given.measure(("a", "b", "c"), (0.5,) * 3, 1.0).to_json()
    names = ("seconds", "parameters_trained", "parameters", "best_epoch")
    summary = {**dict.fromkeys(names, 1), "metrics": {"val": figures}, "best_by": "loss"}
    row = row_of("fine-tuning", Run(tmp_path), summary, "multi-label")
    assert (row.figure, row.val_accuracy) == ("exact_match", figures["exact_match"])


def test_one_temperature_makes_the_probabilities_mean_what_they_say() -> None:
    given = answers(2000)
    temperature = given.fit_temperature()
    assert temperature == pytest.approx(3.0, rel=0.1)
    probabilities = given.probabilities(temperature)
    for low in (0.1, 0.4, 0.7):
        inside = (probabilities >= low) & (probabilities < low + 0.2)
        assert given.truth[inside].mean() == pytest.approx(probabilities[inside].mean(), abs=0.05)


def test_validation_is_judged_at_temperatures_that_have_not_seen_the_image() -> None:
    """Of twenty pictures, groups whole: the loss is not that of the temperature that was fitted on all of them."""
    few = answers(20)
    groups = {str(n): f"patient {n // 2}" for n in range(20)}
    card, found = MultiLabel(CARD).calibrate({"val": replace(few, groups=groups), "test": few})
    assert card.metrics["val"]["calibration_folds"] == 5 and "calibration_folds" not in card.metrics["test"]
    val, same = found["val"].to_json(), found["test"].to_json()
    assert val["log_loss"] > same["log_loss"] and val["map"] == same["map"]
    rows, _ = replace(few, groups=groups).cross_fitted()
    heats = (few.logits / np.log(rows / (1 - rows)))[:, 0]
    np.testing.assert_allclose(heats[::2], heats[1::2], rtol=1e-3)
    assert len(set(heats.round(3))) == 5


def test_extreme_logits_are_probabilities_too() -> None:
    given = LabelAnswers((Sample("1", 0),), np.array([[1e30, -np.inf, np.nan]], np.float32), np.zeros((1, 3), bool))
    assert given.probabilities(1.0).tolist() == [[1.0, 0.0, 0.5]]


def test_an_answer_that_is_no_number_is_not_right() -> None:
    given = LabelAnswers((Sample("1", 0),), np.array([[-1, np.nan, 2, np.nan]], np.float32), np.zeros((1, 4), bool))
    assert given.validated("loss").accuracy == 0.25


def test_epochs_are_chosen_by_the_map_or_where_there_is_none_by_the_loss() -> None:
    kind = MultiLabel(CARD)
    assert kind.choose_criterion("auto", SAMPLES, SAMPLES) == ("map", "")
    assert kind.choose_criterion("loss", SAMPLES, SAMPLES) == ("loss", "")
    assert kind.choose_criterion("auto", SAMPLES, SAMPLES[1:2])[0] == "loss"


def test_a_run_leaves_all_that_every_run_does(labels_run: Path) -> None:
    run = Run(labels_run)
    checkpoint = load_checkpoint(run.best)
    card, summary = checkpoint.card, json.loads(run.summary.read_text())
    assert (card.kind, card.labels) == ("multi-label", ("circle", "square", "triangle"))
    assert summary["best_by"] == "map"
    assert summary["thresholds"] == dict(zip(card.labels, card.thresholds, strict=True))
    assert {"map", "f1_macro", "f1_micro", "n"} <= summary["metrics"]["test"].keys()
    rows = list(csv.DictReader(run.metrics.read_text().splitlines()))
    kept = [row["more"]["val_map"] for row in load_checkpoint(run.last).training["history"]]
    assert [float(row["val_map"]) for row in rows] == pytest.approx(kept, abs=1e-6)
    page = (run.path / "report.html").read_text()
    assert "Label by label (test" in page and "Validation mAP" in page
    assert "Nothing stands out" not in page


def test_the_figures_are_those_of_the_network_on_its_validation_images(labels_run: Path) -> None:
    run = Run(labels_run)
    checkpoint = load_checkpoint(run.best)
    card = checkpoint.card
    root = Path(run.read_config()["data_root"])
    samples = read_split(run.split, card.labels).val
    pixels = torch.stack([torch.from_numpy(card.preprocessing(root / sample.path)) for sample in samples])
    with torch.inference_mode():
        probabilities = deploy(checkpoint.build(), card)(pixels).numpy()
    truth = MultiLabel(card).array(samples).astype(bool)
    there = truth.any(axis=0)
    expected = sklearn.average_precision_score(truth[:, there], probabilities[:, there], average="macro")
    assert card.metrics["val"]["map"] == pytest.approx(expected, abs=1e-6)
    said = probabilities >= np.array(card.thresholds)
    f1 = sklearn.f1_score(truth, said, average="micro", zero_division=0)
    assert card.metrics["val"]["f1_micro"] == pytest.approx(f1)


@pytest.mark.parametrize(
    ("strategy", "more"), [("feature-extraction", {}), ("fine-tune", {"mixup": 0.4, "cutmix": 1.0})]
)
def test_pretrained_weights_are_learned_on_from(
    strategy: str, more: dict[str, float], shufflenet_weights: Path, tmp_path: Path
) -> None:
    listed = draw_labels(tmp_path / "pictures", 40)
    given = {"multi_label": True, "weights": str(shufflenet_weights), "epochs": 1, "strategy": strategy, **more}
    result = train(TrainSettings(**{**QUICK, "data": str(listed), "out": tmp_path / "runs", **given}))
    assert 0 <= result.summary["metrics"]["val"]["map"] <= 1
    assert result.summary["parameters_trained"] == (
        3075 if strategy == "feature-extraction" else result.summary["parameters"]
    )


def test_a_folder_of_classes_is_refused_before_anything_is_written(few_shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder, which gives each picture one label"):
        train(quick_settings(few_shapes, tmp_path / "runs", multi_label=True))
    assert not (tmp_path / "runs").exists()
