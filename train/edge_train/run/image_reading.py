"""The images of a run, decoded once: the unreadable ones refused or left out, held-out ones sought in training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_data import ImageStore, LookBook, Splits, find_leaks, is_found, without
from edge_runtime import ClassFolders, DataError, EdgeError, ImageError, Progress, UsageError
from edge_train.run.processes import World
from edge_train.run.threshold import require_threshold
from edge_train.settings import TrainSettings


def read_images(  # noqa: PLR0917 (what reading takes)
    settings: TrainSettings,
    store: ImageStore,
    splits: Splits,
    progress: Progress,
    world: World,
    folders: ClassFolders,
    *,
    again: bool = False,
) -> Splits:
    """Decode every image of `folders` once; refuse or leave out the unreadable ones, by name.

    Where these bring held-out images, it says loudly how many of them stand in training, too: what was decoded is
    compared, which costs no second reading. It is not said `again`.

    Raises:
        DataError: images cannot be read, or too few are left.
        UsageError: what is left has no image to choose a threshold by, or is too little for so many processes.
    """
    found = folders if is_found(folders) and not again else None
    total = len(splits.train) + len(splits.val) + len(splits.test)
    book = LookBook()
    progress.begin("reading images", total)
    refused = store.read_all(
        world.shard(splits.train),
        world.shard((*splits.val, *splits.test)),
        on_image=lambda: progress.advance(world.size),
        on_resized=book.add if found is not None else lambda *_: None,
    )
    progress.end()
    bad = {path: error for part in world.collect(refused) for path, error in part.items()}
    if bad and settings.on_bad_image == "error":
        raise _bad_images(list(bad.values()), total)
    for error in bad.values():
        progress.say(f"left out: {error.message}")
    if bad:
        splits = without(splits, bad.keys())
    splits = _checked(splits, store.root, cut=settings.folds is None)
    if settings.positive is not None:
        require_threshold(settings.positive, folders.labels, splits)
    if len(splits.train) < 2 * world.size:
        # Batch norm needs two images a process.
        raise UsageError(
            f"{len(splits.train)} images to train on are too few for {world.size} processes",
            f"start at most {len(splits.train) // 2}",
        )
    return splits if found is None else _tell_leaks(settings, found, splits, progress, world.collect(book))


def _tell_leaks(
    settings: TrainSettings, folders: ClassFolders, splits: Splits, progress: Progress, books: list[LookBook]
) -> Splits:
    for book in books[1:]:
        books[0].update(book)
    leaks = find_leaks(folders, splits, books[0], settings.group_by)
    for leak in leaks:
        progress.say(f"WARNING: {leak.text}")
    if not leaks:
        return splits
    told = " and ".join(f"{leak.images:,} of {leak.of:,} {leak.split} images" for leak in leaks)
    return replace(splits, how=f"{splits.how}; {told} stand in training, too")


def _checked(splits: Splits, root: Path, *, cut: bool) -> Splits:
    """`splits`, which have something to train on and, where they are `cut`, to validate with."""
    if len(splits.train) < 2 or (cut and not splits.val):
        raise DataError(
            f"{root} leaves {len(splits.train)} images to train on and {len(splits.val)} to validate with",
            "at least 2 and 1 are needed: add images, or raise `limit`",
        )
    return splits


def _bad_images(bad: list[ImageError], total: int) -> EdgeError:
    shown = "; ".join(error.message for error in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    return DataError(
        f"{len(bad)} of {total} images cannot be read: {shown}{more}",
        "mend or remove them, or leave them out with `on_bad_image` skip",
    )
