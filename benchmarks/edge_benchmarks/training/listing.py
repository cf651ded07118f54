"""How long a folder of very many files takes to be listed and split, against a bare walk of the same folder."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from edge_data import split
from edge_runtime import OutputError, scan

CLASSES = 10


def fill(folder: Path, files: int) -> None:
    """Make about `files` files of a kilobyte in ten class folders below `folder`.

    Each is a file of its own, so that asking for its size costs what it costs on real photos; they have no content
    and so take no room on disks that keep holes.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        for label in range(CLASSES):
            place = folder / f"class-{label}"
            place.mkdir(parents=True)
            for number in range(files // CLASSES):
                with (place / f"image-{number:06d}.jpg").open("wb") as file:
                    file.truncate(1000 + number % 100)
    except OSError as error:
        raise OutputError(f"cannot fill {folder}: {error.strerror or error}", "make room, or set TMPDIR") from error


def main(arguments: Sequence[str]) -> int:
    """List the folder `arguments[1]` by `arguments[0]`, edge or walk; says the seconds as one JSON line on stdout."""
    how, folder = arguments
    started = time.perf_counter()
    if how == "edge":
        folders = scan(folder)
        scanned = time.perf_counter()
        parts = split(folders, seed=0)
        ended = time.perf_counter()
        found = len(parts.train) + len(parts.val) + len(parts.test)
        result = {"files": found, "scan_s": scanned - started, "split_s": ended - scanned, "seconds": ended - started}
    else:
        found = sum(len(names) for _, _, names in os.walk(folder))
        result = {"files": found, "seconds": time.perf_counter() - started}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
