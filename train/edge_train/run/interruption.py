"""What is said of a run that ends before its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_runtime import Run
from edge_train.run.job import Job
from edge_train.run.step import is_out_of_memory, out_of_memory


@contextmanager
def interruptible(job: Job, run: Run, kept: Callable[[], bool]) -> Iterator[None]:
    """Say how to go on where the work in the block is interrupted and something of it was `kept`.

    Callbacks that heard of a run's start hear of its end, however the block is left.

    Raises:
        EdgeError: memory does not suffice.
    """
    try:
        yield
    except KeyboardInterrupt:
        job.progress.end()
        if kept():
            job.progress.say(f"{run.path} keeps its epochs; go on with edge train --resume {run.path}")
        raise
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory() from error
    finally:
        job.listeners.end(None)
