"""The report of a run: one HTML file that opens offline, anywhere, with everything a reader needs in it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime import (
    CROSS_VALIDATED,
    Metrics,
    ModelCard,
    Run,
    expected_calibration_error,
    write_text,
)
from edge_train.pruned_fields import OF_PRUNING, OF_THE_RUN
from edge_train.recipes import find_recipe
from edge_train.report.diagnosis import Diagnosis, EpochFigures
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
from edge_train.report.pictures import answers, mistakes, right_ones, thumbnails
from edge_train.report.report_charts import curve_chart, reliability_chart
from edge_train.run.split_answers import SplitAnswers
from edge_train.settings import Criterion, TrainSettings
from edge_train.several_runs.cross_validation import CrossValidation

REPORT_NAME = "report.html"
_TITLES = {
    "rate-too-high": "Learning rate too high",
    "rate-too-low": "Learning rate too low",
    "overfitting": "Overfitting",
    "underfitting": "Underfitting",
    "more-epochs": "Stopped too early",
    "imbalance": "Classes out of balance",
    "never-predicted": "A class it never answers",
    "small-validation": "Few validation images",
    "calibration": "Probabilities to be doubted",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RunReport:
    """What a report tells.

    `best_by` is what the best epoch was chosen by, and `optimism` a sentence on what the choice does to validation's
    accuracy, or empty. `card` is the best checkpoint's, with its temperature; `counts` maps split, then label, to
    images; `settings` are those of config.json; `data_root` is the folder that the samples' paths are relative to;
    `val` has at least one image, `test` may be None or empty. Of a cross-validation, `cross`, `val` are the answers to
    all images, `history` has the folds' mean, and `best_epoch` is how long the network learned from everything.
    `pruning` is summary.json's, of a run that began with another's network. Of a network that was trained elsewhere,
    `history` is empty, and `command` what imports it again.
    """

    card: ModelCard
    history: tuple[EpochFigures, ...]
    best_epoch: int
    best_by: Criterion = "accuracy"
    optimism: str = ""
    val: SplitAnswers
    test: SplitAnswers | None
    counts: Mapping[str, Mapping[str, int]]
    settings: Mapping[str, Any]
    data_root: Path
    diagnosis: tuple[Diagnosis, ...]
    seconds: float
    parameters: int
    parameters_trained: int
    git_revision: str | None = None
    cross: CrossValidation | None = None
    pruning: Mapping[str, Any] | None = None
    command: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """One split with its probabilities before and after calibration, and its tables.

    `judged` are those that the calibration is judged by: cross-fitted where the temperature was fitted on the split, if
    that is no one group.
    """

    name: str
    answers: SplitAnswers
    raw: NDArray[np.float32]
    calibrated: NDArray[np.float32]
    judged: NDArray[np.float32]
    metrics: Metrics
    by_class: Table
    pairs: Table


def write_report(run: Run, report: RunReport) -> Path:
    """Write report.html into the run's folder, whole or not at all, and return its path.

    Pictures that cannot be read any more are left out.

    Raises:
        OutputError: it cannot be written.
    """
    path = run.path / REPORT_NAME
    write_text(path, _page(run.name, report))
    return path


def repeat_command(settings: Mapping[str, Any]) -> str:
    """The command line that trains the same again: what differs from its default, and what a recipe or a
    pruned run would set otherwise."""
    recipe = settings.get("recipe")
    said = {each.setting for each in find_recipe(recipe).values} if recipe else set()
    if settings.get("prune") is not None:
        said |= {name for name in OF_THE_RUN if not isinstance(settings.get(name), bool)} | {*OF_PRUNING}
    defaults = {field.name: field.default for field in fields(TrainSettings)}
    parts = ["edge", "train"]
    for name, value in settings.items():
        # --out only says where to put the run; None is what not giving the flag means.
        if value is None or name == "out" or (name not in said and name in defaults and defaults[name] == value):
            continue
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            parts.append(flag if value else f"--no-{flag[2:]}")
        else:
            for each in value if isinstance(value, list | tuple) else (value,):
                parts += [flag, shlex.quote(str(each))]
    return " ".join(parts)


def _page(name: str, report: RunReport) -> str:
    card = report.card
    splits = [
        _measured(split, found, report)
        for split, found in (
            ("validation" if report.cross is None else CROSS_VALIDATED, report.val),
            ("test", report.test),
        )
        if found is not None and len(found.samples)
    ]
    main = splits[-1]
    truth = main.answers.labels
    before = expected_calibration_error(truth, main.raw)
    found = [each for split in splits for each in answers(split.name, split.answers.samples, split.calibrated)]
    wrong = mistakes(found)
    contract = card.preprocessing
    model_input = (
        f"{contract.width_px} × {contract.height_px} px: short side to {contract.resize_px} px "
        f"({contract.interpolation}), then a centre crop"
    )
    curves = {
        title: drawing(curve_chart(report.history, report.best_epoch, quantity))
        for title, quantity in (("Loss", "loss"), ("Accuracy (%)", "accuracy"))
        if report.history
    }
    reliability = {
        title: (drawing(reliability_chart(truth, probabilities, title)), error)
        for title, probabilities, error in (
            ("Before", main.raw, before),
            (f"After (temperature {card.temperature:.2f})", main.judged, main.metrics.calibration_error),
        )
    }
    return template().render(
        name=name,
        report=report,
        card=card,
        splits=splits,
        figures=_all_figures(splits),
        folds=None if report.cross is None else _folds(report.cross),
        threshold=_threshold(card),
        pruning=None if report.pruning is None else _pruning(report.pruning),
        titles=_TITLES,
        duration=duration_text(report.seconds),
        curves=curves,
        epochs=epochs_table(report.history, report.best_epoch, report.best_by, folds=report.cross is not None),
        reliability=reliability,
        asked=len(found),
        wrong=len(wrong),
        mistakes=thumbnails(wrong, report.data_root, most=24),
        recognised=thumbnails(right_ones(found), report.data_root, most=12),
        images=counted_table(card.labels, report.counts),
        origin={"folder": report.data_root, **card.data, "model input": model_input},
        command=report.command or repeat_command(report.settings),
        versions=dict(card.versions) | {"git revision": report.git_revision or "none"},
    )


def _measured(name: str, found: SplitAnswers, report: RunReport) -> _Measured:
    labels = report.card.labels
    raw, calibrated = found.probabilities(1.0), found.probabilities(report.card.temperature)
    crossed = None if name == "test" else found.cross_fitted()
    judged = crossed[0] if crossed is not None and crossed[1] else calibrated
    metrics = found.measure(labels, report.card.temperature, judged=crossed)
    by_class = class_table(metrics, report.counts.get("train", {}))
    return _Measured(name, found, raw, calibrated, judged, metrics, by_class, pair_table(metrics))


def _all_figures(splits: Sequence[_Measured]) -> Table:
    """What is reported of a classifier in one field or another, a column per split."""
    found = [split.metrics for split in splits]
    rows: list[tuple[object, ...]] = [
        ("accuracy", *(percent(each.accuracy) for each in found)),
        ("balanced accuracy", *(percent(each.balanced_accuracy) for each in found)),
        ("macro F1", *(decimal(each.macro_f1) for each in found)),
        ("AUROC", *(decimal(each.auroc) for each in found)),
        ("average precision", *(decimal(each.average_precision) for each in found)),
        ("log loss (nats)", *(decimal(each.log_loss) for each in found)),
        ("Brier score", *(decimal(each.brier) for each in found)),
        ("calibration error", *(percent(each.calibration_error) for each in found)),
        ("images", *(each.n for each in found)),
    ]
    caption = "Balanced accuracy is the mean sensitivity; AUROC and average precision are means over the classes."
    return Table(caption, ("figure", *(split.name for split in splits)), rows)


def _folds(cross: CrossValidation) -> Table:
    rows: list[tuple[object, ...]] = []
    for fold, (epoch, given) in zip(cross.folds, cross.answered, strict=True):
        found = given.accuracy
        figures = (found.n, found.correct, percent(found.share), decimal(given.loss))
        rows.append((fold.number, *figures, epoch, fold.state.best_epoch))
    pooled, found = cross.pooled, cross.pooled.accuracy
    mean = f"{cross.mean_accuracy:.1%} ± {100 * cross.spread:.1f}"
    figures = (found.n, found.correct, percent(found.share), decimal(pooled.loss))
    rows += [("mean", "", "", mean, "", "", ""), ("all images", *figures, "", cross.epochs)]
    caption = (
        "A network trained on the other folds answers each, after as many epochs as those folds say: the median of "
        "their best. ± is the standard deviation of the folds."
    )
    return Table(caption, ("fold", "images", "right", "accuracy", "loss", "epoch", "its best epoch"), rows)


def _pruning(found: Mapping[str, Any]) -> Table:
    """What the network lost, and what each split says of it before, right after and now."""
    (parameters, left), (gflops, gflops_left) = found["parameters"], found["gflops"]
    rows: list[tuple[object, ...]] = [
        ("parameters", f"{parameters:,}", f"{left:,}", f"{left:,}", ""),
        ("GFLOPs (multiply-adds)", decimal(gflops), decimal(gflops_left), decimal(gflops_left), ""),
    ]
    for split, scores in found["accuracy"].items():
        shares = (percent(scores[when]) for when in ("before", "pruned", "tuned"))
        rows.append((f"{split} accuracy", *shares, scores["n"]))
    caption = f"{found['share']:.0%} of the channels of {found['run']} were taken, and what was left fine-tuned."
    return Table(caption, ("figure", "that run", "right after", "now", "images"), rows)


def _threshold(card: ModelCard) -> Table | None:
    """What the threshold does on each split; None where the more probable class is the answer."""
    point = card.operating_point
    if point is None:
        return None
    caption = (
        f"{point.positive} is the answer from a probability of {point.threshold:.3f} on, instead of the more probable "
        f"class. Chosen on images not learned from so that at least {point.min_sensitivity:.1%} of its pictures are "
        f"found, of which there were {point.positives}: the fewer, the less it can promise. Intervals are 95 %."
    )
    rows: list[tuple[object, ...]] = []
    for name, split in (
        ("validation, which it was chosen on", "val"),
        ("cross-validated, which it was chosen on", CROSS_VALIDATED),
        ("test", "test"),
    ):
        found = card.metrics.get(split, {}).get("at_threshold")
        if found is not None:
            rates = (percent(found[each]) for each in ("sensitivity", "specificity", "precision"))
            intervals = (interval(found[f"{each}_interval_95"]) for each in ("sensitivity", "specificity"))
            mixed = [cell for pair in zip_longest(rates, intervals) for cell in pair if cell is not None]
            rows.append((name, *mixed, *(found[each] for each in ("found", "missed", "alarmed", "left"))))
    head = ("images", "sensitivity", "interval", "specificity", "interval", "precision")
    return Table(caption, (*head, "found", "missed", "others taken for it", "others left alone"), rows)
