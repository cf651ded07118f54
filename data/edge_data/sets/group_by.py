"""How a person says which pictures belong together: by their folders, or by a regular expression on their paths."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from edge_runtime import ClassFolders, DataError, UsageError

AUTO, NONE, FOLDER = "auto", "none", "folder"
MOST_LEVELS = 99
UNGROUP = "images that look alike are kept together, a fixed camera's, too: `group_by` none keeps nothing together"


def name_groups(folders: ClassFolders, paths: Sequence[str], by: str) -> list[str]:
    """The group of each path as `by` names it, "" for none; no file is opened. Raises what `group_pictures` raises."""
    if names_column(folders, by):
        return [folders.groups.get(path, "") for path in paths]
    if by in (AUTO, NONE) or not paths:
        return [""] * len(paths)
    below = [folders.below_class(path) for path in paths]
    levels = _levels(by)
    if levels:
        names = [
            "/".join(folder) if len(folder := place.split("/")[:-1][:levels]) == levels else None for place in below
        ]
        where = f"lie in no folder{f' {levels} levels' if levels > 1 else ''} below their class"
        hint = "give each patient, camera or film a folder in its class, or name them by a regular expression"
    else:
        expression = _expression(by)
        found = [expression.search(place) for place in below]
        names = [match and (match[1] or "" if expression.groups else match[0]) for match in found]
        where = "have nothing in their path below the class that it finds"
        hint = (
            f"what shall stand alone can match nothing: ({by})|$" if any(found) else f"one of the paths is {below[0]!r}"
        )
    lost = [path for path, name in zip(paths, names, strict=True) if name is None]
    if lost:
        raise DataError(f"`group_by` {by}: {len(lost):,} of {len(paths):,} images {where}, {lost[0]!r} for one", hint)
    return [name or "" for name in names]


def names_column(folders: ClassFolders, by: str) -> bool:
    """Whether the groups are those of a manifest's column: the one that `by` is called like, or `group` by itself."""
    return bool(folders.group_column) and (by == AUTO or by.strip().lower() == folders.group_column)


def check_group_by(by: str) -> None:
    """Raise UsageError where `by` is none of the words that `group_pictures` knows, nor a regular expression."""
    if by not in (AUTO, NONE) and not _levels(by):
        _expression(by)


def mostly_alike(groups: Mapping[str, str]) -> bool:
    """Whether looks, not a person, made the largest of `groups`, the names by path: it is called like one of them."""
    return any(name in groups for name, _ in Counter(groups.values()).most_common(1))


def _levels(by: str) -> int:
    """How many folders below the class name a group; 0 where `by` is something else."""
    found = re.fullmatch(rf"{FOLDER}(?::(\d*))?", by)
    if found is None:
        return 0
    levels = 1 if found[1] is None else int(found[1] or 0)
    if not 1 <= levels <= MOST_LEVELS:
        raise UsageError(f"`group_by` {by}: from 1 to {MOST_LEVELS} folders are possible", "give folder or folder:2")
    return levels


def _expression(by: str) -> re.Pattern[str]:
    try:
        if by:
            return re.compile(by)
        reason = "it is empty"
    except re.error as error:
        reason = str(error)
    raise UsageError(
        f"`group_by` {by} is no regular expression: {reason}",
        "give auto, none, folder, or an expression such as patient(\\d+)",
    )
