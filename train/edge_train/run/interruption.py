"""What is said of a run that ends before its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_runtime import Progress, Run
from edge_train.run.step import is_out_of_memory, out_of_memory


@contextmanager
def interruptible(run: Run, progress: Progress, kept: Callable[[], bool]) -> Iterator[None]:
    """Say how to go on where the work in the block is interrupted and something of it was `kept`.

    Raises:
        EdgeError: memory does not suffice.
    """
    try:
        yield
    except KeyboardInterrupt:
        progress.end()
        if kept():
            progress.say(f"{run.path} keeps its epochs; go on with edge train --resume {run.path}")
        raise
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory() from error
