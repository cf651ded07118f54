"""report.html of a run whose pictures may have several labels, or a label for each of several tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Accuracy, Metrics, ModelCard, MultiLabelMetrics, Run, TaskMetrics, map_interval, write_text
from edge_train.report.diagnosis import EpochFigures
from edge_train.report.page import REPORT_NAME, repeat_command
from edge_train.report.page_tables import (
    Table,
    class_table,
    counted_table,
    decimal,
    duration_text,
    epochs_table,
    interval,
    pair_table,
    percent,
)
from edge_train.report.page_template import drawing, template
from edge_train.report.pictures import thumbnails
from edge_train.report.report_charts import curve_chart
from edge_train.settings import Criterion
from edge_train.targets.multi_label import LabelAnswers
from edge_train.targets.multi_task import TaskAnswers
from edge_train.targets.target_kind import Answers, Measured

MISTAKES_SHOWN = 24
_NAMES = {"val": "validation", "test": "test"}
_LABEL_HEAD = (
    "label",
    "threshold",
    "avg. precision",
    "F1",
    "precision",
    "interval",
    "sensitivity",
    "interval",
    "AUROC",
    "n",
    "trained on",
)
_SECTIONS = ("Results", "Curves", "Classes", "Pictures", "Settings", "Data", "Repeat")
_LABEL_REMARK = (
    "mAP is the mean of the labels’ average precision. A label is given from its threshold on, which is that of the "
    "best F1 on validation: F1 is too good there, and honest on test. “All right” counts the images of which "
    "every label is answered rightly."
)
_TASK_REMARK = (
    "The mean accuracy is that of the tasks, each over the images that have a label for it. Every task has a "
    "temperature of its own, fitted on validation."
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TargetReport:
    """What the report of such a run tells; `answers` and `metrics` are by split, val and maybe test.

    The others are those of a `RunReport`.
    """

    card: ModelCard
    history: tuple[EpochFigures, ...]
    best_epoch: int
    best_by: Criterion
    answers: Mapping[str, Answers]
    metrics: Mapping[str, Measured]
    counts: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    data_root: Path
    seconds: float
    parameters: int
    parameters_trained: int
    git_revision: str | None = None
    cross: None = None


@dataclass(frozen=True, slots=True)
class _Headline:
    """One large figure, with its interval where it has one."""

    title: str
    value: str
    note: str
    share: float = 0.0
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _OneTask:
    """A task as the page shows a classifier."""

    name: str
    metrics: Metrics
    by_class: Table
    pairs: Table


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What a split has to tell of its labels, or of one task."""

    title: str
    n: int
    table: Table | None = None
    measured: _OneTask | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Split:
    name: str
    parts: Sequence[_Part]


@dataclass(frozen=True, slots=True)
class _Mistake:
    """A picture with a label wrong; `confidence` is the most that a wrong answer was sure of itself."""

    split: str
    path: str
    truth: str
    said: str
    confidence: float


def write_targets_report(run: Run, report: TargetReport) -> Path:
    """Write report.html into the run's folder, whole or not at all, and return its path.

    Raises:
        OutputError: it cannot be written.
    """
    path = run.path / REPORT_NAME
    card = report.card
    several = card.kind == "multi-label"
    names = {split: _NAMES[split] for split in report.metrics}
    found = [each for split, given in report.answers.items() for each in _mistakes(card, names[split], given)]
    worst = sorted(found, key=lambda each: (-each.confidence, each.path))
    contract = card.preprocessing
    page = template("targets_report.html").render(
        name=run.name,
        report=report,
        card=card,
        sections=_SECTIONS,
        splits=[_Split(names[split], list(_parts(report, split))) for split in report.metrics],
        headlines=[each for split in [*report.metrics][::-1] for each in _headlines(report, split)],
        remark=_LABEL_REMARK if several else _TASK_REMARK,
        figures=list(_figures(report)),
        duration=duration_text(report.seconds),
        curves={
            title: drawing(curve_chart(report.history, report.best_epoch, quantity))
            for title, quantity in (("Loss", "loss"), ("Labels right (%)", "accuracy"))
        },
        epochs=epochs_table(report.history, report.best_epoch, report.best_by),
        asked=sum(len(given.samples) for given in report.answers.values()),
        wrong=len(worst),
        mistakes=thumbnails(worst, report.data_root, most=MISTAKES_SHOWN),
        images=counted_table(card.labels, report.counts),
        origin={
            "folder": report.data_root,
            **card.data,
            "model input": f"{contract.width_px} × {contract.height_px} px, short side to {contract.resize_px} px",
        },
        command=repeat_command(report.settings),
        versions=dict(card.versions) | {"git revision": report.git_revision or "none"},
    )
    write_text(path, page)
    return path


def _headlines(report: TargetReport, split: str) -> Iterator[_Headline]:
    found, name = report.metrics[split], _NAMES[split].capitalize()
    if isinstance(found, MultiLabelMetrics):
        given = report.answers[split]
        assert isinstance(given, LabelAnswers), "they were measured"
        share = found.mean_average_precision
        bounds = map_interval(given.truth, given.probabilities(report.card.temperature))
        sure = "none has a label" if bounds is None else f"95 % interval {bounds[0]:.3f} to {bounds[1]:.3f}"
        yield _Headline(f"{name} mAP", decimal(share), f"{found.n} images; {sure}", share or 0.0, bounds)
        yield _Headline(f"{name} F1", decimal(found.f1_macro), f"mean of the labels; of all {decimal(found.f1_micro)}")
        yield _of_count(f"{name}, all right", found.exact)
    elif isinstance(found, TaskMetrics):
        if len(found.tasks) > 1:
            yield _Headline(f"{name} mean accuracy", percent(found.mean_accuracy), f"of {len(found.tasks)} tasks")
        for task, metrics in found.tasks.items():
            if metrics is not None:
                yield _of_count(f"{name}: {task}", metrics.top1)


def _of_count(title: str, found: Accuracy) -> _Headline:
    low, high = found.interval
    note = f"{found.correct} of {found.n} right; 95 % interval {percent(low)} to {percent(high)}"
    return _Headline(title, percent(found.share), note, found.share, (low, high))


def _parts(report: TargetReport, split: str) -> Iterator[_Part]:
    found, training = report.metrics[split], report.counts.get("train", {})
    if isinstance(found, MultiLabelMetrics):
        yield _Part("Label by label", found.n, _label_table(found, training))
    elif isinstance(found, TaskMetrics):
        for task in report.card.tasks:
            metrics = found.tasks[task.name]
            if metrics is not None:
                own = dict(zip(task.labels, (training.get(each, 0) for each in task.card_labels), strict=True))
                measured = _OneTask(_NAMES[split], metrics, class_table(metrics, own), pair_table(metrics))
                yield _Part(f"Task {task.name}", metrics.n, measured=measured)


def _label_table(found: MultiLabelMetrics, training: Mapping[str, int]) -> Table:
    caption = (
        "Lowest average precision first. Average precision and AUROC rank the images at any threshold; F1, precision "
        "(right where it was given) and sensitivity (given where it is so) are at the threshold. Intervals are 95 %."
    )
    rows = sorted(found.per_class, key=lambda row: (row.average_precision is None, row.average_precision or 0.0))
    return Table(
        caption,
        _LABEL_HEAD,
        [
            (
                row.label,
                decimal(row.threshold),
                decimal(row.average_precision),
                decimal(row.f1),
                percent(row.precision),
                interval(row.precision_interval_95),
                percent(row.recall),
                interval(row.recall_interval_95),
                decimal(row.auroc),
                row.support,
                training.get(row.label, 0),
            )
            for row in rows
        ],
    )


def _figures(report: TargetReport) -> Iterator[Table]:
    splits = [_NAMES[split] for split in report.metrics]
    found = list(report.metrics.values())
    several = [each for each in found if isinstance(each, MultiLabelMetrics)]
    if several:
        rows: list[tuple[object, ...]] = [
            ("mAP", *(decimal(each.mean_average_precision) for each in several)),
            ("macro F1", *(decimal(each.f1_macro) for each in several)),
            ("micro F1", *(decimal(each.f1_micro) for each in several)),
            ("all labels right", *(percent(each.exact.share) for each in several)),
            ("log loss (nats)", *(decimal(each.log_loss) for each in several)),
            ("Brier score", *(decimal(each.brier) for each in several)),
            ("calibration error", *(percent(each.calibration_error) for each in several)),
            ("images", *(each.n for each in several)),
        ]
        caption = "The last four figures but one are means over all images and labels, each a yes or no."
        folds = next((each.calibration_folds for each in several if each.calibration_folds is not None), None)
        if folds == 0:
            caption += (
                " Log loss, Brier score and calibration error of validation are on the very images that the "
                "temperature was fitted on: not cross-fitted, they are one group."
            )
        elif folds:
            caption += (
                " On validation, which the temperature was fitted on, log loss, Brier score and calibration error are "
                f"cross-fitted: each of {folds} parts at the temperature that the others come to."
            )
        yield Table(caption, ("figure", *splits), rows)
    for task in report.card.tasks:
        given = [each.tasks[task.name] for each in found if isinstance(each, TaskMetrics)]
        rows = [
            ("accuracy", *("–" if each is None else percent(each.accuracy) for each in given)),
            ("balanced accuracy", *("–" if each is None else percent(each.balanced_accuracy) for each in given)),
            ("macro F1", *("–" if each is None else decimal(each.macro_f1) for each in given)),
            ("log loss (nats)", *("–" if each is None else decimal(each.log_loss) for each in given)),
            ("calibration error", *("–" if each is None else percent(each.calibration_error) for each in given)),
            ("images with a label", *("–" if each is None else each.n for each in given)),
        ]
        yield Table(f"Task {task.name}, at temperature {task.temperature:.2f}.", ("figure", *splits), rows)


def _mistakes(card: ModelCard, split: str, given: Answers) -> Iterator[_Mistake]:
    if isinstance(given, LabelAnswers):
        probabilities = given.probabilities(card.temperature)
        said = probabilities >= np.array(card.thresholds)
        sure = np.where(said, probabilities, 1 - probabilities) * (said != given.truth)
        for at in np.flatnonzero((said != given.truth).any(axis=1)).tolist():
            truth, answer = _joined(card.labels, given.truth[at]), _joined(card.labels, said[at])
            yield _Mistake(split, given.samples[at].path, truth, answer, float(sure[at].max()))
    elif isinstance(given, TaskAnswers):
        for task in card.tasks:
            part = given.parts.get(task.name)
            if part is None:
                continue
            probabilities = part.probabilities(task.temperature)
            answers = probabilities.argmax(axis=1)
            for at in np.flatnonzero(answers != part.labels).tolist():
                truth, answer = task.card_labels[part.labels[at]], task.card_labels[answers[at]]
                yield _Mistake(split, part.samples[at].path, truth, answer, float(probabilities[at].max()))


def _joined(labels: Sequence[str], there: NDArray[np.bool_]) -> str:
    return (
        " | ".join(label for label, is_there in zip(labels, there.tolist(), strict=True) if is_there)
        or "none of the labels"
    )
