"""Mixup and CutMix: what is pasted is what the labels say, and images stay what the network takes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from edge_train.strategy.mixup import Mixing  # noqa: E402

WAYS = [{"mixup": 1.0, "cutmix": 0.0}, {"mixup": 0.0, "cutmix": 1.0}, {"mixup": 0.4, "cutmix": 1.0}]


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    """Plain images of one grey level each, so that a pixel tells where it is from; six classes."""
    levels = torch.arange(n, dtype=torch.uint8) * 40
    return levels[:, None, None, None].expand(n, 16, 20, 3).clone(), torch.arange(n) % 6


def mix(seed: int, mixup: float, cutmix: float) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed)
    return Mixing(mixup=mixup, cutmix=cutmix, classes=6)(*batch())


@pytest.mark.parametrize("way", WAYS)
def test_shapes_and_kinds_stay_and_targets_are_probabilities(way: dict[str, float]) -> None:
    images, labels = batch()
    before = images.clone()
    torch.manual_seed(0)
    mixed, targets = Mixing(**way, classes=6)(images, labels)
    assert (mixed.shape, mixed.dtype) == ((6, 16, 20, 3), torch.uint8)
    assert (targets.shape, targets.dtype) == ((6, 6), torch.float32)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(6))
    assert bool((targets >= 0).all()) and torch.equal(images, before)


@pytest.mark.parametrize("seed", range(10))
def test_labels_are_blended_by_the_share_that_was_pasted(seed: int) -> None:
    mixed, targets = mix(seed, 0.0, 1.0)
    for index, image in enumerate(mixed):
        grey, counts = image[..., 0].unique(return_counts=True)
        shares = torch.zeros(6)
        shares[(grey // 40).long()] = counts / counts.sum()
        torch.testing.assert_close(targets[index], shares, atol=1e-5, rtol=0)


@pytest.mark.parametrize("seed", range(10))
def test_mixup_blends_pixels_as_it_blends_labels(seed: int) -> None:
    mixed, targets = mix(seed, 1.0, 0.0)
    expected = (targets * torch.arange(6) * 40).sum(dim=1)
    for image, level in zip(mixed, expected, strict=True):
        assert image.unique().numel() == 1 and abs(float(image[0, 0, 0]) - float(level)) <= 0.51


def test_several_labels_are_blended_by_the_same_share() -> None:
    images, _ = batch()
    labels = torch.tensor([[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]], dtype=torch.float32)
    torch.manual_seed(0)
    mixed, targets = Mixing(mixup=1.0, cutmix=0.0, classes=3)(images, labels)
    # Each is blended with the one before it: what lies between two greys tells the share.
    other = labels.roll(1, 0)
    greys, before = images[:, 0, 0, 0].float(), images[:, 0, 0, 0].float().roll(1, 0)
    share = ((mixed[:, 0, 0, 0].float() - before) / (greys - before)).unsqueeze(1)
    torch.testing.assert_close(targets, share * labels + (1 - share) * other, atol=0.02, rtol=0)


@pytest.mark.parametrize("way", WAYS)
def test_the_seed_decides(way: dict[str, float]) -> None:
    one, same, other = mix(1, **way), mix(1, **way), mix(2, **way)
    assert torch.equal(one[0], same[0]) and torch.equal(one[1], same[1])
    assert not torch.equal(one[1], other[1])


def test_where_both_are_wanted_each_batch_gets_one_or_the_other() -> None:
    blended = [mix(seed, 1.0, 1.0)[0] for seed in range(20)]
    # A grey level that no image has comes from blending all of two.
    by_mixup = [bool((images % 40 != 0).any()) for images in blended]
    assert 4 <= sum(by_mixup) <= 16
