"""edge average: the weights of several runs of one backbone averaged into one model, where that is better."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_cli.console import Console, print_json, print_table
from edge_cli.flags import flag, paragraphs
from edge_cli.options import JsonFlag, QuietFlag, ThreadsOption
from edge_cli.split_scores import headline_text, print_scores
from edge_runtime import RUNS_FOLDER, find_run

if TYPE_CHECKING:
    from edge_train import AverageStep, Score

app = typer.Typer(add_completion=False)

TEXT = """Average the weights of runs of one backbone, on the same data and split, into one model of the same size.

The best run on validation comes first; each other one is kept only if the average with it validates better (a greedy
model soup, Wortsman et al. 2022). If none is, nothing is written and the exit code is 1.

Averages help most among runs that fine-tune the same pretrained weights with other rates, augmentations or epochs.
"""


@app.command(name="average", help=paragraphs(TEXT))
def average(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN RUN…", help="Run folders, or their names below runs/.", show_default=False),
    ],
    out: Annotated[Path, flag("--out", "Folder that the new run folder is put into.", "DIR")] = RUNS_FOLDER,
    threads: ThreadsOption = None,
    json_: JsonFlag = False,
    quiet: QuietFlag = False,
) -> int:
    """Run `edge_train.average` and print each step of it."""
    chosen = [find_run(run) for run in runs]
    from edge_train import average as run_average

    with Console(quiet=quiet) as console:
        result = run_average(chosen, out=out, threads=threads, progress=console)
    if json_:
        print_json(result.summary)
        return 0
    print_table(
        ("run", "alone", "loss", "average with it", "loss", ""),
        [_row(step) for step in result.steps],
        title=f"validation accuracy, n {result.steps[0].alone.accuracy.n}",
    )
    print_scores(result.summary)
    kept = len(result.summary["averaged"])
    said, seconds = headline_text(result.summary["metrics"]), result.summary["seconds"]
    print(f"{said}, average of {kept} of {len(chosen)} runs, {seconds:.0f} s: {result.run.best}")
    console.say(f"next: edge export --run {result.run.path}")
    return 0


def _row(step: AverageStep) -> tuple[str, ...]:
    verdict = "start" if step.averaged is None else "kept" if step.kept else "left out"
    return str(step.run.path), *_cells(step.alone), *_cells(step.averaged), verdict


def _cells(score: Score | None) -> tuple[str, str]:
    return ("–", "–") if score is None else (f"{score.accuracy.share:.1%}", f"{score.loss:.3f}")
