"""Several tasks: missing labels count nowhere, weights are given or learned, and a run is resumed with them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from drawn_targets import draw_tasks  # noqa: E402
from edge_data import read_split  # noqa: E402
from edge_runtime import ModelCard, Preprocessing, Run, Sample, TaskMetrics  # noqa: E402
from edge_runtime.model.task import Task  # noqa: E402
from edge_train import (  # noqa: E402
    BatchEnd,
    Callback,
    TrainSettings,
    compare,
    deploy,
    find_learning_rate,
    load_checkpoint,
    resume,
    train,
)
from edge_train.run.callbacks import ActiveRun, EpochEnd  # noqa: E402
from edge_train.strategy.plan import SCRATCH_RATE  # noqa: E402
from edge_train.targets.multi_task import MultiTask, TaskObjective  # noqa: E402
from edge_train.trackers.tracked import draw_confusions, final_figures  # noqa: E402
from quick_training import equal, quick_settings, weights  # noqa: E402

CONTRACT = Preprocessing(resize_px=32, height_px=32, width_px=32, interpolation="bilinear")
TASKS = (Task("size", ("big", "small")), Task("hue", ("blue", "green", "red")))
CARD = ModelCard(
    tuple(label for task in TASKS for label in task.card_labels), CONTRACT, "resnet18", "scratch", tasks=TASKS
)
SAMPLES = [Sample("1", 0, (0, 2)), Sample("2", 0, (1, -1)), Sample("3", 0, (-1, 1)), Sample("4", 0, (1, 0))]
CPU = torch.device("cpu")


def objective(**asked: str) -> TaskObjective:
    settings = TrainSettings(tasks=("size", "hue"), **asked)  # type: ignore[arg-type]
    made = MultiTask(CARD).objective(settings, SAMPLES, CPU)
    assert isinstance(made, TaskObjective)
    return made


def loss_of(given: TaskObjective, logits: torch.Tensor, targets: torch.Tensor, pieces: int = 2) -> torch.Tensor:
    weight = given.weight(targets)
    parts = zip(logits.tensor_split(pieces), targets.tensor_split(pieces), strict=True)
    return sum((given(*part, weight=weight, images=len(targets)) for part in parts), torch.zeros(()))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    targets = torch.from_numpy(MultiTask(CARD).array(SAMPLES))
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True), targets


def by_hand(logits: torch.Tensor, **others: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropies of the two tasks over the pictures that have their labels."""
    size = functional.cross_entropy(logits[[0, 1, 3], :2], torch.tensor([0, 1, 1]), **others)
    hue = functional.cross_entropy(logits[[0, 2, 3], 2:], torch.tensor([2, 1, 0]), **others)
    return size, hue


def test_each_tasks_loss_is_the_mean_over_the_pictures_with_its_label() -> None:
    logits, targets = batch()
    size, hue = by_hand(logits)
    for pieces in (1, 2, 4):
        torch.testing.assert_close(loss_of(objective(), logits, targets, pieces), size + hue)
    weighed = objective(task_weights="size=1,hue=0.5")
    torch.testing.assert_close(loss_of(weighed, logits, targets), size + hue / 2)


def test_a_missing_label_teaches_its_task_nothing() -> None:
    logits, targets = batch()
    loss_of(objective(), logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad[1, 2:].abs().max() == 0 and logits.grad[2, :2].abs().max() == 0
    assert logits.grad[1, :2].abs().min() > 0


def test_a_batch_without_any_label_of_a_task_is_no_division_by_zero() -> None:
    logits, _ = batch()
    targets = torch.tensor([[0, -1], [1, -1], [1, -1], [0, -1]])
    for given in (objective(), objective(task_weights="learned"), objective(class_balance="weights")):
        loss = loss_of(given, logits, targets)
        assert torch.isfinite(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None and torch.isfinite(logits.grad).all()


def test_class_weights_are_each_tasks_own() -> None:
    given = objective(class_balance="weights")
    assert [each.tolist() for each in given.task_class_weights] == [[1.5, 0.75], [1.0, 1.0, 1.0]]
    logits, targets = batch()
    size = functional.cross_entropy(logits[[0, 1, 3], :2], torch.tensor([0, 1, 1]), reduction="none")
    weighed = (size * torch.tensor([1.5, 0.75, 0.75])).mean()
    torch.testing.assert_close(loss_of(given, logits, targets), weighed + by_hand(logits)[1])


def test_a_batch_without_the_rare_class_counts_its_images_for_no_more() -> None:
    given = objective(class_balance="weights")
    logits = torch.zeros(2, 5, requires_grad=True)
    loss_of(given, logits, torch.tensor([[1, -1], [1, -1]])).backward()
    assert logits.grad is not None
    # Half of an image's gradient of 1/2, times the weight of `small`.
    torch.testing.assert_close(logits.grad[:, 0], torch.full((2,), 0.25 * 0.75))


def test_smoothed_class_weights_ask_each_task_for_the_same_certainty() -> None:
    settings = TrainSettings(tasks=("size", "hue"), class_balance="weights", label_smoothing=0.2)
    given = MultiTask(CARD).objective(settings, SAMPLES, CPU)
    assert isinstance(given, TaskObjective)
    # Where the loss of a smoothed target is least, whatever a class weighs.
    logits = torch.full((2, 5), 1 / 3)
    logits[:, :2] = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    logits = logits.log().requires_grad_()
    loss_of(given, logits, torch.tensor([[0, -1], [1, -1]])).backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


def test_learned_weights_are_those_of_kendall() -> None:
    given = objective(task_weights="learned")
    (log_variances,) = given.parameters
    with torch.no_grad():
        log_variances.copy_(torch.tensor([0.4, -0.2]))
    logits, targets = batch()
    size, hue = by_hand(logits)
    expected = math.exp(-0.4) * size + 0.2 + math.exp(0.2) * hue - 0.1
    for pieces in (1, 2, 4):
        torch.testing.assert_close(loss_of(given, logits, targets, pieces), expected)
    # At the optimum a task's weight is half of one over its loss.
    optimum = torch.log(2 * torch.stack([size, hue]).detach())
    with torch.no_grad():
        log_variances.copy_(optimum)
    loss_of(given, logits, targets).backward()  # type: ignore[no-untyped-call]
    assert log_variances.grad is not None
    assert log_variances.grad.abs().max() < 1e-6


def test_what_is_right_is_the_share_of_the_labels_a_picture_has() -> None:
    logits = torch.tensor([[1.0, 0, 0, 0, 1], [1, 0, 5, 0, 0], [0, 1, 0, 1, 0], [0, 1, 0, 0, 1]])
    assert float(objective().right(logits, batch()[1])) == 1 + 0 + 1 + 0.5


def test_each_task_is_measured_on_the_pictures_with_its_label_and_calibrated_by_itself() -> None:
    draw = np.random.default_rng(0)
    samples = [Sample(str(n), 0, (n % 2, n % 3 if n % 4 else -1)) for n in range(200)]
    truth = MultiTask(CARD).array(samples)
    logits = draw.normal(size=(200, 5)).astype(np.float32)
    for at, start in enumerate((0, 2)):
        known = truth[:, at] >= 0
        logits[known, start + truth[known, at]] += (1.0, 8.0)[at]
    kind = MultiTask(CARD)
    answers = kind.answers(samples, logits)
    assert {name: len(part.samples) for name, part in answers.parts.items()} == {"size": 200, "hue": 150}
    card, metrics = kind.calibrate({"val": answers})
    found = metrics["val"]
    assert isinstance(found, TaskMetrics)
    for task, part in zip(card.tasks, answers.parts.values(), strict=True):
        assert task.temperature == part.fit_temperature()
        own = found.tasks[task.name]
        assert own is not None
        assert own.accuracy == part.accuracy.share == card.metrics["val"]["tasks"][task.name]["accuracy"]
        assert own.calibration_folds == 5
    assert answers.validated("accuracy").accuracy == pytest.approx(found.mean_accuracy)


def test_a_task_without_a_label_in_a_split_has_no_figures_there() -> None:
    samples = [Sample(str(n), 0, (n % 2, -1)) for n in range(10)]
    kind = MultiTask(CARD)
    card, metrics = kind.calibrate({"val": kind.answers(samples, np.zeros((10, 5), np.float32))})
    assert card.tasks[1].temperature == 1.0
    assert metrics["val"].to_json()["tasks"]["hue"] == {"n": 0}


def test_a_run_leaves_all_that_every_run_does(tasks_run: Path) -> None:
    run = Run(tasks_run)
    checkpoint = load_checkpoint(run.best)
    card, summary = checkpoint.card, json.loads(run.summary.read_text())
    assert card.kind == "multi-task"
    assert [task.labels for task in card.tasks] == [("circle", "square", "triangle"), ("blue", "green", "red")]
    assert summary["temperatures"] == {task.name: task.temperature for task in card.tasks}
    assert summary["task_weights"].keys() == {"shape", "colour"}
    assert all(weight != 1 for weight in summary["task_weights"].values())
    figures = summary["metrics"]["val"]["tasks"]
    assert figures["colour"]["n"] < figures["shape"]["n"]
    assert run.metrics.read_text().splitlines()[0].endswith("images_per_s,val_accuracy_shape,val_accuracy_colour")
    page = (run.path / "report.html").read_text()
    assert page.count('aria-label="Confusion matrix"') == 2 * len(summary["metrics"])


def test_the_figures_are_those_of_the_network_on_the_pictures_with_labels(tasks_run: Path) -> None:
    run = Run(tasks_run)
    checkpoint = load_checkpoint(run.best)
    card = checkpoint.card
    root = Path(run.read_config()["data_root"])
    samples = read_split(run.split, card.labels).val
    pixels = torch.stack([torch.from_numpy(card.preprocessing(root / sample.path)) for sample in samples])
    with torch.inference_mode():
        outputs = deploy(checkpoint.build(), card)(pixels)
    for at, (task, probabilities) in enumerate(zip(card.tasks, outputs, strict=True)):
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(len(samples)))
        truth = np.array([sample.targets[at] for sample in samples])
        right = probabilities.numpy().argmax(axis=1)[truth >= 0] == truth[truth >= 0]
        assert card.metrics["val"]["tasks"][task.name]["accuracy"] == pytest.approx(right.mean())


class StopAfter(Callback):
    """Asks the run to stop after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_start(self, run: ActiveRun) -> None:
        self.run = run

    def on_epoch(self, epoch: EpochEnd) -> None:
        if epoch.epoch == self.epoch:
            self.run.stop()


def test_a_stopped_run_is_resumed_as_if_it_never_had_been(tasks_run: Path, tmp_path: Path) -> None:
    given = json.loads((tasks_run / "config.json").read_text())["settings"]
    stopped = train(TrainSettings(**{**given, "out": tmp_path}), callbacks=[StopAfter(1)])
    assert stopped.summary["epochs"] == 1
    result = resume(stopped.run)
    assert equal(weights(Run(tasks_run)), weights(result.run))
    assert equal(weights(Run(tasks_run), "best"), weights(result.run, "best"))
    figures = result.summary["metrics"]["test"]["tasks"]
    assert final_figures(result)["test/shape/accuracy"] == figures["shape"]["accuracy"]
    assert draw_confusions(result).keys() == {"confusion_shape", "confusion_colour"}
    assert result.summary["task_weights"] == json.loads(Run(tasks_run).summary.read_text())["task_weights"]


class Heard(Callback):
    """Keeps the rates that it is told."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_batch(self, batch: BatchEnd) -> None:
        self.rates.append(batch.learning_rate)

    def on_epoch(self, epoch: EpochEnd) -> None:
        self.rates.append(epoch.learning_rate)


def test_the_rate_that_is_told_is_of_the_layers_and_not_of_learned_weights(tmp_path: Path) -> None:
    listed, heard = draw_tasks(tmp_path / "pictures", 40), Heard()
    own = {"tasks": ("shape", "colour"), "task_weights": "learned", "schedule": "constant", "epochs": 1}
    settings = quick_settings(listed, tmp_path / "runs", **own)
    train(settings, callbacks=[heard])
    assert set(heard.rates) == {SCRATCH_RATE}
    assert dict(find_learning_rate(settings).curve.rates) == {"all": SCRATCH_RATE}


def test_strategies_are_compared_by_the_tasks_mean_accuracy(tmp_path: Path) -> None:
    listed = draw_tasks(tmp_path / "pictures", 40)
    given = quick_settings(listed, tmp_path / "runs", tasks=("shape", "colour"), epochs=1)
    found = compare(given, strategies=("scratch",))
    (row,) = found.rows
    assert row.run is not None
    figures = json.loads(row.run.summary.read_text())["metrics"]
    assert (row.figure, row.val_accuracy) == ("mean_accuracy", figures["val"]["mean_accuracy"])
    assert row.test_interval is None
    assert (found.folder / "comparison.png").is_file()
    assert not (found.folder / "predictions.png").exists()
