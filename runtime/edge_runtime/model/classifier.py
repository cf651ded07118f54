"""The classifier: a model file and images in, labels and probabilities out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from edge_runtime.errors import EdgeError, ImageError, ModelError, UsageError
from edge_runtime.machine.limits import usable_cores
from edge_runtime.model.card import EMBEDDING_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
from edge_runtime.model.prediction import Prediction
from edge_runtime.model.session import open_session, plain_reason

__all__ = ["Classifier", "ImageSource", "describe_source", "identify_file"]

_T = TypeVar("_T")

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Image"

# Two in work and two waiting for each pair of threads: enough that none idles while the caller handles an answer.
AHEAD_PER_THREAD = 2
# A second copy of so much is no burden, and of a larger file one image alone reads more weights than it computes with.
SMALL_MODEL_BYTES = 64_000_000
LARGE_MODEL_BATCH = 8


class Classifier:
    """An exported model, ready to classify.

        classifier = Classifier("model.onnx")

        # One image: a path, an encoded file's bytes or a PIL image.
        print(classifier.predict("x.jpg").label)

        # Many: answered in order while the next are worked on, in constant memory.
        for answer in classifier.predict_many(Path("photos").glob("*.jpg"), on_error="return"):
            print(answer if isinstance(answer, ImageError) else f"{answer.image}: {answer.label}")

        # A camera: the newest frame, answered before the next is taken.
        while True:
            frame = camera.capture_image()
            print(classifier.predict(frame).top(1))

        # A thread pool, of a web server say: all threads share one classifier.
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(classifier.predict, uploads))

        # Processes: it pickles by path and is opened anew in each, with the threads it was given.
        with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
            answers = list(pool.map(Classifier("model.onnx", threads=1).predict, paths, chunksize=100))

    Args:
        model: path of an `.onnx` file made by `edge export`.
        threads: threads one inference may use, and images worked on at once; by default the cores this
            process may use.

    Raises:
        UsageError: no such file, or `threads` below 1.
        ModelError: the file is damaged, not made by `edge export`, or of a newer format; also later, when
            the graph fails on its input or gives what is no number.
    """

    def __init__(self, model: str | os.PathLike[str], *, threads: int | None = None) -> None:
        self.path = Path(model)
        self.threads = threads or usable_cores()
        self._given_threads = threads
        self._file = identify_file(self.path)
        self._session = open_session(self.path, threads=threads)
        self._alone: Any = None
        self._lock = Lock()
        self.card = _read_card(self._session, self.path)
        self.labels = self.card.labels
        self.preprocessing = self.card.preprocessing
        self.embedding_size = _embedding_size(self._session)

    def __repr__(self) -> str:
        return f"Classifier({str(self.path)!r}, {len(self.labels)} labels, {self.card.backbone})"

    def __reduce__(self) -> tuple[Any, ...]:
        # The worker that opens it may stand in another folder.
        return _reopen, (str(self.path.absolute()), self._given_threads)

    def predict(self, image: ImageSource) -> Prediction:
        """Classify one image. Raises ImageError where it cannot be decoded."""
        probabilities = self.probabilities(self.preprocessing(image)[np.newaxis])[0]
        return Prediction(describe_source(image), self.labels, probabilities)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model on `pixels`, uint8 `[N, height, width, 3]` RGB as `preprocessing` makes them.

        Returns float32 `[N, classes]`, each row summing to 1.

        Raises:
            UsageError: `pixels` has another shape or type.
            ModelError: the graph fails on them, or gives what is no number.
        """
        return self._probabilities(pixels, self._session)

    def _probabilities(self, pixels: NDArray[np.uint8], session: Any) -> NDArray[np.float32]:
        result = self._run(OUTPUT_NAME, pixels, session)
        if result.shape != (len(pixels), len(self.labels)):
            raise ModelError(f"{self.path} answers {len(pixels)} images with an array of {list(result.shape)}", _AGAIN)
        if not np.isfinite(result).all():
            raise ModelError(f"{self.path} gives probabilities that are no numbers", "train again and export that")
        return result

    def embedding(self, image: ImageSource) -> NDArray[np.float32]:
        """The penultimate features of one image, float32 `[embedding_size]`, for similarity search.

        Raises ImageError where it cannot be decoded, ModelError where the file has no such output.
        """
        self._needs_embedding()
        vector: NDArray[np.float32] = self.embeddings(self.preprocessing(image)[np.newaxis])[0]
        return vector

    def embeddings(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, but float32 `[N, embedding_size]`: what the network's last layer decides on.

        Raises:
            UsageError: `pixels` has another shape or type.
            ModelError: the file was exported without embedding, or the graph fails.
        """
        self._needs_embedding()
        return self._run(EMBEDDING_NAME, pixels, self._session)

    def _needs_embedding(self) -> None:
        if not self.embedding_size:
            raise ModelError(f"{self.path} gives no embedding", "export it again with `with_embedding`")

    def _run(self, output: str, pixels: NDArray[np.uint8], session: Any) -> NDArray[np.float32]:
        pixels = np.asarray(pixels)
        expected = (self.preprocessing.height_px, self.preprocessing.width_px, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(
                f"pixels are {pixels.dtype} {list(pixels.shape)}; {self.path} takes uint8 [N, {expected[0]}, "
                f"{expected[1]}, 3]",
                "make them with classifier.preprocessing(image)",
            )
        try:
            result: NDArray[np.float32] = session.run([output], {INPUT_NAME: pixels})[0]
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = plain_reason(str(error))
            images = f"{len(pixels)} image{'' if len(pixels) == 1 else 's'}"
            raise ModelError(f"{self.path} fails on {images}: {reason}", _AGAIN) from error
        return result

    @overload
    def predict_many(
        self, images: Iterable[ImageSource], *, batch_size: int | None = ..., on_error: Literal["raise"] = "raise"
    ) -> Generator[Prediction, None, None]: ...

    @overload
    def predict_many(
        self, images: Iterable[ImageSource], *, batch_size: int | None = ..., on_error: Literal["return"]
    ) -> Generator[Prediction | ImageError, None, None]: ...

    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Generator[Prediction | ImageError, None, None]:
        """Classify a stream of images, in order, in constant memory: it reads little ahead of its answers.

        Each of `threads` threads decodes an image and runs the model on it. With a `batch_size` they decode only,
        and the model runs on that many images at once with all threads: by default so for files above 64 MB, 8 at
        a time. An image's answers differ between the two by rounding alone (1e-6).

        A PIL image or a buffer may be reused by the caller once it is asked for the next. An image that cannot be
        decoded raises its ImageError, or with `on_error="return"` takes its place in the stream while the rest goes
        on. Closing the iterator, an exception and Ctrl-C end the threads.

        Raises:
            UsageError: at the call, `batch_size` below 1 or an unknown `on_error`.
        """
        if batch_size is not None and batch_size < 1:
            raise UsageError(f"batch_size {batch_size}: at least 1 is needed")
        if on_error not in ("raise", "return"):
            raise UsageError(f"on_error {on_error!r} is not known", "give 'raise' or 'return'")
        if batch_size is None:
            batch_size = self._best_batch_size()
        if batch_size is None:
            return self._one_by_one(images, on_error)
        return self._in_batches(iter(images), batch_size, on_error)

    def _one_by_one(
        self, images: Iterable[ImageSource], on_error: str
    ) -> Generator[Prediction | ImageError, None, None]:
        ahead = AHEAD_PER_THREAD * self.threads
        waiting: deque[Future[Prediction]] = deque()
        session = self._session
        with _workers(self.threads) as pool:
            for count, image in enumerate(images):
                # For a few images, opening a second session takes longer than it saves.
                if count == ahead:
                    session = self._session_alone()
                waiting.append(pool.submit(self._answer, describe_source(image), self._decoding(image), session))
                # What is ready is given before a slow source, a camera, is asked for its next.
                if len(waiting) == ahead or waiting[0].done():
                    yield _outcome(waiting.popleft().result, on_error)
            while waiting:
                yield _outcome(waiting.popleft().result, on_error)

    def _answer(self, name: str, decode: Callable[[], NDArray[np.uint8]], session: Any) -> Prediction:
        return Prediction(name, self.labels, self._probabilities(decode()[np.newaxis], session)[0])

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
        good = [pixels for _, pixels in decoded if not isinstance(pixels, ImageError)]
        rows = iter(self.probabilities(np.stack(good)) if good else ())
        for name, pixels in decoded:
            if not isinstance(pixels, ImageError):
                yield Prediction(name, self.labels, next(rows))
            elif on_error == "raise":
                raise pixels
            else:
                yield pixels

    def _decoding(self, image: ImageSource) -> Callable[[], NDArray[np.uint8]]:
        """What a worker has to call for the model's input of `image`, [height, width, 3] uint8 RGB."""
        # The frames of an animation are one object, and a camera fills one buffer again and again.
        if isinstance(image, (bytearray, memoryview)):
            return partial(self.preprocessing, bytes(image))
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
        large = self._file is not None and self._file[0] > SMALL_MODEL_BYTES
        return LARGE_MODEL_BATCH if large else None

    def _open_alone(self) -> Any:
        return open_session(self.path, threads=1)

    def _session_alone(self) -> Any:
        """A session of the same file that runs on the thread that calls it; the first one where that cannot be had."""
        with self._lock:
            if self._alone is None:
                self._alone = self._session
                if self.threads > 1:
                    with suppress(EdgeError):
                        alone = self._open_alone()
                        # A newer export may lie there by now.
                        if identify_file(self.path) == self._file:
                            self._alone = alone
            return self._alone


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


def describe_source(image: ImageSource) -> str:
    """A name for an image in answers and errors: its path, or what kind of thing it is."""
    if isinstance(image, (str, os.PathLike)):
        return os.fspath(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return "image bytes"
    return str(getattr(image, "filename", "") or "PIL image")


_AGAIN = "export it again with edge export"


def _reopen(path: str, threads: int | None) -> Classifier:
    return Classifier(path, threads=threads)


def _embedding_size(session: Any) -> int:
    """The length of the `embedding` output, float32 `[batch, size]`; 0 where the graph has none like it."""
    for node in session.get_outputs():
        if node.name == EMBEDDING_NAME and node.type == "tensor(float)" and len(node.shape) == 2:
            return node.shape[1] if isinstance(node.shape[1], int) else 0
    return 0


def _read_card(session: Any, path: Path) -> ModelCard:
    """The model card of an open session, checked against the graph it describes."""
    metadata = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in metadata:
        raise ModelError(
            f"{path} is an ONNX file, but edge export did not make it (no {METADATA_KEY!r} metadata)",
            "a classifier from elsewhere runs with `labels` FILE `preprocess` imagenet; edge info shows what it is",
        )
    card = ModelCard.loads(metadata[METADATA_KEY], where=str(path))
    inputs = {node.name: node for node in session.get_inputs()}
    outputs = {node.name: node for node in session.get_outputs()}
    if set(inputs) != {INPUT_NAME} or OUTPUT_NAME not in outputs:
        raise ModelError(
            f"{path} has inputs {sorted(inputs)} and outputs {sorted(outputs)}, not {INPUT_NAME!r} and {OUTPUT_NAME!r}",
            _AGAIN,
        )
    image, probabilities = inputs[INPUT_NAME], outputs[OUTPUT_NAME]
    expected = [card.preprocessing.height_px, card.preprocessing.width_px, 3]
    batch = image.shape[0] if image.shape else None
    if image.type != "tensor(uint8)" or image.shape[1:] != expected or isinstance(batch, int):
        raise ModelError(
            f"{path} takes {image.type} {image.shape}, not uint8 with a dynamic batch of {expected}",
            _AGAIN,
        )
    if probabilities.type != "tensor(float)" or len(probabilities.shape) != 2:
        raise ModelError(
            f"{path} gives {probabilities.type} {probabilities.shape}, not float32 [batch, classes]",
            _AGAIN,
        )
    classes = probabilities.shape[1]
    if classes != len(card.labels):
        raise ModelError(f"{path} has {classes} outputs but {len(card.labels)} labels", _AGAIN)
    return card
