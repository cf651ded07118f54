"""What inspected images mean for training: which oddities there are, and which of them do harm."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from edge_data.check.duplicates import exact_groups, near_groups
from edge_data.check.inspection import Inspection
from edge_data.check.poor_pictures import poor_pictures
from edge_data.check.strangers import strangers
from edge_runtime import FORMAT_OF_SUFFIX, SEPARATOR, joint_label

MEANINGS = {
    "unreadable": "cannot be decoded: training stops at them or leaves them out",
    "huge": "over 50 megapixels: slow to decode, and refused over the limit",
    "two-labels": "one picture under two labels: one of the labels is wrong",
    "near-two-labels": "one picture, saved differently, under two labels: one of the labels is wrong",
    "two-splits": "one picture in two splits: the accuracy measured there is too good",
    "near-two-splits": "one picture, saved differently, in two splits: the accuracy measured there is too good",
    "empty-class": "a class without images",
    "too-small": "a class with too few usable images to train on and validate with",
    "splits-as-classes": "classes that are called like splits and hold the same folders: those are the classes",
    "same-folders": "each class folder holds the same folders: perhaps those are the classes",
    "copies": "exact copies within a class and split: they count several times, "
    "together on one side of a split made here",
    "near-copies": "one picture saved differently within a class and split: it counts several times, "
    "together on one side of a split made here",
    "few-images": "few usable images in a class: expect accuracy to vary from run to run",
    "imbalance": "some classes have far more images than others",
    "wrong-suffix": "the name says one format, the content another: read by content",
    "hidden-image": "an image by content, left out because its name does not say so",
    "foreign-format": "images of formats edge does not read, left out",
    "stray-format": "a format of its own among many images of another: placeholders and strays look like this",
    "rotated": "turned by their EXIF orientation, which edge applies; other programs may not",
    "cmyk": "CMYK, converted to RGB without a colour profile",
    "16-bit": "more than 8 bits a sample, scaled to 8",
    "float": "floating-point samples, scaled to 8 bit",
    "palette-transparency": "a palette with transparency, composited on white",
    "alpha": "an alpha channel, composited on white",
    "frames": "several frames, of which the first is used",
    "grey": "grey pictures among coloured ones",
    "blank": "one colour all over",
    "nearly-blank": "nearly one colour all over",
    "dark": "dark all over, nearly black",
    "overexposed": "burnt out to white in the middle",
    "blurred": "blurred, beside the rest of the set",
    "tiny-subject": "what is in them takes less than a twelfth of the picture: few pixels are left of it",
    "no-class": "unlike all others by the model's embedding: perhaps of none of the classes",
    "tiny": "a short side under 32 pixels",
    "extreme-aspect": "over 3 times as long as wide: the centre crop sees less than a third",
    "alike-labels": "labels that differ in letter case alone",
    "note": "left out of the listing",
}
"""What each kind of finding means, the harmful ones first."""

_TINY_PX = 32
_HUGE_PIXELS = 50_000_000
_EXTREME_ASPECT = 3
_FEW_IMAGES = 20
_IMBALANCE = 10
_NAMES_SHOWN = 5
_STRAY_SHARE = 0.01
NO_LABEL = "no label"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: its kind, a sentence, the files it is about (relative to the root), and whether it harms."""

    kind: str
    text: str
    files: tuple[str, ...]
    harmful: bool

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {"kind": self.kind, "harmful": self.harmful, "text": self.text, "files": list(self.files)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image stands: its split ("all" in flat class folders), and its labels: one, any number, or of tasks.

    `answers` maps each question asked of a picture to what is said of it; "" is the question where there is but one.
    """

    split: str
    labels: tuple[str, ...]
    answers: Mapping[str, str]

    @classmethod
    def of(cls, split: str, labels: Sequence[str], tasks: Sequence[str] = ()) -> Place:
        """The place of an image with these of the set's labels; those of `tasks` begin with their task's name."""
        if not tasks:
            return cls(split, tuple(labels), {"": SEPARATOR.join(labels)})
        said = {task: label for task in tasks for label in labels if label.startswith(joint_label(task, ""))}
        return cls(split, tuple(labels), said)

    @property
    def shown(self) -> str:
        """All that is said of the image."""
        return ", ".join(self.answers.values()) or NO_LABEL


def about_files(images: Sequence[Inspection]) -> Iterator[Finding]:
    """Findings about single files: one for each file that cannot be read, one for all files of each oddity."""
    for image in images:
        if image.refusal:
            yield Finding("huge" if image.too_large else "unreadable", image.refusal, (image.path,), True)
    readable = [image for image in images if not image.refusal]
    found: dict[str, list[str]] = defaultdict(list)
    for image in readable:
        for kind in (*image.oddities, *_by_size(image)):
            found[kind].append(image.path)
    blank = set(found["blank"])
    found |= poor_pictures(
        {image.path: image.quality for image in readable if image.quality and image.path not in blank}
    )
    if alien := strangers({image.path: image.embedding for image in readable if image.embedding is not None}):
        found["no-class"] = alien
    grey = [image.path for image in readable if image.grey]
    if len(grey) < len(readable):
        found["grey"] = grey
    for kind, meaning in MEANINGS.items():
        if files := found.get(kind):
            text = f"{len(files):,} of {len(images):,}: {meaning}: {_names(files)}"
            yield Finding(kind, text, tuple(files), False)
    yield from _wrong_suffixes(readable)
    yield from _stray_formats(readable)


def _names(files: Sequence[str], between: str = ", ") -> str:
    rest = len(files) - _NAMES_SHOWN
    return between.join(files[:_NAMES_SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def _by_size(image: Inspection) -> Iterator[str]:
    short, long = sorted((image.width_px, image.height_px))
    if short < _TINY_PX:
        yield "tiny"
    if short * long > _HUGE_PIXELS:
        yield "huge"
    if long > _EXTREME_ASPECT * short:
        yield "extreme-aspect"


def _wrong_suffixes(images: Iterable[Inspection]) -> Iterator[Finding]:
    wrong: dict[tuple[str, str], list[str]] = defaultdict(list)
    for image in images:
        suffix = PurePosixPath(image.path).suffix.lower()
        if image.format and FORMAT_OF_SUFFIX.get(suffix, image.format) != image.format:
            wrong[suffix, image.format].append(image.path)
    for (suffix, actual), files in wrong.items():
        text = f"{len(files):,} named {suffix} but {actual} by content, and read as such: {_names(files)}"
        yield Finding("wrong-suffix", text, tuple(files), False)


def _stray_formats(images: Sequence[Inspection]) -> Iterator[Finding]:
    formats = Counter(image.format for image in images)
    for name, count in formats.items():
        if count <= _STRAY_SHARE * len(images):
            files = [image.path for image in images if image.format == name]
            usual = formats.most_common(1)[0][0]
            yield Finding("stray-format", f"{count:,} {name} among {usual}: {_names(files)}", tuple(files), False)


def about_copies(images: Sequence[Inspection], places: Mapping[str, Place]) -> Iterator[Finding]:
    """Findings about pictures that are there more than once: byte for byte, or saved differently."""
    readable = [image for image in images if not image.refusal]
    groups = exact_groups([image.digest for image in readable])
    for group in groups:
        yield _copies([readable[index].path for index in group], places, near=False)
    again = {index for group in groups for index in group[1:]}
    single = [image for index, image in enumerate(readable) if index not in again]
    looks = [(image.thumbnail, image.chroma) for image in single]
    thumbnails = [thumbnail for thumbnail, _ in looks if thumbnail is not None]
    chromas = [chroma for _, chroma in looks if chroma is not None]
    if thumbnails:
        for group in near_groups(np.stack(thumbnails), np.stack(chromas)):
            yield _copies([single[index].path for index in group], places, near=True)


def _copies(paths: Sequence[str], places: Mapping[str, Place], *, near: bool) -> Finding:
    labels = sorted(_contradictions([places[path] for path in paths]))
    splits = sorted({places[path].split for path in paths})
    names, prefix = _names(paths), "near-" if near else ""
    picture = "one picture, saved differently," if near else "one picture"
    if len(labels) > 1:
        text = f"{picture} under {' and '.join(labels)}: {names}"
        return Finding(f"{prefix}two-labels", text, tuple(paths), True)
    if len(splits) > 1:
        return Finding(f"{prefix}two-splits", f"{picture} in {' and '.join(splits)}: {names}", tuple(paths), True)
    text = f"one picture saved differently: {names}" if near else f"exact copies: {names}"
    return Finding(f"{prefix}copies", text, tuple(paths), False)


def _contradictions(places: Sequence[Place]) -> set[str]:
    """What is said of one picture to a question that is answered in two ways; what is missing contradicts nothing."""
    said: dict[str, set[str]] = defaultdict(set)
    for place in places:
        for question, answer in place.answers.items():
            said[question].add(answer or NO_LABEL)
    return {answer for answers in said.values() if len(answers) > 1 for answer in answers}


def about_classes(
    counts: Mapping[str, Mapping[str, int]], images: Iterable[Inspection], places: Mapping[str, Place]
) -> Iterator[Finding]:
    """Findings about how many images the classes have; `counts` maps split, then label, to files.

    Usable are the images of train (or of flat class folders) that can be read, exact copies counted once.
    """
    trained = "train" if "train" in counts else "all"
    for split, labels in counts.items():
        for label in [label for label, count in labels.items() if not count]:
            where = "" if split == "all" else f" in {split}"
            why = "training needs some" if split == trained else f"{split} says nothing about it"
            yield Finding("empty-class", f"{label} has no images{where}: {why}", (), split == trained)
    usable: dict[str, set[bytes]] = {label: set() for label in counts[trained]}
    for image in images:
        if not image.refusal and places[image.path].split == trained:
            for label in usable.keys() & set(places[image.path].labels):
                usable[label].add(image.digest)
    # Where there is no val yet, one image has to be set aside for it.
    least = 1 if "val" in counts else 2
    few = []
    for label, distinct in usable.items():
        if not counts[trained][label]:
            continue
        if len(distinct) < least:
            need = f"{least} are needed, to train on and to validate with" if least > 1 else "none is left to train on"
            left = f"{len(distinct) or 'no'} usable image{'' if len(distinct) == 1 else 's'}"
            yield Finding("too-small", f"{label} has {left}: {need}", (), True)
        elif len(distinct) < _FEW_IMAGES:
            few.append(f"{label} {len(distinct)}")
    if few:
        yield Finding("few-images", f"fewer than {_FEW_IMAGES} usable images: {_names(few)}", (), False)
    yield from _imbalance({label: count for label, count in counts[trained].items() if count})


def _imbalance(counts: Mapping[str, int]) -> Iterator[Finding]:
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[most] > _IMBALANCE * counts[least]:
        text = (
            f"{most} has {counts[most]:,} images, {least} only {counts[least]:,}: "
            f"a model may ignore {least} and still look accurate"
        )
        yield Finding("imbalance", text, (), False)
