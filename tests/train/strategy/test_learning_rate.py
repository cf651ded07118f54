"""Learning-rate schedules: their shape, their warm-up, and what an optimiser makes of them."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

torch = pytest.importorskip("torch")

from edge_train.settings import (  # noqa: E402
    OPTIMIZERS,
    ScheduleName as Name,
    get_args,
)
from edge_train.strategy.learning_rate import Schedule  # noqa: E402
from edge_train.strategy.plan import LayerGroup, make_optimizer  # noqa: E402

NAMES = get_args(Name)


def factors(name: Name, total: int = 100, warmup: int = 0) -> list[float]:
    schedule = Schedule(name, total, warmup)
    return [schedule.factor(step) for step in range(total)]


def test_shapes() -> None:
    assert factors("constant") == [1.0] * 100
    assert factors("step")[49:51] == pytest.approx([1.0, 0.1]) and factors("step")[75] == pytest.approx(0.01)
    cosine = factors("cosine")
    assert cosine[0] == 1.0 and cosine[50] == pytest.approx(0.5) and cosine[-1] < 0.001
    one = factors("one-cycle")
    assert one[0] == pytest.approx(1 / 25) and max(one) == pytest.approx(1.0) and one.index(max(one)) == 30
    assert one[-1] < 0.005


@given(st.sampled_from(NAMES), st.integers(1, 500), st.integers(0, 100))
def test_factors_stay_within_0_and_1_also_beyond_the_end(name: Name, total: int, warmup: int) -> None:
    schedule = Schedule(name, total, min(warmup, total))
    assert all(0 <= schedule.factor(step) <= 1 for step in range(0, total + 10))


@pytest.mark.parametrize("name", NAMES)
def test_warm_up_rises_to_where_the_schedule_begins(name: Name) -> None:
    warm = factors(name, 100, 10)
    assert all(low < high for low, high in itertools.pairwise(warm[:11]))
    assert warm[10] == factors(name)[0]


def test_plateau_waits_two_epochs_and_then_drops() -> None:
    schedule = Schedule("plateau", 100)
    for loss, expected in ((1.0, 1), (0.9, 1), (0.95, 1), (0.9, 1), (0.91, 0.1), (0.8, 0.1)):
        schedule.end_epoch(loss)
        assert schedule.factor(5) == pytest.approx(expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_group_keeps_its_own_rate_and_only_weights_decay(name: str) -> None:
    layer, norm = torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)
    groups = [LayerGroup("body", tuple(norm.parameters()), 1e-5), LayerGroup("head", tuple(layer.parameters()), 1e-3)]
    optimizer = make_optimizer(groups, name, lr_scale=2, weight_decay=0.1)
    Schedule("cosine", 100).apply(optimizer, 50)
    times = 10 if name == "sgd" else 1
    found = {(g["name"], g["weight_decay"]): g["lr"] for g in optimizer.param_groups}
    assert found == pytest.approx(
        {("body", 0.0): 1e-5 * times, ("head", 0.1): 1e-3 * times, ("head", 0.0): 1e-3 * times}
    )
