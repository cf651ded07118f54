"""What a batch will take: by arithmetic, and played through."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from edge_batch import Speed, describe_plan, list_all, measure_speed
from edge_batch.batch_prediction import block_rows
from edge_batch.cost_plan import START_S
from edge_runtime import Classifier, UsageError


def test_arithmetic_and_play_agree_but_for_start_and_tail() -> None:
    speed = Speed("tiny", 0.036, 0.01, 100)
    assert speed.images_per_core_hour == pytest.approx(100_000)
    for cost in describe_plan(speed, 1_000_000, (2, 64)):
        assert cost.core_hours == pytest.approx(10)
        assert cost.paper_s == pytest.approx(36_000 / cost.cores)
        # At most one block of 512 more than an even share, and the start.
        assert cost.paper_s <= cost.simulated_s <= cost.paper_s + START_S + 1.2 * 512 * 0.036


def test_more_cores_than_blocks_help_no_more() -> None:
    few, many = describe_plan(Speed("tiny", 1.0, 0.0, 1), 64, (4, 1000))
    assert (few.simulated_s, many.simulated_s) == (START_S + 16, START_S + 16)
    with pytest.raises(UsageError, match="`cores` 0"):
        describe_plan(Speed("tiny", 1.0, 0.0, 1), 64, (0,))


def test_blocks_divide_a_group_of_the_listing() -> None:
    assert [block_rows(n, 2) for n in (1, 300, 10_000, 10**7)] == [16, 16, 512, 512]
    assert all(512 % block_rows(n, w) == 0 for n in range(1, 20_000, 77) for w in (1, 3, 64))


def test_a_speed_is_measured_on_the_pictures(photos: Path, model: Path) -> None:
    speed = measure_speed("tiny", Classifier(model, threads=1), list_all([str(photos)]))
    assert (speed.name, speed.n) == ("tiny", 11)
    assert speed.mean_s > 0
    with pytest.raises(UsageError, match="nothing was measured"):
        measure_speed("tiny", Classifier(model, threads=1), list_all([str(photos / "near" / "broken.jpg")]))
