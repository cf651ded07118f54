"""One file under many paths."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime import TruePlaces


def test_a_file_is_the_same_through_every_link_to_its_folder_and_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "store/a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "store")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/ants").symlink_to(tmp_path / "link/a")
    (tmp_path / "store/a/1.png").touch()
    (tmp_path / "store/a/2.png").symlink_to("1.png")
    true = TruePlaces()
    wanted = os.path.realpath(tmp_path / "store/a/1.png")
    ways = ("store/a/1.png", "link/a/1.png", "photos/ants/1.png", "photos/../link/a/./1.png")
    assert {true(f"{tmp_path}/{way}") for way in ways} == {true(tmp_path / "link/a/1.png")} == {wanted}
    # A link to a picture is a picture of its own, and one that is gone has a place, too.
    assert true(tmp_path / "link/a/2.png") == wanted.replace("1.png", "2.png")
    assert true(tmp_path / "link/a/gone.png") == wanted.replace("1.png", "gone.png")
