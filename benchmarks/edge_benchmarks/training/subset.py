"""A part of a data folder as train/ and val/ class folders, which torchvision's ImageFolder reads as edge does."""

from __future__ import annotations

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_runtime import DataError, OutputError, Sample, UsageError, scan

# ImageFolder overlooks GIF files, which edge reads: with them the two would not train on the same images.
_READ_BY_BOTH = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
VAL_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Subset:
    """The folder that was filled, and how many images of how many classes it holds."""

    root: Path
    train: int
    val: int
    classes: int


def draw_subset(source: Path, folder: Path, *, images: int, seed: int) -> Subset:
    """Fill `folder` with about `images` of the training images of `source`: four fifths train, one fifth val.

    Every class is drawn in proportion to its size, at least two images of it; there are no more than the source has.
    Files are hard links where the disk allows it, else copies.

    Raises:
        UsageError: fewer images are asked for than two a class.
        DataError: `source` is not laid out in class folders, or a class has fewer than two images to draw from.
        OutputError: `folder` cannot be written.
    """
    folders = scan(source)
    found = folders.splits.get("train") or folders.splits["all"]
    classes: list[list[Sample]] = [[] for _ in folders.labels]
    for sample in found:
        if Path(sample.path).suffix.lower() in _READ_BY_BOTH:
            classes[sample.label].append(sample)
    if images < 2 * len(classes):
        raise UsageError(f"--images {images}: {len(classes)} classes need {2 * len(classes)} at least")
    total = sum(len(members) for members in classes)
    draw = random.Random(seed)
    counts = {"train": 0, "val": 0}
    for label, members in zip(folders.labels, classes, strict=True):
        if len(members) < 2:
            raise DataError(f"{source} has {len(members)} training images of {label!r}", "two are needed at least")
        wanted = min(len(members), max(2, round(images * len(members) / total)))
        chosen = draw.sample(members, wanted)
        held = max(1, round(wanted * VAL_SHARE))
        for split, part in (("val", chosen[:held]), ("train", chosen[held:])):
            _place(folders.root, part, folder / split / label)
            counts[split] += len(part)
    return Subset(folder, counts["train"], counts["val"], len(classes))


def _place(source: Path, samples: list[Sample], folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
        for index, sample in enumerate(samples):
            path = (source / sample.path).resolve()
            target = folder / f"{index:06d}{path.suffix.lower()}"
            try:
                os.link(path, target)
            except OSError:
                shutil.copyfile(path, target)
    except OSError as error:
        raise OutputError(f"cannot fill {folder}: {error.strerror or error}", "make room, or set TMPDIR") from error
