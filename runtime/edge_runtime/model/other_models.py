"""Image classifiers that `edge export` did not make: any ONNX graph from one image to a score per class.

Such a file says neither what its classes are called nor how pixels become its input, so both must be given. The pixels
are then scaled here, in numpy, and the scores made probabilities where they are none.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.images.preprocessing import Preprocessing
from edge_runtime.machine.limits import usable_cores
from edge_runtime.model.card import INPUT_NAME, METADATA_KEY, ModelCard
from edge_runtime.model.classifier import Classifier, identify_file
from edge_runtime.model.session import open_session, plain_reason

__all__ = ["ForeignClassifier", "read_labels"]

# What torchvision, timm and the ONNX model zoo train with: He et al. 2016's evaluation, 256 to 224 pixels.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
IMAGENET_PX, IMAGENET_RESIZE_PX = 224, 256
LARGEST_PX = 3584

_TYPES: dict[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_SUPPORTED = "edge runs one image input, float32, float16 or uint8, [N, 3, height, width] or [N, height, width, 3]"


class ForeignClassifier(Classifier):
    """A `Classifier` over a file that `edge export` did not make; used in the same way.

        ForeignClassifier("squeezenet.onnx", labels=read_labels("imagenet.txt")).predict("x.jpg")

    `preprocess` "imagenet" resizes the short side to 256/224 of the input, crops the centre, scales to 0..1 and
    normalises by ImageNet's mean and standard deviation; a uint8 input gets the bytes as they are. `note` says in one
    line what was chosen.

    Raises:
        UsageError: no such file, made by `edge export` after all, or as many labels as it has classes are not given.
        ModelError: the file is damaged, or its input or output is none that edge can run.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        labels: Sequence[str],
        preprocess: Literal["imagenet"] = "imagenet",
        threads: int | None = None,
    ) -> None:
        if preprocess != "imagenet":
            raise UsageError(f"`preprocess` {preprocess} is not known", "there is imagenet")
        self.path = Path(model)
        self.threads = threads or usable_cores()
        self.labels = tuple(labels)
        self.embedding_size = 0
        self._given_threads = threads
        self._preprocess = preprocess
        self._file = identify_file(self.path)
        self._alone: Any = None
        self._lock = Lock()
        session = open_session(self.path, threads=threads)
        if METADATA_KEY in session.get_modelmeta().custom_metadata_map:
            raise UsageError(f"{self.path} has labels and preprocessing of its own", "drop `labels` and `preprocess`")
        self._entrance = entrance = _read_entrance(session, self.path)
        self._exit = _read_exit(session, self.path, len(self.labels))
        self.preprocessing = Preprocessing(
            resize_px=round(max(entrance.height_px, entrance.width_px) * IMAGENET_RESIZE_PX / IMAGENET_PX),
            height_px=entrance.height_px,
            width_px=entrance.width_px,
            interpolation="bilinear",
        )
        self._session = _Adapter(session, entrance, self._exit)
        softmax = self._probe()
        self.card = ModelCard(
            labels=self.labels,
            preprocessing=self.preprocessing,
            backbone="foreign",
            strategy="foreign",
            normalization={} if entrance.kind == np.uint8 else {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
        )
        scaled = "bytes as they are" if entrance.kind == np.uint8 else "ImageNet's mean and standard deviation"
        self.note = (
            f"{self.path} was not made by edge export: input {entrance.width_px}×{entrance.height_px} px, {scaled}, "
            f"{'softmax added' if softmax else 'its output is probabilities'}"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopen, (str(self.path.absolute()), self.labels, self._preprocess, self._given_threads)

    def _open_alone(self) -> Any:
        alone = _Adapter(super()._open_alone(), self._entrance, self._exit)
        alone.softmax = self._session.softmax
        return alone

    def _best_batch_size(self) -> int | None:
        # A graph that takes four images at a time computes four, however many there are.
        return self._entrance.batch if self._entrance.batch > 1 else super()._best_batch_size()

    def _probe(self) -> bool:
        """Run a few drawn pictures and see what comes: whether a softmax is missing, which is added from then on."""
        size = (self.preprocessing.height_px, self.preprocessing.width_px, 3)
        noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        pictures = np.stack([np.zeros(size, np.uint8), np.full(size, 255, np.uint8), noise])
        try:
            scores = self._session.scores(pictures)
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = plain_reason(str(error))
            raise ModelError(
                f"{self.path} fails on a picture of {size[1]}×{size[0]} px: {reason}", _SUPPORTED
            ) from error
        if scores.ndim != 2 or len(scores) != len(pictures):
            raise ModelError(
                f"{self.path} answers {len(pictures)} images with an array of {list(scores.shape)}",
                "edge runs classifiers: one score per image and class, [N, classes]",
            )
        if not np.isfinite(scores).all():
            raise ModelError(f"{self.path} gives scores that are no numbers", "choose another file")
        if scores.shape[1] != len(self.labels):
            background = " (its first class may be 'background')" if scores.shape[1] == len(self.labels) + 1 else ""
            raise UsageError(
                f"{self.path} has {scores.shape[1]} classes, but there are {len(self.labels)} labels",
                f"give as many lines as classes, in the order of its output{background}",
            )
        self._session.softmax = not bool(scores.min() >= -1e-6 and np.abs(scores.sum(axis=1) - 1).max() < 1e-3)
        return bool(self._session.softmax)


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The labels in a UTF-8 text file: one a line, in the order of the model's output.

    Raises UsageError where it cannot be read, is no text, or has an empty line among its labels or a label twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"`labels` {path} cannot be read: {error.strerror}", "name a text file of labels") from None
    except ValueError:
        raise UsageError(f"`labels` {path} is not UTF-8 text", "give one label a line") from None
    lines = [line.strip() for line in text.rstrip().split("\n")]
    if lines == [""]:
        raise UsageError(f"`labels` {path} is empty", "give one label a line, in the order of the model's output")
    if "" in lines:
        raise UsageError(
            f"`labels` {path}: line {lines.index('') + 1} is empty",
            "give one label a line, in the order of the model's output",
        )
    seen: dict[str, int] = {}
    for number, label in enumerate(lines, start=1):
        if (first := seen.setdefault(label, number)) < number:
            raise UsageError(
                f"`labels` {path} has {label!r} twice, in lines {first} and {number}",
                "tell the two apart, as in 'crane (bird)' and 'crane (machine)'",
            )
    return tuple(lines)


@dataclass(frozen=True, slots=True)
class _Entrance:
    """The graph's input; `batch` is 0 where it takes any number of images."""

    name: str
    kind: type[np.generic]
    channels_first: bool
    batch: int
    height_px: int
    width_px: int


class _Adapter:
    """A foreign session with the face of one of ours: uint8 `[N, H, W, 3]` in, float32 probabilities out."""

    def __init__(self, session: Any, entrance: _Entrance, output: str) -> None:
        self._session = session
        self._entrance = entrance
        self._output = output
        self.softmax = False

    def run(self, _: Sequence[str], feed: dict[str, NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """As onnxruntime's `run`: the probabilities of the pixels under `image`, float32 `[N, classes]`."""
        scores = self.scores(feed[INPUT_NAME])
        if self.softmax:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return [scores]

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the graph gives, float32 `[N, classes]`; trailing axes of length 1 are dropped."""
        images = self._scaled(pixels)
        batch = self._entrance.batch or max(1, len(images))
        pieces = []
        for start in range(0, len(images), batch):
            piece = images[start : start + batch]
            if len(piece) < batch:
                filler = np.zeros((batch - len(piece), *piece.shape[1:]), piece.dtype)
                whole = self._call(np.concatenate([piece, filler]))
            else:
                whole = self._call(piece)
            pieces.append(whole[: len(piece)])
        return np.concatenate(pieces)

    def _call(self, images: NDArray[Any]) -> NDArray[np.float32]:
        result = np.asarray(self._session.run([self._output], {self._entrance.name: images})[0], np.float32)
        while result.ndim > 2 and result.shape[-1] == 1:
            result = result[..., 0]
        return result

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        images: NDArray[Any] = pixels
        if self._entrance.kind != np.uint8:
            mean, std = (np.array(value, np.float32) for value in (IMAGENET_MEAN, IMAGENET_STD))
            images = (pixels.astype(np.float32) / np.float32(255) - mean) / std
            images = images.astype(self._entrance.kind, copy=False)
        if self._entrance.channels_first:
            images = images.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(images)


def _read_entrance(session: Any, path: Path) -> _Entrance:
    inputs = session.get_inputs()
    described = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
    unsupported = ModelError(f"{path} takes {described or 'nothing'}, which edge cannot feed", _SUPPORTED)
    if len(inputs) != 1 or inputs[0].type not in _TYPES or len(inputs[0].shape) != 4:
        raise unsupported
    node = inputs[0]
    batch, *sides = (side if isinstance(side, int) and side > 0 else 0 for side in node.shape)
    if 3 not in (sides[0], sides[2]):
        raise unsupported
    channels_first = sides[0] == 3
    height, width = (side or IMAGENET_PX for side in (sides[1:] if channels_first else sides[:2]))
    if max(height, width) > LARGEST_PX:
        raise unsupported
    return _Entrance(node.name, _TYPES[node.type], channels_first, batch, height, width)


def _read_exit(session: Any, path: Path, classes: int) -> str:
    """The name of the one output that can be scores; of several, the one that has as many as there are labels."""
    outputs = session.get_outputs()
    fitting = [node for node in outputs if node.type in ("tensor(float)", "tensor(float16)") and _is_row(node.shape)]
    if len(fitting) > 1:
        fitting = [node for node in fitting if node.shape[1] == classes]
    if len(fitting) != 1:
        described = ", ".join(f"{node.name} {node.type} {node.shape}" for node in outputs)
        raise ModelError(
            f"{path} gives {described}",
            "edge runs classifiers: one output of a score per image and label, [N, classes]",
        )
    return str(fitting[0].name)


def _is_row(shape: Sequence[Any]) -> bool:
    return len(shape) >= 2 and all(side == 1 for side in shape[2:])


def _reopen(
    path: str, labels: tuple[str, ...], preprocess: Literal["imagenet"], threads: int | None
) -> ForeignClassifier:
    return ForeignClassifier(path, labels=labels, preprocess=preprocess, threads=threads)
