"""Real photos from training to the exported file; skipped where the shared material is absent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

pytestmark = pytest.mark.slow

# Fine-tuning at the backbone's own 224 px and five epochs takes three times as long and ends no higher; a view of each
# picture for each of five epochs takes the frozen backbone twice as long, and neither does that.
LESS: dict[str, tuple[str, ...]] = {
    "feature-extraction": ("--views", "2"),
    "fine-tune": ("--image-size", "160", "--epochs", "3"),
}


@pytest.mark.parametrize("strategy", LESS)
def test_ants_and_bees_reach_90_percent_and_the_file_scores_the_same(
    edge: Any, hymenoptera: Path, mobilenet_weights: Path, tmp_path: Path, strategy: str
) -> None:
    words = ("--data", hymenoptera, "--backbone", "mobilenet_v2", "--weights", mobilenet_weights)
    done = edge("train", *words, "--strategy", strategy, *LESS[strategy])
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    trained = json.loads((run / "summary.json").read_text())["metrics"]["val"]
    assert trained["n"] == 153
    assert trained["accuracy"] >= 0.90
    done = edge("export")
    assert done.returncode == 0, done.stderr
    done = edge("evaluate", "--json")
    assert done.returncode == 0, done.stderr
    exported = json.loads(done.stdout)
    assert exported["split"] == "val"
    assert exported["confusion"] == trained["confusion"]
    # Training cross-fits what this takes at the temperature fitted on the very images, and so flatters.
    assert exported["had_a_part_in_training"] and trained["calibration_folds"] == 5
    assert "calibration_folds" not in exported
    card = json.loads(edge("info", "--json").stdout)["card"]["metrics"]["val"]
    assert card["expected_calibration_error"] == trained["expected_calibration_error"]
    for figure in ("expected_calibration_error", "log_loss"):
        assert exported[figure] == pytest.approx(trained[figure], abs=0.03)
    done = edge("predict", "--image", hymenoptera / "val" / "bees", "--jsonl")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert answers.count("bees") >= 0.85 * len(answers)


def test_a_thousand_cifar10_images_train_export_and_predict(
    edge: Any, cifar10: Path, resnet_weights: Path, tmp_path: Path
) -> None:
    for source in sorted((cifar10 / "train").iterdir()):
        (tmp_path / "thousand" / source.name).mkdir(parents=True)
        for picture in sorted(source.iterdir())[:100]:
            shutil.copy(picture, tmp_path / "thousand" / source.name)
    # At the backbone's own 224 px it takes three times as long.
    words = ("--strategy", "feature-extraction", "--weights", resnet_weights, "--image-size", "128", "--views", "2")
    done = edge("train", "--data", "thousand", *words)
    assert done.returncode == 0, done.stderr
    assert "800 train, 100 val, 100 test" in done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    # Ten classes: chance is 10 %.
    assert json.loads((run / "summary.json").read_text())["metrics"]["test"]["accuracy"] >= 0.5
    assert edge("export").returncode == 0
    done = edge("predict", "--image", "thousand/ship", "--jsonl")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line)["label"] for line in done.stdout.splitlines()]
    assert len(answers) == 100 and answers.count("ship") >= 50
