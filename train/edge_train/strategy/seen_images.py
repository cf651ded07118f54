"""Which images a run is measured on another one, that it begins with or learns from, was trained on.

What that one learned by heart would come back as the new network's own merit.
"""

from __future__ import annotations

from pathlib import Path

from edge_data import Splits, find_copies, read_split
from edge_runtime import ClassFolders, DataError, EdgeError, ModelCard, Progress, Run, TruePlaces, UsageError
from edge_train.network.checkpoint import load_checkpoint
from edge_train.network.weights import parse_weights, read_own
from edge_train.settings import TrainSettings

# Where the older data are gone, and the newer have so much of their pictures' names, these are a copy which grew; fewer
# may be other pictures, numbered alike.
_MOST = 0.9
_OTHER_WEIGHTS = "drop `folds`, or begin with weights that have not seen these images: `weights` default"


def require_unseen(run: Run, card: ModelCard, folders: ClassFolders, splits: Splits, *, role: str) -> None:
    """Raise UsageError where `run`, the teacher for one, whose card it is, was trained on images of val or test."""
    if seen := _count_seen(run, card, folders, splits):
        raise UsageError(
            f"the {role} {run.path} was trained on {seen} of the images this run is measured on",
            _how_to_split_alike(run, card, folders),
        )


def check_weights(settings: TrainSettings, folders: ClassFolders, splits: Splits, progress: Progress) -> None:
    """Say how many of the images that are measured on the run was trained on whose checkpoint `weights` is, if it is.

    Of a checkpoint without its run it is known alone whether the data are these, and split alike. Raises UsageError
    where `folds` would answer such images: no fold has a network that has not seen what it holds out.
    """
    path = parse_weights(settings.weights)
    if not isinstance(path, Path):
        return
    run = Run(path.parent)
    try:
        if read_own(path) is None:
            return
        card = load_checkpoint(path).card
    except EdgeError:
        return
    if not (run.config.is_file() and run.split.is_file()):
        _check_alone(path, card, settings, folders, progress)
        return
    seen = _count_seen(run, card, folders, splits, folds=settings.folds is not None)
    if seen and settings.folds is not None:
        raise UsageError(
            f"`folds` measure on every image, and {run.path}, which they begin with, was trained on {seen} of them",
            _OTHER_WEIGHTS,
        )
    if seen:
        progress.say(
            f"note: {run.path} was trained on {seen} of the {len(splits.val) + len(splits.test)} images this run is "
            f"measured on, so its accuracy will be too good; {_how_to_split_alike(run, card, folders)}"
        )


def _check_alone(
    path: Path, card: ModelCard, settings: TrainSettings, folders: ClassFolders, progress: Progress
) -> None:
    if not _is_same(card, folders):
        return
    if settings.folds is not None:
        raise UsageError(
            f"`folds` measure on every image, and {path}, which they begin with, was trained on these data",
            _OTHER_WEIGHTS,
        )
    said = ("seed", "limit", "group_by")
    alike = "val" in folders.splits or all(card.data.get(name) == getattr(settings, name) for name in said)
    if card.data.get("folds") is not None or not alike:
        progress.say(
            f"note: {path} was trained on these data, split otherwise: this run is measured on images that it knows, "
            "so its accuracy will be too good"
        )


def _count_seen(run: Run, card: ModelCard, folders: ClassFolders, splits: Splits, *, folds: bool = False) -> int:
    """The images of val and test that the run was trained on, by where they lie; by their names in data that moved.

    With `folds` each image of train is held out once, too.
    """
    place, true = folders.root, TruePlaces()
    known = run.read_config().get("data_root")
    if _is_same(card, folders):
        before = place
    elif known and isinstance(known, str):
        before = Path(known)
    else:
        return 0
    try:
        taught = read_split(run.split, card.labels)
    except DataError:
        return 0
    names = {name for sample in taught.train for name in (sample.path, taught.groups.get(sample.path, ""))}
    learned = {true(before / name) for name in names}
    copies = find_copies(before, place, (sample.path for sample in taught.train))
    alike = copies.alike | copies.gone if len(copies.gone) >= _MOST * len(taught.train) else copies.alike
    learned |= {true(place / name) for path in alike for name in (path, taught.groups.get(path, ""))}
    # Its twin teaches as much as the image itself, but nothing that the run's own training does not where a split that
    # was found has the group on both sides.
    own = () if folds else splits.train
    twins = learned - {true(place / splits.groups.get(sample.path, sample.path)) for sample in own}
    return sum(
        true(place / sample.path) in learned or true(place / splits.groups.get(sample.path, sample.path)) in twins
        for sample in (*(splits.train if folds else ()), *splits.val, *splits.test)
    )


def _is_same(card: ModelCard, folders: ClassFolders) -> bool:
    return card.data.get("fingerprint") == folders.fingerprint


def _how_to_split_alike(run: Run, card: ModelCard, folders: ClassFolders) -> str:
    if card.data.get("folds") is not None:
        return "it learned from all images of its data: take one that was trained without `folds`"
    seed = run.read_config().get("settings", {}).get("seed", 0)
    alike = f"split alike: `seed` {seed} and its `limit` and `group_by`"
    if _is_same(card, folders):
        return alike
    # Most of what was there stays on its side with the same seed; all of it does as a list says.
    return f"{alike}, or by a list as `data`: a copy of {run.split} in {folders.root}, with a line for each new image"
