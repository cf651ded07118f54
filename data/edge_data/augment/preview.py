"""A picture of what augmentation makes of a data set's own training images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from edge_data.augment.presets import AUGMENTATIONS, find_augmentation
from edge_data.drawing.own_pictures import require_apart
from edge_data.drawing.sheet import Sheet, check_png_target
from edge_data.sets.find import find_data
from edge_data.sets.grouped_split import split_data
from edge_data.sets.image_store import ImageStore
from edge_data.sets.picture_size import input_size, typical_short_side_px
from edge_data.sets.splits import split
from edge_runtime import (
    ClassFolders,
    DataError,
    ImageError,
    LabelFrom,
    Preprocessing,
    Progress,
    Sample,
    Silence,
    UsageError,
    decode,
    scan,
)

ALL_PRESETS = "all"
_USUAL_PX = 224
_RESIZE_RATIO = 256 / 224  # as most of torchvision's presets have it
_TRIES = 20
_CELL_PX = 128, 256
_GAP_PX, _LINE_PX, _FONT_PX = 6, 20, 13


@dataclass(frozen=True, slots=True)
class Preview:
    """Where the sheet is, its rows (training images, relative to the data), its columns and the input they show."""

    path: Path
    images: tuple[str, ...]
    columns: tuple[str, ...]
    preprocessing: Preprocessing


class _Column(NamedTuple):
    caption: str
    preset: str
    epoch: int


def write_preview(
    data: str | Sequence[str],
    out: Path,
    *,
    augment: str = ALL_PRESETS,
    image_size: int | None = None,
    label_from: LabelFrom = "top",
    multi_label: bool = False,
    tasks: Sequence[str] = (),
    seed: int = 0,
    images: int = 4,
    draws: int = 6,
    progress: Progress | None = None,
) -> Preview:
    """Draw the PNG `out`: a row per training image, first without augmentation, then as `augment` changes it.

    The columns are epochs 1 to `draws` of a preset, or every preset once with `augment` "all"; the generators are
    those training makes with the same `seed`. `image_size` is the side of the model's input in pixels; None takes the
    side the data is meant for, or 224, or for smaller pictures twice their own and at least 64. `label_from`,
    `multi_label` and `tasks` are as in training.

    Raises:
        UsageError: there is no such preset, a value makes no sense, or `out` is no PNG by its name or content, one of
            the images, or in a folder of them.
        DataError: `data` is no data folder, no manifest, nor several that are one set.
        ImageError: none of the training images can be read.
        OutputError: `out` cannot be written.
    """
    columns = _columns(augment, draws)
    if images < 1 or seed < 0:
        raise UsageError(f"a preview of {images} images with seed {seed}", "give at least one image, and a seed from 0")
    check_png_target(out)
    source = find_data(data)
    folders = scan(source.places, label_from=label_from, multi_label=multi_label, tasks=tasks)
    require_apart(out, folders, source.places)
    training = _training(folders, seed, progress)
    chosen = _choose(folders, training, images, seed, progress or Silence())
    # The contract training chooses for a backbone of the usual kind: 224 px, bilinear.
    typical = typical_short_side_px(folders)
    size, whole = input_size(typical, _USUAL_PX, asked_px=image_size, set_px=source.image_size_px)
    resize_px = size if whole else round(size * _RESIZE_RATIO)
    contract = Preprocessing(resize_px=resize_px, height_px=size, width_px=size, interpolation="bilinear")
    store = ImageStore(folders.root, contract, cache_bytes=0, threads=1)
    rows = []
    for index in chosen:
        sample = training[index]
        picture = store.picture(sample)
        cells = [
            Image.fromarray(AUGMENTATIONS[c.preset](picture, contract, np.random.default_rng([seed, c.epoch, index])))
            for c in columns
        ]
        rows.append((f"{_labels_text(folders, sample)}: {sample.path}", cells))
    captions = tuple(column.caption for column in columns)
    title = f"edge data preview: --augment {augment}, seed {seed}, input {contract.width_px} px"
    _sheet(title, captions, rows).save(out)
    return Preview(out, tuple(training[index].path for index in chosen), captions, contract)


def _training(folders: ClassFolders, seed: int, progress: Progress | None) -> Sequence[Sample]:
    """The run's training images: near copies are kept together, which moves images, and what is drawn for each."""
    try:
        return split_data(folders, seed=seed, progress=progress).train
    except DataError:
        # Of images that are all alike a run can be made with `group_by` none alone.
        return split(folders, seed=seed).train


def _columns(augment: str, draws: int) -> list[_Column]:
    if augment == ALL_PRESETS:
        return [_Column(name, name, 1) for name in AUGMENTATIONS]
    find_augmentation(augment)
    if draws < 1:
        raise UsageError(f"a preview of {draws} draws", "at least one is needed")
    return [_Column("none", "none", 0), *(_Column(f"epoch {n}", augment, n) for n in range(1, draws + 1))]


def _choose(folders: ClassFolders, training: Sequence[Sample], images: int, seed: int, progress: Progress) -> list[int]:
    """Indices of readable training images, the classes taking turns."""
    chosen: list[int] = []
    failed: list[ImageError] = []
    for index in _in_turn(folders, training, seed):
        try:
            decode(folders.root / training[index].path)
            chosen.append(index)
        except ImageError as error:
            progress.say(f"left out: {error.message}")
            failed.append(error)
        if len(chosen) == images or len(failed) == _TRIES:
            break
    if not chosen:
        raise (
            failed[0] if failed else DataError(f"{folders.root} has no training images", "edge data check looks closer")
        )
    return chosen


def _in_turn(folders: ClassFolders, training: Sequence[Sample], seed: int) -> Iterator[int]:
    """All indices in an order that depends on the seed: the first of each class, then the second of each …"""
    queues: dict[tuple[int, ...], list[int]] = {}
    for index in np.random.default_rng(seed).permutation(len(training)).tolist():
        queues.setdefault(folders.true_places(training[index]), []).append(index)
    turns = [(turn, label, index) for label, queue in queues.items() for turn, index in enumerate(queue)]
    return (index for _, _, index in sorted(turns))


def _labels_text(folders: ClassFolders, sample: Sample) -> str:
    return ", ".join(folders.labels[place] for place in folders.true_places(sample)) or "no label"


def _sheet(title: str, captions: Sequence[str], rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Sheet:
    """The table of pictures; small ones enlarged by a whole factor so that a person sees their pixels."""
    least, most = _CELL_PX
    input_px = rows[0][1][0].width
    side = min(most, input_px * max(1, -(-least // input_px)))
    across, down = side + _GAP_PX, side + _GAP_PX + _LINE_PX
    sheet = Sheet(_GAP_PX + across * len(captions), 2 * _LINE_PX + _GAP_PX + down * len(rows))
    sheet.text(_GAP_PX, 3, title, size=_FONT_PX)
    for column, caption in enumerate(captions):
        sheet.text(_GAP_PX + column * across, _LINE_PX + 3, caption, size=_FONT_PX)
    for row, (name, cells) in enumerate(rows):
        top = 2 * _LINE_PX + row * down
        sheet.text(_GAP_PX, top + 3, name, size=_FONT_PX)
        for column, cell in enumerate(cells):
            how = Image.Resampling.NEAREST if cell.width <= side else Image.Resampling.LANCZOS
            sheet.picture(_GAP_PX + column * across, top + _LINE_PX, cell, (side, side), how)
    return sheet
