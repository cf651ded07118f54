"""Where images come from: a folder, or a set known by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_data import find_data
from edge_data.sets.find import DataSource
from edge_runtime import DataError, scan


def test_a_folder_goes_by_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "My photos").mkdir()
    assert find_data(str(tmp_path / "My photos")) == DataSource("My photos", tmp_path / "My photos")
    monkeypatch.chdir(tmp_path / "My photos")
    assert find_data(".").name == "My photos"
    assert find_data("../My photos/").name == "My photos"


def test_home_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "photos").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_data("~/photos").root == tmp_path / "photos"


def test_the_shapes_are_drawn_into_the_cache_unless_a_folder_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    drawn = find_data("shapes")
    assert (drawn.name, drawn.image_size_px) == ("shapes", 64)
    assert drawn.root.is_relative_to(tmp_path / "cache")
    assert {name: len(samples) for name, samples in scan(drawn.root).splits.items()} == {
        "train": 300, "val": 60, "test": 60,
    }  # fmt: skip
    (tmp_path / "shapes").mkdir()
    assert find_data("shapes") == DataSource("shapes", Path("shapes"))


@pytest.mark.parametrize("data", ["gone", "shape", "~nobody-of-that-name/photos", "x" * 300, "null\0"])
def test_what_is_neither_folder_nor_set_is_named(data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        find_data(data)
    # A character that would break the line is written as an escape.
    assert data.replace("\0", "\\x00") in caught.value.message and caught.value.hint
