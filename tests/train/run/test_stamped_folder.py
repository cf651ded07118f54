"""Folders of the same second get numbers, and none is used twice."""

from __future__ import annotations

from datetime import datetime, tzinfo
from pathlib import Path
from typing import Self

import pytest

pytest.importorskip("torch")

from edge_train import make_stamped_folder, plain_name
from edge_train.run import stamped_folder


class Frozen(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2026, 1, 2, 3, 4, 5, tzinfo=tz)


def test_none_is_used_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stamped_folder, "datetime", Frozen)
    monkeypatch.setattr(stamped_folder, "MOST", 3)
    made = [make_stamped_folder(tmp_path, "tune-photos").name for _ in range(3)]
    first = "tune-photos-20260102-030405"
    assert made == [first, f"{first}-2", f"{first}-3"] and sorted(made) == sorted(p.name for p in tmp_path.iterdir())
    with pytest.raises(FileExistsError, match="and 2 like it exist"):
        make_stamped_folder(tmp_path, "tune-photos")
    with pytest.raises(FileNotFoundError):
        make_stamped_folder(tmp_path / "gone", "tune-photos")


def test_a_data_sets_name_becomes_part_of_a_files() -> None:
    assert plain_name("my photos/2026: café") == "my_photos_2026_café"
    assert plain_name("..") == plain_name("") == "data"
