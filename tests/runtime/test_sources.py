"""Names in natural order, lists of names cut anywhere, and files sorted without overwriting."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import EdgeError, UsageError
from edge_runtime.sorting import Sorter, bring, free_name
from edge_runtime.sources import expand, natural_key, read_names


class Dripping(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step

    def read(self, _size: int = -1) -> bytes:
        piece, self._data = self._data[: self._step], self._data[self._step :]
        return piece


@given(st.lists(st.text(st.characters(exclude_characters="\0\n\r", exclude_categories=["Cs"]), min_size=1), min_size=1),
       st.sampled_from(["\0", "\n"]), st.integers(1, 9))  # fmt: skip
def test_a_list_reads_the_same_however_it_arrives(names: list[str], end: str, step: int) -> None:
    data = "".join(name + end for name in names).encode()
    assert list(read_names(Dripping(data, step))) == names  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 10**6), unique=True))
def test_numbers_count(numbers: list[int]) -> None:
    names = [f"IMG_{number}.jpg" for number in numbers]
    assert sorted(names, key=natural_key) == [f"IMG_{number}.jpg" for number in sorted(numbers)]


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.png").touch()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    problems: list[EdgeError] = []
    found = list(expand([str(tmp_path)], on_problem=problems.append))
    assert [source.name for source in found] == [str(tmp_path / "a" / "1.png")]
    assert not problems


def test_a_label_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    sorter = Sorter(str(tmp_path / "{label}"))
    for label in ("../../etc", "/etc", "..", ".", "", "a/b", "a\0b"):
        assert sorter.folder(label).parent == tmp_path
    with pytest.raises(UsageError):
        Sorter("sorted/{lable}")


def move(source: Path, target: Path, *, again: bool = False) -> bool:
    status = source.stat()
    return bring(source, target, size_bytes=status.st_size, changed_ns=status.st_mtime_ns, again=again)


def test_a_taken_name_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("new")
    target = free_name(tmp_path / "sorted", "x.png")
    target.write_text("came first")
    assert not move(tmp_path / "x.png", target)
    assert target.read_text() == "came first" and (tmp_path / "x.png").read_text() == "new"
    assert free_name(tmp_path / "sorted", "x.png").name == "x-2.png"


@pytest.mark.parametrize("left", ["linked", "copied", "reserved", "nothing"])
def test_a_move_is_finished_from_wherever_it_was_killed(tmp_path: Path, left: str) -> None:
    source, target = tmp_path / "x.png", tmp_path / "y.png"
    source.write_text("picture")
    if left == "linked":
        os.link(source, target)
    elif left == "copied":
        target.write_text("picture")
    elif left == "reserved":
        target.touch()
    assert move(source, target, again=True)
    assert target.read_text() == "picture" and not source.exists()


def test_onto_another_file_system(tmp_path: Path) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system")
    source = tmp_path / "x.png"
    source.write_text("picture")
    target = elsewhere / f"edge-test-{os.getpid()}.png"
    try:
        assert move(source, target)
        assert target.read_text() == "picture" and not source.exists()
        assert not list(elsewhere.glob(".edge-*.part"))
    finally:
        target.unlink(missing_ok=True)
