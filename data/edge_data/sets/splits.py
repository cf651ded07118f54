"""Which image trains, which validates, which tests: made once for a run.

Who goes where is decided by a hash of the seed and the image's path, or of its group's name, so the same folder gives
the same split on every machine, in every file system's order, with every version of every library; and adding images
to a class moves few of the others.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from edge_data.sets.group_by import UNGROUP, mostly_alike
from edge_data.sets.sides import HELD, assign, order_hash, tenth
from edge_data.sets.stratification import stratify
from edge_runtime import ClassFolders, DataError, Kind, Sample, Task, UsageError, true_places

_NAMES = ("train", "val", "test")
MUCH = 1.5


@dataclass(frozen=True)
class Splits:
    """The images of a run, each tuple ordered by label, then path. `test` may be empty.

    `how` is one sentence that says where the splits come from; `notes` are sentences a person must be told. `groups`
    names the group of each image that is in one of two or more, by path; all of a group are on one side, but of a split
    that was found. `kind` and `tasks` say what the samples' labels mean.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    how: str
    notes: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "single-label"
    tasks: tuple[Task, ...] = ()

    def true_places(self, sample: Sample) -> tuple[int, ...]:
        """The places in the labels of what is true of one of its samples."""
        return true_places(sample, self.kind, self.tasks)


def split(
    folders: ClassFolders, *, seed: int, limit: int | None = None, groups: Mapping[str, str] | None = None
) -> Splits:
    """Split flat class folders 80/10/10 by class, or complete the split that the folders bring.

    Where pictures may have several labels, each label is in proportion, by iterative stratification. A folder without
    val gives a tenth of each training class to it. `groups` names each image's group by its path: what is split here is
    whole groups. `limit` keeps at most that many images in all, every split and class in proportion, at least one
    training image of each class where a picture has one. Raises UsageError when `limit` is below two images a class,
    DataError when there is nothing to train on or validate with.
    """
    groups = _several(groups or {})
    found = folders.splits
    if "all" in found:
        made = _split_flat(folders, seed, groups)
    elif "train" not in found:
        raise DataError(f"{folders.root} has no train split", "give a folder with train/CLASS/ or with class folders")
    elif "val" in found:
        made = Splits(found["train"], found["val"], found.get("test", ()), _as_found(folders), groups=groups)
    else:
        made = _set_aside(folders, seed, groups)
    made = replace(made, kind=folders.kind, tasks=folders.tasks)
    if not made.val:
        things = "groups" if groups else "images"
        more = "add images of other groups" if groups else "add images"
        if mostly_alike(groups):
            more = f"{UNGROUP}; or {more}"
        raise DataError(
            f"no class of {folders.root} has two {things}: none can be set aside for validation",
            f"{more}, or give a folder with val/CLASS/",
        )
    made = replace(made, notes=_lonely(made, folders.labels) + _too_large(made, found, folders.labels))
    if limit is None:
        return made
    made = _limit(made, seed, limit, len(folders.labels))
    return replace(made, notes=made.notes + _untrained(made, folders.labels))


def pool(
    folders: ClassFolders, *, seed: int, limit: int | None = None, groups: Mapping[str, str] | None = None
) -> Splits:
    """All images as `train` but a test split that the folder brings: what cross-validation cuts into folds.

    `groups` and `limit` are those of `split`. Raises UsageError when `limit` is below two images a class, DataError
    when there is nothing to train on.
    """
    groups = _several(groups or {})
    found = folders.splits
    if "all" not in found and "train" not in found:
        raise DataError(f"{folders.root} has no train split", "give a folder with train/CLASS/ or with class folders")
    pooled = [sample for name in ("all", "train", "val") for sample in found.get(name, ())]
    notes: tuple[str, ...] = ()
    how = "all images"
    if "val" in found:
        how = f"{_word(folders, 'train')} and {_word(folders, 'val')} pooled"
        notes = (f"{how}: {len(pooled):,} images, each of which validates once",)
    if "test" in found:
        how = f"{how}, {_word(folders, 'test')} as found"
    made = Splits(_ordered(pooled), (), tuple(found.get("test", ())), f"{how}{_kept(groups)}", notes, groups)
    return made if limit is None else _limit(made, seed, limit, len(folders.labels))


def without(splits: Splits, bad_paths: Collection[str]) -> Splits:
    """The same splits without the images at `bad_paths` (unreadable ones, say).

    Raises DataError when that takes a class its last training image, or all of validation.
    """
    bad = frozenset(bad_paths)
    kept = {name: tuple(sample for sample in getattr(splits, name) if sample.path not in bad) for name in _NAMES}
    places = splits.true_places
    gone = set(_by_class(splits.train, places)) - set(_by_class(kept["train"], places))
    if gone:
        example = next(sample.path for sample in splits.train if gone & set(places(sample)))
        raise DataError(f"no readable training image is left in {PurePosixPath(example).parent}/", "replace its images")
    if splits.val and not kept["val"]:
        raise DataError("no readable validation image is left", "replace the unreadable images")
    left_out = sum(len(getattr(splits, name)) - len(kept[name]) for name in _NAMES)
    how = f"{splits.how}, {left_out} unreadable left out" if left_out else splits.how
    return _with(splits, kept, how)


def _shuffled(samples: Iterable[Sample], seed: int, purpose: str) -> list[Sample]:
    return sorted(samples, key=lambda sample: order_hash(seed, purpose, sample.path))


def _ordered(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda sample: (sample.label, sample.path)))


def _by_class(
    samples: Iterable[Sample], places: Callable[[Sample], tuple[int, ...]] = lambda sample: (sample.label,)
) -> dict[int, list[Sample]]:
    classes: dict[int, list[Sample]] = {}
    for sample in samples:
        for place in places(sample):
            classes.setdefault(place, []).append(sample)
    return dict(sorted(classes.items()))


def _several(groups: Mapping[str, str]) -> dict[str, str]:
    """The groups that have two images or more."""
    sizes = Counter(groups.values())
    return {path: name for path, name in groups.items() if sizes[name] > 1}


def _assign(
    folders: ClassFolders, samples: Sequence[Sample], seed: int, groups: Mapping[str, str], held: Sequence[str] = HELD
) -> dict[str, list[Sample]]:
    if folders.kind == "single-label":
        return assign(samples, groups, seed=seed, held=held)
    return stratify(samples, groups, folders.kind, folders.tasks, seed=seed, held=held)


def _split_flat(folders: ClassFolders, seed: int, groups: Mapping[str, str]) -> Splits:
    sides = _assign(folders, folders.splits["all"], seed, groups)
    train, val, test = (_ordered(sides[name]) for name in _NAMES)
    by = "class" if folders.kind == "single-label" else "label"
    return Splits(train, val, test, f"split 80/10/10 by {by} with seed {seed}{_kept(groups)}", groups=groups)


def _set_aside(folders: ClassFolders, seed: int, groups: Mapping[str, str]) -> Splits:
    sides = _assign(folders, folders.splits["train"], seed, groups, HELD[:1])
    how = f"10 % of {_word(folders, 'train')} set aside as validation with seed {seed}{_kept(groups)}; "
    test = tuple(folders.splits.get("test", ()))
    how += _as_found(folders, ("test",))
    return Splits(_ordered(sides["train"]), _ordered(sides["val"]), test, how, groups=groups)


def _kept(groups: Mapping[str, str]) -> str:
    count = len(set(groups.values()))
    return f", {len(groups):,} images kept together in {count:,} group{'s' if count > 1 else ''}" if groups else ""


def _word(folders: ClassFolders, name: str) -> str:
    """The split's folder, or its name where it is written in a list."""
    return f"{folders.splits[name][0].path.split('/')[0]}/" if folders.is_one_folder else name


def _as_found(folders: ClassFolders, wanted: Sequence[str] = _NAMES) -> str:
    found = [name for name in wanted if name in folders.splits]
    if not found:
        return "no test split"
    names = [_word(folders, name) for name in found]
    text = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    return f"{text} as found" if "test" in found else f"{text} as found; no test split"


def _untrained(splits: Splits, labels: Sequence[str]) -> tuple[str, ...]:
    """A note on the classes that no training image is left of, which only where pictures have several labels can be."""
    there = _by_class(splits.train, splits.true_places)
    names = [repr(label) for place, label in enumerate(labels) if place not in there]
    return (f"no training image is left of {', '.join(names[:20])}",) if names else ()


def _lonely(splits: Splits, labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on the classes that train from one image; they learn that image, not the class."""
    classes = _by_class(splits.train, splits.true_places)
    names = [repr(labels[label]) for label, members in classes.items() if len(members) == 1]
    if not names:
        return ()
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return (f"only one training image for {shown}",)


def _too_large(splits: Splits, found: Mapping[str, Sequence[Sample]], labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on the shares that whole groups leave no choice about, where anything was split by them."""
    if not splits.groups or "val" in found:
        return ()
    notes = []
    counts = {name: _by_class(getattr(splits, name), splits.true_places) for name in _NAMES}
    unseen = [repr(labels[n]) for n, members in counts["train"].items() if len(members) > 1 and n not in counts["val"]]
    if unseen:
        notes.append(f"nothing of {', '.join(unseen[:20])} validates: no group of it could be spared from training")
    total = sum(len(members) for name in found for members in [found[name]] if name in ("all", "train"))
    share, of = len(splits.val), tenth(total)
    if not of / MUCH <= share <= of * MUCH:
        notes.append(
            f"groups are large: {share:,} of {total:,} images ({share / total:.0%}) validate instead of a tenth"
        )
    if notes and mostly_alike(splits.groups):
        notes.append(UNGROUP)
    return tuple(notes)


def _limit(splits: Splits, seed: int, limit: int, n_classes: int) -> Splits:
    total = sum(len(getattr(splits, name)) for name in _NAMES)
    if limit < 2 * n_classes:
        raise UsageError(
            f"a limit of {limit} images is too small for {n_classes} classes",
            f"use {2 * n_classes} or more: one to train and one to validate for each class",
        )
    if limit >= total:
        return splits
    groups = {(name, label): members for name in _NAMES for label, members in _by_class(getattr(splits, name)).items()}
    shares = _apportion({key: len(members) for key, members in groups.items()}, limit)
    kept = {
        name: _ordered(
            sample
            for (split_name, label), members in groups.items()
            if split_name == name
            for sample in _shuffled(members, seed, "limit")[: shares[split_name, label]]
        )
        for name in _NAMES
    }
    return _with(splits, kept, f"{splits.how}, limited to {limit:,} of {total:,} images")


def _with(splits: Splits, kept: Mapping[str, tuple[Sample, ...]], how: str) -> Splits:
    there = {sample.path for samples in kept.values() for sample in samples}
    groups = {path: name for path, name in splits.groups.items() if path in there}
    return replace(splits, train=kept["train"], val=kept["val"], test=kept["test"], how=how, groups=groups)


def _apportion(sizes: Mapping[tuple[str, int], int], seats: int) -> dict[tuple[str, int], int]:
    """Share `seats` in proportion to the groups' sizes: Webster's method, after one seat per train and val.

    The caller sees to it that `seats` covers those first ones and is below the sum of the sizes.
    """
    shares = {key: int(key[0] != "test") for key in sizes}
    queue = [
        (-size / (2 * shares[key] + 1), number, key)
        for number, (key, size) in enumerate(sizes.items())
        if shares[key] < size
    ]
    heapq.heapify(queue)
    for _ in range(seats - sum(shares.values())):
        _, number, key = heapq.heappop(queue)
        shares[key] += 1
        if shares[key] < sizes[key]:
            heapq.heappush(queue, (-sizes[key] / (2 * shares[key] + 1), number, key))
    return shares
