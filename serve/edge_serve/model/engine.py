"""Where pictures are decoded and classified by one of the models, on the threads that all share."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import ImageError, ModelCard, Prediction, Preprocessing
from edge_serve.model.batching import Batcher
from edge_serve.model.loaded_model import LoadedModel
from edge_serve.model.worker_pool import WorkerPool
from edge_serve.observability.prometheus import ModelMetrics
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


class AnswerRecord(Protocol):
    """Is told of every answer, as a `DriftRecord` is; answers of another card than the one it has are passed over."""

    def add(self, card: ModelCard, label: str, probability: float, *, distance: float | None = None) -> None:
        """One more answer: the most probable label and its probability, and how far the picture is from training."""

    def renew(self, card: ModelCard) -> None:
        """Answers come from another model from now on."""


class Engine:
    """Classifies with the `model` of the moment, which may be exchanged at any time.

    The threads of `pool` decode a picture and run the model on it, as `Classifier.predict_many` does; with batching
    they decode, and one more thread runs the model.
    """

    def __init__(
        self,
        settings: ServeSettings,
        model: LoadedModel,
        metrics: ModelMetrics,
        pool: WorkerPool,
        record: AnswerRecord | None = None,
    ) -> None:
        self.model = model
        self._limits = settings.limits
        self._metrics = metrics
        self._pool = pool
        self._record = record
        self._count = 0
        self._decoding = 0
        self._lock = threading.Lock()
        self._batcher = Batcher(
            settings.batch_size, settings.batch_wait_s, lambda: self._decoding > 0, self._ran, pool.batch_turn
        )
        metrics.queue_images(lambda: self._count)

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
        now = time.perf_counter()
        found = await self._run([partial(self._infer_alone, model, row, now) for row in pixels])
        return np.stack([row for row, _ in found]), max(seconds for _, seconds in found)

    async def apart(self, call: Callable[[], _T]) -> _T:
        """What `call` gives, run on a worker; for work that would hold up the event loop."""
        return (await self._run([call]))[0]

    def check_room(self) -> None:
        """Raise Refusal (429) where one more picture would find no place."""
        self._pool.check_room()

    def close(self) -> None:
        """End the threads, those of the pool, too; what waits is answered first."""
        self._pool.close()
        self._batcher.close()

    async def _run(self, calls: Sequence[Callable[[], _T]]) -> list[_T]:
        self._pool.check_room(len(calls))
        self._count += len(calls)
        try:
            return await self._pool.run(calls)
        finally:
            self._count -= len(calls)

    def _answer(self, model: LoadedModel, name: str, data: bytes, show: bool, since: float) -> Answer | ImageError:
        # With batching there are more workers than cores: to decode with all would take memory and win nothing.
        with self._pool.cores:
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
        self._metrics.decode_seconds.observe(decoded - begun)
        shown = _data_url(pixels) if show else None
        self._answered(since, begun)
        return Answer(model.answer(name, row), begun - since, decoded - begun, inference_s, shown)

    def _decode(self, steps: Preprocessing, name: str, data: bytes) -> NDArray[np.uint8]:
        limit = self._limits.pixels
        try:
            return steps(data, max_pixels=min(limit, _USUAL_PIXELS), name=name)
        except ImageError as error:
            if limit <= _USUAL_PIXELS or error.kind not in ("too-large", "no-memory"):
                raise
        with self._pool.large:
            return steps(data, max_pixels=limit, name=name)

    def _infer_alone(
        self, model: LoadedModel, pixels: NDArray[np.uint8], since: float
    ) -> tuple[NDArray[np.float32], float]:
        """As `_infer`, of a picture that came as pixels."""
        begun = time.perf_counter()
        answer = self._infer(model, pixels)
        self._answered(since, begun)
        return answer

    def _answered(self, since: float, begun: float) -> None:
        """Count a picture that came at `since` and was begun later, and let the queue know the pace."""
        self._metrics.queue_seconds.observe(begun - since)
        self._metrics.images.inc()
        self._pool.took(begun)

    def _infer(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Probabilities of one picture, and the seconds of the run."""
        row, seconds = self._run_model(model, pixels)
        classes = len(model.wide.labels)
        if self._record is not None:
            place = int(row[:classes].argmax())
            distance = float(row[classes]) if len(row) > classes else None
            self._record.add(model.wide.card, model.wide.labels[place], float(row[place]), distance=distance)
        return row[:classes], seconds

    def _run_model(self, model: LoadedModel, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        if model.choice.on:
            return self._batcher.run(model.run_wide, pixels)
        with self._pool.cores, self._pool.running() as alone:
            begun = time.perf_counter()
            row = (model.run_wide if alone else model.run_narrow).probabilities(pixels[np.newaxis])[0]
            seconds = time.perf_counter() - begun
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
