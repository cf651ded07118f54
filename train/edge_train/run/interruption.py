"""What is said of a run that ends before its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_runtime import Run
from edge_train.network.device_memory import is_out_of_memory, out_of_memory
from edge_train.run.job import Job
from edge_train.run.processes import is_of_others, others_gone
from edge_train.run.sweep_part import WHOLE


@contextmanager
def interruptible(job: Job, run: Run, kept: Callable[[], bool]) -> Iterator[None]:
    """Say how to go on where the work in the block is interrupted and something of it was `kept`.

    Callbacks that heard of a run's start hear of its end, however the block is left.

    Raises:
        EdgeError: memory does not suffice, or a process that trained with this one is gone.
    """
    try:
        yield
    except KeyboardInterrupt:
        job.progress.end()
        # What is told of a sweep's run is how the sweep goes on.
        if kept() and job.part is WHOLE:
            job.progress.say(f"{run.path} keeps its epochs; go on with edge train --resume {run.path}")
        raise
    except RuntimeError as error:
        if job.world.size > 1 and is_of_others(error):
            job.progress.end()
            raise others_gone() from error
        if not is_out_of_memory(error):
            raise
        raise out_of_memory() from error
    finally:
        job.listeners.end(None)
