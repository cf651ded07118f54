"""What workers have begun and not ended, as those who come after them find it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_batch.worker_deaths import MOST_DEATHS, WorkerDeaths
from edge_runtime import EdgeError


@pytest.fixture
def deaths(tmp_path: Path) -> WorkerDeaths:
    """Of a batch that begins."""
    found = WorkerDeaths(tmp_path / "begun")
    found.forget()
    return found


def test_a_block_is_begun_so_often_and_not_more(deaths: WorkerDeaths) -> None:
    for _ in range(MOST_DEATHS):
        block = deaths.begin(64)
        block.at("a/wasp.jpg")  # and dies
    with (
        pytest.raises(EdgeError, match=f"{MOST_DEATHS} workers in turn died .*, the last one at a/wasp.jpg"),
        deaths.telling(),
    ):
        deaths.begin(64)
    told = deaths.told()
    assert told is not None and "a/wasp.jpg" in told.message and "goes on" in told.hint
    # Another block is none the worse, nor is this one where the batch goes on.
    deaths.begin(0).end()
    deaths.forget()
    assert deaths.told() is None
    for _ in range(MOST_DEATHS + 1):
        deaths.begin(64).end()
