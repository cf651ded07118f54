"""The classifier: a model file and images in, labels and probabilities out."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from edge_runtime.card import EMBEDDING_NAME, INPUT_NAME, METADATA_KEY, OUTPUT_NAME, ModelCard
from edge_runtime.errors import ImageError, ModelError, UsageError
from edge_runtime.machine import usable_cores
from edge_runtime.prediction import Prediction
from edge_runtime.session import open_session

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["Classifier", "ImageSource", "describe_source"]

ImageSource: TypeAlias = "str | os.PathLike[str] | bytes | bytearray | memoryview | Image"


class Classifier:
    """An exported model, ready to classify.

        classifier = Classifier("model.onnx")
        classifier.predict("x.jpg").label                  # a path, bytes or a PIL image
        for answer in classifier.predict_many(paths): ...  # decodes ahead on threads, answers in order

    It may be shared by threads, and pickles by path.

    Args:
        model: path of an `.onnx` file made by `edge export`.
        threads: threads one inference may use and images decoded at once; by default the cores this
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
        self._session = open_session(self.path, threads=threads)
        self.card = _read_card(self._session, self.path)
        self.labels = self.card.labels
        self.preprocessing = self.card.preprocessing
        self.embedding_size = _embedding_size(self._session)

    def __repr__(self) -> str:
        return f"Classifier({str(self.path)!r}, {len(self.labels)} labels, {self.card.backbone})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.path), self._given_threads)

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
        result = self._run(OUTPUT_NAME, pixels)
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
        return self._run(EMBEDDING_NAME, pixels)

    def _needs_embedding(self) -> None:
        if not self.embedding_size:
            raise ModelError(f"{self.path} gives no embedding", "export it again with --with-embedding")

    def _run(self, output: str, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        pixels = np.asarray(pixels)
        expected = (self.preprocessing.height_px, self.preprocessing.width_px, 3)
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:] != expected:
            raise UsageError(
                f"pixels are {pixels.dtype} {list(pixels.shape)}; {self.path} takes uint8 [N, {expected[0]}, "
                f"{expected[1]}, 3]",
                "make them with classifier.preprocessing(image)",
            )
        try:
            result: NDArray[np.float32] = self._session.run([output], {INPUT_NAME: pixels})[0]
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = str(error).replace("\n", " ")
            raise ModelError(f"{self.path} fails on {len(pixels)} images: {reason}", _AGAIN) from error
        return result

    @overload
    def predict_many(
        self, images: Iterable[ImageSource], *, batch_size: int = ..., on_error: Literal["raise"] = "raise"
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self, images: Iterable[ImageSource], *, batch_size: int = ..., on_error: Literal["return"]
    ) -> Iterator[Prediction | ImageError]: ...

    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int = 8,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Prediction | ImageError]:
        """Classify a stream of images, in order, in constant memory.

        Images are decoded ahead on `threads` threads and run in batches of `batch_size`. An image that
        cannot be decoded raises its ImageError, or with `on_error="return"` takes its place in the
        stream while the rest goes on.
        """
        if batch_size < 1:
            raise UsageError(f"batch_size {batch_size}: at least 1 is needed")
        if on_error not in ("raise", "return"):
            raise UsageError(f"on_error {on_error!r} is not known", "give 'raise' or 'return'")
        return self._stream(iter(images), batch_size, on_error)

    def _stream(
        self, images: Iterator[ImageSource], batch_size: int, on_error: str
    ) -> Iterator[Prediction | ImageError]:
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="edge-decode")
        waiting: deque[tuple[str, Future[NDArray[np.uint8] | ImageError]]] = deque()
        ahead = 2 * self.threads + batch_size
        try:
            exhausted = False
            while waiting or not exhausted:
                while not exhausted and len(waiting) < ahead:
                    try:
                        image = next(images)
                    except StopIteration:
                        exhausted = True
                    else:
                        waiting.append((describe_source(image), pool.submit(self._try_decode, image)))
                batch = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
                yield from self._answer(batch, on_error)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _try_decode(self, image: ImageSource) -> NDArray[np.uint8] | ImageError:
        try:
            return self.preprocessing(image)
        except ImageError as error:
            return error

    def _answer(
        self, batch: list[tuple[str, Future[NDArray[np.uint8] | ImageError]]], on_error: str
    ) -> Iterator[Prediction | ImageError]:
        decoded = [(name, future.result()) for name, future in batch]
        good = [pixels for _, pixels in decoded if not isinstance(pixels, ImageError)]
        rows = iter(self.probabilities(np.stack(good)) if good else ())
        for name, pixels in decoded:
            if not isinstance(pixels, ImageError):
                yield Prediction(name, self.labels, next(rows))
            elif on_error == "raise":
                raise pixels
            else:
                yield pixels


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
            "edge info shows what is in it",
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
