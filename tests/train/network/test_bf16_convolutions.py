"""Rearranged convolutions answer as torch's own do, forwards and backwards, and stay out of what is not theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

import edge_train.network.bf16_convolutions as rearranged  # noqa: E402
from edge_train import build, find_backbone  # noqa: E402

KINDS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "3x3": ("_side_by_side", {"padding": 1}, (8, 64, 4, 4)),
    "3x3 over one pixel": ("_side_by_side", {"padding": 1}, (6, 32, 1, 1)),
    "3x3, as many images as divide by nothing": ("_side_by_side", {"padding": 1}, (7, 32, 5, 3)),
    "3x3 of one image": ("_side_by_side", {"padding": 1}, (1, 32, 4, 4)),
    "3x3 with a stride": ("_side_by_side", {"padding": 1, "stride": 2}, (8, 32, 8, 8)),
    "3x3 with a stride over an odd width": ("_side_by_side", {"padding": 1, "stride": 2}, (8, 32, 7, 7)),
    "3x3 with a bias": ("_side_by_side", {"padding": 1, "bias": True}, (4, 32, 6, 8)),
    "5x5": ("_side_by_side", {"padding": 2, "kernel_size": 5}, (9, 32, 6, 6)),
    "3x7, another padding above": ("_side_by_side", {"padding": (0, 3), "kernel_size": (3, 7)}, (4, 32, 6, 6)),
    "1x1": ("_as_product", {"kernel_size": 1}, (4, 32, 4, 4)),
    "1x1 with a stride and a bias": ("_as_product", {"kernel_size": 1, "stride": 2, "bias": True}, (4, 32, 9, 9)),
    "depthwise with a stride": ("_in_float32", {"padding": 1, "stride": 2, "groups": 32}, (4, 32, 8, 8)),
    "depthwise 5x5 with a bias": (
        "_in_float32",
        {"padding": 2, "kernel_size": 5, "groups": 32, "bias": True},
        (4, 32, 20, 20),
    ),
}

# What stays torch's own, by what is given.
OTHERS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "a wide map": ({"padding": 1}, (2, 32, 4, 9)),
    "no padding": ({}, (2, 32, 6, 6)),
    "padding by a word": ({"padding": "same"}, (2, 32, 6, 6)),
    "an even kernel": ({"kernel_size": 2, "padding": 1}, (2, 32, 6, 6)),
    "dilation": ({"padding": 2, "dilation": 2}, (2, 32, 6, 6)),
    "groups": ({"padding": 1, "groups": 4}, (2, 32, 6, 6)),
    "depthwise 3x3": ({"padding": 1, "groups": 32}, (2, 32, 6, 6)),
    "a picture without a batch": ({"padding": 1}, (32, 6, 6)),
}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Which ways were taken, on a machine that has AMX by its own word."""
    monkeypatch.setattr(rearranged, "_instruction_sets", lambda: {"amx_bf16", "avx512f"})
    names: list[str] = []
    for name in ("_side_by_side", "_as_product", "_in_float32"):
        monkeypatch.setattr(rearranged, name, _noted(names, name, getattr(rearranged, name)))
    yield names


def _noted(names: list[str], name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def noting(*args: Any) -> Any:
        names.append(name)
        return real(*args)

    return noting


def step(module: nn.Module, images: Any, context: Any) -> tuple[Any, ...]:
    """The answers, and the gradients of the images and of all weights."""
    inputs = images.clone().requires_grad_()
    module.zero_grad()
    with context:
        found = module(inputs)
    weights = torch.linspace(-1, 1, found.numel()).reshape(found.shape)
    (found.float() * weights).sum().backward()
    return found.detach(), inputs.grad, *(parameter.grad.clone() for parameter in module.parameters())


def close(one: tuple[Any, ...], two: tuple[Any, ...]) -> bool:
    """To what bfloat16 rounds to, of the largest."""
    return all(
        a.shape == b.shape and (a.float() - b.float()).abs().max() <= 0.02 * b.float().abs().max()
        for a, b in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_answers_and_gradients_are_torchs_own(taken: list[str], kind: str) -> None:
    way, given, shape = KINDS[kind]
    torch.manual_seed(5)
    module = nn.Conv2d(shape[1], 32, **{"kernel_size": 3, "bias": False, **given})
    images = torch.randn(shape).contiguous(memory_format=torch.channels_last)
    exact = step(module, images, torch.autocast("cpu", enabled=False))
    found = step(module, images, rearranged.training_in_bf16())
    assert taken == [way] and found[0].dtype == torch.bfloat16
    assert close(found, exact)


@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_slow_stays_as_it_is(taken: list[str], kind: str) -> None:
    given, shape = OTHERS[kind]
    torch.manual_seed(5)
    module = nn.Conv2d(32, 32, **{"kernel_size": 3, "bias": False, **given})
    images = torch.randn(shape)
    own = step(module, images, torch.autocast("cpu", dtype=torch.bfloat16))
    found = step(module, images, rearranged.training_in_bf16())
    assert not taken and all(torch.equal(a, b) for a, b in zip(found, own, strict=True))


def test_neighbours_in_a_row_do_not_see_each_other(taken: list[str]) -> None:
    torch.manual_seed(5)
    module = nn.Conv2d(32, 32, 3, padding=1)
    images = torch.randn(8, 32, 4, 4)
    loud = images.clone()
    loud[1::2] = 1e4
    with rearranged.training_in_bf16():
        alone, beside = module(images), module(loud)
    assert torch.equal(alone[::2], beside[::2]) and not torch.equal(alone[1::2], beside[1::2])
    assert len(taken) == 2


def test_without_gradients_nothing_is_rearranged(taken: list[str]) -> None:
    module = nn.Conv2d(32, 32, 3, padding=1)
    with torch.no_grad(), rearranged.training_in_bf16():
        module(torch.randn(8, 32, 4, 4))
    module(torch.randn(8, 32, 4, 4))
    assert not taken


def test_what_is_frozen_below_all_that_learns_is_not_rearranged(taken: list[str]) -> None:
    """Its kernels of the forward pass are fast; those of the gradients are the slow ones."""
    frozen, learning = (nn.Conv2d(32, 32, 3, padding=1, stride=2, groups=32) for _ in range(2))
    frozen.requires_grad_(False)
    with rearranged.training_in_bf16():
        seen = frozen(torch.randn(2, 32, 16, 16))
        assert not taken
        learning(seen).float().sum().backward()
    assert taken == ["_in_float32"] and learning.weight.grad is not None


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (("amx_bf16", "avx512f"), {"_side_by_side", "_as_product", "_in_float32"}),
        (("avx512_bf16", "avx512f"), {"_as_product", "_in_float32"}),
        (("asimd", "bf16"), set()),
        ((), set()),
    ],
)
def test_each_processor_has_what_is_fast_there(
    taken: list[str], monkeypatch: pytest.MonkeyPatch, sets: tuple[str, ...], expected: set[str]
) -> None:
    monkeypatch.setattr(rearranged, "_instruction_sets", lambda: set(sets))
    network = build(find_backbone("mobilenet_v2"), classes=2)
    with rearranged.training_in_bf16():
        network(torch.randn(2, 3, 64, 64))
        nn.Conv2d(32, 32, 3, padding=1)(torch.randn(2, 32, 4, 4))
    assert set(taken) == expected


@pytest.mark.parametrize(
    ("given", "shape", "expected"),
    [
        ({"padding": 1}, (4, 64, 1, 1), ["_side_by_side"]),
        ({"padding": 1}, (4, 256, 4, 4), ["_side_by_side"]),
        ({"padding": 1}, (4, 192, 4, 4), []),
        ({"padding": 1, "stride": 2}, (4, 128, 4, 4), ["_side_by_side"]),
        ({"kernel_size": 1}, (4, 32, 8, 8), ["_as_product"]),
        ({"kernel_size": 1, "stride": 2}, (4, 512, 7, 7), ["_as_product"]),
        ({"kernel_size": 1, "stride": 2}, (4, 512, 9, 9), []),
    ],
)
def test_without_amx_rows_are_filled_where_there_are_many_weights_a_pixel(
    taken: list[str],
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    shape: tuple[int, ...],
    expected: list[str],
) -> None:
    monkeypatch.setattr(rearranged, "_instruction_sets", lambda: {"avx512_bf16", "avx512f"})
    with rearranged.training_in_bf16():
        nn.Conv2d(shape[1], 32, **{"kernel_size": 3, **given})(torch.randn(shape))
    assert taken == expected


def test_a_network_learns_as_in_float32(taken: list[str]) -> None:
    torch.manual_seed(5)
    network = build(find_backbone("resnet18"), classes=4).eval()
    images = torch.randn(4, 3, 64, 64).contiguous(memory_format=torch.channels_last)
    exact = step(network, images, torch.autocast("cpu", enabled=False))
    plain = step(network, images, torch.autocast("cpu", dtype=torch.bfloat16))
    found = step(network, images, rearranged.training_in_bf16())
    assert {"_side_by_side", "_as_product"} <= set(taken)

    def apart(one: tuple[Any, ...]) -> float:
        return max(float((a.float() - b).norm() / b.norm()) for a, b in zip(one[2:], exact[2:], strict=True))

    # As far from float32 as bfloat16 is anyway.
    assert apart(found) < 1.5 * apart(plain)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_is_computed_again_for_the_gradients_stays_as_it_is(taken: list[str], reentrant: bool) -> None:
    torch.manual_seed(5)
    module, images = nn.Conv2d(32, 32, 3, padding=1), torch.randn(8, 32, 4, 4, requires_grad=True)
    with rearranged.training_in_bf16():
        found = checkpoint(module, images, use_reentrant=reentrant)
    found.float().sum().backward()
    assert not taken and module.weight.grad is not None
