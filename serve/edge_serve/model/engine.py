"""Where pictures are decoded and classified: worker threads behind a bounded queue."""

from __future__ import annotations

import asyncio
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import DriftRecord, ImageError, Prediction, Preprocessing
from edge_serve.http.refusal import Refusal
from edge_serve.model.batching import Batcher
from edge_serve.model.loaded_model import LoadedModel
from edge_serve.observability.prometheus import Metrics
from edge_serve.settings import ServeSettings

_T = TypeVar("_T")

# A photo of a usual phone takes at most 88 MB on its way; of larger ones one is decoded at a time.
_USUAL_PIXELS = 16_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What one picture gave, with seconds spent; `shown` is a data URL of the model's input where it was asked for."""

    prediction: Prediction
    queue_s: float
    decode_s: float
    inference_s: float
    shown: str | None = None


class Engine:
    """Classifies with the `model` of the moment, which may be exchanged at any time.

    `threads` workers decode a picture and run the model on it, as `Classifier.predict_many` does; with batching they
    decode, and one more thread runs the model. Above `queue` waiting pictures new ones are refused.
    """

    def __init__(self, settings: ServeSettings, model: LoadedModel, metrics: Metrics) -> None:
        self.model = model
        self._limits = settings.limits
        self._metrics = metrics
        # A worker waits for its batch: as many are needed as a batch has places, and a core's worth to decode ahead.
        may_batch = settings.batching == "on" or model.choice.on
        workers = settings.batch_size + model.threads if may_batch else model.threads
        self._room = settings.limits.queue + workers
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="edge-worker")
        self._count = 0
        self._active = 0
        self._decoding = 0
        self._lock = threading.Lock()
        self._decoders = threading.Semaphore(model.threads)
        self._large = threading.Lock()
        self._batcher = Batcher(settings.batch_size, settings.batch_wait_s, lambda: self._decoding > 0, self._ran)
        self._pace_s = 0.05
        self._drift: DriftRecord | None = None
        metrics.queue_images.set_function(lambda: self._count)

    def record(self, drift: DriftRecord | None) -> None:
        """Have every answer from now on in `drift`, too."""
        self._drift = drift

    async def classify(self, images: Sequence[tuple[str, bytes]], *, show: bool = False) -> list[Answer | ImageError]:
        """Answers for named pictures, encoded as files, in order; what cannot be decoded is its ImageError.

        Raises Refusal (429) where the queue has no room for all of them, ModelError where the model fails.
        """
        model, now = self.model, time.perf_counter()
        return await self._run([partial(self._answer, model, name, data, show, now) for name, data in images])

    async def probabilities(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Probabilities `[N, classes]` of `pixels`, uint8 `[N, height, width, 3]`, and the longest run's seconds.

        Raises as `classify` does, and UsageError where the shape does not fit.
        """
        found = await self._run([partial(self._infer, model, row) for row in pixels])
        return np.stack([row for row, _ in found]), max(seconds for _, seconds in found)

    async def apart(self, call: Callable[[], _T]) -> _T:
        """What `call` gives, run on a worker; for work that would hold up the event loop."""
        return (await self._run([call]))[0]

    def check_room(self, count: int = 1) -> None:
        """Raise Refusal (429) where `count` more pictures would find no place."""
        if self._count + count > self._room:
            wait_s = max(1, round(self._count * self._pace_s))
            raise Refusal(429, "queue", "too many pictures are waiting", "ask again", {"retry-after": str(wait_s)})

    def close(self) -> None:
        """End the threads; what waits is answered first."""
        self._pool.shutdown(wait=True)
        self._batcher.close()

    async def _run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        self.check_room(len(calls))
        loop = asyncio.get_running_loop()
        self._count += len(calls)
        futures = [loop.run_in_executor(self._pool, call) for call in calls]
        for future in futures:
            future.add_done_callback(self._leave)
        if len(futures) == 1:
            return [await futures[0]]
        return list(await asyncio.gather(*futures))

    def _leave(self, _future: object) -> None:
        self._count -= 1

    def _answer(self, model: LoadedModel, name: str, data: bytes, show: bool, since: float) -> Answer | ImageError:
        # With batching there are more workers than cores: to decode with all would take memory and win nothing.
        with self._decoders:
            begun = time.perf_counter()
            with self._lock:
                self._decoding += 1
            try:
                pixels = self._decode(model.wide.preprocessing, name, data)
            except ImageError as error:
                return error.with_traceback(None)
            finally:
                with self._lock:
                    self._decoding -= 1
        decoded = time.perf_counter()
        row, inference_s = self._infer(model, pixels)
        self._metrics.queue_seconds.observe(begun - since)
        self._metrics.decode_seconds.observe(decoded - begun)
        self._metrics.images.inc()
        shown = _data_url(pixels) if show else None
        self._pace_s += ((time.perf_counter() - begun) / model.threads - self._pace_s) / 16
        return Answer(model.answer(name, row), begun - since, decoded - begun, inference_s, shown)

    def _decode(self, steps: Preprocessing, name: str, data: bytes) -> NDArray[np.uint8]:
        limit = self._limits.pixels
        try:
            return steps(data, max_pixels=min(limit, _USUAL_PIXELS), name=name)
        except ImageError as error:
            if limit <= _USUAL_PIXELS or error.kind not in ("too-large", "no-memory"):
                raise
        with self._large:
            return steps(data, max_pixels=limit, name=name)

    def _infer(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Probabilities of one picture, and the seconds of the run."""
        row, seconds = self._run_model(model, pixels)
        if self._drift is not None:
            place = int(row.argmax())
            self._drift.add(model.wide.card, model.wide.labels[place], float(row[place]))
        return row, seconds

    def _run_model(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        if model.choice.on:
            return self._batcher.run(model.wide, pixels)
        with self._lock:
            self._active += 1
            alone = self._active == 1 and self._count <= 1
        try:
            begun = time.perf_counter()
            row = (model.wide if alone else model.narrow).probabilities(pixels[np.newaxis])[0]
            seconds = time.perf_counter() - begun
        finally:
            with self._lock:
                self._active -= 1
        self._ran(seconds, 1)
        return row, seconds

    def _ran(self, seconds: float, count: int) -> None:
        self._metrics.inference_seconds.observe(seconds)
        self._metrics.batch_images.observe(count)


def _data_url(pixels: NDArray[np.uint8]) -> str:
    file = BytesIO()
    # Level 1: the network is near, and the processor small.
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{b64encode(file.getvalue()).decode('ascii')}"
