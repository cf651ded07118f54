"""What is said of a data folder whose classes may not be what its owner means."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.files.scanning import scan


def put(root: Path, *paths: str, content: bytes = b"x") -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def test_classes_may_differ_in_letter_case_alone(tmp_path: Path) -> None:
    put(tmp_path, "Polish/1.jpg", "polish/1.jpg")
    if len(list(tmp_path.iterdir())) == 2:  # not on a file system that folds case
        folders = scan(tmp_path)
        assert folders.labels == ("Polish", "polish")
        assert [note.kind for note in folders.notes] == ["alike-labels"]
        assert "'Polish', 'polish'" in folders.notes[0].text


def test_classes_of_two_folders_that_differ_in_letter_case_are_noted_once(tmp_path: Path) -> None:
    put(tmp_path, "one/Ant/1.jpg", "one/bee/1.jpg", "two/ant/1.jpg", "two/bee/1.jpg")
    (note,) = scan([tmp_path / "one", tmp_path / "two"]).notes
    assert note.kind == "alike-labels" and "'Ant', 'ant'" in note.text


@pytest.mark.parametrize("deeper", ["", "again/"])
def test_class_folders_that_all_hold_the_same_folders_are_noted(tmp_path: Path, deeper: str) -> None:
    put(tmp_path, f"seg_train/{deeper}cat/1.jpg", f"seg_train/{deeper}dog/1.jpg")
    put(tmp_path, f"seg_test/{deeper}cat/1.jpg", f"seg_test/{deeper}dog/far/1.jpg")
    (note,) = scan(tmp_path).notes
    assert note.kind == "splits-as-classes"
    assert "'seg_test', 'seg_train' holds 'cat', 'dog'" in note.text and "`label_from` parent" in note.text
    assert [each.kind for each in scan(tmp_path, label_from="parent").notes] == []


@pytest.mark.parametrize("names", ["cat/in/1.jpg cat/out/1.jpg dog/in/1.jpg dog/2.jpg", "cat/in/1.jpg dog/in/1.jpg"])
def test_class_folders_that_hold_other_folders_are_not_noted(tmp_path: Path, names: str) -> None:
    put(tmp_path, *names.split())
    assert scan(tmp_path).notes == ()
