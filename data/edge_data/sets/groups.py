"""Which pictures belong together: copies, near copies, and those that a person names as one group.

A figure measured on a picture whose twin was trained on is memory. What is said to be one group here must stand on
one side of every split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from edge_data.check.duplicates import SAME_SCENE, exact_groups, near_groups
from edge_data.sets.looks import Looks, look_at
from edge_runtime import ClassFolders, DataError, Progress, Sample, Silence, UsageError, natural_key, usable_cores

AUTO, NONE, FOLDER = "auto", "none", "folder"


def group_pictures(
    folders: ClassFolders,
    samples: Sequence[Sample],
    by: str = AUTO,
    *,
    column: Mapping[str, str] | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> tuple[str, ...]:
    """The name of each picture's group, in the order of `samples`; a picture that stands alone has its path for one.

    Copies and near copies are one group always, but with `by` "none". `by` joins others: "folder" those in one folder
    below the class ("folder:2" the first two), any other text those for which that regular expression finds the same
    in the path below the class (its first group, or all it matches). `column` names the groups instead, by path. An
    empty name stands alone. A group of copies is called like its first picture in natural order, so that those added
    behind it change nothing.

    Raises:
        UsageError: `by` is no regular expression.
        DataError: pictures without a name, or all of them in one group.
    """
    paths = [sample.path for sample in samples]
    if by == NONE:
        return tuple(paths)
    named = _named(folders, paths, by) if column is None else [column.get(path, "") for path in paths]
    looks = look_at(folders.root, paths, progress or Silence(), threads=threads or usable_cores())
    names = join_groups(paths, named, alike(looks))
    if by != AUTO and len(names) > 1 and len(set(names)) == 1:
        raise DataError(
            f"`group_by` {by} puts all {len(names):,} images into one group, {names[0]!r}",
            "let it name what tells patients, cameras or films apart, patient(\\d+) for example",
        )
    return names


def alike(looks: Looks) -> list[list[int]]:
    """The indices of copies and near copies, in groups of two or more; some groups may overlap."""
    return exact_groups(looks.digests) + near_groups(looks.luma, looks.chroma, SAME_SCENE)


def join_groups(paths: Sequence[str], named: Sequence[str], groups: Iterable[Sequence[int]]) -> tuple[str, ...]:
    """One name for each path: those with the same one in `named`, "" aside, or in one of `groups`, share it."""
    first = list(range(len(paths)))

    def root(node: int) -> int:
        while first[node] != node:
            first[node] = first[first[node]]
            node = first[node]
        return node

    places: dict[str, list[int]] = {}
    for place, name in enumerate(named):
        if name:
            places.setdefault(name, []).append(place)
    for group in (*places.values(), *groups):
        head = root(group[0])
        for place in group[1:]:
            first[root(place)] = head
    members: dict[int, list[int]] = {}
    for place in range(len(paths)):
        members.setdefault(root(place), []).append(place)
    names = [""] * len(paths)
    for group in members.values():
        head = group[0] if len(group) == 1 else min(group, key=lambda place: natural_key(paths[place]))
        for place in group:
            names[place] = named[head] or paths[head]
    return tuple(names)


def _named(folders: ClassFolders, paths: Sequence[str], by: str) -> list[str]:
    if by == AUTO:
        return [""] * len(paths)
    above_class = 1 if "all" in folders.splits else 2
    below = ["/".join(path.split("/")[above_class:]) for path in paths]
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


def check_group_by(by: str) -> None:
    """Raise UsageError where `by` is none of the words that `group_pictures` knows, nor a regular expression."""
    if by not in (AUTO, NONE) and not _levels(by):
        _expression(by)


def _levels(by: str) -> int:
    """How many folders below the class name a group; 0 where `by` is something else."""
    found = re.fullmatch(rf"{FOLDER}(?::([1-9]\d?))?", by)
    return int(found[1] or 1) if found else 0


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
