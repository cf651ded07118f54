"""What a run took until now, which one that goes on adds to."""

from __future__ import annotations

import json

from edge_runtime import Run
from edge_train.network.checkpoint import load_checkpoint
from edge_train.run.epochs import read_state


def seconds_taken(run: Run, *folds: Run) -> float:
    """What the summary of an earlier end says; where there is none, what its epochs took and those of its `folds`.

    Raises CheckpointError where a last.pt is damaged.
    """
    try:
        return float(json.loads(run.summary.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        history = read_state(load_checkpoint(run.last).training).history if run.last.is_file() else []
        return sum(row.train.seconds for row in history) + sum(map(seconds_taken, folds))
