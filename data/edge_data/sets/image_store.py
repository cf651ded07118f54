"""Images of a run, decoded once and kept in memory as far as a bound allows.

One pass over all files before the first epoch finds every unreadable image, and what it decoded is kept:
the second epoch decodes nothing. Threads share the store, which worker processes could not without
copying it; Pillow decodes and resizes outside Python's lock, so threads keep all cores busy.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_runtime import ImageError, Preprocessing, Sample, available_memory_bytes

WIDEST_ASPECT = 4


def default_cache_bytes() -> int:
    """A quarter of the memory that is free now, at most 8 GiB."""
    return min((available_memory_bytes() or 4 << 30) // 4, 8 << 30)


class ImageStore:
    """Decoded images by path relative to `root`, at most `cache_bytes` of them kept.

    Two forms of an image are served: `picture`, its short side resized, which augmentation cuts from; and
    `pixels`, exactly what the runtime feeds the model, for evaluation. Safe to share between threads.
    """

    def __init__(self, root: Path, preprocessing: Preprocessing, *, cache_bytes: int, threads: int) -> None:
        self.root = root
        self.preprocessing = preprocessing
        self.threads = threads
        self._bound_bytes = cache_bytes
        self._room_bytes = cache_bytes
        self._lock = threading.Lock()
        self._pictures: dict[str, NDArray[np.uint8]] = {}
        self._pixels: dict[str, NDArray[np.uint8]] = {}
        self._on_resized: Callable[[str, Image.Image], object] = lambda *_: None

    @property
    def bound_bytes(self) -> int:
        """The most memory that decoded images take."""
        return self._bound_bytes

    def read_all(
        self,
        training: Sequence[Sample],
        evaluation: Sequence[Sample],
        *,
        on_image: Callable[[], object] = lambda: None,
        on_resized: Callable[[str, Image.Image], object] = lambda *_: None,
    ) -> dict[str, ImageError]:
        """Decode every image once, keep what fits, and return the errors of the unreadable by path.

        `on_resized` is given each path and RGB image, its short side resized, by several threads.
        """
        self._on_resized = on_resized

        def read(job: tuple[Callable[[Sample], object], Sample]) -> tuple[str, ImageError] | None:
            load, sample = job
            try:
                load(sample)
            except ImageError as error:
                return sample.path, error
            return None

        bad: dict[str, ImageError] = {}
        jobs = [(self.picture, s) for s in training] + [(self.pixels, s) for s in evaluation]
        with ThreadPoolExecutor(self.threads, thread_name_prefix="edge-read") as pool:
            try:
                for found in pool.map(read, jobs):
                    on_image()
                    if found is not None:
                        bad[found[0]] = found[1]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
            finally:
                self._on_resized = lambda *_: None
        return bad

    def picture(self, sample: Sample) -> Image.Image:
        """The image, upright RGB, its short side resized; a strip longer than 4:1 is cut to its middle."""
        kept = self._pictures.get(sample.path)
        if kept is not None:
            return Image.fromarray(kept)
        image = self._resized(sample, whole=False)
        self._keep(self._pictures, sample, np.asarray(image))
        return image

    def pixels(self, sample: Sample) -> NDArray[np.uint8]:
        """The model's input, uint8 `[height, width, 3]`, as `edge predict` makes it."""
        kept = self._pixels.get(sample.path)
        if kept is not None:
            return kept
        pixels = np.array(self.preprocessing.crop(self._resized(sample)), dtype=np.uint8, order="C")
        self._keep(self._pixels, sample, pixels)
        return pixels

    def _resized(self, sample: Sample, *, whole: bool = True) -> Image.Image:
        decoded = self.preprocessing.decode(self.root / sample.path)
        strip = _cut_strip(decoded)
        image = self.preprocessing.resize(decoded if whole else strip)
        # What is looked at of a picture that is validated is what would be of its copy that is trained on.
        self._on_resized(sample.path, image if not whole or strip is decoded else self.preprocessing.resize(strip))
        return image

    def _keep(self, shelf: dict[str, NDArray[np.uint8]], sample: Sample, pixels: NDArray[np.uint8]) -> None:
        with self._lock:
            if sample.path not in shelf and pixels.nbytes <= self._room_bytes:
                self._room_bytes -= pixels.nbytes
                shelf[sample.path] = pixels


def _cut_strip(image: Image.Image) -> Image.Image:
    width, height = image.size
    longest = WIDEST_ASPECT * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))
