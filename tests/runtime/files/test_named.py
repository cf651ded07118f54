"""Names in natural order, and lists of names cut anywhere."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from edge_runtime.errors import EdgeError
from edge_runtime.files.named import expand, read_names
from edge_runtime.files.walk import natural_key


class Dripping(io.RawIOBase):
    """Gives a few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data, self._step = data, step

    def read(self, _size: int = -1) -> bytes:
        piece, self._data = self._data[: self._step], self._data[self._step :]
        return piece


@given(st.lists(st.text(st.characters(exclude_characters="\0\n\r\ufeff", exclude_categories=["Cs"]), min_size=1),
                min_size=1),
       st.sampled_from(["\0", "\n"]), st.integers(1, 9))  # fmt: skip
def test_a_list_reads_the_same_however_it_arrives(names: list[str], end: str, step: int) -> None:
    data = "".join(name + end for name in names).encode()
    found = list(read_names(Dripping(data, step)))  # type: ignore[arg-type]
    assert [name for some in found for name in some] == names


@pytest.mark.parametrize("step", [1, 2, 3, 100])
@pytest.mark.parametrize("end", [b"\n", b"\0", b"\r\n"])
def test_a_byte_order_mark_is_no_part_of_the_first_name(step: int, end: bytes) -> None:
    data = b"\xef\xbb\xbfa.jpg" + end + b"b.jpg" + end
    assert [name for some in read_names(Dripping(data, step)) for name in some] == ["a.jpg", "b.jpg"]  # type: ignore[arg-type]


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


def test_a_pattern_leaves_out_what_edge_draws_as_a_folder_does(tmp_path: Path) -> None:
    (tmp_path / "a" / "__MACOSX").mkdir(parents=True)
    drawn = tmp_path / "a" / "1.explained.png"
    for path in (tmp_path / "a" / "1.png", drawn, tmp_path / "a" / "__MACOSX" / "2.png"):
        path.touch()

    def found(name: str) -> list[str]:
        problems: list[EdgeError] = []
        taken = [Path(source.name).name for source in expand([f"{tmp_path}/{name}"], on_problem=problems.append)]
        assert not problems
        return taken

    assert found("a") == found("a/*.png") == found("a/**") == found("*") == found("**/*.png") == ["1.png"]
    assert found("a/1.explained.png") == found("a/*.explained.png") == ["1.explained.png"]
    assert found("a/__MACOSX/*.png") == ["2.png"]
