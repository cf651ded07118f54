"""What both kinds of classifiers do with an open graph: one image, or a stream of them."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from edge_runtime.errors import EdgeError, ImageError, ModelError, UsageError
from edge_runtime.images.arrays import Colour, in_rgb
from edge_runtime.images.decoder import ImageSource
from edge_runtime.machine.resources import usable_cores
from edge_runtime.model.card import AGAIN, DISTANCE_NAME, EMBEDDING_NAME, OUTPUT_NAME, ModelCard
from edge_runtime.model.image_classifier import ImageClassifier
from edge_runtime.model.open_graph import Graph, KeepingGraph
from edge_runtime.model.prediction import Prediction
from edge_runtime.model.session import plain_reason
from edge_runtime.setting_kinds import as_kind

if TYPE_CHECKING:
    from edge_runtime.model.unlike_scale import UnlikeScale

_T = TypeVar("_T")

# Two in work and two waiting for each pair of threads: enough that none idles while the caller handles an answer.
AHEAD_PER_THREAD = 2
# A second copy of so much is no burden, and of a larger file one image alone reads more weights than it computes with.
SMALL_MODEL_BYTES = 64_000_000
LARGE_MODEL_BATCH = 8


class Predictor(ImageClassifier):
    """An `ImageClassifier` over an open graph; `file` is what `identify_file` said before it was opened.

    Of known pictures at most the share `reject_unlike` is answered `unknown` for being unlike training, if it is given.
    With `with_distance` every answer says how far its picture lies from training, where the file tells it.
    Raises UsageError where the file cannot tell what is to be rejected.
    """

    def __init__(
        self,
        graph: Graph,
        threads: int | None,
        file: tuple[int, ...] | None,
        reject_unlike: float | None = None,
        *,
        with_distance: bool = False,
    ) -> None:
        self.path, self.card, self.embedding_size = graph.path, graph.card, graph.embedding_size
        self.labels, self.preprocessing = graph.card.labels, graph.card.preprocessing
        self.threads = threads or usable_cores()
        self._graph = graph
        self._outputs = list(graph.card.outputs)
        self._prediction = answers_of(graph.card)
        self._file = file
        self._too_far = None if reject_unlike is None else _scale(graph).threshold(reject_unlike)
        self._with_distance = self._too_far is not None or (with_distance and graph.card.unlike is not None)
        self._alone: Graph | None = None
        self._lock = Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r}, {len(self.labels)} labels, {self.card.backbone})"

    def predict(self, image: ImageSource, *, colour: Colour = "rgb") -> Prediction:
        return self.predict_input(self.preprocessing(in_rgb(image, colour)), describe_source(image))

    def predict_input(self, pixels: NDArray[np.uint8], name: str) -> Prediction:
        return self._answers([name], pixels[np.newaxis], self._graph)[0]

    def predict_inputs(
        self, pixels: NDArray[np.uint8], names: Sequence[str], *, with_embedding: bool = False
    ) -> tuple[list[Prediction], NDArray[np.float32] | None]:
        """The answers for inputs uint8 `[N, height, width, 3]` of the pictures `names`, in one run of the model.

        With `with_embedding` also what they rest on, float32 `[N, embedding_size]`. Raises what `embeddings` does.
        """
        if not with_embedding:
            return self._answers(list(names), pixels, self._graph), None
        self._needs_embedding()
        graph = KeepingGraph.of(self._graph)
        answers = self._answers(list(names), pixels, graph)
        return answers, graph.kept[0]

    def _answers(self, names: list[str], pixels: NDArray[np.uint8], graph: Graph) -> list[Prediction]:
        """The answers for the model's inputs of the pictures `names`."""
        point = self.card.operating_point
        if not self._with_distance:
            rows = self._rows(pixels, graph)
            return [self._prediction(name, row) for name, row in zip(names, rows, strict=True)]
        rows, found = self._rows_and_distances(pixels, graph)
        distances = list(map(float, found))
        if self._too_far is None:
            each: list[tuple[float | None, bool]] = [(None, False)] * len(names)
        else:
            scale, too_far = _scale(graph), self._too_far
            each = [(scale.unlikeness(distance), distance > too_far) for distance in distances]
        return [
            Prediction(name, self.labels, row, point, unlikeness, unlike, distance)
            for name, row, (unlikeness, unlike), distance in zip(names, rows, each, distances, strict=True)
        ]

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self._rows(pixels, self._graph)

    def probabilities_and_distances(self, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What `probabilities` gives, `[N, classes]`, and how far each picture lies from training's, `[N]` in 0..2.

        Raises as that does, and UsageError where the file does not tell distances.
        """
        _scale(self._graph)
        return self._rows_and_distances(pixels, self._graph)

    def _rows_and_distances(
        self, pixels: NDArray[np.uint8], graph: Graph
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found, distances = self._run([OUTPUT_NAME, DISTANCE_NAME], pixels, graph)
        rows = self._checked(found, len(pixels))
        # What is no number is beyond no threshold either: the picture would pass for a known one.
        if distances.shape != (len(pixels),) or not np.isfinite(distances).all():
            what = "are no numbers" if distances.shape == (len(pixels),) else f"are an array of {list(distances.shape)}"
            raise ModelError(f"{self.path} gives distances of {len(pixels)} images that {what}", AGAIN)
        return rows, distances

    def _rows(self, pixels: NDArray[np.uint8], graph: Graph) -> NDArray[np.float32]:
        found = self._run(self._outputs, pixels, graph)
        # Outputs that do not fit each other are left as they are, for the check to refuse.
        joined = len(found) > 1 and {(part.ndim, len(part)) for part in found} == {(2, len(pixels))}
        return self._checked(np.concatenate(found, axis=1) if joined else found[0], len(pixels))

    def _checked(self, result: NDArray[np.float32], images: int) -> NDArray[np.float32]:
        """Probabilities of so many images. Raises ModelError where they are none."""
        if result.shape != (images, len(self.labels)):
            raise ModelError(f"{self.path} answers {images} images with an array of {list(result.shape)}", AGAIN)
        if not np.isfinite(result).all():
            raise ModelError(f"{self.path} gives probabilities that are no numbers", "train again and export that")
        return result

    def embedding(self, image: ImageSource, *, colour: Colour = "rgb") -> NDArray[np.float32]:
        self._needs_embedding()
        vector: NDArray[np.float32] = self.embeddings(self.preprocessing(in_rgb(image, colour))[np.newaxis])[0]
        return vector

    def embeddings(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        self._needs_embedding()
        return self._run([EMBEDDING_NAME], pixels, self._graph)[0]

    def _needs_embedding(self) -> None:
        if not self.embedding_size:
            raise ModelError(f"{self.path} gives no embedding", "export it again with `with_embedding`")

    def _run(self, outputs: list[str], pixels: NDArray[np.uint8], graph: Graph) -> list[NDArray[np.float32]]:
        pixels = np.asarray(pixels)
        expected = (self.preprocessing.height_px, self.preprocessing.width_px, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(
                f"pixels are {pixels.dtype} {list(pixels.shape)}; {self.path} takes uint8 [N, {expected[0]}, "
                f"{expected[1]}, 3]",
                "make them with classifier.preprocessing(image)",
            )
        try:
            return graph.run(outputs, pixels)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = plain_reason(str(error))
            images = f"{len(pixels)} image{'' if len(pixels) == 1 else 's'}"
            raise ModelError(f"{self.path} fails on {images}: {reason}", AGAIN) from error

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int | None = ...,
        on_error: Literal["raise"] = "raise",
        colour: Colour = ...,
    ) -> Generator[Prediction, None, None]: ...

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int | None = ...,
        on_error: Literal["return"],
        colour: Colour = ...,
    ) -> Generator[Prediction | ImageError, None, None]: ...

    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
        colour: Colour = "rgb",
    ) -> Generator[Prediction | ImageError, None, None]:
        _require_several(images)
        batch_size = as_kind(batch_size, int | None, "batch_size")
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size {batch_size}: at least 1 is needed")
        if on_error not in ("raise", "return"):
            raise UsageError(f"on_error {on_error!r} is not known", "give 'raise' or 'return'")
        in_rgb(None, colour)
        images = (in_rgb(image, colour) for image in images)
        if batch_size is None:
            batch_size = self._best_batch_size()
        if batch_size is None:
            return self._one_by_one(images, on_error)
        return self._in_batches(images, batch_size, on_error)

    def _one_by_one(
        self, images: Iterable[ImageSource], on_error: str
    ) -> Generator[Prediction | ImageError, None, None]:
        ahead = AHEAD_PER_THREAD * self.threads
        waiting: deque[Future[Prediction]] = deque()
        graph = self._graph
        with _workers(self.threads) as pool:
            for count, image in enumerate(images):
                # For a few images, opening a second graph takes longer than it saves.
                if count == ahead:
                    graph = self._graph_alone()
                waiting.append(pool.submit(self._answer, describe_source(image), self._decoding(image), graph))
                # What is ready is given before a slow source, a camera, is asked for its next.
                if len(waiting) == ahead or waiting[0].done():
                    yield _outcome(waiting.popleft().result, on_error)
            while waiting:
                yield _outcome(waiting.popleft().result, on_error)

    def _answer(self, name: str, decode: Callable[[], NDArray[np.uint8]], graph: Graph) -> Prediction:
        return self._answers([name], decode()[np.newaxis], graph)[0]

    def _in_batches(
        self, images: Iterator[ImageSource], batch_size: int, on_error: str
    ) -> Generator[Prediction | ImageError, None, None]:
        ahead = AHEAD_PER_THREAD * self.threads + batch_size
        waiting: deque[tuple[str, Future[NDArray[np.uint8]]]] = deque()
        with _workers(self.threads) as pool:
            while True:
                for image in islice(images, ahead - len(waiting)):
                    waiting.append((describe_source(image), pool.submit(self._decoding(image))))
                if not waiting:
                    return
                batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
                yield from self._answer_batch(batch, on_error)

    def _answer_batch(
        self, batch: list[tuple[str, Future[NDArray[np.uint8]]]], on_error: str
    ) -> Generator[Prediction | ImageError, None, None]:
        decoded = [(name, _outcome(future.result, "return")) for name, future in batch]
        good = [(name, pixels) for name, pixels in decoded if not isinstance(pixels, ImageError)]
        names, inputs = [name for name, _ in good], [pixels for _, pixels in good]
        answers = iter(self._answers(names, np.stack(inputs), self._graph) if good else ())
        for _, pixels in decoded:
            if not isinstance(pixels, ImageError):
                yield next(answers)
            elif on_error == "raise":
                raise pixels
            else:
                yield pixels

    def _decoding(self, image: ImageSource) -> Callable[[], NDArray[np.uint8]]:
        """What a worker has to call for the model's input of `image`, [height, width, 3] uint8 RGB."""
        # The frames of an animation are one object, and a camera fills one buffer again and again.
        if isinstance(image, (bytearray, memoryview)):
            return partial(self.preprocessing, bytes(image))
        if isinstance(image, np.ndarray):
            return partial(self.preprocessing, image.copy())
        if isinstance(image, Image):
            now: Future[NDArray[np.uint8]] = Future()
            try:
                now.set_result(self.preprocessing(image))
            except ImageError as error:
                now.set_exception(error)
            return now.result
        return partial(self.preprocessing, image)

    def _best_batch_size(self) -> int | None:
        """How many images the model runs on at once, by itself; None where each thread runs it on its own image."""
        # A graph that takes four images at a time computes four, however many there are.
        if self._graph.batch > 1:
            return self._graph.batch
        large = self._file is not None and self._file[0] > SMALL_MODEL_BYTES
        return LARGE_MODEL_BATCH if large else None

    def _graph_alone(self) -> Graph:
        """The graph that each thread runs for itself; the first one where that cannot be had."""
        with self._lock:
            if self._alone is None:
                self._alone = self._graph
                if self.threads > 1:
                    with suppress(EdgeError):
                        alone = self._graph.alone()
                        # A newer export may lie there by now.
                        if identify_file(self.path) == self._file:
                            self._alone = alone
            return self._alone


def answers_of(card: ModelCard) -> Callable[[str, NDArray[np.float32]], Prediction]:
    """What makes the answer for a picture of a name and its row of probabilities, as the card's kind wants it."""
    labels, point = card.labels, card.operating_point
    if card.kind == "single-label":
        return lambda name, row: Prediction(name, labels, row, point)
    # Most files have one label a picture, and opening one is not to cost more for others.
    from edge_runtime.model.several_answers import MultiLabelPrediction, MultiTaskPrediction

    if card.kind == "multi-label":
        return lambda name, row: MultiLabelPrediction(name, labels, row, thresholds=card.thresholds)
    return lambda name, row: MultiTaskPrediction(name, labels, row, heads=card.tasks)


def _scale(graph: Graph) -> UnlikeScale:
    """The file's scale. Raises UsageError where it has none."""
    if graph.card.kind != "single-label":
        raise UsageError(
            f"{graph.path} is a {graph.card.kind} model: `reject_unlike` is for those of one label a picture",
            "leave it out",
        )
    if graph.card.unlike is None:
        raise UsageError(
            f"{graph.path} does not say what is unlike training, so `reject_unlike` cannot tell",
            "export it again with `with_unlike`",
        )
    return graph.card.unlike


@contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool that is gone when the block is left, however that happens; what has not begun is dropped."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="edge-worker")
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(result: Callable[[], _T], on_error: str) -> _T | ImageError:
    """What a future's `result` gives, or with `on_error` "return" its ImageError."""
    try:
        return result()
    except ImageError as error:
        if on_error == "raise":
            raise
        # A traceback holds the frames it went through, and those the picture: errors kept would fill the memory.
        link: BaseException | None = error
        while link is not None:
            link.__traceback__ = None
            link = link.__cause__ or link.__context__
        return error
    finally:
        # A frame that holds the exception that holds the frame is freed by the collector alone.
        del result


def identify_file(path: Path) -> tuple[int, ...] | None:
    """Size in bytes, then what tells a file from its successor under the same name; None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_dev


def _require_several(images: Iterable[ImageSource]) -> None:
    """Raise UsageError where `images` is one picture, though one can go through it, or nothing to go through."""
    one = isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | Image) or hasattr(images, "read")
    # An array of names is several; each row of a frame would be taken for a picture.
    if isinstance(images, np.ndarray):
        one = images.ndim < 4 and images.dtype.kind not in "OSU"
    if one or not isinstance(images, Iterable):
        raise UsageError("predict_many takes several pictures", "predict takes one; or put it into a list")


def describe_source(image: ImageSource) -> str:
    """A name for an image in answers: its path, or what kind of thing it is."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return "image bytes"
    if isinstance(image, np.ndarray):
        return "array"
    return str(getattr(image, "filename", "") or "PIL image")
