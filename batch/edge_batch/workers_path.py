"""Where the workers of a Ray cluster import from: where this process does, not the folder that it stands in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any


class _OwnPlaces(list[str]):
    """Folders that can be imported from here; others are not taken."""

    def extend(self, places: Iterable[str], /) -> None:
        here = {os.path.realpath(place) for place in sys.path}
        super().extend(place for place in places if os.path.realpath(place) in here)


def own_job() -> Any:
    """What ray.init is to be told of this process, as its `job_config`.

    By itself Ray has its workers import from the current folder first, where a numpy.py would be run.
    """
    from ray.job_config import JobConfig

    job = JobConfig()
    # Ray extends it while it connects, and has no setting for that.
    job._py_driver_sys_path = _OwnPlaces()
    return job
