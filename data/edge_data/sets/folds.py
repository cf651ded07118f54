"""Folds for cross-validation: each picture is held out once, groups stay whole, every class is spread evenly.

Groups go one by one, the largest first, to the fold where the shares of the classes stay nearest to each other, as in
scikit-learn's StratifiedGroupKFold; those of one size in an order that a hash of the seed and their names gives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

from edge_data.sets.group_by import AUTO, UNGROUP, mostly_alike
from edge_data.sets.grouped_split import found_groups, with_test_groups
from edge_data.sets.groups import groups_by_path
from edge_data.sets.sides import order_hash
from edge_data.sets.splits import MUCH, Splits, pool
from edge_runtime import ClassFolders, Progress, Sample, UsageError


def pool_data(
    folders: ClassFolders,
    *,
    seed: int,
    limit: int | None = None,
    group_by: str = AUTO,
    folds: int | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
) -> Splits:
    """All images but a test split that the folder brings, as `train`, with the groups that stay in one fold.

    A class that one group has too much of for `folds` is noted. Raises what `pool` and `group_pictures` raise.
    """
    samples = [sample for name in ("all", "train", "val") for sample in folders.splits.get(name, ())]
    named = found_groups(folders, folders.splits.get("test", ()), group_by)
    groups = groups_by_path(folders, samples, group_by, progress=progress, threads=threads)
    pooled = pool(folders, seed=seed, limit=limit, groups=groups)
    if folds is not None and folders.kind == "single-label":
        pooled = replace(pooled, notes=pooled.notes + _too_large(pooled, folds, folders.labels))
    return with_test_groups(pooled, named)


def assign_folds(
    samples: Sequence[Sample],
    names: Mapping[str, str],
    folds: int,
    *,
    seed: int,
    labels: Sequence[str] | None = None,
) -> tuple[int, ...]:
    """The fold of each of `samples`, 0 to `folds` - 1: the same for the same samples, names and seed.

    `names` maps paths to groups, and a picture that it lacks stands alone; `labels` name the classes in errors.

    Raises:
        UsageError: fewer than two folds, or more than a class has groups, or all images of one would be in one fold.
    """
    if folds < 2:
        raise UsageError(f"`folds` {folds}: at least 2 are needed", "give 5 or 10")
    groups: dict[str, list[int]] = {}
    for place, sample in enumerate(samples):
        groups.setdefault(names.get(sample.path, sample.path), []).append(place)
    sizes = {name: Counter(samples[place].label for place in places) for name, places in groups.items()}
    totals = Counter(sample.label for sample in samples)
    _check_enough(sizes, totals, folds, labels, mostly_alike(names))
    have = [dict.fromkeys(totals, 0) for _ in range(folds)]
    full = [0] * folds
    fold_of: dict[str, int] = {}
    for name in sorted(groups, key=lambda name: (-len(groups[name]), order_hash(seed, "fold", name))):
        size = sizes[name]

        # The growth of the sum of the squared shares, which is least where they are most alike.
        def unevenness(fold: int, size: Counter[int] = size) -> tuple[float, int, int]:
            grown = sum(more * (2 * have[fold][label] + more) / totals[label] ** 2 for label, more in size.items())
            return grown, full[fold], fold

        fold = min(range(folds), key=unevenness)
        for label, more in size.items():
            have[fold][label] += more
        full[fold] += len(groups[name])
        fold_of[name] = fold
    if left := _spread(fold_of, sizes, have):
        name = labels[left[0]] if labels is not None else str(left[0])
        raise UsageError(
            f"`folds` {folds} would have all {totals[left[0]]} images of class {name!r} in one fold, whose network "
            "would never see it: they are in groups with images of other classes",
            "add images of it in groups of their own, or give other `folds`",
        )
    where = {place: fold_of[name] for name, places in groups.items() for place in places}
    return tuple(where[place] for place in range(len(samples)))


def _spread(fold_of: dict[str, int], sizes: Mapping[str, Counter[int]], have: Sequence[dict[int, int]]) -> list[int]:
    """Move groups, the smallest first, out of a fold that has all images of a class: its network would not see it.

    Where that takes away another class, one comes back for it. Returns the classes that this helps not. `have` counts
    the images of each class in each fold.
    """

    def move(name: str, source: int, target: int) -> None:
        fold_of[name] = target
        for label, more in sizes[name].items():
            have[source][label] -= more
            have[target][label] += more

    def alone() -> list[int]:
        return [label for label in have[0] if sum(fold[label] > 0 for fold in have) < 2]

    def inside(fold: int) -> list[str]:
        return sorted(
            (name for name, at in fold_of.items() if at == fold), key=lambda name: (sizes[name].total(), name)
        )

    def moved(label: int, before: int, *, back: bool) -> bool:
        source = next(number for number, fold in enumerate(have) if fold[label])
        there = [name for name in inside(source) if label in sizes[name]]
        others = sorted({*range(len(have))} - {source}, key=lambda number: (sum(have[number].values()), number))
        for name, target in product(there, others):
            for other in inside(target) if back else [None]:
                move(name, source, target)
                if other is not None:
                    move(other, target, source)
                if len(alone()) < before:
                    return True
                if other is not None:
                    move(other, source, target)
                move(name, target, source)
        return False

    while (left := alone()) and any(moved(each, len(left), back=back) for back in (False, True) for each in left):
        pass
    return left


def _check_enough(
    sizes: Mapping[str, Mapping[int, int]],
    totals: Mapping[int, int],
    folds: int,
    labels: Sequence[str] | None,
    alike: bool,
) -> None:
    """Refuse folds that would lack a class: a model never trained on it, or one that it is not measured on."""
    several = Counter(label for size in sizes.values() for label in size)
    for label in sorted(totals):
        if several[label] < folds:
            name = labels[label] if labels is not None else str(label)
            few = several[label] < 2
            groups = "one group" if few else f"{several[label]} groups"
            count = f"{totals[label]} images" + (f" in {groups}" if several[label] < totals[label] else "")
            hint = "add images of it" if few else f"give `folds` {several[label]} at most, or add images of it"
            if alike and several[label] < totals[label]:
                hint = f"{UNGROUP}; or {hint}"
            raise UsageError(
                f"`folds` {folds} is more than class {name!r} can be cut into: it has {count}",
                hint,
            )


def _too_large(pooled: Splits, folds: int, labels: Sequence[str]) -> tuple[str, ...]:
    """A note on the class that a single group has most of, where that is much more than a fold's share."""
    totals = Counter(sample.label for sample in pooled.train)
    sizes = Counter((sample.label, name) for sample in pooled.train if (name := pooled.groups.get(sample.path)))
    shares = [(size * folds / totals[label], label, size) for (label, _), size in sizes.items()]
    share, label, size = max(shares, default=(0, 0, 0))
    if share <= MUCH or size <= -(-totals[label] // folds):
        return ()
    note = f"one group has {size:,} of the {totals[label]:,} images of {labels[label]!r}: the folds cannot be alike"
    return (f"{note}; {UNGROUP}" if mostly_alike(pooled.groups) else note,)
