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


def test_a_manifest_goes_by_its_stem_and_several_by_all_their_names(tmp_path: Path) -> None:
    for name in ("birds", "more/birds"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "labels.v2.csv").touch()
    manifest, birds, more = (str(tmp_path / name) for name in ("labels.v2.csv", "birds", "more/birds"))
    assert find_data(manifest) == DataSource("labels.v2", tmp_path / "labels.v2.csv")
    several = find_data([birds, manifest, more])
    assert (several.name, several.places) == ("birds+labels.v2", tuple(map(Path, (birds, manifest, more))))
    assert find_data((birds,)) == find_data(birds)
    with pytest.raises(DataError, match="gone"):
        find_data([birds, "gone"])
