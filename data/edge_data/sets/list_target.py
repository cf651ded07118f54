"""Where a list of images, or another file that replaces none, may be written."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime import OutputError, UsageError


def check_new_file(target: Path, *, parameter: str = "out", kinds: tuple[str, ...] = (".csv", ".tsv")) -> None:
    """Raises, before any work, where a file should or could not be written: one that is there may hold work of hours.

    UsageError: it is there, or its name ends in none of `kinds`. OutputError: its folder is not there.
    """
    if target.suffix.lower() not in kinds:
        raise UsageError(
            f"`{parameter}` {target} is no {' or '.join(kinds)} file", "name it so, and edge knows it again"
        )
    if os.path.lexists(target):
        raise UsageError(f"`{parameter}` {target} is there already", "remove it, or name another file")
    if not target.parent.is_dir():
        raise OutputError(f"cannot write {target}: {target.parent} is not a folder", "make it first, or choose another")


def delimiter_of(target: Path) -> str:
    """What stands between the cells of a list of that name."""
    return "\t" if target.suffix.lower() == ".tsv" else ","
