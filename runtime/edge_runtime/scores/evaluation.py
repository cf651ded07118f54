"""A model, scored on labelled images: the exported file through the same runtime that will serve it, or another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_runtime.errors import DataError, ImageError, UsageError
from edge_runtime.files.samples import Sample
from edge_runtime.images.preprocessing import Preprocessing
from edge_runtime.model.image_classifier import ImageClassifier
from edge_runtime.scores.labelled_images import LabelledBatch, read_batches
from edge_runtime.scores.metrics import Metrics, measure
from edge_runtime.setting_kinds import as_kind

# Samples that could be read, a row of probabilities for each, and the errors of the others.
Answered: TypeAlias = tuple[Sequence[Sample], Iterable[NDArray[np.float32]], Sequence[ImageError]]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """Metrics over the images that could be read, and the errors of those that could not.

    `probabilities` are the answers to `samples`, those that could be read, float32 `[N, classes]`.
    """

    metrics: Metrics
    unreadable: tuple[ImageError, ...]
    samples: tuple[Sample, ...]
    probabilities: NDArray[np.float32]

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true classes of `samples`, `[N]`."""
        return np.array([sample.label for sample in self.samples], np.int64)


def evaluate(
    classifier: ImageClassifier,
    root: str | Path,
    samples: Sequence[Sample],
    *,
    on_image: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Classify `samples` below `root` and compare with their labels; `on_image` is called once per image.

    Raises:
        UsageError: the model gives several labels, or one for each of several tasks: `evaluate_several` scores those.
        DataError: there are no samples, none can be read, or they were listed for another model.
    """
    root = require_scored(classifier, root)
    if (kind := classifier.card.kind) != "single-label":
        raise UsageError(f"{classifier.path} is a {kind} model, which has no one accuracy", "edge evaluate scores it")
    if any(sample.label >= len(classifier.labels) for sample in samples):
        raise DataError(f"{root} has more classes than {classifier.path}", "list it with the labels of the model")
    return _score(classifier.labels, root, answer_files(classifier, root, samples), on_image)


def require_scored(classifier: ImageClassifier, root: str | Path) -> Path:
    """The folder to score it on. Raises UsageError where one is no path, or the other is none but a model's."""
    if isinstance(classifier, str | os.PathLike):
        raise UsageError(f"`classifier` {os.fspath(classifier)!r} is a path", "open it: Classifier(path)")
    return Path(as_kind(root, Path, "`root`"))


def answer_files(classifier: ImageClassifier, root: Path, samples: Sequence[Sample]) -> Iterator[Answered]:
    """The classifier's answers to `samples` below `root`, one after another."""
    answers = classifier.predict_many((root / sample.path for sample in samples), on_error="return")
    for sample, answer in zip(samples, answers, strict=True):
        yield ((), (), (answer,)) if isinstance(answer, ImageError) else ((sample,), (answer.probabilities,), ())


def evaluate_batches(
    answer: Callable[[LabelledBatch], NDArray[np.float32]],
    preprocessing: Preprocessing,
    root: Path,
    samples: Sequence[Sample],
    *,
    labels: tuple[str, ...] = (),
    on_image: Callable[[], object] = lambda: None,
) -> Evaluation:
    """As `evaluate`, of anything that has an `answer`, float32 `[N, classes]`, to the batches its preprocessing makes.

    Without `labels` the classes have numbers for names. Raises DataError as `evaluate` does.
    """

    def answered() -> Iterator[Answered]:
        for batch in read_batches(preprocessing, root, samples):
            yield batch.samples, answer(batch) if batch.samples else (), batch.unreadable

    return _score(labels, root, answered(), on_image)


def _score(
    labels: tuple[str, ...], root: Path, answered: Iterable[Answered], on_image: Callable[[], object]
) -> Evaluation:
    samples, probabilities, unreadable = collect(root, answered, on_image)
    labels = labels or tuple(map(str, range(probabilities.shape[1])))
    truth = np.array([sample.label for sample in samples], np.int64)
    return Evaluation(measure(labels, truth, probabilities), unreadable, samples, probabilities)


def collect(
    root: Path, answered: Iterable[Answered], on_image: Callable[[], object]
) -> tuple[tuple[Sample, ...], NDArray[np.float32], tuple[ImageError, ...]]:
    """The samples that could be read, their probabilities, float32 `[N, classes]`, and the errors of the others.

    Raises DataError where none could be read.
    """
    samples: list[Sample] = []
    rows: list[NDArray[np.float32]] = []
    unreadable: list[ImageError] = []
    for given, answers, errors in answered:
        samples += given
        rows.extend(answers)
        unreadable += errors
        for _ in (*given, *errors):
            on_image()
    if not rows:
        none = f"{root} has no image to evaluate on"
        if unreadable:
            none = f"none of the {len(unreadable)} images below {root} can be read: {unreadable[0].message}"
        raise DataError(none, "name another folder with `data`")
    return tuple(samples), np.stack(rows), tuple(unreadable)
