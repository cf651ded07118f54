"""The threshold of a run's positive class: chosen on validation, and measured wherever the run measures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from edge_data import Splits
from edge_runtime import (
    CROSS_VALIDATED,
    ModelCard,
    OperatingPoint,
    UsageError,
    check_positive,
    choose_operating_point,
    measure_at,
)
from edge_train.run.split_answers import SplitAnswers


def require_threshold(positive: str, labels: tuple[str, ...], splits: Splits) -> str:
    """The class as the labels spell it. Raises UsageError where no threshold can be chosen for it, before all work."""
    positive = check_positive(positive, labels)
    # Cross-validation, whose answers to all images it is chosen on, leaves no validation.
    if not any(labels[sample.label] == positive for sample in splits.val or splits.train):
        raise UsageError(
            f"no validation image is of {positive}, so no threshold can be chosen", "add some, or drop `positive`"
        )
    return positive


def with_threshold(
    card: ModelCard, positive: str, min_sensitivity: float, answers: Mapping[str, SplitAnswers]
) -> ModelCard:
    """The card, whose temperature and metrics are known, with its threshold and what that does on each split.

    It is chosen on validation or, where there is none, on the cross-validated answers.

    Raises UsageError as `choose_operating_point` does.
    """
    probabilities = {split: given.probabilities(card.temperature) for split, given in answers.items()}
    held = "val" if "val" in answers else CROSS_VALIDATED
    point = choose_operating_point(card.labels, positive, min_sensitivity, answers[held].labels, probabilities[held])
    metrics = {
        split: {
            **figures,
            "at_threshold": measure_at(point, card.labels, answers[split].labels, probabilities[split]).to_json(),
        }
        for split, figures in card.metrics.items()
    }
    return replace(card, operating_point=point, metrics=metrics)


def strictest(points: Sequence[OperatingPoint | None]) -> tuple[OperatingPoint | None, str]:
    """Whose aim the average of runs with these thresholds takes, and what is to be said of it; empty where all agree.

    It is the one of the greatest sensitivity, or None where they are for two classes.
    """
    given = [point for point in points if point is not None]
    if not given:
        return None, ""
    if len({point.positive for point in given}) > 1:
        return None, (
            "note: the runs' thresholds are for different classes, so the average has none: it answers with the more "
            "probable class"
        )
    chosen = max(given, key=lambda point: point.min_sensitivity)
    if len({None if point is None else point.min_sensitivity for point in points}) == 1:
        return chosen, ""
    return chosen, (
        f"note: not all runs have the same threshold: the average's is for a sensitivity of at least "
        f"{chosen.min_sensitivity:.1%} for {chosen.positive}, the strictest"
    )


def note_threshold(summary: dict[str, Any], card: ModelCard) -> None:
    """Add the card's threshold, and what it does on each split, to what summary.json will say; nothing without one."""
    if card.operating_point is None:
        return
    summary["operating_point"] = card.operating_point.to_json()
    for split, figures in summary["metrics"].items():
        figures["at_threshold"] = card.metrics[split]["at_threshold"]
