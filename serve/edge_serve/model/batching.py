"""Dynamic batching: pictures of several requests in one run of the model, where that gives more of them a second.

On a processor it often does not: several single-threaded runs beside each other keep all cores busy, and a batch makes
the first picture wait for the last. So it is measured on this machine, with this model, when the server starts.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_runtime import ImageClassifier
from edge_serve.model.distances import Runs
from edge_serve.settings import ServeSettings

_LEAST_S = 0.25
_ROUNDS = 3
# A batch must pay for the wait it costs.
_MARGIN = 1.05


@dataclass(frozen=True, slots=True)
class BatchChoice:
    """Whether to batch, and why in words."""

    on: bool
    reason: str


def choose_batching(
    settings: ServeSettings, wide: ImageClassifier, narrow: ImageClassifier, threads: int
) -> BatchChoice:
    """As `settings` say, or by running both ways in turns for about two seconds."""
    if settings.batching != "auto":
        return BatchChoice(settings.batching == "on", "as asked")
    size = settings.batch_size
    contract = wide.preprocessing
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (size, contract.height_px, contract.width_px, 3), np.uint8)
    alone, batched = 0.0, 0.0
    with ThreadPoolExecutor(threads) as pool:
        ways: tuple[Callable[[], object], Callable[[], object]] = (
            lambda: list(pool.map(lambda row: narrow.probabilities(pixels[row : row + 1]), range(size))),
            lambda: wide.probabilities(pixels),
        )
        for way in ways:
            way()
        # Of each the best round: what slows one is other work on the machine.
        for _ in range(_ROUNDS):
            alone = max(alone, size * _rate(ways[0]))
            batched = max(batched, size * _rate(ways[1]))
    words = f"{alone:.0f} images/s one by one on {threads} threads, {batched:.0f} in batches of {size}"
    return BatchChoice(batched > _MARGIN * alone, words)


def _rate(way: Callable[[], object]) -> float:
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < _LEAST_S:
        way()
        calls += 1
    return calls / spent


@dataclass(frozen=True, slots=True)
class _Waiting:
    classifier: Runs
    pixels: NDArray[np.uint8]
    done: Future[tuple[NDArray[np.float32], float]]


class Batcher:
    """Collects pictures on a thread of its own and runs the model on up to `size` of them at once.

    It waits up to `wait_s` for more, and only while `more_to_come` says that others are being decoded. `ran` is told of
    each run: its seconds, and how many pictures shared it. It runs the model while it holds `turn`, where other models'
    batches would want the same cores.
    """

    def __init__(
        self,
        size: int,
        wait_s: float,
        more_to_come: Callable[[], bool],
        ran: Callable[[float, int], None],
        turn: threading.Lock | None = None,
    ) -> None:
        self._size = size
        self._wait_s = wait_s
        self._more_to_come = more_to_come
        self._ran = ran
        self._turn = turn or threading.Lock()
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="edge-batcher", daemon=True)
        self._thread.start()

    def run(self, classifier: Runs, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Probabilities of one picture `[height, width, 3]`, and the seconds that the run took."""
        waiting = _Waiting(classifier, pixels, Future())
        self._queue.put(waiting)
        return waiting.done.result()

    def close(self) -> None:
        """End the thread once what waits is answered."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        first = self._queue.get()
        while first is not None:
            batch, first = self._collect(first)
            self._answer(batch)
            first = first or self._queue.get()

    def _collect(self, first: _Waiting) -> tuple[list[_Waiting], _Waiting | None]:
        """A batch for one model, and the first picture for another, which came with a reload."""
        batch = [first]
        end = time.monotonic() + self._wait_s
        while len(batch) < self._size:
            left = end - time.monotonic() if self._more_to_come() else 0.0
            try:
                found = self._queue.get(timeout=left) if left > 0 else self._queue.get_nowait()
            except queue.Empty:
                break
            if found is None:
                self._queue.put(None)
                break
            if found.classifier is not first.classifier:
                return batch, found
            batch.append(found)
        return batch, None

    def _answer(self, batch: list[_Waiting]) -> None:
        try:
            with self._turn:
                start = time.perf_counter()
                rows = batch[0].classifier.probabilities(np.stack([each.pixels for each in batch]))
                seconds = time.perf_counter() - start
        except Exception as error:
            for each in batch:
                each.done.set_exception(error)
            return
        self._ran(seconds, len(batch))
        for each, row in zip(batch, rows, strict=True):
            each.done.set_result((row, seconds))
