"""Image classifiers that `edge export` did not make: any ONNX graph from one image to a score per class.

Such a file says neither what its classes are called nor how pixels become its input, so both must be given. The pixels
are then scaled here, in numpy, and the scores made probabilities where they are none.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import ModelError, UsageError
from edge_runtime.images.preprocessing import Preprocessing
from edge_runtime.model.card import METADATA_KEY, ModelCard
from edge_runtime.model.open_graph import Graph
from edge_runtime.model.predictor import Predictor, identify_file
from edge_runtime.model.session import open_session, plain_reason
from edge_runtime.setting_kinds import as_kind

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


class ForeignClassifier(Predictor):
    """An `ImageClassifier` over a file that `edge export` did not make; used as a `Classifier` is.

        ForeignClassifier("squeezenet.onnx", labels=read_labels("imagenet.txt")).predict("x.jpg")

    `preprocess` "imagenet" resizes the short side to 256/224 of the input, crops the centre, scales to 0..1 and
    normalises by ImageNet's mean and standard deviation; a uint8 input gets the bytes as they are. `note` says in one
    line what was chosen. Labels that stand twice, as "crane" does in ImageNet's list, get their line: `crane (518)`.

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
        path = Path(as_kind(model, Path, "`model`"))
        several = not isinstance(labels, str) and isinstance(labels, Iterable)
        labels = as_kind(tuple(labels) if several else labels, tuple[str, ...], "`labels`")
        file = identify_file(path)
        session = open_session(path, threads=threads)
        if METADATA_KEY in session.get_modelmeta().custom_metadata_map:
            raise UsageError(f"{path} has labels and preprocessing of its own", "drop `labels` and `preprocess`")
        entrance = _read_entrance(session, path)
        output = _read_exit(session, path, len(labels))
        card = _card(entrance, labels)
        graph = _with_probabilities(_ForeignGraph(path, session, card, 0, entrance.batch, False, entrance, output))
        super().__init__(graph, threads, file)
        self._reopen = partial(ForeignClassifier, labels=labels, preprocess=preprocess, threads=threads)
        scaled = "ImageNet's mean and standard deviation" if card.normalization else "bytes as they are"
        self.note = (
            f"{path} was not made by edge export: input {entrance.width_px}×{entrance.height_px} px, {scaled}, "
            f"{'softmax added' if graph.softmax else 'its output is probabilities'}"
        )
        if numbered := [label for label, given in zip(self.labels, labels, strict=True) if label != given]:
            self.note += f"; {len(numbered)} labels stand twice and have their line, as in {numbered[0]!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._reopen, (str(self.path.absolute()),)


def _card(entrance: _Entrance, labels: Sequence[str]) -> ModelCard:
    times = Counter(labels)
    return ModelCard(
        labels=tuple(f"{label} ({line})" if times[label] > 1 else label for line, label in enumerate(labels, start=1)),
        preprocessing=Preprocessing(
            resize_px=round(max(entrance.height_px, entrance.width_px) * IMAGENET_RESIZE_PX / IMAGENET_PX),
            height_px=entrance.height_px,
            width_px=entrance.width_px,
            interpolation="bilinear",
        ),
        backbone="foreign",
        strategy="foreign",
        normalization={} if entrance.kind == np.uint8 else {"mean": list(IMAGENET_MEAN), "std": list(IMAGENET_STD)},
    )


def _with_probabilities(graph: _ForeignGraph) -> _ForeignGraph:
    """Run a few drawn pictures and see what comes: whether a softmax is missing, which is added from then on."""
    path, labels = graph.path, graph.card.labels
    size = (graph.entrance.height_px, graph.entrance.width_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    pictures = np.stack([np.zeros(size, np.uint8), np.full(size, 255, np.uint8), noise])
    try:
        scores = graph.scores(pictures)
    except Exception as error:  # onnxruntime's own exceptions share no base class
        reason = plain_reason(str(error))
        raise ModelError(f"{path} fails on a picture of {size[1]}×{size[0]} px: {reason}", _SUPPORTED) from error
    if scores.ndim != 2 or len(scores) != len(pictures):
        raise ModelError(
            f"{path} answers {len(pictures)} images with an array of {list(scores.shape)}",
            "edge runs classifiers: one score per image and class, [N, classes]",
        )
    if not np.isfinite(scores).all():
        raise ModelError(f"{path} gives scores that are no numbers", "choose another file")
    if scores.shape[1] == 1:
        raise ModelError(
            f"{path} gives one score per image, and edge needs two classes",
            "have the graph give a score for each, [N, 2], and name both in `labels`",
        )
    if scores.shape[1] != len(labels):
        background = " (its first class may be 'background')" if scores.shape[1] == len(labels) + 1 else ""
        raise UsageError(
            f"{path} has {scores.shape[1]} classes, but there are {len(labels)} labels",
            f"give as many lines as classes, in the order of its output{background}",
        )
    return replace(graph, softmax=not (scores.min() >= -1e-6 and np.abs(scores.sum(axis=1) - 1).max() < 1e-3))


def read_labels(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """The labels in a UTF-8 text file: one a line, in the order of the model's output.

    Raises UsageError where it cannot be read, is no text, or has an empty line among its labels.
    """
    path = as_kind(path, Path, "`labels`")
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


@dataclass(frozen=True, slots=True)
class _ForeignGraph(Graph):
    """Another's graph with the face of one of ours; `softmax` is added to what it gives."""

    entrance: _Entrance
    output: str
    softmax: bool = False

    def run(self, outputs: list[str], pixels: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """The probabilities, whatever is asked for in `outputs`."""
        del outputs
        scores = self.scores(pixels)
        if self.softmax:
            scores = np.exp(scores - scores.max(axis=1, keepdims=True))
            scores /= scores.sum(axis=1, keepdims=True)
        return [scores]

    def scores(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the graph gives, float32 `[N, classes]`; trailing axes of length 1 are dropped."""
        images = self._scaled(pixels)
        batch = self.batch or max(1, len(images))
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
        result = np.asarray(self.session.run([self.output], {self.entrance.name: images})[0], np.float32)
        while result.ndim > 2 and result.shape[-1] == 1:
            result = result[..., 0]
        return result

    def _scaled(self, pixels: NDArray[np.uint8]) -> NDArray[Any]:
        images: NDArray[Any] = pixels
        if self.entrance.kind != np.uint8:
            mean, std = (np.array(value, np.float32) for value in (IMAGENET_MEAN, IMAGENET_STD))
            images = (pixels.astype(np.float32) / np.float32(255) - mean) / std
            images = images.astype(self.entrance.kind, copy=False)
        if self.entrance.channels_first:
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
