"""What runs a model: onnxruntime as edge predicts with it, and others that the same network can be run by.

Every engine takes the same pixels from the same preprocessing; only what happens to them then differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

import edge_export
import edge_runtime
from edge_benchmarks.plain_data import PlainData
from edge_runtime import (
    RUNTIME_ENGINES,
    MissingExtraError,
    ModelCard,
    ModelError,
    Preprocessing,
    RuntimeEngine,
    Sample,
    UsageError,
    usable_cores,
)

if TYPE_CHECKING:
    from edge_runtime import Evaluation

EngineName: TypeAlias = Literal["onnxruntime", "torch", "torchscript", "openvino", "openvino-bf16", "xnnpack"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)
# What each of them imports.
ENGINE_PACKAGES: Mapping[EngineName, str] = {
    "onnxruntime": "onnxruntime",
    "torch": "torch",
    "torchscript": "torch",
    "openvino": "openvino",
    "openvino-bf16": "openvino",
    "xnnpack": "onnxruntime",
}


@dataclass(frozen=True, slots=True)
class Setup(PlainData):
    """What a worker opens: `path` with `engine`, on `threads` threads (None: the usable cores).

    `images` are the pictures it takes in turn; with none, its input is random. `classes` is given for a classifier
    that edge did not make; `is_classifier` is False for a graph that is fed by its declared inputs alone.
    """

    path: str
    engine: EngineName = "onnxruntime"
    threads: int | None = None
    batch: int = 1
    images: tuple[str, ...] = ()
    classes: int | None = None
    is_classifier: bool = True


class Engine:
    """An opened model. `preprocessing` is None for a graph that takes no pictures; pixels are uint8 `[N, H, W, 3]`."""

    preprocessing: Preprocessing | None = None

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the model answers, float32 `[N, classes]`."""
        raise NotImplementedError

    def answer(self, encoded: bytes) -> object:
        """An encoded picture's answer, as a program would ask for it."""
        assert self.preprocessing is not None
        return self.run(self.preprocessing(encoded)[np.newaxis])

    def evaluate(self, root: Path, samples: Sequence[Sample], on_image: Callable[[], object]) -> Evaluation:
        """What it answers to `samples` below `root`; `on_image` is called once per image. Raises DataError."""
        assert self.preprocessing is not None
        return edge_runtime.evaluate_batches(
            lambda batch: self.run(batch.pixels), self.preprocessing, root, samples, on_image=on_image
        )


def import_engine(name: EngineName) -> None:
    """Import what the engine needs and nothing else, so that what then takes time is opening the model.

    Raises:
        MissingExtraError: it is not installed.
    """
    openvino = ENGINE_PACKAGES[name] == "openvino"
    try:
        if name in RUNTIME_ENGINES:
            _ = edge_runtime.Classifier
            if openvino:
                import_module("openvino")
        else:
            _ = edge_export.read_torchscript
    except ModuleNotFoundError as error:
        raise MissingExtraError("fast" if openvino else "export", error.name or name) from None


def open_engine(setup: Setup) -> Engine:
    """Open the model.

    Raises:
        ModelError, CheckpointError, UsageError: it cannot be opened.
    """
    if setup.engine in RUNTIME_ENGINES:
        return _Shipped(setup, setup.engine) if setup.is_classifier else _Graph(setup)
    read = edge_export.read_torchscript if setup.engine == "torchscript" else read_checkpoint
    network, card = read(Path(setup.path))
    return _Torch(network, card, setup.threads or usable_cores())


class _Shipped(Engine):
    """`Classifier`, which is what edge ships, by one of its engines; what edge did not make is onnxruntime's."""

    def __init__(self, setup: Setup, engine: RuntimeEngine) -> None:
        from edge_runtime import Classifier, ForeignClassifier, ImageClassifier

        self.classifier: ImageClassifier
        if setup.classes is None:
            self.classifier = Classifier(setup.path, threads=setup.threads, engine=engine)
        else:
            labels = [f"class {index}" for index in range(setup.classes)]
            self.classifier = ForeignClassifier(setup.path, labels=labels, threads=setup.threads)
        self.preprocessing = self.classifier.preprocessing

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities."""
        return self.classifier.probabilities(pixels)

    def answer(self, encoded: bytes) -> object:
        """The prediction."""
        return self.classifier.predict(encoded)

    def evaluate(self, root: Path, samples: Sequence[Sample], on_image: Callable[[], object]) -> Evaluation:
        """As `edge evaluate` does it: several images at once."""
        return edge_runtime.evaluate(self.classifier, root, samples, on_image=on_image)


class _Graph(Engine):
    """Any ONNX graph, fed with random numbers of the shapes it declares."""

    def __init__(self, setup: Setup) -> None:
        from edge_runtime import open_session

        self._session = open_session(setup.path, threads=setup.threads)
        self._path = setup.path
        self._at_once = images_at_once(self._session)
        self._feeds: dict[int, dict[str, NDArray[Any]]] = {}

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run on as many random inputs as there are `pixels`, or more where a fixed batch needs to be filled.

        What is in them does not matter, and so only what the last of several batches gave is handed back.
        """
        batch = self._at_once or len(pixels)
        feed = self._feeds.get(batch)
        if feed is None:
            feed = random_feed(self._session, batch, self._path)
            self._feeds[batch] = feed
        try:
            for _ in range(math.ceil(len(pixels) / batch)):
                result: NDArray[np.float32] = self._session.run(None, feed)[0]
        except Exception as error:  # onnxruntime's own exceptions share no base class
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{self._path} fails on random input: {reason}", "it may need inputs that fit") from error
        return result


class _Torch(Engine):
    """The checkpoint's network in PyTorch, or the same as TorchScript."""

    def __init__(self, network: Any, card: ModelCard, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self._torch = torch
        self._network = network
        # What comes behind them is an embedding.
        self._outputs = len(card.outputs)
        self.preprocessing = card.preprocessing

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities."""
        with self._torch.inference_mode():
            answers = self._network(self._torch.from_numpy(pixels))
        parts = answers[: self._outputs] if isinstance(answers, tuple) else (answers,)
        result: NDArray[np.float32] = self._torch.cat(parts, 1).numpy() if len(parts) > 1 else parts[0].numpy()
        return result


def read_checkpoint(path: Path) -> tuple[Any, ModelCard]:
    """The checkpoint's network as it is deployed, and its card. Raises CheckpointError."""
    from edge_train import deploy, load_checkpoint

    checkpoint = load_checkpoint(path)
    return deploy(checkpoint.build().requires_grad_(False), checkpoint.card), checkpoint.card


_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


def images_at_once(session: Any) -> int | None:
    """The images that each run of an onnxruntime session takes; None where they may be any number.

    The first of the four sides or more of an image input, if it is fixed. A graph that has neither such an input nor a
    free first side takes all it is fed as one.
    """
    shapes = [node.shape for node in session.get_inputs() if node.shape]
    for shape in shapes:
        if len(shape) >= 4 and _is_fixed(shape[0]):
            return int(shape[0])
    return 1 if all(_is_fixed(shape[0]) for shape in shapes) else None


def _is_fixed(side: Any) -> bool:
    return isinstance(side, int) and side > 0


def random_feed(session: Any, batch: int, path: str) -> dict[str, NDArray[Any]]:
    """Random inputs of the shapes an onnxruntime session declares; the first free side is the batch, others are 1.

    Whole numbers are 0 and 1, which are indices and lengths wherever there are any; the same ones each time.

    Raises UsageError for an input that holds no numbers.
    """
    choose = np.random.default_rng(0)
    feed: dict[str, NDArray[Any]] = {}
    for node in session.get_inputs():
        if node.type not in _NUMPY:
            raise UsageError(f"{path} takes {node.type}, for which there is no random input", "leave it out")
        kind = np.dtype(_NUMPY[node.type])
        shape = [side if _is_fixed(side) else 0 for side in node.shape]
        if shape and shape[0] == 0:
            shape[0] = batch
        shape = [side or 1 for side in shape]
        if kind == np.uint8:
            feed[node.name] = choose.integers(0, 256, shape, np.uint8)
        elif kind.kind == "f":
            feed[node.name] = choose.random(math.prod(shape), np.float32).reshape(shape).astype(kind)
        else:
            feed[node.name] = choose.integers(0, 2, shape).astype(kind)
    return feed


def random_pixels(preprocessing: Preprocessing | None, count: int) -> Sequence[NDArray[np.uint8]]:
    """So many random images, uint8 `[H, W, 3]`, the same ones each time; a single pixel where a graph takes none."""
    size = (1, 1, 3) if preprocessing is None else (preprocessing.height_px, preprocessing.width_px, 3)
    return list(np.random.default_rng(0).integers(0, 256, (count, *size), np.uint8))
