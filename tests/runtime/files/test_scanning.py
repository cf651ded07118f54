"""Several places as one set, and classes called like the folder an image lies in."""

from __future__ import annotations

import shutil
import unicodedata
from pathlib import Path

import pytest

from edge_runtime import ClassFolders, DataError, find_all_images, scan


def put(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def listed(path: Path, *rows: str) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


def read(folders: ClassFolders) -> dict[str, list[tuple[str, str]]]:
    return {split: [(s.path, folders.labels[s.label]) for s in found] for split, found in folders.splits.items()}


@pytest.fixture
def mixed(tmp_path: Path) -> tuple[Path, Path]:
    """Class folders, and a manifest of another class beside them."""
    photos = put(tmp_path / "photos", "bee/p7/1.jpg", "bee/2.jpg", "ant/1.jpg")
    put(tmp_path / "more", "x.jpg", "y.jpg", "z.jpg")
    manifest = listed(tmp_path / "more/list.csv", "path,label,group", "x.jpg,wasp,g", "y.jpg,ant,", "z.jpg,,")
    return photos, manifest


def test_folders_and_manifests_are_one_set_with_all_their_classes(mixed: tuple[Path, Path]) -> None:
    photos, manifest = mixed
    folders = scan(mixed)
    assert (folders.root, folders.labels) == (photos.parent, ("ant", "bee", "wasp"))
    assert read(folders) == {
        "all": [
            ("more/y.jpg", "ant"),
            ("photos/ant/1.jpg", "ant"),
            ("photos/bee/2.jpg", "bee"),
            ("photos/bee/p7/1.jpg", "bee"),
            ("more/x.jpg", "wasp"),
        ]
    }
    assert folders.groups == {"more/x.jpg": "g"}
    assert folders.below_class("photos/bee/p7/1.jpg") == "p7/1.jpg"
    assert folders.below_class("more/x.jpg") == "x.jpg"
    assert [note.text for note in folders.notes] == [f"left out 1 row of {manifest} without a label, line 4 for one"]
    assert scan(mixed[::-1]).fingerprint == folders.fingerprint
    assert find_all_images(mixed) == [
        *(photos / name for name in ("ant/1.jpg", "bee/2.jpg", "bee/p7/1.jpg")),
        *(manifest.parent / name for name in ("x.jpg", "y.jpg", "z.jpg")),
    ]


def test_the_images_of_a_list_are_found_without_a_column_of_labels(mixed: tuple[Path, Path]) -> None:
    _, manifest = mixed
    other = manifest.with_name("tasks.csv")
    other.write_text("path,species\nx.jpg,bee\ny.jpg,\n", encoding="utf-8")
    assert find_all_images([other]) == [manifest.parent / "x.jpg", manifest.parent / "y.jpg"]


def test_one_of_them_is_what_it_is_alone(mixed: tuple[Path, Path]) -> None:
    assert scan(mixed[:1]) == scan(mixed[0])
    assert scan([str(mixed[1])]) == scan(mixed[1])


def test_each_may_have_one_class_and_a_models_labels_align_them(tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", "ant/1.jpg"), put(tmp_path / "two", "bee/1.jpg")
    assert scan([one, two]).labels == ("ant", "bee")
    aligned = read(scan([one, two], labels=["bee", "cat", "ant"]))
    assert aligned == {"all": [("two/bee/1.jpg", "bee"), ("one/ant/1.jpg", "ant")]}
    with pytest.raises(DataError, match="one class, 'ant'"):
        scan([one, put(tmp_path / "three", "ant/2.jpg")])
    with pytest.raises(DataError, match=r"unknown classes: 'bee'"):
        scan([one, two], labels=["ant", "wasp"])


def test_all_are_split_or_none_is(tmp_path: Path) -> None:
    split = put(tmp_path / "split", "train/ant/1.jpg", "train/bee/1.jpg", "val/ant/2.jpg")
    flat = put(tmp_path / "flat", "ant/1.jpg", "bee/1.jpg")
    with pytest.raises(DataError, match=r"split is split into train, val or test, and .*flat is not"):
        scan([flat, split])
    tests = listed(tmp_path / "test.csv", "path,label,split", "flat/bee/1.jpg,bee,test")
    joined = scan([split, tests])
    assert {name: len(found) for name, found in joined.splits.items()} == {"train": 2, "val": 1, "test": 1}
    assert [note.text for note in joined.notes] == [
        "the split val has no images of 1 class: 'bee'",
        "the split test has no images of 1 class: 'ant'",
    ]
    (tmp_path / "test.csv").write_text("path,label,split\nflat/bee/1.jpg,wasp,test\n")
    with pytest.raises(DataError, match=r"test\.csv, line 2: label 'wasp' is not known in training"):
        scan([split, tests])


def test_an_image_stands_in_one_of_them(mixed: tuple[Path, Path]) -> None:
    photos, manifest = mixed
    again = listed(photos.parent / "again.csv", "path,label", "photos/ant/1.jpg,ant", "more/x.jpg,wasp")
    with pytest.raises(DataError, match=r"photos/ant/1\.jpg of .*again\.csv stands in .*photos, too"):
        scan([photos, again])
    with pytest.raises(DataError, match=r"stands in .*list\.csv, too"):
        scan([manifest, again])
    with pytest.raises(DataError, match=r"ant/1\.jpg of .*photos stands in .*photos, too; .*bee/2"):
        scan([photos, photos])
    (photos.parent / "linked").symlink_to("photos")
    with pytest.raises(DataError, match=r"ant/1\.jpg of .*linked stands in .*photos, too"):
        scan([photos, photos.parent / "linked"])


def test_an_empty_class_is_refused_unless_it_may_be(tmp_path: Path) -> None:
    one, two = put(tmp_path / "one", "ant/1.jpg", "bee/1.jpg"), put(tmp_path / "two", "ant/1.jpg")
    (two / "wasp").mkdir()
    with pytest.raises(DataError, match="no training image of 'wasp'"):
        scan([one, two])
    assert scan([one, two], empty_classes=True).labels == ("ant", "bee", "wasp")


def test_the_set_is_known_again_in_another_place(
    mixed: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = scan(mixed).fingerprint
    moved = shutil.copytree(mixed[0].parent, tmp_path_factory.mktemp("other") / "elsewhere")
    assert scan([moved / "photos", moved / "more/list.csv"]).fingerprint == first
    (moved / "photos/ant/1.jpg").write_bytes(b"changed")
    assert scan([moved / "photos", moved / "more/list.csv"]).fingerprint != first


def test_a_column_of_groups_is_one_of_all_lists(tmp_path: Path) -> None:
    for name, column in (("a", "group"), ("b", "patient"), ("c", "Patient")):
        put(tmp_path / name, "0.png", "1.png")
        rows = "".join(f"{name}/{index}.png,{'xy'[index]},{name}{index}\n" for index in (0, 1))
        (tmp_path / f"{name}.csv").write_text(f"path,label,{column}\n{rows}")
    lists = [tmp_path / f"{name}.csv" for name in "abc"]
    both = scan(lists[1:], group_column="patient")
    assert both.group_column == "patient" and sorted(both.groups.values()) == ["b0", "b1", "c0", "c1"]
    for wrong in (lists[:2], lists[1::-1]):
        with pytest.raises(DataError, match=r"a\.csv has no column 'patient', by which .*b\.csv is grouped"):
            scan(wrong, group_column="patient")
    # By itself each list's own column group counts.
    assert sorted(scan(lists[:2]).groups.values()) == ["a0", "a1"]


def test_nothing_named_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data is named"):
        scan([])
    with pytest.raises(DataError, match="gone does not exist"):
        scan([put(tmp_path, "a/1.jpg", "b/1.jpg"), tmp_path / "gone"])


def test_the_folder_that_an_image_lies_in_may_name_its_class(tmp_path: Path) -> None:
    root = put(tmp_path, "site1/ant/1.jpg", "site1/deep/bee/1.jpg", "site2/ant/1.jpg", "site2/notes.txt", "loose.jpg")
    folders = scan(root, label_from="parent")
    assert read(folders) == {
        "all": [("site1/ant/1.jpg", "ant"), ("site2/ant/1.jpg", "ant"), ("site1/deep/bee/1.jpg", "bee")]
    }
    assert [note.kind for note in folders.notes] == ["loose-images", "other-files"]
    assert folders.below_class("site1/deep/bee/1.jpg") == "site1/deep/bee/1.jpg"
    assert scan(root).labels == ("site1", "site2")
    assert scan(root).fingerprint != folders.fingerprint


def test_splits_stand_above_the_folders_that_name_classes(tmp_path: Path) -> None:
    root = put(tmp_path, "train/a/ant/1.jpg", "train/b/bee/1.jpg", "val/a/ant/1.jpg", "val/b/test/bee/1.jpg")
    folders = scan(root, label_from="parent")
    assert folders.labels == ("ant", "bee")
    assert list(folders.splits) == ["train", "val"]
    assert folders.below_class("val/b/test/bee/1.jpg") == "b/test/bee/1.jpg"
    assert [note.text for note in folders.notes] == [
        "folders called 'test' below others are no splits: those are read at the top alone"
    ]
    assert scan(put(tmp_path / "plain", "ant/1.jpg", "bee/1.jpg"), label_from="parent").labels == ("ant", "bee")


def test_a_class_that_is_spelt_in_other_code_points_is_one_in_all_of_them(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))
    mac = put(tmp_path / "mac", f"{decomposed}/1.jpg", "thé/1.jpg")
    other = put(tmp_path / "other", f"{composed}/1.jpg")
    (tmp_path / "x.jpg").touch()
    manifest = listed(tmp_path / "list.csv", "path,label", f"x.jpg,{decomposed}")
    found = scan([mac, other, manifest])
    assert found.labels == (composed, "thé")
    assert [sample.path for sample in found.splits["all"] if not sample.label] == [
        *sorted([f"mac/{decomposed}/1.jpg", f"other/{composed}/1.jpg", "x.jpg"])
    ]
