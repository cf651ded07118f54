"""What a model scores on a split, as a person reads it: a line or two, and a row per class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_runtime import one_line

MOST_CLASSES = 20
_FIGURES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier",
}
# What is quoted in the accuracy's place of a model of several labels, or of several tasks.
# Where no picture has a label there is no mAP.
_OF_SEVERAL = {
    "map": "mAP",
    "mean_accuracy": "mean accuracy of the tasks",
    "exact_match": "images with every label right",
}
_COLUMNS = (
    "class",
    "precision",
    "sensitivity (recall)",
    "95 % interval",
    "specificity",
    "95 % interval",
    "F1",
    "AUROC",
    "avg. precision",
    "images",
)


def print_scores(summary: Mapping[str, Any]) -> None:
    """Print the metrics of a run's summary, and the classes of the headline's split."""
    for split, figures in summary["metrics"].items():
        low, high = figures["accuracy_interval_95"]
        print(
            f"{split} accuracy {figures['accuracy']:.1%} (n {figures['n']}, 95 % interval {low:.1%} to {high:.1%}), "
            f"{calibration_error(figures)}"
        )
        print(f"  {other_figures(figures)}")
    if cross := summary.get("cross_validation"):
        _print_folds(cross)
    print_classes(summary["metrics"][summary["headline"]])
    if point := summary.get("operating_point"):
        print_threshold(point, summary["metrics"], summary["headline"])
    if optimism := summary.get("optimism"):
        print(optimism["text"])


def _print_folds(cross: Mapping[str, Any]) -> None:
    """Print a row per fold, their mean, and what became of the images in the end."""
    from edge_cli.console import print_table

    rows = [
        (str(row["fold"]), str(row["n"]), f"{row['accuracy']:.1%}", str(row["epoch"]), str(row["best_epoch"]))
        for row in cross["folds"]
    ]
    print_table(("fold", "images", "accuracy", "epoch", "its best epoch"), rows)
    print(
        f"mean of {len(rows)} folds {cross['mean_accuracy']:.1%} ± {100 * cross['standard_deviation']:.1f} points; "
        "each image was answered by a network that never saw it, after as many epochs as the other folds say"
    )
    print(f"the model learned from all {cross['n']} images in {cross['epochs']} epochs, the median of the folds' best")


def headline_text(metrics: Mapping[str, Any]) -> str:
    """The accuracy to quote, of the split that nothing was chosen on where there is one; "" where none is known."""
    from edge_runtime import headline

    return accuracy_text(headline(metrics), metrics)


def accuracy_text(split: str, metrics: Mapping[str, Any]) -> str:
    """The accuracy of a split on one phrase, of several labels the mAP or the tasks' mean; "" where it is not known."""
    from edge_runtime import CROSS_VALIDATED

    figures = metrics.get(split, {})
    accuracy, n = figures.get("accuracy"), figures.get("n")
    for key, name in _OF_SEVERAL.items():
        if isinstance(several := figures.get(key), int | float) and isinstance(n, int):
            return f"{split} {name} {several:.1%} (n {n})"
    if not isinstance(accuracy, int | float) or not isinstance(n, int):
        return ""
    bounds = figures.get("accuracy_interval_95") if split == CROSS_VALIDATED else None
    known = isinstance(bounds, list) and all(isinstance(bound, int | float) for bound in bounds) and len(bounds) == 2
    interval = f", 95 % interval {bounds[0]:.1%} to {bounds[1]:.1%}" if known and bounds else ""
    return f"{split} accuracy {accuracy:.1%} (n {n}{interval})"


def calibration_error(figures: Mapping[str, Any]) -> str:
    """The calibration error of a split's figures, and whether it is cross-fitted where it has to be."""
    folds = figures.get("calibration_folds")
    how = f" (cross-fitted in {folds} parts)" if folds else ""
    if folds == 0:
        how = " (not cross-fitted: validation is one group)"
    return f"calibration error {figures['expected_calibration_error']:.3f}{how}"


def other_figures(figures: Mapping[str, Any]) -> str:
    """What a split's figures say beside accuracy and calibration, on one line; older files say less of it."""
    return ", ".join(f"{name} {number_cell(figures[key])}" for key, name in _FIGURES.items() if key in figures)


def print_classes(figures: Mapping[str, Any]) -> None:
    """Print a row per class, and which classes have no images; nothing of very many classes."""
    from edge_cli.console import print_table

    rows = figures["per_class"]
    if len(rows) > MOST_CLASSES:
        print(f"{len(rows)} classes: --json has the figures of each")
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows])
    if absent := figures["absent"]:
        names = ", ".join(absent[:MOST_CLASSES]) + (", …" if len(absent) > MOST_CLASSES else "")
        means = "no sensitivity, AUROC or average precision there, and no part in the means"
        print(f"no image of {one_line(names)}: {means}")


def print_threshold(point: Mapping[str, Any], metrics: Mapping[str, Any], split: str) -> None:
    """Print the threshold of a model of two classes, and what it does on that split."""
    from edge_runtime import CROSS_VALIDATED

    print(threshold_line(point, metrics))
    chosen = ", which it was chosen on" if split in ("val", CROSS_VALIDATED) else ""
    print(f"  {split}{chosen}: {at_threshold_line(metrics[split]['at_threshold'])}")


def threshold_line(point: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The threshold on one line, with what it stands on, which `metrics` tell: the figures of each split."""
    from edge_runtime import CROSS_VALIDATED

    crossed = "at_threshold" in metrics.get(CROSS_VALIDATED, {})
    images = f"{point['n']} cross-validated images" if crossed else f"{point['n']} validation images"
    positive = one_line(point["positive"])
    return (
        f"{positive} from a probability of {point['threshold']:.3f} on, for a sensitivity of at least "
        f"{point['min_sensitivity']:.1%}: chosen on {images}, {point['positives']} of them {positive}"
    )


def at_threshold_line(found: Mapping[str, Any]) -> str:
    """What a threshold does on a split, on one line."""
    rates = ", ".join(
        f"{name} {number_cell(found.get(name))} ({interval_cell(found.get(f'{name}_interval_95'))})"
        for name in ("sensitivity", "specificity")
    )
    return (
        f"{rates}; {found.get('found')} found and {found.get('missed')} missed, {found.get('alarmed')} of the others "
        f"taken for it and {found.get('left')} not"
    )


def class_line(row: Mapping[str, Any]) -> str:
    """One class on one line."""
    sensitivity, specificity = (
        f"{name} {number_cell(row.get(key))} ({interval_cell(row.get(f'{key}_interval_95'))})"
        for name, key in (("sensitivity", "recall"), ("specificity", "specificity"))
    )
    area, n = number_cell(row.get("auroc")), row.get("support")
    return f"{row.get('label')}: {sensitivity}, {specificity}, AUROC {area}, n {n}"


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        row["label"],
        number_cell(row["precision"]),
        number_cell(row["recall"]),
        interval_cell(row["recall_interval_95"]),
        number_cell(row["specificity"]),
        interval_cell(row["specificity_interval_95"]),
        number_cell(row["f1"]),
        number_cell(row["auroc"]),
        number_cell(row["average_precision"]),
        str(row["support"]),
    )


def number_cell(value: Any) -> str:
    """A share of 1, or a dash where there is none."""
    # A card comes with a file, whoever wrote it.
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def interval_cell(bounds: Any) -> str:
    """Two bounds, or a dash where there are none."""
    return " to ".join(map(number_cell, bounds)) if isinstance(bounds, list) else "–"
