"""Which model file a command works on when none is named."""

from __future__ import annotations

from pathlib import Path

from edge_cli.console import Console
from edge_runtime import Run, UsageError, find_run, newest_run


def choose_run(run: str | None, console: Console, *, needs: tuple[str, ...] = ("best.pt",)) -> Run:
    """The run named, or the newest that has one of the files `needs`, which is said on stderr."""
    if run is not None:
        return find_run(run)
    chosen = newest_run(needs=needs)
    console.say(f"using the newest run, {chosen.path}")
    return chosen


def choose_model(model: Path | None, run: str | None, console: Console) -> tuple[Path, Run | None]:
    """The model file named, or that of the run named or newest; and the run it lies in, if any."""
    if model is not None:
        beside = find_run(run) if run is not None else Run(model.parent)
        return model, beside if beside.config.is_file() else None
    # A device may hold what the runtime needs of a run, and no checkpoint.
    chosen = choose_run(run, console, needs=("best.pt", "model.onnx"))
    if not chosen.model.is_file():
        raise UsageError(f"{chosen.path} has no model.onnx yet", f"edge export --run {chosen.path}")
    return chosen.model, chosen
