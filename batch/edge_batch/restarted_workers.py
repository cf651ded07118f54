"""Workers that die again and again before they have opened the model, as the driver sees them: they cannot tell.

Ray starts a worker that died anew, without end. Imported where Ray is.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

from edge_batch.worker_deaths import MOST_DEATHS
from edge_runtime import EdgeError

LOOK_S = 1.0


class Restarts:
    """How often each worker was started again since any of them gave a sign of life."""

    def __init__(self) -> None:
        self._sign: Hashable = None
        self._before: Mapping[str, int] = {}

    def look(self, restarts: Mapping[str, int], sign: Hashable) -> None:
        """Take how often each worker was started again so far, and a `sign` that differs where one lives.

        Raises EdgeError where one has died too often in a row.
        """
        if sign != self._sign:
            self._sign, self._before = sign, dict(restarts)
        died = max((times - self._before.get(worker, 0) for worker, times in restarts.items()), default=0)
        if died >= MOST_DEATHS:
            raise EdgeError(
                f"a worker died {died} times in a row before it had opened the model",
                "free memory, or take fewer workers; the same command goes on",
            )


def watching(ready: Path, begun: Path) -> type[ExecutionCallback]:
    """What Ray Data is to call at each step of a batch, which ends it by an EdgeError where workers only die.

    A sign of life is a line in `ready` or a change in the folder `begun`, which are the workers' own.
    """

    class Watch(ExecutionCallback):  # type: ignore[misc]
        def __init__(self) -> None:
            self._restarts, self._next = Restarts(), 0.0

        def on_execution_step(self, executor: Any) -> None:
            del executor
            if time.monotonic() >= self._next:
                # The sign first: who gives it later does so with the next look.
                sign = tuple(_changed_ns(path) for path in (ready, begun))
                self._restarts.look(_restarts(), sign)
                self._next = time.monotonic() + LOOK_S

    return Watch


def _restarts() -> dict[str, int]:
    """How often Ray has started each worker of this process's batch again."""
    import ray
    from ray._private.state import actors

    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    return {name: int(actor["NumRestarts"]) for name, actor in actors(job_id=job).items() if actor["State"] != "DEAD"}


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
