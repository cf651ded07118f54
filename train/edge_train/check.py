"""What would harm training in a data folder, found without changing a file."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime import ClassFolders, ImageError, decode, scan, usable_cores
from edge_train.progress import Progress, Silence

__all__ = ["DataReport", "Finding", "check_data"]

IMBALANCE = 10


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found: its kind, the files it is about (relative to the root), and a sentence."""

    kind: str
    text: str
    files: tuple[str, ...]
    harmful: bool


@dataclass(frozen=True, slots=True)
class DataReport:
    """What `check_data` found; `counts` maps split, then label, to images."""

    root: Path
    labels: tuple[str, ...]
    counts: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    @property
    def images(self) -> int:
        """Images looked at."""
        return sum(sum(labels.values()) for labels in self.counts.values())

    @property
    def harmful(self) -> bool:
        """Whether anything found would harm training."""
        return any(finding.harmful for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """All of it as one JSON object."""
        return {
            "root": str(self.root),
            "images": self.images,
            "labels": list(self.labels),
            "counts": self.counts,
            "harmful": self.harmful,
            "findings": [
                {"kind": f.kind, "harmful": f.harmful, "text": f.text, "files": list(f.files)} for f in self.findings
            ],
        }


def check_data(root: Path, progress: Progress | None = None) -> DataReport:
    """Look at every image below `root`: unreadable files, exact copies in two splits or under two labels, imbalance.

    Raises:
        DataError: the folder is not laid out as training needs it.
    """
    progress = progress or Silence()
    folders = scan(root)
    places = {s.path: (name, s.label) for name, split in folders.splits.items() for s in split}
    progress.begin("checking images", len(places))
    digests: dict[str, list[str]] = defaultdict(list)
    findings = [Finding("note", note, (), False) for note in folders.notes]
    with ThreadPoolExecutor(usable_cores()) as pool:
        for path, digest, error in pool.map(lambda path: _look(root, path), places):
            progress.advance()
            if error is None:
                digests[digest].append(path)
            else:
                findings.append(Finding("unreadable", error.message, (path,), True))
    progress.end()
    findings += _copies(folders, places, digests.values())
    counts = {
        name: {label: sum(s.label == i for s in split) for i, label in enumerate(folders.labels)}
        for name, split in folders.splits.items()
    }
    findings += _imbalance(counts.get("train") or counts["all"])
    return DataReport(root, folders.labels, counts, tuple(findings))


def _look(root: Path, path: str) -> tuple[str, str, ImageError | None]:
    try:
        decode(root / path)
        return path, hashlib.sha256((root / path).read_bytes()).hexdigest(), None
    except ImageError as error:
        return path, "", error
    except OSError as error:  # gone or out of reach since it was decoded
        return path, "", ImageError(f"{root / path} cannot be read: {error.strerror}", "restore or remove it")


def _copies(
    folders: ClassFolders, places: dict[str, tuple[str, int]], groups: Iterable[list[str]]
) -> Iterable[Finding]:
    for paths in groups:
        if len(paths) < 2:
            continue
        labels = sorted({folders.labels[places[path][1]] for path in paths})
        splits = sorted({places[path][0] for path in paths})
        names = ", ".join(paths)
        if len(labels) > 1:
            yield Finding("two-labels", f"one picture under {' and '.join(labels)}: {names}", tuple(paths), True)
        elif len(splits) > 1:
            yield Finding("two-splits", f"one picture in {' and '.join(splits)}: {names}", tuple(paths), True)
        else:
            yield Finding("copies", f"exact copies: {names}", tuple(paths), False)


def _imbalance(counts: dict[str, int]) -> Iterable[Finding]:
    most, least = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[least] and counts[most] > IMBALANCE * counts[least]:
        text = f"{most} has {counts[most]} images, {least} only {counts[least]}: accuracy will hide {least}"
        yield Finding("imbalance", text, (), False)
