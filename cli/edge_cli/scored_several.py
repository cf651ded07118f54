"""edge evaluate of a model of several labels, or of several tasks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cli.console import Console, print_json
from edge_cli.metrics_table import print_metrics
from edge_cli.several_scores import print_labels, several_figures, several_line
from edge_data import EvaluationData
from edge_runtime import Classifier, Drift, TaskMetrics, evaluate_several, map_interval, one_line

if TYPE_CHECKING:
    from edge_runtime import SeveralEvaluation


def score_several(classifier: Classifier, chosen: EvaluationData, console: Console) -> SeveralEvaluation:
    """Answer the images that were chosen."""
    result = evaluate_several(classifier, chosen.root, chosen.samples, on_image=console.advance)
    console.end()
    return result


def drift_of_several(classifier: Classifier, result: SeveralEvaluation, root: Path, console: Console) -> Drift:
    """The same images in exact arithmetic, held against the answers of this machine's kernels."""
    console.begin("evaluating in exact arithmetic", len(result.samples))
    graph = Classifier(classifier.path, threads=classifier.threads, exact=True)
    exactly = evaluate_several(graph, root, result.samples, on_image=console.advance).probabilities
    console.end()
    if classifier.card.tasks:
        return Drift.of_tasks(classifier.card.tasks, result.task_truth, result.probabilities, exactly)
    return Drift.of_labels(classifier.card.thresholds, result.label_truth, result.probabilities, exactly)


def print_several_evaluation(
    head: dict[str, Any], result: SeveralEvaluation, *, as_json: bool, more: dict[str, Any]
) -> None:
    """Print what was found; `head` is what comes first in the JSON, and names the split, `more` what comes last."""
    figures = result.metrics.to_json()
    if not isinstance(result.metrics, TaskMetrics):
        bounds = map_interval(result.label_truth, result.probabilities)
        figures["map_interval_95"] = None if bounds is None else list(bounds)
    if as_json:
        print_json({**head, **figures, **more})
        return
    print(several_line(head["split"], figures))
    if isinstance(result.metrics, TaskMetrics):
        _print_tasks(result.metrics)
    else:
        print(several_figures(figures))
        print_labels(figures)


def _print_tasks(metrics: TaskMetrics) -> None:
    for name, found in metrics.tasks.items():
        print()
        if found is None:
            print(f"{one_line(name)}: no image has a label for it")
        else:
            print_metrics(found, name)
