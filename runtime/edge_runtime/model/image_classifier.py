"""What a classifier is to whoever uses one, wherever its file came from."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Literal, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ImageError
from edge_runtime.images.arrays import Colour
from edge_runtime.images.decoder import ImageSource
from edge_runtime.images.preprocessing import Preprocessing
from edge_runtime.model.card import ModelCard
from edge_runtime.model.prediction import Prediction


class ImageClassifier(Protocol):
    """A model and images in, labels and probabilities out: a `Classifier` or a `ForeignClassifier`.

    `path` is the model's file, `threads` how many one inference may use, `labels` are its classes in the order of its
    answers, `preprocessing` makes its input of an image, `card` says what else is known of it, and `embedding_size` is
    the length of its embedding, 0 where it gives none. Threads may share one.
    """

    path: Path
    threads: int
    labels: tuple[str, ...]
    preprocessing: Preprocessing
    card: ModelCard
    embedding_size: int

    def predict(self, image: ImageSource, *, colour: Colour = "rgb") -> Prediction:
        """Classify one image; `colour` is the order of an array's channels, for OpenCV "bgr".

        Raises ImageError where it cannot be decoded, or is an array of another type or shape.
        """

    def predict_input(self, pixels: NDArray[np.uint8], name: str) -> Prediction:
        """The answer for a model's input, uint8 `[height, width, 3]` as `preprocessing` makes it, of picture `name`.

        Raises what `probabilities` does.
        """

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run the model on `pixels`, uint8 `[N, height, width, 3]` RGB as `preprocessing` makes them.

        Returns float32 `[N, classes]`, each row summing to 1.

        Raises:
            UsageError: `pixels` has another shape or type.
            ModelError: the graph fails on them, or gives what is no number.
        """

    def embedding(self, image: ImageSource, *, colour: Colour = "rgb") -> NDArray[np.float32]:
        """The penultimate features of one image, float32 `[embedding_size]`, for similarity search.

        Raises ImageError where it cannot be decoded, ModelError where the file has no such output.
        """

    def embeddings(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """As `probabilities`, but float32 `[N, embedding_size]`: what the network's last layer decides on.

        Raises:
            UsageError: `pixels` has another shape or type.
            ModelError: the file was exported without embedding, or the graph fails.
        """

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch_size: int | None = ...,
        on_error: Literal["raise"] = ...,
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
        """Classify a stream of images, in order, in constant memory: it reads little ahead of its answers.

        Each of `threads` threads decodes an image and runs the model on it. With a `batch_size` they decode only,
        and the model runs on that many images at once with all threads: by default so for files above 64 MB, 8 at
        a time. An image's answers differ between the two by rounding alone (1e-6).

        A PIL image, an array or a buffer may be reused by the caller once it is asked for the next. An image that
        cannot be decoded raises its ImageError, or with `on_error="return"` takes its place in the stream while the
        rest goes on. Closing the iterator, an exception and Ctrl-C end the threads.

        Raises:
            UsageError: at the call, one picture instead of several, `batch_size` below 1 or an unknown `on_error`.
        """
