"""What `--strategy auto` comes to, and the reason it gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import UsageError  # noqa: E402
from edge_train import TrainSettings, find_backbone, train  # noqa: E402
from edge_train.strategy.choice import choose_strategy  # noqa: E402
from quick_training import Ear, quick_settings  # noqa: E402


def choice(
    *, images: int = 2000, device: str = "cpu", pretrained: bool = True, size_px: int = 64, **settings: Any
) -> tuple[str, str]:
    given = TrainSettings(**{"backbone": "resnet18", **settings})
    return choose_strategy(
        given,
        find_backbone(given.backbone),
        images=images,
        size_px=size_px,
        device=torch.device(device),
        pretrained=pretrained,
    )


@pytest.mark.parametrize(
    ("given", "strategy", "why"),
    [
        ({"pretrained": False}, "scratch", "no pretrained weights"),
        ({"pretrained": False, "images": 300}, "scratch", "no pretrained weights; so few images may not suffice"),
        ({"images": 999}, "feature-extraction", "999 images are few: fewer than 1,000 overfit a whole backbone"),
        ({"images": 1000}, "fine-tune", "1,000 images and pretrained weights are at hand"),
        ({"images": 10, "freeze_until": "layer3"}, "fine-tune", "`freeze_until` is for fine-tuning"),
        ({"images": 10, "batch_norm": "train"}, "fine-tune", "`batch_norm` is for fine-tuning"),
        ({"images": 10, "head_epochs": 1}, "fine-tune", "`head_epochs` is for fine-tuning"),
        ({"images": 100, "start_size": 64}, "fine-tune", "`start_size` is for fine-tuning"),
        ({"images": 5000, "views": 3}, "feature-extraction", "`views` is for feature extraction"),
    ],
)
def test_each_branch_with_its_reason(given: dict[str, Any], strategy: str, why: str) -> None:
    assert choice(**given) == (strategy, why)


def test_without_a_gpu_fine_tuning_of_hours_gives_way_to_a_new_head() -> None:
    many = {"images": 50_000, "size_px": 224}
    strategy, why = choice(**many)
    # 1.814 × 3 × 50,000 × 5 / 50 / 3,600
    assert (strategy, why) == ("feature-extraction", "fine-tuning would take about 8 hours without a GPU")
    assert choice(**many, device="cuda")[0] == "fine-tune"
    assert choice(**many, backbone="shufflenet_v2_x0_5")[0] == "fine-tune"
    assert choice(images=50_000, size_px=64)[0] == "fine-tune"
    assert choice(images=50_000, size_px=128, epochs=1)[0] == "fine-tune"


def test_a_run_says_what_was_chosen_and_why(few_shapes: Path, shufflenet_weights: Path, tmp_path: Path) -> None:
    ear = Ear()
    given = {"strategy": "auto", "epochs": 1}
    result = train(quick_settings(few_shapes, tmp_path, weights=str(shufflenet_weights), **given), ear)
    said = next(line for line in ear.lines if line.startswith("strategy"))
    assert said.startswith("strategy feature-extraction (auto: 24 images are few")
    assert result.summary["strategy"] == result.card.strategy == "feature-extraction"


@pytest.mark.parametrize(
    ("others", "said"),
    # Frozen random layers would be kept random for good; from scratch each epoch sees another view.
    [
        ({"freeze_until": "stage4"}, r"`freeze_until`.*fine-tuning"),
        ({"views": 3}, "`views` is for feature extraction, but the strategy is scratch"),
    ],
)
def test_what_is_for_another_strategy_than_auto_came_to_is_refused(
    few_shapes: Path, tmp_path: Path, others: dict[str, Any], said: str
) -> None:
    given = quick_settings(few_shapes, tmp_path / "runs", strategy="auto", weights="none", **others)
    with pytest.raises(UsageError, match=said):
        train(given)
    assert not list((tmp_path / "runs").glob("*"))
