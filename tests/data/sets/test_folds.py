"""Folds: whole groups, every class spread as evenly as scikit-learn spreads it, and all but test in them."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings, strategies as st
from PIL import Image

from edge_data import assign_folds, draw_shapes, pool_data
from edge_runtime import Sample, UsageError, scan


def pictures(*counts: int) -> list[Sample]:
    return [Sample(f"class {label}/{n:04d}.jpg", label) for label, count in enumerate(counts) for n in range(count)]


def by_class(samples: list[Sample], where: tuple[int, ...], folds: int) -> np.ndarray:
    """How many images of each class each fold has, `[folds, classes]`."""
    counts = Counter((fold, sample.label) for sample, fold in zip(samples, where, strict=True))
    classes = 1 + max(sample.label for sample in samples)
    return np.array([[counts[fold, label] for label in range(classes)] for fold in range(folds)])


def unevenness(counts: np.ndarray) -> float:
    """What scikit-learn's StratifiedGroupKFold makes small: the deviation of a class's shares, meaned over classes."""
    return float((counts / counts.sum(axis=0)).std(axis=0).mean())


@settings(max_examples=100)
@given(
    st.lists(st.integers(12, 60), min_size=1, max_size=4),
    st.integers(2, 8),
    st.integers(8, 60),
    st.integers(0, 999),
    st.randoms(use_true_random=False),
)
def test_every_image_is_in_one_fold_with_all_of_its_group(
    sizes: list[int], folds: int, n_groups: int, seed: int, random: st.DrawFn
) -> None:
    samples = pictures(*sizes)
    names = {sample.path: f"g{random.randrange(n_groups)}" for sample in samples}  # type: ignore[attr-defined]
    for label in range(len(sizes)):
        assume(len({names[sample.path] for sample in samples if sample.label == label}) >= folds)
    where = assign_folds(samples, names, folds, seed=seed)
    assert len(where) == len(samples) and set(where) <= set(range(folds))
    for name in set(names.values()):
        assert len({fold for sample, fold in zip(samples, where, strict=True) if names[sample.path] == name}) == 1


@pytest.mark.parametrize("seed", range(3))
def test_without_groups_the_folds_differ_by_one_image_of_a_class_and_hardly_in_all(seed: int) -> None:
    samples = pictures(37, 81, 23)
    counts = by_class(samples, assign_folds(samples, {}, 5, seed=seed), 5)
    assert (counts.max(axis=0) - counts.min(axis=0)).max() == 1
    assert np.ptp(counts.sum(axis=1)) == 1, "what is left over of the classes must not all fall to one fold"


@pytest.mark.parametrize("mixed", [False, True])
def test_groups_are_spread_as_evenly_as_scikit_learn_spreads_them(mixed: bool) -> None:
    model_selection = pytest.importorskip("sklearn.model_selection")
    for seed in range(10):
        draws = np.random.default_rng(seed)
        labels = np.sort(draws.choice(3, 300, p=[0.6, 0.3, 0.1]))
        groups = draws.integers(0, 60, 300) + (0 if mixed else 100 * labels)
        samples = [Sample(f"{n:03d}.jpg", int(label)) for n, label in enumerate(labels)]
        names = {sample.path: str(group) for sample, group in zip(samples, groups, strict=True)}
        ours = by_class(samples, assign_folds(samples, names, 5, seed=seed), 5)
        cut = model_selection.StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
        theirs = np.array([np.bincount(labels[held], minlength=3) for _, held in cut])
        assert ours.sum() == theirs.sum() and ours.min() > 0
        assert unevenness(ours) <= unevenness(theirs) + 0.01, seed


def test_the_seed_alone_decides() -> None:
    samples = pictures(40, 40)
    one, again, other = (assign_folds(samples, {}, 5, seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    turned = assign_folds(samples[::-1], {}, 5, seed=1)
    assert turned[::-1] == one, "the order of the files has no say"


@pytest.mark.parametrize(
    ("folds", "names", "message"),
    [
        (1, {}, "`folds` 1: at least 2"),
        (7, {}, r"class 'bees' can be cut into: it has 6 images \(give `folds` 6 at most, or"),
        (
            4,
            {f"class 1/{n:04d}.jpg": f"hive {n % 3}" for n in range(6)},
            r"6 images in 3 groups \(give `folds` 3 at most",
        ),
        (2, {f"class 1/{n:04d}.jpg": "one hive" for n in range(6)}, r"it has 6 images in one group \(add images of it"),
        (
            2,
            {f"class 1/{n:04d}.jpg": "class 1/0000.jpg" for n in range(6)},
            r"in one group \(images that look alike .* `group_by` none keeps nothing together; or add images of it",
        ),
    ],
)
def test_folds_that_would_lack_a_class_are_refused(folds: int, names: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        assign_folds(pictures(20, 6), names, folds, seed=0, labels=("ants", "bees"))


def test_all_images_are_pooled_but_a_test_split_that_the_folder_brings(tmp_path: Path) -> None:
    folders = scan(draw_shapes(tmp_path / "shapes", counts=(24, 9, 9)))
    pooled = pool_data(folders, seed=0)
    assert set(pooled.train) == {*folders.splits["train"], *folders.splits["val"]}
    assert pooled.val == () and pooled.test == tuple(folders.splits["test"])
    assert pooled.how == "train/ and val/ pooled, test/ as found"
    (note,) = pooled.notes
    assert note == "train/ and val/ pooled: 33 images, each of which validates once"
    limited = pool_data(folders, seed=0, limit=21)
    assert len(limited.train) + len(limited.test) == 21 and {sample.label for sample in limited.train} == {0, 1, 2}


@pytest.mark.parametrize("by", ["none", "auto"])
def test_a_class_that_one_group_has_too_much_of_is_noted(tmp_path: Path, by: str) -> None:
    for seed, label in enumerate(("ants", "bees")):
        (tmp_path / label).mkdir()
        for number in range(12):
            noise = np.random.default_rng((seed, max(number, 6))).integers(0, 256, (4, 4, 3), np.uint8)
            picture = Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC)
            picture.save(tmp_path / label / f"{number}.png")
    notes = pool_data(scan(tmp_path), seed=0, group_by=by, folds=3).notes
    assert [note.partition(":")[0] for note in notes] == ["one group has 7 of the 12 images of 'bees'"] * (by == "auto")
    assert all("`group_by` none keeps nothing together" in note for note in notes)
    assert pool_data(scan(tmp_path), seed=0, group_by=by).notes == ()


def test_of_flat_folders_nothing_is_set_aside(tmp_path: Path) -> None:
    shutil.copytree(draw_shapes(tmp_path / "shapes", counts=(24, 9, 9)) / "train", tmp_path / "flat")
    pooled = pool_data(scan(tmp_path / "flat"), seed=0)
    assert len(pooled.train) == 24 and not pooled.val and not pooled.test and not pooled.notes


def test_a_copy_in_another_split_stays_with_its_original(tmp_path: Path) -> None:
    root = draw_shapes(tmp_path / "shapes", counts=(24, 9, 9))
    original = next((root / "train" / "circle").iterdir())
    shutil.copy(original, root / "val" / "circle" / "copy.png")
    pooled = pool_data(scan(root), seed=0)
    pair = {f"train/circle/{original.name}", "val/circle/copy.png"}
    assert len({pooled.groups[path] for path in pair}) == 1
    where = assign_folds(pooled.train, pooled.groups, 3, seed=0)
    assert len({fold for sample, fold in zip(pooled.train, where, strict=True) if sample.path in pair}) == 1
    assert not pool_data(scan(root), seed=0, group_by="none").groups


def test_a_manifests_splits_are_pooled_and_its_groups_stay_whole_over_them(tmp_path: Path) -> None:
    root = draw_shapes(tmp_path / "shapes", counts=(24, 9, 9))
    found = scan(root)
    rows = ["path,label,split,group"]
    scene_of: dict[str, str] = {}
    for split, samples in found.splits.items():
        for number, sample in enumerate(samples):
            # Every scene of training has pictures in validation, too; every other one stands alone.
            scene_of[sample.path] = f"scene {number % 6}" if number % 2 and split != "test" else ""
            rows.append(f"shapes/{sample.path},{found.labels[sample.label]},{split},{scene_of[sample.path]}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    pooled = pool_data(scan(tmp_path / "labels.csv"), seed=0)
    assert (len(pooled.train), len(pooled.val), len(pooled.test)) == (33, 0, 9)
    where = dict(zip(pooled.train, assign_folds(pooled.train, pooled.groups, 3, seed=0), strict=True))
    folds: dict[str, set[int]] = {}
    for sample, fold in where.items():
        if scene := scene_of[sample.path.removeprefix("shapes/")]:
            folds.setdefault(scene, set()).add(fold)
    assert len(folds) == 3 and all(len(places) == 1 for places in folds.values()) and set(where.values()) == {0, 1, 2}


def grouped(*groups: tuple[int, ...]) -> tuple[list[Sample], dict[str, str]]:
    """Images of classes 0, 1, … in groups, each so many of each class; and their groups' names."""
    samples = [
        Sample(f"{label}/{group}-{n}.jpg", label)
        for group, sizes in enumerate(groups)
        for label, size in enumerate(sizes)
        for n in range(size)
    ]
    return samples, {sample.path: sample.path.split("/")[1].split("-")[0] for sample in samples}


@pytest.mark.parametrize(
    "groups",
    [
        ((5, 1, 4), (0, 0, 6), (3, 8, 0), (8, 0, 3), (2, 0, 0), (1, 0, 2)),
        ((7, 0, 0), (2, 0, 3), (0, 7, 3), (0, 1, 1)),
        ((2, 0, 0), (1, 2, 0), (0, 1, 1), (1, 0, 6)),
    ],
)
def test_no_fold_has_all_of_a_class_whose_groups_have_others_too(groups: tuple[tuple[int, ...], ...]) -> None:
    """Evening the classes alone puts both groups that the second class is in into one fold."""
    samples, names = grouped(*groups)
    counts = by_class(samples, assign_folds(samples, names, 2, seed=0), 2)
    assert (np.count_nonzero(counts, axis=0) == 2).all() and counts.sum() == len(samples)


def test_what_no_group_can_be_moved_for_is_refused() -> None:
    # Of three groups two are in one fold, and any two have all images of a class.
    samples, names = grouped((1, 5, 0), (1, 0, 5), (0, 5, 5))
    with pytest.raises(UsageError, match=r"`folds` 2 would have all \d+ images of class .* in one fold") as caught:
        assign_folds(samples, names, 2, seed=0)
    assert "groups of their own" in caught.value.hint
