"""Records of what pictures look like, kept from run to run: a file that has not changed is not read again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_data.sets.look_records import RECORD_BYTES, Records, are_decoded
from edge_runtime import OutputError, atomic_path, cache_folder

# Raised when a record comes to mean something else.
_VERSION = 1
# Fewer take a second or two to look at, and would fill the cache with small files.
_WORTH_KEEPING = 2000
_MOST_FOLDERS = 8


def stamps(root: Path, paths: Sequence[str]) -> NDArray[np.int64]:
    """[N, 2]: size in bytes and time of the last change in ns of each file; -1 where there is none."""
    found = np.full((len(paths), 2), -1, np.int64)
    start = os.fspath(root)
    for row, path in enumerate(paths):
        with suppress(OSError):
            status = os.stat(f"{start}/{path}")  # noqa: PTH116 (Path is slower, and this runs once per file)
            found[row] = status.st_size, status.st_mtime_ns
    return found


def recall(root: Path, paths: Sequence[str], now: NDArray[np.int64]) -> tuple[Records, NDArray[np.intp]]:
    """The records of `paths`, [N, 305], and the places of those that are not known, or were changed since.

    What could not be decoded is not known: a package may have been missing, or memory for once.
    """
    records = np.zeros((len(paths), RECORD_BYTES), np.uint8)
    try:
        # numpy would leave a damaged file open.
        with _file(root).open("rb") as file, np.load(file, allow_pickle=False) as kept:
            names, then, old = os.fsdecode(kept["names"].tobytes()).split("\0"), kept["stamps"], kept["records"]
            if int(kept["version"]) != _VERSION or not len(names) == len(then) == len(old):
                raise ValueError
    except Exception:  # there is none, it is damaged, or of another version: it is made again
        return records, np.arange(len(paths))
    rows = {name: row for row, name in enumerate(names)}
    at = np.array([rows.get(path, -1) for path in paths], np.intp)
    known = (at >= 0) & (now[:, 0] >= 0) & (then[at] == now).all(axis=1) & are_decoded(old)[at]
    records[known] = old[at[known]]
    return records, np.flatnonzero(~known)


def keep(root: Path, paths: Sequence[str], now: NDArray[np.int64], records: Records, *, new: int) -> None:
    """Keep the records, in place of what was kept, where `new` of them are enough; where it cannot, it does not."""
    if new < _WORTH_KEEPING:
        return
    with suppress(OutputError, OSError):
        file = _file(root)
        file.parent.mkdir(parents=True, exist_ok=True)
        names = np.frombuffer(os.fsencode("\0".join(paths)), np.uint8)
        with atomic_path(file) as temporary, temporary.open("wb") as out:
            np.savez(out, version=_VERSION, names=names, stamps=now, records=records)
        for old in sorted(file.parent.glob("*.npz"), key=lambda path: path.stat().st_mtime)[:-_MOST_FOLDERS]:
            old.unlink()


def _file(root: Path) -> Path:
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
    return cache_folder() / "looks" / f"{name}.npz"
