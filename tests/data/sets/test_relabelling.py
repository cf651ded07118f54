"""Mended labels, put in the place of the data's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_data import relabel
from edge_runtime import DataError, scan


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in ("train/a/1.jpg", "train/a/2.jpg", "train/b/1.jpg", "val/a/3.jpg", "val/b/2.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(name.encode())
    return tmp_path / "photos"


def test_labels_of_some_images_are_others_now(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mended = tmp_path / "mended.csv"
    mended.write_text(
        "path,label,rank\nphotos/train/b/1.jpg,c,1\nphotos/val/b/2.jpg,a,2\nphotos/train/a/1.jpg,a,3\n"
        "photos/train/a/2.jpg,,4\n"
    )
    found, changed = relabel(scan(photos.name), mended)
    assert (found.labels, changed) == (("a", "c"), 2)
    assert {
        split: [(sample.path, found.labels[sample.label]) for sample in samples]
        for split, samples in found.splits.items()
    } == {
        "train": [("train/a/1.jpg", "a"), ("train/a/2.jpg", "a"), ("train/b/1.jpg", "c")],
        "val": [("val/a/3.jpg", "a"), ("val/b/2.jpg", "a")],
    }


def test_an_image_that_the_data_lacks_is_named(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "other.jpg").write_bytes(b"x")
    (tmp_path / "mended.csv").write_text("path,label\nother.jpg,a\nphotos/train/a/1.jpg,b\n")
    with pytest.raises(DataError, match=r"mended.csv names images that the data lacks: .*/other\.jpg"):
        relabel(scan(photos), tmp_path / "mended.csv")


def test_a_link_to_the_data_leads_to_the_same_images(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to("photos")
    mended = tmp_path / "mended.csv"
    mended.write_text("path,label\nphotos/train/b/1.jpg,c\nlinked/val/b/2.jpg,a\n")
    for data in ("photos", "linked"):
        found, changed = relabel(scan(tmp_path / data), mended)
        assert (found.labels, changed) == (("a", "c"), 2)
    mended.write_text("path,label\nphotos/train/b/1.jpg,c\nlinked/train/b/1.jpg,a\n")
    with pytest.raises(DataError, match=r"gives .*photos/train/b/1\.jpg two labels, 'c' and 'a', by two ways"):
        relabel(scan(photos), mended)


def test_of_several_labels_the_order_changes_nothing(photos: Path, tmp_path: Path) -> None:
    data, mended = tmp_path / "data.csv", tmp_path / "mended.csv"
    names = sorted(str(path) for path in photos.glob("train/*/*.jpg"))
    data.write_text(f"path,label\n{names[0]},dog|cat\n{names[1]},dog\n{names[2]},\n")
    mended.write_text(f"path,label\n{names[0]},cat|dog\n{names[1]},\n{names[2]},bird|cat\n")
    found, changed = relabel(scan(data, multi_label=True), mended)
    assert (found.labels, changed, found.kind) == (("bird", "cat", "dog"), 2, "multi-label")
    assert [sample.targets for sample in found.splits["all"]] == [(1, 2), (), (0, 1)]


def test_a_task_without_a_label_keeps_the_one_that_it_had(photos: Path, tmp_path: Path) -> None:
    data, mended = tmp_path / "data.csv", tmp_path / "mended.csv"
    names = sorted(str(path) for path in photos.glob("train/*/*.jpg"))
    data.write_text(f"path,kind,colour\n{names[0]},rose,red\n{names[1]},lily,\n{names[2]},lily,blue\n")
    mended.write_text(f"path,kind,colour\n{names[0]},tulip,\n{names[1]},lily,blue\n{names[2]},,blue\n")
    found, changed = relabel(scan(data, tasks=["kind", "colour"]), mended)
    assert [task.labels for task in found.tasks] == [("lily", "tulip"), ("blue", "red")]
    assert [sample.targets for sample in found.splits["all"]] == [(1, 1), (0, 0), (0, 0)] and changed == 2


def test_nothing_is_refused_for_what_is_not_read(photos: Path, tmp_path: Path) -> None:
    """A list that goes on from one without splits has some rows with, and mended tasks come with rows not looked at."""
    mended, data = tmp_path / "mended.csv", tmp_path / "data.csv"
    mended.write_text("path,label,split\nphotos/train/b/1.jpg,a,train\nphotos/val/b/2.jpg,c,\nphotos/val/a/3.jpg,a,x\n")
    found, changed = relabel(scan(photos), mended)
    assert (found.labels, changed) == (("a", "c"), 2) and set(found.splits) == {"train", "val"}
    names = sorted(str(path) for path in photos.glob("train/*/*.jpg"))
    data.write_text(f"path,kind,colour\n{names[0]},rose,red\n{names[1]},lily,\n{names[2]},lily,blue\n")
    mended.write_text(f"path,kind,colour\n{names[0]},,\n{names[1]},rose,\n")
    found, changed = relabel(scan(data, tasks=["kind", "colour"]), mended)
    assert changed == 1 and [sample.targets for sample in found.splits["all"]] == [(1, 1), (1, -1), (0, 0)]
    mended.write_text(f"path,kind,colour\n{names[0]},,\n")
    with pytest.raises(DataError, match="none of its 1 rows has a label"):
        relabel(scan(data, tasks=["kind", "colour"]), mended)


def test_the_spelling_in_code_points_is_no_change(tmp_path: Path) -> None:
    for name in ("cafe\u0301/1.jpg", "x/1.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "mended.csv").write_text("path,label\ncafe\u0301/1.jpg,caf\u00e9\n", encoding="utf-8")
    assert relabel(scan(tmp_path), tmp_path / "mended.csv")[1] == 0
