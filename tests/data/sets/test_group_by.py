"""Groups as a person names them: a folder level, or a part of the path; and what is said where that finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_data.sets.group_by import check_group_by, name_groups
from edge_runtime import ClassFolders, DataError, Sample, UsageError, scan

PATHS = ["ant/patient7/a.jpg", "ant/patient12/left/b.jpg", "bee/patient7/c.jpg"]


def folders(*paths: str, split: str = "all") -> ClassFolders:
    return ClassFolders(Path("data"), ("ant", "bee"), {split: tuple(Sample(path, 0) for path in paths)}, (), "")


def test_a_folder_below_the_class_is_one_group_whatever_the_class() -> None:
    assert name_groups(folders(*PATHS), PATHS, "folder") == ["patient7", "patient12", "patient7"]


def test_the_class_lies_one_deeper_where_there_is_train() -> None:
    paths = [f"train/{path}" for path in PATHS]
    assert name_groups(folders(*paths, split="train"), paths, "folder") == ["patient7", "patient12", "patient7"]


def test_two_levels() -> None:
    paths = ["ant/site1/patient7/a.jpg", "ant/site2/patient7/film3/b.jpg"]
    assert name_groups(folders(*paths), paths, "folder:2") == ["site1/patient7", "site2/patient7"]
    with pytest.raises(DataError, match=r"2 levels below their class, .* for one"):
        name_groups(folders(*PATHS), PATHS, "folder:2")


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (r"patient(\d+)", ["7", "12", "7"]),
        (r"patient\d+", ["patient7", "patient12", "patient7"]),
        (r"patient(?:1)?(\d)", ["7", "2", "7"]),
        (r"left|$", ["", "left", ""]),
        (r"(left)|$", ["", "left", ""]),
        (r"^[^/]+", ["patient7", "patient12", "patient7"]),
    ],
)
def test_a_regular_expression_names_by_its_first_group_or_all_it_finds(expression: str, expected: list[str]) -> None:
    assert name_groups(folders(*PATHS), PATHS, expression) == expected


def test_the_class_is_no_part_of_what_is_searched() -> None:
    with pytest.raises(DataError, match="3 of 3 images"):
        name_groups(folders(*PATHS), PATHS, "ant|bee")


def test_pictures_that_it_does_not_find_are_told_and_how_to_let_them_stand_alone() -> None:
    with pytest.raises(DataError, match=r"1 of 3 images .*'ant/patient12/left/b.jpg' for one") as caught:
        name_groups(folders(*PATHS), PATHS, "patient7")
    assert "(patient7)|$" in caught.value.hint
    flat = ["ant/a.jpg", "ant/patient1/b.jpg"]
    with pytest.raises(DataError, match="1 of 2 images lie in no folder below their class, 'ant/a"):
        name_groups(folders(*flat), flat, "folder")


def test_no_name_is_asked_of_auto_and_none() -> None:
    assert name_groups(folders(*PATHS), PATHS, "auto") == name_groups(folders(*PATHS), PATHS, "none") == ["", "", ""]


@pytest.mark.parametrize("by", ["(", "", "*", "[a"])
def test_what_is_no_regular_expression_is_refused(by: str) -> None:
    with pytest.raises(UsageError, match="no regular expression"):
        check_group_by(by)


@pytest.mark.parametrize("by", ["auto", "none", "folder", "folder:2", r"cam(\d+)"])
def test_what_names_groups_is_taken(by: str) -> None:
    check_group_by(by)


def test_a_manifests_column_names_the_groups(tmp_path: Path) -> None:
    for name in ("a/p1-1.jpg", "a/p1-2.jpg", "b/p2-1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    manifest = tmp_path / "list.csv"
    manifest.write_text("path,label,Group,camera\na/p1-1.jpg,x,g,1\na/p1-2.jpg,x,,2\nb/p2-1.jpg,y,g,2\n")
    paths = ["a/p1-1.jpg", "a/p1-2.jpg", "b/p2-1.jpg"]
    named = scan(manifest)
    assert name_groups(named, paths, "auto") == ["g", "", "g"]
    assert name_groups(named, paths, r"p(\d)") == ["1", "1", "2"]
    assert name_groups(named, paths, "folder") == ["a", "a", "b"]
    assert name_groups(named, paths, "none") == ["", "", ""]
    by_camera = scan(manifest, group_column="Camera")
    assert name_groups(by_camera, paths, "Camera") == ["1", "2", "2"]


def test_folders_of_several_places_are_counted_below_each_class(tmp_path: Path) -> None:
    for name in ("one/x/p1/1.jpg", "two/y/p1/1.jpg", "two/y/p2/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    both = scan([tmp_path / "one", tmp_path / "two"])
    paths = [sample.path for sample in both.splits["all"]]
    assert name_groups(both, paths, "folder") == ["p1", "p1", "p2"]


@pytest.mark.parametrize("by", ["folder:", "folder:0", "folder:100"])
def test_levels_that_there_cannot_be_are_told_before_anything_is_read(by: str) -> None:
    with pytest.raises(UsageError, match="from 1 to 99 folders"):
        check_group_by(by)
