"""Patterns in names of files, where the shell hands them on: on Windows, and between quotes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from edge_runtime import UsageError, match_pattern


def matched(names: Iterable[str]) -> Iterator[str]:
    """Each name, or the files that it matches where it is a pattern and no file's very name, in order.

    Raises UsageError for a pattern that nothing matches.
    """
    import glob

    for name in names:
        if not glob.has_magic(name) or os.path.lexists(name):
            yield name
            continue
        found = match_pattern(name)
        if not found:
            raise UsageError(f"{name} matches no file", "name model files, or patterns of them")
        yield from found
