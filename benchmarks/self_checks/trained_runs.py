"""What checks of trained networks share: runs, the images that no training saw, and what a model file gets right."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_data import choose_evaluation
from edge_runtime import Classifier, ModelCard, Run, UsageError, read_batches
from edge_train import TrainSettings, load_checkpoint, train

Z_95 = 1.959963984540054
BATCH = 64


def by_backbone(runs: Iterable[Path]) -> dict[str, Run]:
    """Finished runs by the name of their backbone."""
    return {load_checkpoint(Run(path).best).card.backbone: Run(path) for path in runs}


def weights_of(name: str, folder: Path | None) -> str | None:
    """The file of pretrained weights that `folder` has for a backbone; `default` without a folder."""
    if folder is None:
        return "default"
    if not folder.is_dir():
        raise UsageError(f"--weights {folder} is no folder")
    return next((str(path) for path in sorted(folder.glob(f"{name}[-.]*pth"))), None)


def train_run(name: str, weights: str | None, given: argparse.Namespace, out: Path, **told: Any) -> Run:
    """A run in `out` of the backbone `name`, as the check's flags ask: fine-tuned, or from scratch without weights."""
    settings = TrainSettings(
        data=str(given.data),
        backbone=name,
        weights=weights or "none",
        strategy="fine-tune" if weights else "scratch",
        image_size=given.image_size,
        epochs=given.epochs,
        limit=given.limit,
        seed=given.seed,
        threads=given.threads,
        out=out,
        **told,
    )
    return train(settings).run


def unseen(
    card: ModelCard, run: Run, data: Path | None = None, *, most: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The run's test images as the model takes them, uint8 `[N, H, W, 3]`, and their labels `[N]`.

    Or those of another folder, `most` of them drawn evenly from all.
    """
    chosen = choose_evaluation(card, run, data, "test" if data is None else None)
    samples = chosen.samples
    if most is not None and most < len(samples):
        samples = tuple(samples[at] for at in np.linspace(0, len(samples) - 1, most).round().astype(int))
    batches = list(read_batches(card.preprocessing, chosen.root, samples))
    pixels = np.concatenate([batch.pixels for batch in batches])
    return pixels, np.array([sample.label for batch in batches for sample in batch.samples])


def right_answers(
    path: Path, pixels: NDArray[np.uint8], truth: NDArray[np.int64], *, threads: int
) -> NDArray[np.bool_]:
    """Which of the images the model file at `path` answers rightly, `[N]`."""
    classifier = Classifier(path, threads=threads)
    answers = [classifier.probabilities(part) for part in _parts(pixels)]
    return np.asarray(np.concatenate(answers).argmax(axis=1) == truth)


def paired(before: NDArray[np.bool_], after: NDArray[np.bool_]) -> tuple[float, float, float]:
    """The difference of two accuracies on the same images, and its 95 % interval by the normal approximation.

    After Agresti, "Categorical Data Analysis" (2013), section 11.1.1: the variance is that of the discordant pairs.
    """
    difference = after.astype(float) - before.astype(float)
    mean, width = float(difference.mean()), Z_95 * float(difference.std()) / len(difference) ** 0.5
    return mean, mean - width, mean + width


def points(difference: float, low: float, high: float) -> str:
    """A difference of two accuracies and its interval in points, as a table has it."""
    return f"{100 * difference:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _parts(images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))
