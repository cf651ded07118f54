"""What is drawn of a data set must neither replace one of its pictures nor become one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edge_runtime import ClassFolders, UsageError, is_manifest

_HINT = "name a file beside the data with `out`"


def require_apart(target: Path, folders: ClassFolders, places: Sequence[Path]) -> None:
    """Raise UsageError where `target` is one of the images of `folders`, or lies in a class or split folder of theirs.

    `places` are what was listed.
    """
    root = os.path.abspath(folders.root)  # noqa: PTH100
    images = [os.path.join(root, each.path) for samples in folders.splits.values() for each in samples]  # noqa: PTH118
    above = {str(folder) for folder in target.resolve().parents}
    for place in places:
        if not is_manifest(place) and (inner := next(iter(_inner_folders(place, images) & above), None)):
            raise UsageError(f"`out` {target} would be a picture in {inner}, a folder of the data", _HINT)
    if target.exists():
        # By what it is, not by its name: links lead to it as well.
        there = target.stat()
        same = next((image for image in images if _is_same(image, there)), None)
        if same is not None:
            raise UsageError(f"`out` {target} is a picture of the data, {same}", _HINT)


def _inner_folders(place: Path, images: Sequence[str]) -> set[str]:
    """The folders in a folder of data that hold its images, as they truly lie."""
    start = os.path.join(os.path.abspath(place), "")  # noqa: PTH100, PTH118
    names = {image[len(start) :].partition(os.sep)[0] for image in images if image.startswith(start)}
    return {os.path.realpath(start + name) for name in names}


def _is_same(image: str, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(image), there)  # noqa: PTH116
    except OSError:
        return False
