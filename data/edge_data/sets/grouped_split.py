"""A data folder split as a run asks for it, so that what belongs together stays on one side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from edge_data.sets.group_by import AUTO, name_groups
from edge_data.sets.groups import groups_by_path
from edge_data.sets.splits import Splits, split
from edge_runtime import ClassFolders, Progress, Sample


def split_data(
    folders: ClassFolders,
    *,
    seed: int,
    limit: int | None = None,
    group_by: str = AUTO,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Splits:
    """`split`, with the groups that `group_pictures` finds by `group_by`, where there is something to split.

    A folder that brings its own validation is taken as it is, and no picture is looked at: its groups are those that
    are named, and may be on both sides. Raises what they raise.
    """
    found = folders.splits
    if "train" in found and "val" in found:
        named = found_groups(folders, [sample for samples in found.values() for sample in samples], group_by)
        return split(folders, seed=seed, limit=limit, groups=named)
    samples = found.get("all") or found.get("train", ())
    named = found_groups(folders, found.get("test", ()), group_by)
    groups = groups_by_path(folders, samples, group_by, progress=progress, threads=threads)
    return with_test_groups(split(folders, seed=seed, limit=limit, groups=groups), named)


def found_groups(folders: ClassFolders, samples: Sequence[Sample], group_by: str) -> dict[str, str]:
    """By path the names of groups that `group_by` finds for `samples` which nothing moves; no file is opened.

    Raises what `group_pictures` raises of names, which are better refused before the images are read.
    """
    paths = [sample.path for sample in samples]
    return {path: name for path, name in zip(paths, name_groups(folders, paths, group_by), strict=True) if name}


def with_test_groups(splits: Splits, named: Mapping[str, str]) -> Splits:
    """`splits` whose test, which is as it was found, has the groups `named`, of two images or more."""
    there = {sample.path: named[sample.path] for sample in splits.test if sample.path in named}
    sizes = Counter(there.values()) + Counter(splits.groups.values())
    return replace(splits, groups=dict(splits.groups) | {path: name for path, name in there.items() if sizes[name] > 1})


def is_found(folders: ClassFolders) -> bool:
    """Whether the folder brings held-out pictures, which were not split here."""
    return "val" in folders.splits or "test" in folders.splits
