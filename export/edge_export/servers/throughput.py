"""How a model file is run best by a server with many clients: copies, threads and batch, measured on this machine."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_runtime import INPUT_NAME, Preprocessing, Progress, open_session, usable_cores

BATCHES = (1, 4, 8, 16)
_TURN_S = 0.15
_ROUNDS = 3
# Waiting for a batch costs the first picture time: it must pay.
_MARGIN = 1.05


class Way(NamedTuple):
    """So many `copies` of a model beside each other, each with so many `threads`, given `batch` images at once."""

    copies: int
    threads: int
    batch: int


class Throughput(NamedTuple):
    """Images a second of each way, the best of three rounds in turns; `best` is the one to serve with."""

    rates: dict[Way, float]

    @property
    def best(self) -> Way:
        """The fastest, unless images one by one come within 5 % of it."""
        fastest = max(self.rates, key=self.rates.__getitem__)
        alone = max((way for way in self.rates if way.batch == 1), key=self.rates.__getitem__)
        return fastest if self.rates[fastest] > _MARGIN * self.rates[alone] else alone

    def describe(self) -> list[str]:
        """A line for each way, fastest first."""
        return [self._line(way) for way in sorted(self.rates, key=lambda way: -self.rates[way])]

    def describe_best(self) -> str:
        """The best way, with its rate."""
        return self._line(self.best)

    def _line(self, way: Way) -> str:
        threads = f"{way.threads} thread{'s' * (way.threads > 1)}"
        return f"{self.rates[way]:.0f} images/s with {way.copies} x {threads}, batch {way.batch}"


def measure_throughput(model: Path, contract: Preprocessing, progress: Progress) -> Throughput:
    """Run the ONNX file `model` in each way, in turns, for a few seconds. Raises ModelError as `open_session` does."""
    cores = usable_cores()
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (max(BATCHES), contract.height_px, contract.width_px, 3), np.uint8)
    layouts = dict.fromkeys([(cores, 1), (1, cores)])
    sessions = {
        (copies, threads): [open_session(model, threads=threads) for _ in range(copies)] for copies, threads in layouts
    }
    rates: dict[Way, float] = {}
    ways = [Way(copies, threads, batch) for copies, threads in layouts for batch in BATCHES]
    progress.begin("measuring how it is served best", len(ways) * _ROUNDS)
    for _ in range(_ROUNDS):
        for way in ways:
            found = _rate(sessions[way.copies, way.threads], pixels[: way.batch])
            rates[way] = max(found, rates.get(way, 0.0))
            progress.advance(1)
    progress.end()
    return Throughput(rates)


def _rate(sessions: list[Any], pixels: NDArray[np.uint8]) -> float:
    """Images a second of `sessions`, each on a thread of its own."""
    until = time.perf_counter() + _TURN_S

    def work(session: Any) -> tuple[int, float]:
        done = 0
        while (now := time.perf_counter()) < until or not done:
            session.run(None, {INPUT_NAME: pixels})
            done += len(pixels)
        return done, now

    started = time.perf_counter()
    with ThreadPoolExecutor(len(sessions)) as pool:
        ends = list(pool.map(work, sessions))
    return sum(done for done, _ in ends) / (max(time.perf_counter(), started + 1e-9) - started)
