"""Sides of a split: whole groups, every class in proportion, and little moves when pictures are added."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings, strategies as st

from edge_data.sets.sides import SIDES, assign, tenth
from edge_runtime import Sample


def pictures(*counts: int) -> list[Sample]:
    return [Sample(f"class {label}/{n:04d}.jpg", label) for label, count in enumerate(counts) for n in range(count)]


def where(sides: dict[str, list[Sample]]) -> dict[str, str]:
    return {sample.path: side for side in SIDES for sample in sides[side]}


@settings(max_examples=150)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=4),
    st.integers(1, 30),
    st.integers(0, 999),
    st.randoms(use_true_random=False),
)
def test_no_group_is_ever_on_two_sides_and_every_class_trains(
    sizes: list[int], n_groups: int, seed: int, random: st.DrawFn
) -> None:
    samples = pictures(*sizes)
    names = {sample.path: f"g{random.randrange(n_groups)}" for sample in samples}  # type: ignore[attr-defined]
    sides = assign(samples, names, seed=seed)
    placed = where(sides)
    assert sorted(placed) == sorted(names) and sum(map(len, sides.values())) == len(samples)
    for name in set(names.values()):
        assert len({placed[path] for path, group in names.items() if group == name}) == 1
    assert {sample.label for sample in sides["train"]} == set(range(len(sizes)))


def test_a_class_with_two_groups_validates_and_one_with_three_is_tested() -> None:
    samples = pictures(50, 50, 50)
    names = {sample.path: f"{sample.label} {int(sample.path[-8:-4]) % (sample.label + 1)}" for sample in samples}
    sides = assign(samples, names, seed=1)
    assert {side: sorted({s.label for s in members}) for side, members in sides.items()} == {
        "train": [0, 1, 2],
        "val": [1, 2],
        "test": [2],
    }


def test_groups_larger_than_the_share_train_and_small_ones_fill_it() -> None:
    samples = pictures(100, 100)
    names = {s.path: f"{s.label} large" for s in samples if int(s.path[-8:-4]) < 50}
    sides = assign(samples, names, seed=0)
    for side in ("val", "test"):
        assert Counter(sample.label for sample in sides[side]) == {0: 10, 1: 10}


def test_groups_of_a_few_meet_the_shares_as_well_as_they_can() -> None:
    samples = pictures(200, 300)
    names = {s.path: f"{s.label} {int(s.path[-8:-4]) // 4}" for s in samples}
    sides = assign(samples, names, seed=5)
    for side in ("val", "test"):
        found = Counter(sample.label for sample in sides[side])
        assert abs(found[0] - 20) <= 2 and abs(found[1] - 30) <= 2


def test_added_pictures_move_few_of_the_others_and_follow_their_group() -> None:
    before = pictures(1000)
    names = {sample.path: f"class 0/{int(sample.path[-8:-4]) // 3 * 3:04d}.jpg" for sample in before[:300]}
    # A tenth more pictures: half alone, half near copies of what was there, named after it.
    alone = [Sample(f"class 0/z{n}.jpg", 0) for n in range(50)]
    again = [Sample(f"class 0/zz{n}.jpg", 0) for n in range(50)]
    twins = {new.path: names.get(old.path, old.path) for new, old in zip(again, before[280:330], strict=True)}
    old = where(assign(before, names, seed=0))
    new = where(assign([*before, *alone, *again], names | twins, seed=0))
    moved = [path for path in old if old[path] != new[path]]
    assert len(moved) <= 0.03 * len(old)
    assert [path for path in moved if old[path] == "train"] == [p for p in moved if old[p] == "train"][:5]
    firsts = {name: path for path, name in {**{s.path: s.path for s in before}, **names}.items() if path == name}
    assert all(new[path] == new[firsts[name]] for path, name in twins.items())


def test_a_tenth_is_at_least_one() -> None:
    assert [tenth(n) for n in (1, 2, 14, 15, 100)] == [1, 1, 1, 2, 10]
