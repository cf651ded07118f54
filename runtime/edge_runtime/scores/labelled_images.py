"""Labelled images as batches of a model's input, read ahead on threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ImageError
from edge_runtime.files.samples import Sample
from edge_runtime.images.preprocessing import Preprocessing
from edge_runtime.machine.resources import usable_cores

BATCH_SIZE = 16


@dataclass(frozen=True, slots=True, eq=False)
class LabelledBatch:
    """Samples that could be read, their pixels, uint8 `[N, H, W, 3]`, and the errors of those that could not."""

    samples: tuple[Sample, ...]
    pixels: NDArray[np.uint8]
    unreadable: tuple[ImageError, ...]

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true classes, `[N]`."""
        return np.array([sample.label for sample in self.samples], np.int64)


def read_batches(
    preprocessing: Preprocessing, root: Path, samples: Sequence[Sample], *, batch_size: int = BATCH_SIZE
) -> Iterator[LabelledBatch]:
    """The samples below `root` as batches, in order, decoded ahead on threads, in constant memory."""

    def read(sample: Sample) -> NDArray[np.uint8] | ImageError:
        try:
            return preprocessing(root / sample.path)
        except ImageError as error:
            # A new one: a traceback holds the frames it went through, and those the picture.
            return ImageError(error.message, error.hint, error.kind)

    empty = np.zeros((0, preprocessing.height_px, preprocessing.width_px, 3), np.uint8)
    waiting: deque[tuple[Sample, Future[NDArray[np.uint8] | ImageError]]] = deque()
    coming = iter(samples)
    pool = ThreadPoolExecutor(usable_cores(), thread_name_prefix="edge-read")
    try:
        while True:
            waiting.extend(
                (sample, pool.submit(read, sample)) for sample in islice(coming, 2 * batch_size - len(waiting))
            )
            if not waiting:
                return
            batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
            found = [(sample, future.result()) for sample, future in batch]
            good = [(sample, pixels) for sample, pixels in found if not isinstance(pixels, ImageError)]
            yield LabelledBatch(
                tuple(sample for sample, _ in good),
                np.stack([pixels for _, pixels in good]) if good else empty,
                tuple(error for _, error in found if isinstance(error, ImageError)),
            )
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
