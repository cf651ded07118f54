"""How often workers were started again, as the driver of a batch looks at it."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")
pytest.importorskip("pyarrow")

from edge_batch.restarted_workers import Restarts
from edge_batch.worker_deaths import MOST_DEATHS
from edge_runtime import EdgeError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_only_deaths_in_a_row_end_a_batch() -> None:
    restarts = Restarts()
    restarts.look({}, sign=0)
    # A machine is lost with many workers, which is one death of each.
    restarts.look({f"worker {number}": 1 for number in range(64)}, sign=0)
    for times in range(MOST_DEATHS):
        restarts.look({"a": times, "b": 0}, sign=0)
    # Another one opened the model.
    restarts.look({"a": MOST_DEATHS, "b": 0}, sign=1)
    restarts.look({"a": 2 * MOST_DEATHS - 1, "b": 0}, sign=1)
    with pytest.raises(EdgeError, match=f"a worker died {MOST_DEATHS} times in a row before") as told:
        restarts.look({"a": 2 * MOST_DEATHS, "b": 0}, sign=1)
    assert told.value.hint is not None and "goes on" in told.value.hint
