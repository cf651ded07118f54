"""Every file below a folder once, in one order for training, prediction and the watch."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime import DataError, find_images, scan
from edge_runtime.errors import EdgeError
from edge_runtime.files.named import expand
from edge_runtime.files.walk import walk_folder

FOLDERS = ("01", "1", "2", "10")


@pytest.fixture
def numbered(tmp_path: Path) -> Path:
    for folder in reversed(FOLDERS):
        (tmp_path / folder).mkdir()
        for name in ("10.jpg", "9.jpg"):
            (tmp_path / folder / name).touch()
    return tmp_path


def test_the_same_order_wherever_images_are_listed(numbered: Path) -> None:
    expected = [numbered / folder / name for folder in FOLDERS for name in ("9.jpg", "10.jpg")]
    problems: list[EdgeError] = []
    assert find_images(numbered) == expected
    assert [source.name for source in expand([str(numbered)], on_problem=problems.append)] == [*map(str, expected)]
    assert [source.name for source in expand([f"{numbered}/*"], on_problem=problems.append)] == [*map(str, expected)]
    assert not problems


def test_class_names_stay_in_the_order_of_their_letters(numbered: Path) -> None:
    # It numbers the labels of every model there is, and is torchvision's.
    assert scan(numbered).labels == ("01", "1", "10", "2")


def test_links_and_a_folder_apart_can_be_left_out(tmp_path: Path) -> None:
    for name in ("in/a.jpg", "done/b.jpg"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "in/a.jpg")
    apart = (tmp_path / "done").resolve()
    assert [*walk_folder(str(tmp_path), links=False, apart=apart)] == [str(tmp_path / "in/a.jpg")]
    assert len([*walk_folder(str(tmp_path))]) == 3, "what a link leads to is not listed twice"


def test_what_cannot_be_read_is_told_or_stops(tmp_path: Path) -> None:
    told: list[str] = []
    assert [*walk_folder(str(tmp_path / "gone"), on_error=lambda place, _: told.append(place))] == []
    assert told == [str(tmp_path / "gone")]
    with pytest.raises(DataError, match="gone"):
        [*walk_folder(str(tmp_path / "gone"))]
