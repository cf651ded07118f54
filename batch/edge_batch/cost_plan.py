"""What many pictures take on so many cores, and what they read: by arithmetic, and played through block by block."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from edge_batch.batch_prediction import block_rows
from edge_batch.picture_listing import Listing
from edge_runtime import Classifier, ImageError, UsageError

# From nothing to the first block: a cluster of this machine's own, 2 cores.
START_S = 15.0
_SAMPLE, _MEASURE_S = 200, 5.0


@dataclass(frozen=True, slots=True)
class Speed:
    """What one picture costs one core, in seconds: `mean_s` and `std_s` of `n`, decoded and answered on one thread."""

    name: str
    mean_s: float
    std_s: float
    n: int

    @classmethod
    def of(cls, name: str, seconds: Sequence[float]) -> Self:
        """From what each of some pictures took."""
        return cls(name, float(np.mean(seconds)), float(np.std(seconds)), len(seconds))

    @property
    def images_per_core_hour(self) -> float:
        """How many pictures one core answers in an hour."""
        return 3600 / self.mean_s


@dataclass(frozen=True, slots=True)
class Cost:
    """What `pictures` take one model on `cores`: core-hours, and seconds by arithmetic and played through."""

    name: str
    cores: int
    core_hours: float
    paper_s: float
    simulated_s: float

    def to_json(self) -> dict[str, Any]:
        """As `--plan --json` prints it."""
        return {
            "model": self.name,
            "cores": self.cores,
            "core_hours": self.core_hours,
            "paper_s": self.paper_s,
            "simulated_s": self.simulated_s,
        }


def measure_speed(name: str, classifier: Classifier, listing: Listing) -> Speed:
    """What a picture of `listing` costs here: up to 200, evenly chosen, for five seconds, on this one thread.

    Reading from a store counts, as it will. Raises UsageError where none can be read.
    """
    paths = listing.paths[:: max(1, len(listing.paths) // _SAMPLE)]
    seconds: list[float] = []
    end = time.monotonic() + _MEASURE_S
    for number, path in enumerate(paths):
        start = time.perf_counter()
        try:
            source = listing.locations.read(path) if "://" in path else path
            classifier.predict_input(classifier.preprocessing(source, name=path), path)
        except ImageError:
            continue
        # The first warms up, but of one picture alone it is all there is.
        if number or len(paths) == 1:
            seconds.append(time.perf_counter() - start)
        if time.monotonic() > end:
            break
    if not seconds:
        raise UsageError("no picture of the sample could be read, so nothing was measured", "name others with `data`")
    return Speed.of(name, seconds)


def describe_plan(speed: Speed, pictures: int, cores: Sequence[int]) -> list[Cost]:
    """What `pictures` take on each number of `cores`. Raises UsageError where one of them is below 1."""
    if bad := [count for count in cores if count < 1]:
        raise UsageError(f"`cores` {bad[0]}: at least 1 is needed", "--cores 2,16,64")
    busy_s = pictures * speed.mean_s
    return [
        Cost(speed.name, count, busy_s / 3600, busy_s / count, START_S + _play(speed, pictures, count))
        for count in cores
    ]


def _play(speed: Speed, pictures: int, cores: int) -> float:
    """The seconds until the last of `cores` is done, each taking the next block when it has none, as Ray's do."""
    rows = block_rows(pictures, cores)
    blocks = math.ceil(pictures / rows)
    last = pictures - rows * (blocks - 1)
    sizes = np.array([*[rows] * (blocks - 1), last])
    # The sum of many pictures' times is near normal, whatever one picture's are.
    drawn = np.random.default_rng(0).normal(sizes * speed.mean_s, np.sqrt(sizes) * speed.std_s)
    free = [0.0] * min(cores, blocks)
    for block_s in np.maximum(drawn, 0).tolist():
        heapq.heapreplace(free, free[0] + block_s)
    return max(free)
