"""The plain loop and edge train side by side, on a few drawn shapes; the figures' sizes are not asserted here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

pytest.importorskip("torch")
pytest.importorskip("torchvision")

import torch

from edge_benchmarks.training.measured_process import watch
from edge_benchmarks.training.speed_comparison import SpeedComparison, TrainingRun
from edge_benchmarks.training.subset import draw_subset
from edge_data import draw_shapes
from edge_runtime import DataError, EdgeError, UsageError, scan
from edge_train import build, find_backbone


def training_speed(*words: str | Path, module: str = "speed") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"edge_benchmarks.training.{module}", *map(str, words)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn shapes, and a state dict in place of pretrained weights."""
    folder = tmp_path_factory.mktemp("speed")
    draw_shapes(folder / "shapes", counts=(60, 15, 15), size_px=32)
    torch.save(build(find_backbone("shufflenet_v2_x0_5"), classes=1000).state_dict(), folder / "weights.pth")
    return folder


@pytest.mark.slow
def test_both_are_trained_on_the_same_images_and_compared(material: Path) -> None:
    done = training_speed(
        *("--data", material / "shapes", "--weights", material / "weights.pth", "--backbone", "shufflenet_v2_x0_5"),
        *("--image-size", "32", "--images", "60", "--epochs", "2", "--runs", "1", "--threads", "1", "--json"),
        *("--strategy", "scratch", "--edge", "--start-size 16", "--check"),
    )
    report = json.loads(done.stdout)
    assert report["settings"]["edge"] == "--start-size 16"
    assert report["data"] == {"source": str(material / "shapes"), "train": 48, "val": 12, "classes": 3}
    (compared,) = report["strategies"]
    (plain,), (edge,) = compared["plain"], compared["edge"]
    assert compared["strategy"] == "scratch"
    for run in (plain, edge):
        assert run["n"] == 12
        low, high = run["accuracy_interval_95"]
        assert 0 <= low <= run["accuracy"] <= high <= 1
        # An interpreter with torch in it takes more than this, and less than that.
        assert 100e6 < run["peak_bytes"] < 4e9
        assert 0 < run["cpu_seconds"] < 4 * run["seconds"] + 1
    assert len(plain["epoch_seconds"]) == 2
    assert plain["seconds"] > sum(plain["epoch_seconds"])
    assert compared["times_faster"]["values"] == [pytest.approx(plain["seconds"] / edge["seconds"])]
    # What is not met is said, and nothing else is.
    assert done.returncode == bool(report["unmet"])
    assert all(phrase in done.stderr.splitlines()[-1] for phrase in report["unmet"])
    assert report["environment"]["torch"] and report["environment"]["cpu"]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["feature-extraction", "fine-tune", "scratch"])
def test_the_plain_loop_learns_what_can_be_learnt(tmp_path: Path, strategy: str) -> None:
    """Colours, which even random features tell apart: a loop that does not train stays at chance."""
    from PIL import Image

    for split, count in (("train", 24), ("val", 8)):
        for label, red in (("black", 10), ("white", 245)):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (32, 32), (red, red - index % 5, red)).save(folder / f"{index}.png")
    loop = {
        "data": str(tmp_path),
        "backbone": "resnet18",
        "weights": "none",
        "strategy": strategy,
        "epochs": 6,
        "batch_size": 8,
        "image_size": 32,
        "seed": 0,
        "threads": 1,
    }
    done = training_speed(json.dumps(loop), module="plain_loop")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["n"] == 16
    assert result["accuracy"] > 0.9, done.stderr


def test_a_wrong_setting_is_one_line(material: Path) -> None:
    done = training_speed("--data", material / "shapes", "--images", "4")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("error: --images 4: 3 classes need 6")
    done = training_speed("--data", material / "shapes", "--weights", material / "gone.pth", "--images", "12")
    assert done.returncode == 1
    assert "gone.pth does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_listing_many_files_is_timed_against_a_bare_walk() -> None:
    done = training_speed("listing", "--files", "300", "--runs", "2", "--json", "--check")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["files"] == 300
    assert len(report["runs"]["edge"]) == len(report["runs"]["walk"]) == 2
    assert all(run["files"] == 300 for runs in report["runs"].values() for run in runs)
    assert report["scan_s"] > 0
    assert report["split_s"] > 0


@given(sizes=st.lists(st.integers(2, 40), min_size=2, max_size=4), images=st.integers(8, 80), seed=st.integers(0, 9))
@settings(max_examples=15)
def test_a_subset_keeps_the_classes_in_proportion(sizes: list[int], images: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "source"), Path(place, "subset")
        for label, size in enumerate(sizes):
            (source / f"class-{label}").mkdir(parents=True)
            for index in range(size):
                (source / f"class-{label}" / f"{index}.jpg").write_text(f"{label} {index}")
        subset = draw_subset(source, target, images=images, seed=seed)
        found = scan(target)
        assert (len(found.splits["train"]), len(found.splits["val"])) == (subset.train, subset.val)
        contents = [(target / s.path).read_text() for split in found.splits.values() for s in split]
        assert len(set(contents)) == len(contents), "an image was drawn twice"
        for label, size in enumerate(sizes):
            wanted = min(size, max(2, images * size / sum(sizes)))
            drawn = [text for text in contents if text.startswith(f"{label} ")]
            assert abs(len(drawn) - wanted) <= 0.5
        assert subset.val >= len(sizes)
        assert abs(subset.val - 0.2 * len(contents)) <= len(sizes)


def test_a_subset_leaves_out_what_one_of_the_two_would_overlook(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for name in ("1.jpg", "2.gif", "3.PNG"):
            (tmp_path / "data" / label / name).write_text(name)
    subset = draw_subset(tmp_path / "data", tmp_path / "subset", images=6, seed=0)
    assert subset.train + subset.val == 4
    with pytest.raises(UsageError, match="--images 3"):
        draw_subset(tmp_path / "data", tmp_path / "other", images=3, seed=0)
    (tmp_path / "data" / "a" / "1.jpg").unlink()
    with pytest.raises(DataError, match="1 training images of 'a'"):
        draw_subset(tmp_path / "data", tmp_path / "third", images=6, seed=0)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say what a process holds")
def test_the_peak_counts_children_and_what_was_given_back() -> None:
    hold = "import time; held = bytearray(150_000_000); held[::4096] = b'x' * len(held[::4096]); time.sleep(0.8); "
    alone = watch([sys.executable, "-c", hold + "del held; time.sleep(0.3)"])
    assert alone.peak_bytes is not None
    assert 150e6 < alone.peak_bytes < 250e6
    both = watch(
        [sys.executable, "-c", f"import subprocess, sys; {hold} subprocess.run([sys.executable, '-c', {hold!r}])"]
    )
    assert both.peak_bytes is not None
    assert 300e6 < both.peak_bytes < 450e6
    assert both.seconds > 1.6
    assert 0 < both.cpu_seconds < both.seconds + 1


def test_a_failed_process_says_its_last_words() -> None:
    with pytest.raises(EdgeError, match=r"ended with 3: out of luck"):
        watch([sys.executable, "-c", "import sys; sys.stderr.write('out of luck'); sys.exit(3)"])


def compared(
    edge_seconds: float, edge_accuracy: float, *, peak: int = 100, bound: int | None = None
) -> SpeedComparison:
    plain = TrainingRun(100.0, 150.0, 100, 0.80, 1000)
    return SpeedComparison("fine-tune", (plain,), (TrainingRun(edge_seconds, 50.0, peak, edge_accuracy, 1000),), bound)


def test_what_is_not_met_is_said() -> None:
    assert compared(50, 0.80).unmet() == []
    assert compared(50, 0.78).unmet() == [], "within noise"
    assert compared(50, 0.95).unmet() == [], "more accurate is no fault"
    assert compared(80, 0.80).unmet() == ["fine-tune is 1.25 times faster, not 1.5"]
    assert compared(50, 0.70).unmet() == ["fine-tune is less accurate beyond noise"]
    assert not compared(50, 0.95).accuracies_agree
    assert "takes 0 MiB more" in compared(50, 0.80, peak=151, bound=50).unmet()[0]
    assert compared(50, 0.80, peak=150, bound=50).memory_kept is True
    assert compared(50, 0.80, peak=150).memory_kept is None
