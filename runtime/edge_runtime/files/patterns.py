"""What a pattern (`*`, `?`, `[…]`, `**`) matches: every folder is looked into once, however links lead to it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from edge_runtime.files.walk import folders_in, natural_key

_DEEP = "**"
_SEPARATOR = re.compile("[/\\\\]" if os.name == "nt" else "/")


def match_pattern(pattern: str) -> list[str]:
    """The files and folders that `pattern` matches, each once in natural order, as the pattern begins ("./x", too).

    `**` stands for any folders, none included; as glob's own it leaves out dot-entries, unlike that it follows no loop
    of links, in which glob finds everything forty times, or of two such loops never ends.
    """
    return sorted(set(_matches(pattern)), key=natural_key)


def _matches(pattern: str) -> Iterator[str]:
    import glob

    parts = _SEPARATOR.split(pattern)
    if _DEEP not in parts:
        yield from glob.iglob(pattern)  # noqa: PTH207 (Path would take "./" away)
        return
    place = parts.index(_DEEP)
    above, below = "/".join([*parts[:place], ""]), "/".join(parts[place + 1 :])
    seen: set[tuple[int, int]] = set()
    for start in sorted(glob.iglob(above), key=natural_key) if above else [""]:  # noqa: PTH207
        for folder in _folders(start, seen):
            yield from _matches(os.path.join(glob.escape(folder), below or "*"))  # noqa: PTH118


def _folders(start: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """The folder `start` and those below it, but for what is in `seen`, where they are added: device and inode."""
    pending = [start]
    while pending:
        place = pending.pop()
        try:
            status = os.stat(place or ".")  # noqa: PTH116
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            names = sorted(folders_in(place or "."), key=natural_key, reverse=True)
        except OSError:
            # As glob does; a folder that is named is another matter.
            continue
        yield place
        pending.extend(os.path.join(place, name) for name in names)  # noqa: PTH118
