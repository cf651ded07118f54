"""Batch norm's statistics of a network that was trained from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from edge_data import draw_shapes  # noqa: E402
from edge_runtime import Silence  # noqa: E402
from edge_train import train  # noqa: E402
from edge_train.run.batch_norm_statistics import reestimate_batch_norm  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from quick_training import SMALL, quick_settings  # noqa: E402


@pytest.mark.slow
def test_from_scratch_validates_with_fresh_batch_norm_statistics(tmp_path: Path) -> None:
    data = draw_shapes(tmp_path / "shapes", counts=(150, 60, 3))
    given = {"backbone": "mobilenet_v3_small", "image_size": 48, "epochs": 8, "augment": "light"}
    result = train(quick_settings(data, tmp_path / "runs", **given))
    # With torchvision's momentum of 0.01 it stays at a third, which is chance.
    assert result.summary["metrics"]["val"]["accuracy"] >= 0.45


def test_batch_norm_is_measured_on_batches_of_even_sizes(few_shapes: Path, tmp_path: Path) -> None:
    """Each of them weighs the same: two images left over of 66 would make half of all statistics."""
    job = prepare(quick_settings(few_shapes, tmp_path, backbone=SMALL, strategy="scratch"), Silence())
    many = (job.splits.train * 66)[:66]
    job.splits = replace(job.splits, train=many)
    seen: list[int] = []
    job.network.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    reestimate_batch_norm(job, job.network, 1)
    assert seen == [33, 33]


def test_where_memory_is_scarce_they_are_of_smaller_batches(few_shapes: Path, tmp_path: Path) -> None:
    job = prepare(quick_settings(few_shapes, tmp_path, backbone=SMALL), Silence())
    norms = [module for module in job.network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    norms[0].momentum = 0.3
    seen: list[int] = []

    def cramped(_: object, given: tuple[torch.Tensor]) -> None:
        seen.append(len(given[0]))
        if seen[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    job.network.eval().register_forward_pre_hook(cramped)
    most = 7
    reestimate_batch_norm(job, job.network, 1)
    assert seen == [24, 12, 6, 6, 6, 6]
    assert [norm.momentum for norm in norms] == [0.3, 0.1, 0.1, 0.1] and not job.network.training
    assert all(int(norm.num_batches_tracked) == 4 for norm in norms)
    most = 1
    with pytest.raises(torch.OutOfMemoryError):
        reestimate_batch_norm(job, job.network, 1)
