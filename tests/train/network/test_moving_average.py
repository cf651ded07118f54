"""The moving average of the weights: its formula, and that it is what a run keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_train import load_checkpoint, train  # noqa: E402
from edge_train.network.moving_average import MovingAverage  # noqa: E402
from quick_training import changed, equal, network, quick_settings, weights  # noqa: E402


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_older_part_weighs_more_from_step_to_step_up_to_the_decay(decay: float) -> None:
    made = network("shufflenet_v2_x0_5")
    bias, statistics = made.backbone.fc.bias, made.backbone.conv1[1].running_mean
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0, 5.0, 3.0, 5.0, 8.0]
    with torch.no_grad():
        bias.fill_(values[0])
        statistics.fill_(values[0])
        average = MovingAverage(made, decay)
        expected = values[0]
        for step, value in enumerate(values[1:], start=1):
            bias.fill_(value)
            statistics.fill_(value)
            average.update(made)
            older = min(decay, (1 + step) / (10 + step))
            expected = older * expected + (1 - older) * value
    averaged = average.network
    for found in (averaged.backbone.fc.bias, averaged.backbone.conv1[1].running_mean):
        torch.testing.assert_close(found, torch.full_like(found, expected), rtol=1e-5, atol=0)
    assert bool((bias == values[-1]).all()), "the network that learns is left alone"


def test_what_does_not_move_is_bit_identical_and_counters_are_counted() -> None:
    made = network("shufflenet_v2_x0_5")
    average = MovingAverage(made, 0.7)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    for _ in range(20):
        with torch.no_grad():
            made.backbone.fc.bias.add_(0.1)
            made.backbone.conv1[1].num_batches_tracked.add_(1)
        average.update(made)
    found = changed(before, dict(average.network.state_dict()))
    assert found == {"backbone.fc.bias", "backbone.conv1.1.num_batches_tracked"}
    assert int(average.network.backbone.conv1[1].num_batches_tracked) == 20


def test_a_saved_average_goes_on_where_it_was() -> None:
    made = network("shufflenet_v2_x0_5")
    one, two = MovingAverage(made, 0.9), MovingAverage(made, 0.9)
    for step in range(6):
        with torch.no_grad():
            made.backbone.fc.bias.add_(float(step))
        one.update(made)
        if step == 2:
            two.load_state_dict({key: value.clone() for key, value in one.state_dict().items()})
        elif step > 2:
            two.update(made)
    assert equal(dict(one.state_dict()), dict(two.state_dict()))


@pytest.mark.parametrize("strategy", ["scratch", "feature-extraction"])
def test_best_is_the_average_and_last_is_what_learns_on(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path, strategy: str
) -> None:
    pretrained = str(shufflenet_weights) if strategy == "feature-extraction" else "none"
    given = quick_settings(few_shapes, tmp_path, strategy=strategy, weights=pretrained, epochs=1, ema=0.99)
    run = train(given).run
    best, last = weights(run, "best"), load_checkpoint(run.last)
    average = {
        key.removeprefix("module."): value for key, value in last.training["average"].items() if key != "n_averaged"
    }
    assert equal(best, average)
    assert "backbone.fc.weight" in changed(best, dict(last.network))
