"""The threshold of a run's positive class: chosen on validation, and measured wherever the run measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edge_data import Splits
from edge_runtime import CROSS_VALIDATED, ModelCard, UsageError, check_positive, choose_operating_point, measure_at
from edge_train.run.split_answers import SplitAnswers


def require_threshold(positive: str, labels: tuple[str, ...], splits: Splits) -> None:
    """Raise UsageError, before anything takes time, where no threshold can be chosen for that class."""
    check_positive(positive, labels)
    # Cross-validation, whose answers to all images it is chosen on, leaves no validation.
    if not any(labels[sample.label] == positive for sample in splits.val or splits.train):
        raise UsageError(
            f"no validation image is of {positive}, so no threshold can be chosen", "add some, or drop `positive`"
        )


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


def note_threshold(summary: dict[str, Any], card: ModelCard) -> None:
    """Add the card's threshold, and what it does on each split, to what summary.json will say; nothing without one."""
    if card.operating_point is None:
        return
    summary["operating_point"] = card.operating_point.to_json()
    for split, figures in summary["metrics"].items():
        figures["at_threshold"] = card.metrics[split]["at_threshold"]
