"""Images that an imported network is calibrated and measured on, split as training would split them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from edge_data import ImageStore, Splits, default_cache_bytes, find_data, split_data
from edge_runtime import ClassFolders, Metrics, ModelCard, Progress, Sample, scan, usable_cores
from edge_train.imported.import_settings import ImportSettings
from edge_train.network.fold_batch_norm import fold
from edge_train.network.network import Network
from edge_train.run.batches import evaluation_batches
from edge_train.run.image_reading import read_images
from edge_train.run.processes import ALONE
from edge_train.run.split_answers import SplitAnswers, answer_split
from edge_train.settings import TrainSettings
from edge_train.targets.single_label import SingleLabel

BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """The images of a data set called `name`, listed and split; `places` are what names them."""

    name: str
    folders: ClassFolders
    splits: Splits
    places: tuple[Path, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in their order."""
        return self.folders.labels


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What an imported network does on images: its answers and figures on "val" and perhaps "test".

    `card` has its temperature, its figures and the images' origin; `splits` are those that could be read, below `root`.
    """

    card: ModelCard
    splits: Splits
    root: Path
    places: tuple[Path, ...]
    answers: dict[str, SplitAnswers]
    metrics: dict[str, Metrics]


def find_pictures(settings: ImportSettings, labels: tuple[str, ...] | None, progress: Progress) -> Pictures:
    """List and split the images of `data`, of classes `labels` or their own. Raises DataError, UsageError."""
    source = find_data(settings.data)
    folders = scan(source.places, labels=labels, label_from=settings.label_from, group_column=settings.group_by)
    for found in folders.notes:
        progress.say(f"note: {found.text}")
    threads = settings.threads or usable_cores()
    splits = split_data(folders, seed=settings.seed, group_by=settings.group_by, progress=progress, threads=threads)
    for note in splits.notes:
        progress.say(f"note: {note}")
    return Pictures(source.name, folders, splits, source.places)


def measure_pictures(
    settings: ImportSettings, pictures: Pictures, network: Network, card: ModelCard, progress: Progress
) -> Measured:
    """Fit the temperature on validation, and take every figure that training takes. Raises DataError."""
    threads = settings.threads or usable_cores()
    folders = pictures.folders
    store = ImageStore(folders.root, card.preprocessing, cache_bytes=default_cache_bytes(), threads=threads)
    splits = read_images(as_train_settings(settings, card), store, pictures.splits, progress, ALONE, folders)
    folded = fold(network).to(memory_format=torch.channels_last)
    answers = {
        name: _answer(folded, samples, store, splits, progress, f"measuring {name}")
        for name, samples in (("val", splits.val), ("test", splits.test))
        if samples
    }
    calibrated, metrics = SingleLabel(card).calibrate(answers)
    data = {
        **card.data,
        "name": pictures.name,
        "fingerprint": folders.fingerprint,
        "split": splits.how,
        "seed": settings.seed,
        "limit": None,
        "group_by": settings.group_by,
        "label_from": settings.label_from,
    }
    return Measured(replace(calibrated, data=data), splits, folders.root, pictures.places, answers, metrics)


def _answer(  # noqa: PLR0917 (what a split is answered with)
    network: Network,
    samples: tuple[Sample, ...],
    store: ImageStore,
    splits: Splits,
    progress: Progress,
    task: str,
) -> SplitAnswers:
    progress.begin(task, len(samples))
    batches = evaluation_batches(store, samples, batch_size=BATCH_SIZE)
    found = answer_split(network, samples, batches, device=torch.device("cpu"), on_images=progress.advance)
    progress.end()
    return replace(found, groups=splits.groups)


def as_train_settings(
    settings: ImportSettings, card: ModelCard, *, backbone: str | None = None, weights: str = "default"
) -> TrainSettings:
    """What config.json says in the place of a training's settings: those that an import shares with it."""
    return TrainSettings(
        data=settings.data or "shapes",
        label_from=settings.label_from,
        backbone=backbone or card.backbone,
        strategy="fine-tune",
        weights=weights,
        image_size=card.preprocessing.height_px,
        group_by=settings.group_by,
        on_bad_image=settings.on_bad_image,
        out=settings.out,
        threads=settings.threads,
        seed=settings.seed,
    )
