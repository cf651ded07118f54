"""The figure that a split gives: memory where frames of one scene stand on both sides, what was learned where not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edge_data import draw_shapes, pool_data, read_split, split_data, write_split
from edge_data.sets.splits import Splits
from edge_runtime import ClassFolders, DataError, Sample, decode, scan


@pytest.fixture(scope="module")
def bursts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 scenes of five frames, and ten copies under other names. Nothing tells the class: chance is 50 %."""
    root = tmp_path_factory.mktemp("bursts") / "data"
    for number in range(120):
        random = np.random.default_rng(number)
        coarse = Image.fromarray(random.integers(20, 220, (6, 6, 3), np.uint8))
        wide = np.asarray(coarse.resize((72, 72), Image.Resampling.BICUBIC), np.float32)
        folder = root / ("left", "right")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(5):
            left, top = random.integers(3, 5, 2)
            shown = wide[top : top + 64, left : left + 64] + random.normal(0, 6, (64, 64, 3)) + 2 * frame
            file = folder / f"{random.integers(1 << 40):010x}.jpg"
            Image.fromarray(shown.clip(0, 255).astype(np.uint8)).save(file, quality=int(random.integers(60, 95)))
        if number < 10:
            shutil.copy(file, folder / f"copy of {file.name}")
    return root


def nearest_neighbour(root: Path, splits: Splits) -> float:
    """The share of held-out pictures whose nearest training picture is of their class."""

    def pixels(samples: tuple[Sample, ...]) -> NDArray[np.float32]:
        return np.stack([np.asarray(decode(root / s.path).resize((8, 8)), np.float32).ravel() for s in samples])

    held = (*splits.val, *splits.test)
    known, asked = pixels(splits.train), pixels(held)
    nearest = ((asked[:, None] - known[None]) ** 2).sum(axis=2).argmin(axis=1)
    right = [splits.train[found].label == sample.label for found, sample in zip(nearest, held, strict=True)]
    return float(np.mean(right))


def test_a_naive_split_measures_memory_and_a_grouped_one_does_not(bursts: Path) -> None:
    folders = scan(bursts)
    naive, grouped = split_data(folders, seed=0, group_by="none"), split_data(folders, seed=0)
    assert nearest_neighbour(bursts, naive) > 0.95
    assert nearest_neighbour(bursts, grouped) < 0.65
    assert len(grouped.groups) >= 605 and len(set(grouped.groups.values())) == 120
    for name in ("val", "test"):
        assert abs(len(getattr(grouped, name)) - 61) <= 5


def test_the_same_whatever_the_order_and_however_often(bursts: Path) -> None:
    folders = scan(bursts)
    turned = type(folders)(folders.root, folders.labels, {"all": folders.splits["all"][::-1]}, (), "")
    assert split_data(folders, seed=4) == split_data(turned, seed=4) == split_data(folders, seed=4, threads=1)


def test_added_frames_follow_their_scene_and_others_stay(bursts: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(bursts, tmp_path / "data"))
    before = split_data(scan(root), seed=0)
    side = {sample.path: name for name in ("train", "val", "test") for sample in getattr(before, name)}
    added = {}
    for path in [*side][::40]:
        # Behind the others in the order of names, in which a camera counts too.
        new = root / Path(path).parent / f"z{len(added)}.jpg"
        picture = decode(root / path).point(lambda value: value * 0.97)
        picture.save(new, quality=80)
        added[new.relative_to(root).as_posix()] = path
    after = split_data(scan(root), seed=0)
    now = {sample.path: name for name in ("train", "val", "test") for sample in getattr(after, name)}
    assert all(now[new] == now[old] for new, old in added.items())
    stayed = [path for path in side if side[path] == "train" and now[path] == "train"]
    assert len(stayed) >= 0.95 * sum(name == "train" for name in side.values())


def test_folders_with_val_are_taken_as_they_are_without_a_look(tmp_path: Path) -> None:
    for name in ("train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/b/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"the same, and no picture")
    assert split_data(scan(tmp_path), seed=0).how == "train/ and val/ as found; no test split"
    with pytest.raises(DataError, match="4 of 4 images"):
        split_data(scan(tmp_path), seed=0, group_by="patient")


def test_val_that_is_set_aside_is_grouped_and_test_stays(bursts: Path, tmp_path: Path) -> None:
    shutil.copytree(bursts, tmp_path / "train")
    for label in ("left", "right"):
        (tmp_path / "test" / label).mkdir(parents=True)
        shutil.copy(next((bursts / label).iterdir()), tmp_path / "test" / label / "0.jpg")
    made = split_data(scan(tmp_path), seed=0)
    train, val = ({made.groups[s.path] for s in side if s.path in made.groups} for side in (made.train, made.val))
    assert train and val and not train & val
    assert len(made.test) == 2 and made.how.endswith("images kept together in 120 groups; test/ as found")


def manifest(root: Path, rows: list[tuple[str, str, str, str]]) -> ClassFolders:
    """A list `path,label,split,group` of pictures that are never opened."""
    lines = ["path,label,split,group"]
    for path, *others in rows:
        (root / path).write_bytes(b"no picture")
        lines.append(",".join((path, *others)))
    (root / "labels.csv").write_text("\n".join(lines))
    return scan(root / "labels.csv")


def test_a_split_that_was_found_keeps_the_groups_that_are_named(tmp_path: Path) -> None:
    rows = [(f"{n}.jpg", "ab"[n % 2], "val" if n >= 8 else "train", f"p{n // 4}") for n in range(16)]
    found = manifest(tmp_path, [*rows, ("alone.jpg", "a", "train", "p9"), ("leak.jpg", "a", "val", "p0")])
    made = split_data(found, seed=0)
    # Also the group that stands on both sides, but none of a single image; and no share is wished for.
    assert made.groups == {path: group for path, *_, group in rows} | {"leak.jpg": "p0"}
    assert made.how == "train and val as found; no test split" and made.notes == ()
    write_split(tmp_path / "split.csv", made, found.labels)
    assert read_split(tmp_path / "split.csv", found.labels).groups == made.groups
    few = split_data(found, seed=0, limit=9)
    there = {sample.path for sample in (*few.train, *few.val)}
    assert few.groups == {path: group for path, group in made.groups.items() if path in there}
    assert not split_data(found, seed=0, group_by="none").groups


def test_folders_with_val_have_the_groups_that_an_expression_finds(tmp_path: Path) -> None:
    for part, patients in (("train", "1122"), ("val", "3345"), ("test", "6")):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for number, patient in enumerate(patients):
                (tmp_path / part / label / f"patient{patient}_{number}.jpg").write_bytes(b"no picture")
    made = split_data(scan(tmp_path), seed=0, group_by=r"patient(\d+)")
    assert made.groups["val/b/patient3_0.jpg"] == "3" and made.groups["test/a/patient6_0.jpg"] == "6"
    assert len(made.groups) == 18


def test_a_test_split_that_was_found_keeps_its_groups_where_the_rest_is_split(tmp_path: Path) -> None:
    draw_shapes(tmp_path / "shapes", counts=(24, 3, 6))
    shutil.rmtree(tmp_path / "shapes" / "val")
    found = scan(tmp_path / "shapes").splits
    lines = ["path,label,split,group"]
    for part, samples in found.items():
        lines += [f"shapes/{s.path},{'abc'[s.label]},{part},{part}{n // 2}" for n, s in enumerate(samples)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    data = scan(tmp_path / "labels.csv")
    for made in (split_data(data, seed=0), pool_data(data, seed=0)):
        assert len(made.test) == 6 and {made.groups[sample.path] for sample in made.test} == {"test0", "test1", "test2"}
        assert len(made.groups) == 30 and "24 images kept together in 12 groups" in made.how
