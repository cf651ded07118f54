"""The threads that all models share, behind one bounded queue."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from edge_serve.http.refusal import Refusal
from edge_serve.settings import ServeSettings

_T = TypeVar("_T")


class WorkerPool:
    """Does what the models' engines ask for on `threads` threads, and, with `batching`, as many as wait for a batch.

    `cores` is held while one of the threads computes, `large` while it decodes a picture that takes much memory, and
    `batch_turn` while a batch runs, which takes all cores: however many models there are, no more is done at once than
    with one. Above `queue` waiting pictures new ones are refused.
    """

    def __init__(self, settings: ServeSettings, threads: int, *, batching: bool = False) -> None:
        # A worker waits for its batch: as many are needed as a batch has places, and a core's worth to decode ahead.
        workers = settings.batch_size + threads if batching else threads
        self.cores = threading.Semaphore(threads)
        self.large = threading.Lock()
        self.batch_turn = threading.Lock()
        self._threads = threads
        self._room = settings.limits.queue + workers
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="edge-worker")
        self._lock = threading.Lock()
        self._count = 0
        self._running = 0
        self._pace_s = 0.05

    def check_room(self, count: int = 1) -> None:
        """Raise Refusal (429) where `count` more pictures would find no place."""
        if self._count + count > self._room:
            wait_s = max(1, round(self._count * self._pace_s))
            raise Refusal(429, "queue", "too many pictures are waiting", "ask again", {"retry-after": str(wait_s)})

    async def run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        """What the calls give, in order. Raises as they do, and Refusal where the queue has no room for all of them."""
        self.check_room(len(calls))
        loop = asyncio.get_running_loop()
        self._count += len(calls)
        futures = [loop.run_in_executor(self._executor, call) for call in calls]
        for future in futures:
            future.add_done_callback(self._leave)
        if len(futures) == 1:
            return [await futures[0]]
        return list(await asyncio.gather(*futures))

    @contextmanager
    def running(self) -> Iterator[bool]:
        """While a model runs on one picture; says whether that is all there is to do, so that it may have all cores."""
        with self._lock:
            self._running += 1
            alone = self._running == 1 and self._count <= 1
        try:
            yield alone
        finally:
            with self._lock:
                self._running -= 1

    def took(self, since: float) -> None:
        """A picture was answered that was begun at `since`, by `time.perf_counter`."""
        self._pace_s += ((time.perf_counter() - since) / self._threads - self._pace_s) / 16

    def close(self) -> None:
        """End the threads; what waits is answered first."""
        self._executor.shutdown(wait=True)

    def _leave(self, _future: object) -> None:
        self._count -= 1
