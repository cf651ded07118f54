"""Records of looks: processes make the same ones as threads, and threads finish what a process leaves undone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_data.sets import look_records
from edge_data.sets.look_records import RECORD_BYTES, Records, see, see_all


@pytest.fixture
def many(tmp_path: Path) -> list[str]:
    """150 pictures, some with odd names, some that are none."""
    names = [f"{n} é\udcff.png" if n % 50 == 7 else f"{n}\n.png" if n % 50 == 8 else f"{n}.png" for n in range(150)]
    random = np.random.default_rng(0)
    for number, name in enumerate(names):
        if number % 40:
            Image.fromarray(random.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / name, "PNG")
        else:
            (tmp_path / name).write_bytes(b"none")
    return [*names, "gone.png"]


def gathered(root: Path, names: list[str], threads: int) -> Records:
    records = np.full((len(names), RECORD_BYTES), 7, np.uint8)
    for place, some in see_all(root, names, threads=threads):
        records[place] = some
    return records


def test_processes_and_threads_see_the_same(
    tmp_path: Path, many: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = see(tmp_path, many)
    assert np.array_equal(gathered(tmp_path, many, 3), expected)
    monkeypatch.setattr(look_records, "_WORTH_PROCESSES", 100)
    here: list[int] = []
    monkeypatch.setattr(look_records, "see", lambda root, paths: here.append(len(paths)) or see(root, paths))
    assert np.array_equal(gathered(tmp_path, many, 2), expected)
    assert here == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("program", ["/nowhere/python", "false"])
def test_a_process_that_does_not_work_is_done_without(
    tmp_path: Path, many: list[str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    monkeypatch.setattr(look_records, "_WORTH_PROCESSES", 100)
    monkeypatch.setattr(sys, "executable", program)
    assert np.array_equal(gathered(tmp_path, many, 2), see(tmp_path, many))


def test_a_file_larger_than_memory_is_passed_over(tmp_path: Path, many: list[str]) -> None:
    with (tmp_path / "huge.jpg").open("wb") as file:
        file.truncate(2**42)
    assert see(tmp_path, ["huge.jpg", many[1]])[:, -1].tolist() == [0, 1]
