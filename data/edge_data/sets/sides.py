"""Which side of a split each group of pictures stands on: whole groups, every class in proportion.

A hash of the seed and the group's name puts the groups in order. Each in turn goes to validation, else to test, where
that brings the classes it has nearer to their tenth, and to training otherwise; so a group of half a class's pictures
trains. A group of one is called like its picture, and everything is then as if there were no groups.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from edge_runtime import Sample

HELD = ("val", "test")
SIDES = ("train", *HELD)


def order_hash(seed: int, purpose: str, name: str) -> bytes:
    """What pictures and groups are put in order by: the same on every machine and in every release."""
    return hashlib.sha256(f"{seed}\n{purpose}\n{name}".encode("utf-8", "surrogatepass")).digest()


def tenth(count: int) -> int:
    """A tenth of `count`, rounded, at least 1."""
    return max(1, (count + 5) // 10)


def assign(
    samples: Iterable[Sample], names: Mapping[str, str], *, seed: int, held: Sequence[str] = HELD
) -> dict[str, list[Sample]]:
    """The pictures of each side; `names` maps paths to groups, and a picture that it lacks stands alone.

    A class of one group trains with it; one of two groups has no test; training keeps a group of each class.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(names.get(sample.path, sample.path), []).append(sample)
    alone = {sample.label: Counter({sample.label: 1}) for members in groups.values() for sample in members}
    sizes = {
        name: alone[members[0].label] if len(members) == 1 else Counter(sample.label for sample in members)
        for name, members in groups.items()
    }
    totals = Counter(sample.label for members in groups.values() for sample in members)
    several = Counter(label for size in sizes.values() for label in size)
    wanted = {
        side: {label: tenth(count) if several[label] > least else 0 for label, count in totals.items()}
        for least, side in enumerate(HELD, start=1)
        if side in held
    }
    have = {side: dict.fromkeys(totals, 0) for side in SIDES}
    where: dict[str, str] = {}
    for name in sorted(groups, key=lambda name: order_hash(seed, "split", name)):
        side = next((side for side, share in wanted.items() if _nearer(have[side], sizes[name], share)), "train")
        where[name] = side
        for label, more in sizes[name].items():
            have[side][label] += more
    fill(where, sizes, have, wanted)
    sides: dict[str, list[Sample]] = {side: [] for side in SIDES}
    for name, members in groups.items():
        sides[where[name]] += members
    return sides


def _nearer(have: Mapping[int, int], size: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    """Whether a group of that `size` brings the classes it has nearer to what is wanted of them, or as near."""
    farther = 0
    for label, more in size.items():
        missing = wanted[label] - have[label]
        farther += abs(missing - more) - abs(missing)
    return farther <= 0


def fill(
    where: dict[str, str],
    sizes: Mapping[str, Counter[int]],
    have: Mapping[str, dict[int, int]],
    wanted: Mapping[str, Mapping[int, int]],
) -> None:
    """Move groups, the smallest first, to where a class has nothing but should; first of all to training."""

    def move(label: int, source: str, target: str) -> None:
        there = [name for name, side in where.items() if side == source and label in sizes[name]]
        # What leaves must leave something of each of its classes.
        able = [name for name in there if source != "train" or all(have[source][n] > k for n, k in sizes[name].items())]
        if able:
            name = min(able, key=lambda name: sizes[name].total())
            where[name] = target
            for each, more in sizes[name].items():
                have[source][each] -= more
                have[target][each] += more

    for label in list(next(iter(wanted.values()), {})):
        for side in [*wanted][::-1]:
            if not have["train"][label]:
                move(label, side, "train")
        for side, share in wanted.items():
            if share[label] and not have[side][label]:
                move(label, "train", side)
