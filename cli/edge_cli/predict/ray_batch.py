"""edge predict --engine ray: answers to many pictures, on this machine's cores or a cluster's, as Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge_batch import answers_place, list_all, predict_batch
from edge_cli.console import print_json
from edge_cli.predict.classify import say_problem
from edge_cli.predict.ray_options import RayOptions
from edge_runtime import EdgeError, UsageError, require_extra

if TYPE_CHECKING:
    from edge_batch import BatchSummary, FreshAnswers
    from edge_cli.console import Console

# A person reads so many; the column `error` has all.
ERRORS_SHOWN = 20


class _Said:
    """What a person sees of a batch: a bar, and the first errors."""

    def __init__(self, console: Console, pictures: int) -> None:
        self._console, self._total, self._errors = console, pictures, 0
        self._begun = False

    def hear(self, fresh: FreshAnswers) -> None:
        """So many more answers."""
        if not self._begun:
            self._console.begin("classifying", self._total)
            self._begun = True
        self._console.advance(fresh.pictures)
        if fresh.before:
            return
        for error in fresh.errors:
            self._errors += 1
            if self._errors <= ERRORS_SHOWN:
                say_problem(EdgeError(error))
            elif self._errors == ERRORS_SHOWN + 1:
                self._console.say("more could not be read: the column error has them all")


def run_engine(options: RayOptions, choose: Callable[[], Path], console: Console, *, json_: bool) -> int:
    """Classify what is named by the model that `choose` gives, or with --plan say what it takes; the exit code.

    Raises what `say_plan` and `run_batch` raise.
    """
    if options.plan:
        from edge_cli.predict.plan_output import say_plan

        return say_plan(options, choose, console, json_=json_)
    if options.cores is not None or options.bench is not None:
        raise UsageError("--cores and --bench go with --plan", "add --plan")
    if options.out is None:
        raise UsageError("--engine ray writes Parquet files into a folder", "--out answers")
    options.settings()
    require_extra("ray")
    return run_batch(options, options.out, choose(), console, json_=json_)


def run_batch(options: RayOptions, out: Path, model: Path, console: Console, *, json_: bool) -> int:
    """Answer all pictures that are named, into a folder of Parquet files; the exit code.

    Raises what `list_all` and `predict_batch` raise.
    """
    out = answers_place(out)
    listing = list_all(options.data)
    console.say(f"{len(listing.paths):,} pictures")
    said = _Said(console, len(listing.paths))
    with console:
        try:
            summary = predict_batch(model, listing, out, options.settings(), said.hear)
        except KeyboardInterrupt:
            console.end()
            console.say(f"{out}: what is answered is kept, and the same command goes on")
            raise
    if json_:
        print_json(summary.to_json())
    _say_summary(summary, console)
    return 1 if summary.failed else 0


def _say_summary(summary: BatchSummary, console: Console) -> None:
    failed = f", {summary.failed:,} more could not be read" if summary.failed else ""
    before = f" ({summary.before:,} of all were there before)" if summary.before else ""
    console.say(f"{summary.out}: answers to {summary.answered:,} pictures{failed}{before}")
    if summary.workers:
        now = summary.pictures - summary.before
        # None where the clock of another machine is ahead by more than it took.
        rate = f", {now / summary.seconds:,.0f} images/s" if summary.seconds else ""
        console.say(
            f"{now:,} in {summary.seconds:,.1f} s by {summary.workers} workers{rate}; "
            f"starting took {summary.start_s:.0f} s more"
        )
