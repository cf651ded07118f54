"""edge evaluate: the exported file, scored on labelled images through the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console, print_json, print_table
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption, ThreadsOption
from edge_cli.split_scores import calibration_error, other_figures, print_classes

if TYPE_CHECKING:
    from edge_runtime import Metrics

app = typer.Typer(add_completion=False)

WIDEST_CONFUSION = 20


@app.command(
    name="evaluate",
    help="Score an exported model on labelled images: accuracy, per-class figures, confusion matrix. Needs no torch.",
)
def evaluate_(
    model: ModelOption = None,
    run: RunOption = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Labelled images.", show_default="what the run was trained on"),
    ] = None,
    split: Annotated[
        Literal["test", "val", "train", "all"] | None,
        typer.Option("--split", help="Which images.", show_default="test, or val where there is none"),
    ] = None,
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Evaluate and print."""
    from edge_data import choose_evaluation, find_data
    from edge_runtime import Classifier, evaluate

    with Console(quiet=quiet) as console:
        path, beside = choose_model(model, run, console)
        classifier = Classifier(path, threads=threads)
        chosen = choose_evaluation(classifier.card, beside, find_data(data).root if data is not None else None, split)
        console.say(f"evaluating {path} on {len(chosen.samples)} images of {chosen.root} ({chosen.how})")
        console.begin("evaluating", len(chosen.samples))
        result = evaluate(classifier, chosen.root, chosen.samples, on_image=console.advance)
    if chosen.had_a_part:
        console.say(_flattering(chosen.split, classifier.card.metrics))
    for error in result.unreadable:
        console.say(f"left out: {error}")
    if json_:
        print_json(
            {
                "model": str(path),
                "data": str(chosen.root),
                "split": chosen.split,
                "had_a_part_in_training": chosen.had_a_part,
                "unreadable": [error.message for error in result.unreadable],
                **result.metrics.to_json(),
            }
        )
    else:
        _draw(result.metrics, chosen.split)
    return 1 if result.unreadable else 0


def _flattering(split: str, recorded: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to be said of images that the model is not new to."""
    if split != "val":
        return f"note: the model learned from {split} images: these figures flatter it"
    note = "note: training chose by these images and fitted its temperature on them: these figures flatter the model"
    figures = recorded.get("val", {})
    known = figures.get("calibration_folds") and isinstance(figures.get("expected_calibration_error"), float)
    return f"{note}; training's was {calibration_error(figures)}" if known else note


def _draw(metrics: Metrics, split: str) -> None:
    low, high = metrics.interval
    figures = metrics.to_json()
    print(
        f"{split} accuracy {metrics.accuracy:.2%} ({metrics.correct} of {metrics.n}; 95 % interval {low:.1%} to "
        f"{high:.1%}), {calibration_error(figures)}"
    )
    print(other_figures(figures))
    print_classes(figures)
    if len(metrics.labels) > WIDEST_CONFUSION:
        print(f"confusion matrix of {len(metrics.labels)} classes: --json has it")
        return
    print_table(
        ("true \\ predicted", *metrics.labels),
        [
            (label, *(str(count) if count else "·" for count in row))
            for label, row in zip(metrics.labels, metrics.confusion.tolist(), strict=True)
        ],
    )
