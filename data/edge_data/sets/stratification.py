"""Which side of a split each group of pictures stands on where a picture may have several labels, or none.

Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1), of whole groups: the label that the
fewest groups are left of is dealt out first, each of its groups to the side that lacks most of it. Its draws are a hash
of the seed and the group's name, as everywhere; but unlike where a picture has one label, new pictures may move others.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from edge_data.sets.sides import HELD, SIDES, fill, order_hash, tenth
from edge_runtime import Kind, Sample, Task, true_places

# What a picture counts as that has none of the labels: those are to be on every side, too.
_NONE = -1


def stratify(
    samples: Iterable[Sample],
    names: Mapping[str, str],
    kind: Kind,
    tasks: Sequence[Task] = (),
    *,
    seed: int,
    held: Sequence[str] = HELD,
) -> dict[str, list[Sample]]:
    """The pictures of each side; `names` maps paths to groups, and a picture that it lacks stands alone.

    `kind` and `tasks` say what the samples' targets mean. A label of one group trains with it; one of two has no test;
    training keeps a group of each.
    """
    groups: dict[str, list[Sample]] = {}
    for sample in samples:
        groups.setdefault(names.get(sample.path, sample.path), []).append(sample)
    sizes = {
        name: Counter(place for sample in members for place in true_places(sample, kind, tasks) or (_NONE,))
        for name, members in groups.items()
    }
    having: dict[int, list[str]] = defaultdict(list)
    for name in sorted(groups, key=lambda name: order_hash(seed, "split", name)):
        for place in sizes[name]:
            having[place].append(name)
    totals = _total(sizes)
    wanted = {
        side: {place: tenth(count) if len(having[place]) > least else 0 for place, count in totals.items()}
        for least, side in enumerate(HELD, start=1)
        if side in held
    }
    where = _deal(sizes, having, wanted)
    have = {side: dict.fromkeys(totals, 0) for side in SIDES}
    for name, side in where.items():
        for place, more in sizes[name].items():
            have[side][place] += more
    fill(where, sizes, have, wanted)
    sides: dict[str, list[Sample]] = {side: [] for side in SIDES}
    for name, members in groups.items():
        sides[where[name]] += members
    return sides


def _deal(
    sizes: Mapping[str, Counter[int]], having: Mapping[int, Sequence[str]], wanted: Mapping[str, Mapping[int, int]]
) -> dict[str, str]:
    """The side of each group; `having` are each label's groups in an order of chance, `wanted` what is held out."""
    totals = _total(sizes)
    lacks = {side: dict(share) for side, share in wanted.items()}
    lacks["train"] = {place: count - sum(share[place] for share in wanted.values()) for place, count in totals.items()}
    whole = {side: sum(share.values()) for side, share in lacks.items()}
    left = {place: len(names) for place, names in having.items()}
    where: dict[str, str] = {}
    while left:
        place = min(left, key=lambda place: (left[place], place))
        for name in having[place]:
            if name in where:
                continue
            side = max(sorted(lacks), key=lambda side: (lacks[side][place], whole[side]))
            where[name] = side
            whole[side] -= sizes[name].total()
            for each, more in sizes[name].items():
                lacks[side][each] -= more
                if each in left:
                    left[each] -= 1
        del left[place]
    return where


def _total(sizes: Mapping[str, Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for size in sizes.values():
        total.update(size)
    return total
