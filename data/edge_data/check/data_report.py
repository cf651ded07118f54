"""What would harm training in a data folder, found without changing a file."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_data.check.contact_sheet import check_target, draw_contact_sheet
from edge_data.check.findings import MEANINGS, Finding, Place, about_classes, about_copies, about_files
from edge_data.check.inspection import Inspection, inspect
from edge_data.drawing.own_pictures import require_apart
from edge_runtime import (
    HEAD_BYTES,
    READABLE_FORMATS,
    ClassFolders,
    LabelFrom,
    ModelError,
    Progress,
    Silence,
    UsageError,
    as_kind,
    format_of,
    is_image,
    is_manifest,
    joint_label,
    scan,
    usable_cores,
    walk_folder,
)

if TYPE_CHECKING:
    from edge_runtime import ImageClassifier

_AT_ONCE = 2048


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `check_data` found; `counts` maps split, then label, to images, `sheet` is the contact sheet it drew.

    `sizes` are the splits' images, which are as many as their labels where each has one.
    """

    root: Path
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    sizes: dict[str, int]
    findings: tuple[Finding, ...]
    sheet: Path | None = None

    @property
    def images(self) -> int:
        """Images looked at."""
        return sum(self.sizes.values())

    @property
    def harmful(self) -> bool:
        """Whether anything found would harm training."""
        return any(finding.harmful for finding in self.findings)

    @property
    def by_kind(self) -> dict[str, tuple[Finding, ...]]:
        """The findings grouped by kind, kinds that harm first."""
        groups: dict[str, list[Finding]] = defaultdict(list)
        for finding in self.findings:
            groups[finding.kind].append(finding)
        order = list(MEANINGS)
        kinds = sorted(groups, key=lambda kind: (not any(f.harmful for f in groups[kind]), order.index(kind)))
        return {kind: tuple(groups[kind]) for kind in kinds}

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "root": str(self.root),
            "images": self.images,
            "labels": list(self.labels),
            "counts": self.counts,
            "harmful": self.harmful,
            "kinds": {
                kind: {
                    "findings": len(found),
                    "files": len({file for finding in found for file in finding.files}),
                    "meaning": MEANINGS[kind],
                }
                for kind, found in self.by_kind.items()
            },
            "findings": [finding.to_json() for found in self.by_kind.values() for finding in found],
            "sheet": None if self.sheet is None else str(self.sheet),
        }


def check_data(
    data: str | Path | Sequence[str | Path],
    progress: Progress | None = None,
    *,
    label_from: LabelFrom = "top",
    multi_label: bool = False,
    tasks: Sequence[str] = (),
    sheet: str | Path | None = None,
    model: str | Path | None = None,
    threads: int | None = None,
) -> DataReport:
    """Look at every file below the folder `data`, or that a manifest names, or several of both as one set.

    Says what would harm training and what is odd; nothing is changed. `label_from`, `multi_label` and `tasks` are as in
    training.

    With `sheet` a contact sheet of what was found, or of every class when nothing was, is drawn to that PNG.
    With `model`, a file with an embedding, pictures unlike all others by that are told, too.
    Memory: about 2 KB for each image (with a MobileNetV2's embedding 4.5 KB) beside the pictures being decoded, one for
    each thread.

    Raises:
        DataError: the folder is not laid out as training needs it, or the manifest has faults.
        UsageError: `sheet` is not named .png, lies in the data folder or is one of the images, `threads` is below 1,
            no such `model`, or both `multi_label` and `tasks`.
        ModelError: `model` is damaged, none of edge's or gives no embedding.
        OutputError: `sheet` cannot be written.
    """
    given = as_kind(data, Path | tuple[Path, ...], "`data`")
    places: list[Path] = list(given) if isinstance(given, tuple) else [given]
    threads = as_kind(threads, int | None, "`threads`")
    own_folders = [place for place in places if not is_manifest(place)]
    progress = progress or Silence()
    if multi_label and tasks:
        raise UsageError("`multi_label` and `tasks` read the labels in two ways", "drop one of them")
    if threads is not None and threads < 1:
        raise UsageError(f"`threads` {threads} is not a number of threads", "use 1 or more")
    sheet = None if sheet is None else Path(as_kind(sheet, Path, "`sheet`"))
    if sheet is not None:
        check_target(sheet, own_folders)
    classifier = None if model is None else _open_embedding(Path(as_kind(model, Path, "`model`")))
    # A training class without images is something to report, not to stop at.
    folders = scan(places, label_from=label_from, empty_classes=True, multi_label=multi_label, tasks=tasks)
    if sheet is not None:
        require_apart(sheet, folders, places)
    root = folders.root
    where = _places(folders, tasks)
    counts = {split: dict.fromkeys(folders.labels, 0) for split in folders.splits}
    for place in where.values():
        for label in place.labels:
            counts[place.split][label] += 1
    images = _inspect_all(root, list(where), progress, threads or usable_cores(), classifier)
    findings = [
        *about_files(images),
        *about_copies(images, where),
        *chain.from_iterable(about_classes(each, images, where) for each in _by_task(counts, tasks)),
        *_not_listed(root, own_folders),
        # Classes without images are findings of their own.
        *(
            Finding(note.kind if note.kind in MEANINGS else "note", note.text, (), note.kind == "splits-as-classes")
            for note in folders.notes
            if note.kind != "no-images"
        ),
    ]
    if sheet is not None:
        draw_contact_sheet(sheet, root, findings, where, progress)
    sizes = {split: len(samples) for split, samples in folders.splits.items()}
    return DataReport(root, folders.labels, counts, sizes, tuple(findings), sheet)


def _places(folders: ClassFolders, tasks: Sequence[str]) -> dict[str, Place]:
    return {
        sample.path: Place.of(split, [folders.labels[place] for place in folders.true_places(sample)], tasks)
        for split, samples in folders.splits.items()
        for sample in samples
    }


def _by_task(
    counts: Mapping[str, Mapping[str, int]], tasks: Sequence[str]
) -> Iterator[Mapping[str, Mapping[str, int]]]:
    """The counts, or those of each task's labels: a rare one is rare beside those of its own task."""
    if not tasks:
        yield counts
    for task in tasks:
        own = joint_label(task, "")
        yield {
            split: {label: count for label, count in labels.items() if label.startswith(own)}
            for split, labels in counts.items()
        }


def _open_embedding(model: Path) -> ImageClassifier:
    # Without a model nobody pays for onnxruntime.
    from edge_runtime import Classifier

    # Pictures are looked at by threads, each of which runs it.
    classifier = Classifier(model, threads=1)
    if not classifier.embedding_size:
        raise ModelError(f"{model} gives no embedding", "export it again with `with_embedding`")
    return classifier


def _inspect_all(
    root: Path, paths: Sequence[str], progress: Progress, threads: int, classifier: ImageClassifier | None
) -> list[Inspection]:
    images: list[Inspection] = []
    progress.begin("checking images", len(paths))
    try:
        # Pillow warns of odd headers in its own words, on stderr, without the file's name.
        with warnings.catch_warnings(), ThreadPoolExecutor(threads) as pool:
            warnings.simplefilter("ignore")
            # By portions: an interruption waits for what was handed to the pool.
            for start in range(0, len(paths), _AT_ONCE):
                for image in pool.map(partial(inspect, root, classifier=classifier), paths[start : start + _AT_ONCE]):
                    images.append(image)
                    progress.advance()
    finally:
        progress.end()
    return images


def _not_listed(root: Path, folders: Sequence[Path]) -> Iterator[Finding]:
    """Files below `folders` that are images by content but not by name, and images of formats edge does not read.

    What a manifest does not name is not asked for.
    """
    hidden: dict[str, list[str]] = {"hidden-image": [], "foreign-format": []}
    formats: Counter[str] = Counter()
    walks = (walk_folder(str(folder), on_error=lambda *_: None) for folder in folders)
    for path in map(Path, chain.from_iterable(walks)):
        if is_image(path):
            continue
        try:
            with path.open("rb") as file:
                kind = format_of(file.read(HEAD_BYTES), path.name)
        except OSError:
            continue
        if kind is not None:
            hidden["hidden-image" if kind in READABLE_FORMATS else "foreign-format"].append(
                Path(os.path.relpath(path, root)).as_posix()
            )
            formats[kind] += kind not in READABLE_FORMATS
    if hidden["hidden-image"]:
        yield _left_out("hidden-image", hidden["hidden-image"], "images by content but not by name")
    if hidden["foreign-format"]:
        names = ", ".join(f"{count:,} {name}" for name, count in formats.most_common() if count)
        yield _left_out("foreign-format", hidden["foreign-format"], f"of formats edge does not read ({names})")


def _left_out(kind: str, files: list[str], what: str) -> Finding:
    rest = f" and {len(files) - 5:,} more" if len(files) > 5 else ""
    return Finding(kind, f"{len(files):,} left out, {what}: {', '.join(files[:5])}{rest}", tuple(files), False)
