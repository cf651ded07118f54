"""What parity compares: anything that takes pictures and gives probabilities, under one roof."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime import Classifier, ModelCard, Preprocessing

if TYPE_CHECKING:
    from torch import nn

Pixels: TypeAlias = "NDArray[np.uint8]"


class Answers(NamedTuple):
    """Probabilities `[N, classes]` of N images and, where the model gives them, embeddings `[N, size]`; float32."""

    probabilities: NDArray[np.float32]
    embeddings: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One side of a comparison: the labels and the preprocessing it claims, and `answer`, which runs its graph."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    answer: Callable[[Pixels], Answers]


def torch_model(network: nn.Module, card: ModelCard) -> Model:
    """The checkpoint's network: it gives probabilities, those of each task, and maybe embeddings."""
    import torch

    def answer(pixels: Pixels) -> Answers:
        with torch.inference_mode():
            found = network(torch.from_numpy(pixels))
        if not isinstance(found, tuple):
            return Answers(found.numpy())
        outputs = len(card.outputs)
        probabilities = torch.cat(found[:outputs], dim=1)
        return Answers(probabilities.numpy(), found[outputs].numpy() if card.embedding_size else None)

    return Model(card.labels, card.preprocessing, answer)


def torchscript_model(path: Path) -> Model:
    """The TorchScript file at `path`. Raises ModelError where it is none of edge's."""
    from edge_export.formats.torchscript_file import read_torchscript

    return torch_model(*read_torchscript(path))


def onnx_model(path: Path) -> Model:
    """The ONNX file at `path`, through the runtime that will serve it. Raises ModelError where it cannot be used."""
    classifier = Classifier(path)

    def answer(pixels: Pixels) -> Answers:
        embeddings = classifier.embeddings(pixels) if classifier.embedding_size else None
        return Answers(classifier.probabilities(pixels), embeddings)

    return Model(classifier.labels, classifier.preprocessing, answer)
