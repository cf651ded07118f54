"""edge evaluate: the exported file, scored on labelled images through the runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from edge_cli.choose_model import choose_model
from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import flag
from edge_cli.options import JsonFlag, ModelOption, QuietFlag, RunOption, ThreadsOption
from edge_runtime import LabelFrom

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
        list[str] | None,
        flag("--data", "Labelled images; several are one set.", "DIR|FILE", default="what the run was trained on"),
    ] = None,
    label_from: Annotated[
        LabelFrom | None,
        flag("--label-from", "Folder of --data that names the class.", default="as in training"),
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
        places = find_data(data).places if data else None
        chosen = choose_evaluation(classifier.card, beside, places, split, label_from=label_from)
        console.say(f"evaluating {path} on {len(chosen.samples)} images of {chosen.root} ({chosen.how})")
        console.begin("evaluating", len(chosen.samples))
        result = evaluate(classifier, chosen.root, chosen.samples, on_image=console.advance)
    for error in result.unreadable:
        console.say(f"left out: {error}")
    if json_:
        print_json(
            {
                "model": str(path),
                "data": str(chosen.root),
                "split": chosen.split,
                "unreadable": [error.message for error in result.unreadable],
                **result.metrics.to_json(),
            }
        )
    else:
        _draw(result.metrics, chosen.split)
    return 1 if result.unreadable else 0


def _draw(metrics: Metrics, split: str) -> None:
    low, high = metrics.interval
    print(
        f"{split} accuracy {metrics.accuracy:.2%} ({metrics.correct} of {metrics.n}; 95 % interval {low:.1%} to "
        f"{high:.1%}), macro F1 {metrics.macro_f1:.3f}, calibration error {metrics.calibration_error:.3f}"
    )
    print_table(
        ("class", "precision", "recall", "F1", "images"),
        [
            (row.label, _share(row.precision), _share(row.recall), _share(row.f1), str(row.support))
            for row in metrics.per_class
        ],
    )
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


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
