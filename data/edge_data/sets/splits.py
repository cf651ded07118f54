"""Which image trains, which validates, which tests: made once, written to the run, read back.

Who goes where is decided by a hash of the seed and the image's path, or of its group's name, so the same folder gives
the same split on every machine, in every file system's order, with every version of every library; and adding images
to a class moves few of the others.
"""

from __future__ import annotations

import csv
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from edge_data.sets.sides import HELD, assign, order_hash, tenth
from edge_runtime import ClassFolders, DataError, Sample, UsageError, atomic_path

_NAMES = ("train", "val", "test")
_HEADER = ["split", "label", "path", "group"]
_MUCH = 1.5


@dataclass(frozen=True)
class Splits:
    """The images of a run, each tuple ordered by label, then path. `test` may be empty.

    `how` is one sentence that says where the splits come from; `notes` are sentences a person must be told. `groups`
    names the group of each image that is in one of two or more, by path; all of a group are on one side.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]
    how: str
    notes: tuple[str, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)


def split(
    folders: ClassFolders, *, seed: int, limit: int | None = None, groups: Mapping[str, str] | None = None
) -> Splits:
    """Split flat class folders 80/10/10 by class, or complete the split that the folders bring.

    A folder without val gives a tenth of each training class to it. `groups` names each image's group by its path: what
    is split here is whole groups. `limit` keeps at most that many images in all, every split and class in proportion,
    at least one training image of each class. Raises UsageError when `limit` is below two images a class, DataError
    when there is nothing to train on or validate with.
    """
    groups = _several(groups or {})
    found = folders.splits
    if "all" in found:
        made = _split_flat(found["all"], seed, groups)
    elif "train" not in found:
        raise DataError(f"{folders.root} has no train split", "give a folder with train/CLASS/ or with class folders")
    elif "val" in found:
        made = Splits(found["train"], found["val"], found.get("test", ()), _as_found(folders))
    else:
        made = _set_aside(folders, seed, groups)
    if not made.val:
        things = "groups" if groups else "images"
        raise DataError(
            f"no class of {folders.root} has two {things}: none can be set aside for validation",
            "add images, or give a folder with val/CLASS/",
        )
    made = replace(made, notes=_lonely(made.train, folders.labels) + _too_large(made, found, folders.labels))
    return made if limit is None else _limit(made, seed, limit, len(folders.labels))


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
    gone = {sample.label for sample in splits.train} - {sample.label for sample in kept["train"]}
    if gone:
        example = next(sample.path for sample in splits.train if sample.label in gone)
        raise DataError(f"no readable training image is left in {PurePosixPath(example).parent}/", "replace its images")
    if splits.val and not kept["val"]:
        raise DataError("no readable validation image is left", "replace the unreadable images")
    left_out = sum(len(getattr(splits, name)) - len(kept[name]) for name in _NAMES)
    how = f"{splits.how}, {left_out} unreadable left out" if left_out else splits.how
    return _with(splits, kept, how)


def write_split(path: Path, splits: Splits, labels: Sequence[str]) -> None:
    """Write `split,label,path,group`, one row per image, labels by name. Raises OutputError when it cannot."""
    # The names are raw, those that are not UTF-8 and those a spreadsheet would compute, too: they name files that exist
    # and are read back.
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        rows = csv.writer(file)
        rows.writerow(_HEADER)
        for name in _NAMES:
            rows.writerows(
                (name, labels[each.label], each.path, splits.groups.get(each.path, ""))
                for each in getattr(splits, name)
            )


def read_split(path: Path, labels: Sequence[str]) -> Splits:
    """Read what `write_split` wrote, now or before there were groups.

    Raises DataError naming the file and the line that is wrong.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    splits: dict[str, list[Sample]] = {name: [] for name in _NAMES}
    seen: set[str] = set()
    groups: dict[str, str] = {}
    line = 1
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, None)
            if header not in (_HEADER, _HEADER[:3]):
                raise _bad_line(path, 1, f"the header is not {','.join(_HEADER)}")
            line = 2
            for row in rows:
                if len(row) != len(header):
                    raise _bad_line(path, line, f"{len(row)} fields instead of {len(header)}")
                name, sample = _read_row(path, line, row, numbers)
                if sample.path in seen:
                    raise _bad_line(path, line, f"{sample.path!r} is listed twice")
                seen.add(sample.path)
                splits[name].append(sample)
                if len(row) > 3 and row[3]:
                    groups[sample.path] = row[3]
                line = rows.line_num + 1  # a row with newlines in a name spans several
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", "give the split.csv of a run") from None
    except csv.Error as error:
        raise _bad_line(path, line, str(error)) from None
    train, val, test = (tuple(splits[name]) for name in _NAMES)
    return Splits(train, val, test, f"read from {path.name}", groups=groups)


def _read_row(path: Path, line: int, row: list[str], numbers: Mapping[str, int]) -> tuple[str, Sample]:
    name, label, file = row[:3]
    if name not in _NAMES:
        raise _bad_line(path, line, f"{name!r} is not a split: train, val or test")
    if label not in numbers:
        raise _bad_line(path, line, f"{label!r} is not one of the classes")
    place = PurePosixPath(file)
    if not file or place.is_absolute() or ".." in place.parts:
        raise _bad_line(path, line, f"{file!r} is not a path inside the data folder")
    return name, Sample(file, numbers[label])


def _bad_line(path: Path, line: int, why: str) -> DataError:
    return DataError(f"{path}, line {line}: {why}", "use the split.csv that the run wrote, unchanged")


def _shuffled(samples: Iterable[Sample], seed: int, purpose: str) -> list[Sample]:
    return sorted(samples, key=lambda sample: order_hash(seed, purpose, sample.path))


def _ordered(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    return tuple(sorted(samples, key=lambda sample: (sample.label, sample.path)))


def _by_class(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    classes: dict[int, list[Sample]] = {}
    for sample in samples:
        classes.setdefault(sample.label, []).append(sample)
    return dict(sorted(classes.items()))


def _several(groups: Mapping[str, str]) -> dict[str, str]:
    """The groups that have two images or more."""
    sizes = Counter(groups.values())
    return {path: name for path, name in groups.items() if sizes[name] > 1}


def _split_flat(samples: Sequence[Sample], seed: int, groups: Mapping[str, str]) -> Splits:
    sides = assign(samples, groups, seed=seed)
    train, val, test = (_ordered(sides[name]) for name in _NAMES)
    return Splits(train, val, test, f"split 80/10/10 by class with seed {seed}{_kept(groups)}", groups=groups)


def _set_aside(folders: ClassFolders, seed: int, groups: Mapping[str, str]) -> Splits:
    sides = assign(folders.splits["train"], groups, seed=seed, held=HELD[:1])
    how = f"10 % of {_word(folders, 'train')} set aside as validation with seed {seed}{_kept(groups)}; "
    test = tuple(folders.splits.get("test", ()))
    how += _as_found(folders, ("test",))
    return Splits(_ordered(sides["train"]), _ordered(sides["val"]), test, how, groups=groups)


def _kept(groups: Mapping[str, str]) -> str:
    return f", {len(groups):,} images kept together in {len(set(groups.values())):,} groups" if groups else ""


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


def _lonely(train: Iterable[Sample], labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on the classes that train from one image; they learn that image, not the class."""
    names = [repr(labels[label]) for label, members in _by_class(train).items() if len(members) == 1]
    if not names:
        return ()
    shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
    return (f"only one training image for {shown}",)


def _too_large(splits: Splits, found: Mapping[str, Sequence[Sample]], labels: Sequence[str]) -> tuple[str, ...]:
    """Notes on the shares that whole groups leave no choice about."""
    if not splits.groups:
        return ()
    notes = []
    counts = {name: _by_class(getattr(splits, name)) for name in _NAMES}
    unseen = [repr(labels[n]) for n, members in counts["train"].items() if len(members) > 1 and n not in counts["val"]]
    if unseen:
        notes.append(f"one group has all images of {', '.join(unseen[:20])}: nothing of it can validate")
    total = sum(len(members) for name in found for members in [found[name]] if name in ("all", "train"))
    share, of = len(splits.val), tenth(total)
    if not of / _MUCH <= share <= of * _MUCH:
        notes.append(
            f"groups are large: {share:,} of {total:,} images ({share / total:.0%}) validate instead of a tenth"
        )
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
