"""Which pictures belong together: copies, near copies, and those that a person names as one group.

A figure measured on a picture whose twin was trained on is memory. What is said to be one group here must stand on
one side of every split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from edge_data.check.duplicates import SAME_SCENE, exact_groups, near_groups
from edge_data.sets.group_by import AUTO, NONE, UNGROUP, name_groups
from edge_data.sets.looks import Looks, look_at
from edge_runtime import ClassFolders, DataError, Progress, Sample, Silence, natural_key, usable_cores


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
    in the path below the class (its first group, or all it matches). The column `group` of a manifest names groups by
    itself, and another one that `by` is called like; `column` names them instead, by path. An empty name stands alone.
    A group of copies is called like its first picture in natural order, so that those added behind it change nothing.

    Raises:
        UsageError: `by` is no regular expression.
        DataError: pictures without a name, or all of them in one group.
    """
    paths = [sample.path for sample in samples]
    if by == NONE:
        return tuple(paths)
    named = name_groups(folders, paths, by) if column is None else [column.get(path, "") for path in paths]
    looks = look_at(folders.root, paths, progress or Silence(), threads=threads or usable_cores())
    names = join_groups(paths, named, alike(looks))
    if any(named) and len(names) > 1 and len(set(names)) == 1:
        told_apart = len(set(named)) > 1
        raise DataError(
            f"`group_by` {by} puts all {len(names):,} images into one group, {names[0]!r}",
            UNGROUP
            if told_apart
            else "let it name what tells patients, cameras or films apart, patient(\\d+) for example",
        )
    return names


def groups_by_path(
    folders: ClassFolders,
    samples: Sequence[Sample],
    by: str,
    *,
    progress: Progress | None = None,
    threads: int | None = None,
) -> dict[str, str]:
    """The group of each picture by its path, as `group_pictures` names them; none with `by` "none". Raises the same."""
    if by == NONE:
        return {}
    names = group_pictures(folders, samples, by, progress=progress, threads=threads)
    return {sample.path: name for sample, name in zip(samples, names, strict=True)}


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
