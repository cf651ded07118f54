"""Batches depend on seed and epoch alone; evaluation sees what the device will see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from edge_data.augment.presets import AUGMENTATIONS
from edge_data.sets.image_store import ImageStore
from edge_runtime import ImageError, Preprocessing, Sample
from edge_train.run.batches import evaluation_batches, training_batches

CONTRACT = Preprocessing(resize_px=36, height_px=32, width_px=32, interpolation="bilinear")


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    draw = np.random.default_rng(0)
    for index in range(13):
        width, height = draw.integers(20, 90, 2)
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    return [Sample(f"{index}.png", index % 3) for index in range(13)]


def epoch(
    root: Path, samples: list[Sample], *, threads: int, cache: int, number: int = 1, seed: int = 0, size: int = 4
):
    store = ImageStore(root, CONTRACT, cache_bytes=cache, threads=threads)
    batches = training_batches(store, samples, AUGMENTATIONS["standard"], batch_size=size, seed=seed, epoch=number)
    return [(images.numpy(), labels.numpy()) for images, labels in batches]


def test_an_epoch_is_the_same_with_any_threads_and_any_cache(tmp_path: Path, samples: list[Sample]) -> None:
    one = epoch(tmp_path, samples, threads=1, cache=0)
    for other in (epoch(tmp_path, samples, threads=4, cache=1 << 30), epoch(tmp_path, samples, threads=2, cache=9000)):
        assert len(one) == len(other)
        for (images, labels), (images2, labels2) in zip(one, other, strict=True):
            assert np.array_equal(images, images2) and np.array_equal(labels, labels2)


def test_epochs_and_seeds_differ(tmp_path: Path, samples: list[Sample]) -> None:
    first = epoch(tmp_path, samples, threads=2, cache=0)
    for other in (
        epoch(tmp_path, samples, threads=2, cache=0, number=2),
        epoch(tmp_path, samples, threads=2, cache=0, seed=1),
    ):
        assert not np.array_equal(first[0][0], other[0][0])


def test_every_image_is_seen_once_and_no_batch_has_one_image(tmp_path: Path, samples: list[Sample]) -> None:
    found = epoch(tmp_path, samples, threads=2, cache=0)
    assert [len(labels) for _, labels in found] == [4, 4, 5]
    assert sorted(np.concatenate([labels for _, labels in found])) == sorted(s.label for s in samples)


def test_evaluation_batches_are_what_the_runtime_makes(tmp_path: Path, samples: list[Sample]) -> None:
    for cache in (0, 1 << 30):
        store = ImageStore(tmp_path, CONTRACT, cache_bytes=cache, threads=2)
        for _ in range(2):
            images = np.concatenate([images.numpy() for images, _ in evaluation_batches(store, samples, batch_size=5)])
            assert np.array_equal(images, np.stack([CONTRACT(tmp_path / sample.path) for sample in samples]))


def test_reading_keeps_no_more_than_its_bound_and_names_the_unreadable(tmp_path: Path, samples: list[Sample]) -> None:
    (tmp_path / "3.png").write_bytes(b"no picture")
    store = ImageStore(tmp_path, CONTRACT, cache_bytes=3 * 32 * 32 * 3, threads=2)
    bad = store.read_all([], samples)
    assert list(bad) == ["3.png"] and isinstance(bad["3.png"], ImageError)
    for sample in samples:
        if sample.path != "3.png":
            (tmp_path / sample.path).unlink()
    kept = 0
    for sample in samples:
        try:
            store.pixels(sample)
            kept += 1
        except ImageError:
            pass
    assert kept == 3


def test_a_long_strip_is_cut_before_it_is_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 3), "red").save(tmp_path / "strip.png")
    store = ImageStore(tmp_path, CONTRACT, cache_bytes=0, threads=1)
    assert store.picture(Sample("strip.png", 0)).size == (4 * 36, 36)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("size", [(32, 32), (7, 50), (300, 200)])
def test_augmentations_give_the_input_size_and_keep_colours_plausible(name: str, size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 60, 60))
    for index in range(20):
        pixels = AUGMENTATIONS[name](image, CONTRACT, np.random.default_rng([0, index]))
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
        middle = pixels[16, 16].astype(int) if name != "none" or min(size) > 30 else np.array([200, 60, 60])
        if name == "camera-trap" and np.ptp(middle) == 0:
            continue  # By night.
        assert middle[0] > middle[1] + 50, "a red picture stays red in its middle"
