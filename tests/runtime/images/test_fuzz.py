"""20,000 damaged pictures through the runtime, in a process of its own that a crash may kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import mutated_images
from mutated_images import HANG_S, mutated, seeds

FILES = int(os.environ.get("EDGE_FUZZ_FILES", "20000"))
FIRST = int(os.environ.get("EDGE_FUZZ_FIRST", "0"))
MEMORY_MB = 500

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads memory from /proc")


def fuzz(tmp_path: Path, first: int, count: int) -> dict[str, Any]:
    journal = tmp_path / "journal"
    words = ["--first", str(first), "--count", str(count), "--journal", str(journal)]
    done = subprocess.run(
        [sys.executable, mutated_images.__file__, *words], capture_output=True, text=True, check=False, timeout=3000
    )
    number = journal.read_text().strip()
    assert done.returncode == 0, f"file number {number} (mutated_images.mutated({number})):\n{done.stderr}"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
@pytest.mark.timeout(3100)
@linux
def test_damaged_files_cost_neither_the_process_nor_time_nor_memory(tmp_path: Path) -> None:
    found = fuzz(tmp_path, FIRST, FILES)
    assert found["decoded"] + found["refused"] == FILES
    # Damage that always or never matters tests nothing.
    assert min(found["decoded"], found["refused"]) > 0.05 * FILES
    assert found["slowest_s"] < HANG_S, f"file number {found['slowest']}"
    assert found["peak_mb"] < MEMORY_MB


def test_every_seed_is_whole_and_damage_can_be_repeated() -> None:
    assert all(mutated_images.feed(data, number) for data in seeds().values() for number in (0, 1, 2))
    assert [mutated(number) for number in range(50)] == [mutated(number) for number in range(50)]
    assert len({mutated(number) for number in range(200)}) > 150


def test_the_run_finds_what_is_no_image_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise IndexError("tuple index out of range")

    monkeypatch.setattr(mutated_images, "decode", broken)
    with pytest.raises(SystemExit):
        mutated_images.run(1, 1, tmp_path / "journal")
    assert (tmp_path / "journal").read_text().strip() == "1"
