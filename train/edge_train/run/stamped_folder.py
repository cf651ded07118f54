"""Folders that are named by what is in them and by the moment: of a run, a comparison, a sweep."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

MOST = 999


def plain_name(text: str) -> str:
    """The name of a data set as part of a folder's."""
    return re.sub(r"[^\w.+-]+", "_", text).strip("._") or "data"


def make_stamped_folder(out: Path, name: str) -> Path:
    """A new folder in `out`, `name` and the time of day; one that exists is never used again.

    Raises FileExistsError where there are too many of one second, and OSError where it cannot be made.
    """
    name = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in range(1, MOST + 1):
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{out / name} and {MOST - 1} like it exist")
