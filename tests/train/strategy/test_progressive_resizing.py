"""Pictures grow from epoch to epoch; what is measured is measured at the input's own size."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from edge_runtime import ModelCard, UsageError
from edge_train import TrainSettings, find_backbone, train
from edge_train.run import epochs
from edge_train.strategy.progressive_resizing import epoch_size_px, first_whole_epoch, require_sizes


@pytest.mark.parametrize(
    ("start", "whole", "count", "sizes"),
    [
        (64, 96, 5, [64, 72, 80, 88, 96]),
        (16, 32, 5, [16, 20, 24, 28, 32]),
        (128, 224, 2, [128, 224]),
        (None, 224, 3, [224, 224, 224]),
        (222, 224, 3, [222, 222, 224]),
        (10, 30, 10, [10, 12, 12, 16, 20, 20, 24, 24, 30, 30]),
    ],
)
def test_sides_grow_evenly_to_the_whole_in_the_last_fifth(
    start: int | None, whole: int, count: int, sizes: list[int]
) -> None:
    assert [epoch_size_px(start, whole, epoch, count) for epoch in range(1, count + 1)] == sizes


@pytest.mark.parametrize("count", [2, 3, 7, 50])
def test_they_never_shrink(count: int) -> None:
    sizes = [epoch_size_px(33, 97, epoch, count) for epoch in range(1, count + 1)]
    assert all(before <= after for before, after in itertools.pairwise(sizes))
    assert sizes[0] == 33 and set(sizes[first_whole_epoch(count) - 1 :]) == {97}


@pytest.mark.parametrize(("start", "words"), [(64, "not below the input's 64 px"), (8, "too few for resnet18")])
def test_there_must_be_room_to_grow(start: int, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        require_sizes(start, 64, 5, find_backbone("resnet18"))


SIZED = """
from torch import nn

def net(classes, image_size=224):
    return nn.Sequential(nn.Conv2d(3, 4, 3, 4, 1), nn.Flatten(), nn.Linear(4 * (image_size // 4) ** 2, classes))
"""


def test_a_network_made_for_one_size_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sized.py").write_text(SIZED)
    own = find_backbone(f"{tmp_path / 'sized.py'}:net")
    with pytest.raises(UsageError, match=r"`start_size` 16: .*cannot take 16×16 pixels") as caught:
        require_sizes(16, 32, 3, own)
    assert "drop `start_size`" in caught.value.hint
    pytest.importorskip("timm")
    with pytest.raises(UsageError, match=r"`start_size` 32: timm:vit_tiny_patch16_224 cannot take 32×32"):
        require_sizes(32, 64, 3, find_backbone("timm:vit_tiny_patch16_224"))


def test_a_run_trains_small_and_validates_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An early end counts from the first epoch of whole pictures, too."""
    seen: list[tuple[int, ...]] = []
    original = epochs.train_epoch

    def noted(model, learning, batches, **more):
        def watched():
            for batch in batches:
                seen.append(tuple(batch[0].shape[1:3]))
                yield batch

        return original(model, learning, watched(), **more)

    monkeypatch.setattr(epochs, "train_epoch", noted)
    settings = TrainSettings(
        backbone="mobilenet_v3_small", strategy="scratch", image_size=48, start_size=32, epochs=4, limit=40,
        patience=1, lr_scale=1e-6, out=tmp_path, threads=1,
    )  # fmt: skip
    result = train(settings)
    # Nothing is learned, so that no epoch is better than the first.
    assert list(dict.fromkeys(seen)) == [(32, 32), (36, 36), (40, 40), (48, 48)]
    config = json.loads(result.run.config.read_text(encoding="utf-8"))
    assert ModelCard.from_json(config["card"], where="config.json").preprocessing.height_px == 48
