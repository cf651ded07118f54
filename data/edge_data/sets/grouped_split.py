"""A data folder split as a run asks for it, so that what belongs together stays on one side."""

from __future__ import annotations

from edge_data.sets.group_by import AUTO, name_groups
from edge_data.sets.groups import groups_by_path
from edge_data.sets.splits import Splits, split
from edge_runtime import ClassFolders, Progress


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

    A folder that brings its own validation is taken as it is, and no picture is looked at. Raises what they raise.
    """
    found = folders.splits
    if "train" in found and "val" in found:
        # Names that are not there are better refused before the images are read than when they are compared.
        name_groups(folders, [sample.path for samples in found.values() for sample in samples], group_by)
        return split(folders, seed=seed, limit=limit)
    samples = found.get("all") or found.get("train", ())
    groups = groups_by_path(folders, samples, group_by, progress=progress, threads=threads)
    return split(folders, seed=seed, limit=limit, groups=groups)


def is_found(folders: ClassFolders) -> bool:
    """Whether the folder brings held-out pictures, which were not split here."""
    return "val" in folders.splits or "test" in folders.splits
