"""Where a run's images come from: a folder, or a set known by name."""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from edge_runtime import ClassFolders, DataError, Preprocessing
from edge_train.backbones import Backbone
from edge_train.building import preprocessing
from edge_train.cifar10 import cifar10_folder
from edge_train.settings import Stem
from edge_train.shapes import shapes_folder

__all__ = ["DATA_SETS", "DataSource", "choose_preprocessing", "find_data"]

DATA_SETS = ("shapes", "cifar10")
SAMPLED_IMAGES = 50


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data folder and the name it goes by in run names and reports."""

    name: str
    root: Path
    image_size_px: int | None = None


def find_data(data: str) -> DataSource:
    """The folder `data`, or the set of that name; a folder of that name here comes first.

    Raises:
        DataError: neither a folder nor the name of a set.
        EdgeError: the set cannot be downloaded or written to the cache.
    """
    if not data.strip():
        raise DataError("--data is empty", "name a folder; an unset variable in a script, perhaps?")
    try:
        path = Path(data).expanduser()
        exists = path.exists()
    except (OSError, RuntimeError) as error:
        # RuntimeError: the home folder of a user there is none of.
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"--data {data} cannot be read: {reason}", "check the path") from None
    if exists or data not in DATA_SETS:
        if not exists:
            raise DataError(
                f"--data {data}: no such folder",
                f"name a folder of class folders, or {' or '.join(DATA_SETS)}",
            )
        return DataSource(path.resolve().name or "data", path)
    if data == "cifar10":
        return DataSource("cifar10", cifar10_folder())
    return DataSource("shapes", shapes_folder(), image_size_px=64)


def choose_preprocessing(
    backbone: Backbone, source: DataSource, folders: ClassFolders, image_size: int | None, stem: Stem = "standard"
) -> tuple[Preprocessing, str]:
    """The preprocessing contract of a run, and one sentence that says why.

    Photos larger than the backbone's own input get its preset. Smaller pictures are used whole, without
    the preset's margin, at twice their own size and at least 64 px: enlarging costs time with the square
    of the side, and backbones pretrained on photos need resolution. The small stem, which is made for them,
    takes them at their own size.
    """
    own = backbone.image_size_px
    typical = _typical_short_side_px(folders)
    whole = typical <= (image_size or own)
    if image_size is not None:
        size, why = image_size, "as asked"
    elif source.image_size_px is not None:
        size, why = source.image_size_px, f"the size {source.name} is meant for"
    elif stem == "small":
        size, why = min(own, max(backbone.smallest_px, typical)), "the images' own, as --stem small takes them"
        whole = True
    elif whole:
        size = min(own, max(64, -(-2 * typical // 32) * 32))
        why = f"the images are about {typical} px; --image-size {own} is {backbone.name}'s own"
    else:
        size, why = own, f"{backbone.name}'s own"
    contract = preprocessing(backbone, size, margin=not whole)
    how = "the whole picture" if whole else f"short side to {contract.resize_px} px, then a centre crop"
    return contract, f"input {size}×{size} px ({why}): {how}"


def _typical_short_side_px(folders: ClassFolders) -> int:
    """The median short side over a sample of the images, read from their headers; 224 where none opens."""
    samples = [sample for split in folders.splits.values() for sample in split]
    chosen = random.Random(0).sample(samples, min(SAMPLED_IMAGES, len(samples)))
    sides = []
    for sample in chosen:
        try:
            with Image.open(folders.root / sample.path) as image:
                sides.append(min(image.size))
        except Exception:
            continue
    return round(statistics.median(sides)) if sides else 224
