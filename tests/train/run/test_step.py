"""A step in pieces where memory does not suffice: the same gradients, said aloud, remembered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edge_runtime import (  # noqa: E402
    EdgeError,
    Run,
    Silence,
)
from edge_train import Network, resume, train  # noqa: E402
from edge_train.run.step import EpochResult, Learning, train_epoch  # noqa: E402
from edge_train.strategy.distillation import Teacher  # noqa: E402
from edge_train.strategy.learning_rate import Schedule  # noqa: E402
from edge_train.strategy.loss import Distillation, Objective  # noqa: E402
from edge_train.strategy.mixup import Mixing  # noqa: E402
from quick_training import SMALL, Ear, equal, quick_settings, weights  # noqa: E402

CPU = torch.device("cpu")


class Cramped(nn.Module):
    """A network without batch norm that has memory for `most` images at once."""

    def __init__(self, most: int, error: type[Exception] | str = torch.OutOfMemoryError) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 16), nn.ReLU(), nn.Linear(16, 3))
        self.most, self.error = most, error
        self.sizes: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most:
            if isinstance(self.error, str):
                raise RuntimeError(self.error)
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        self.sizes.append(len(images))
        logits: Tensor = self.layers(images)
        return logits


def made(most: int, **others: Any) -> Network:
    return Network(Cramped(most, **others), mean=(0.5,) * 3, std=(0.2,) * 3)


def batches(*sizes: int) -> list[tuple[Tensor, Tensor]]:
    draw = torch.Generator().manual_seed(1)
    return [
        (
            torch.randint(0, 256, (n, 8, 8, 3), dtype=torch.uint8, generator=draw),
            torch.randint(0, 3, (n,), generator=draw),
        )
        for n in sizes
    ]


def learn(network: Network, *sizes: int, ear: Ear | None = None, **others: Any) -> tuple[Learning, EpochResult]:
    optimizer = torch.optim.SGD([{"params": list(network.parameters()), "lr": 0.1, "rate": 0.1}], momentum=0.9)
    learning = Learning(network, optimizer, Schedule("constant", 10), say=(ear or Ear()).say, **others)
    torch.manual_seed(7)
    return learning, train_epoch(network, learning, batches(*sizes), device=CPU)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"objective": Objective(class_weights=torch.tensor([0.3, 1.0, 1.7]), label_smoothing=0.1)},
    {"objective": Objective(class_weights=torch.tensor([0.3, 1.0, 1.7])), "mixing": {"mixup": 1.0, "cutmix": 0.0}},
    {"objective": Objective(distillation=Distillation(0.5, 3.0)), "teach": True, "clip_norm": 0.5},
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_pieces_make_the_gradients_of_the_whole_batch(variant: dict[str, Any]) -> None:
    variant = dict(variant)
    if "mixing" in variant:
        variant["mixing"] = Mixing(**variant["mixing"], classes=3)
    if variant.pop("teach", False):
        torch.manual_seed(5)
        layers = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8 * 3, 3))
        variant["teacher"] = Teacher(Network(layers, mean=(0.5,) * 3, std=(0.2,) * 3), (8, 8), CPU, "fp32")
    whole, cramped = made(100), made(3)
    ear = Ear()
    _, expected = learn(whole, 10, 10, 7, **variant)
    learning, found = learn(cramped, 10, 10, 7, ear=ear, **variant)
    for one, two in zip(cramped.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert found.loss == pytest.approx(expected.loss, rel=1e-4)
    assert (found.accuracy, found.images) == (expected.accuracy, 27)
    assert max(cramped.backbone.sizes) <= 3 and sum(cramped.backbone.sizes) == 27
    assert learning.at_once == 3
    assert ear.lines == [
        f"note: memory does not suffice for 10 images at once; they go in {parts} parts, whose gradients are summed"
        for parts in (2, 4)
    ]


def test_a_step_follows_the_mean_of_what_each_image_weighs() -> None:
    ours, by_hand = made(3), made(100)
    class_weights = torch.tensor([0.2, 1.0, 3.0])
    learning, found = learn(ours, 9, objective=Objective(class_weights=class_weights, label_smoothing=0.1))
    ((images, labels),) = batches(9)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.1, momentum=0.9)
    losses = nn.functional.cross_entropy(by_hand(images), labels, label_smoothing=0.1, reduction="none")
    loss = (losses * class_weights[labels]).mean()
    loss.backward()
    optimizer.step()
    assert found.loss == pytest.approx(float(loss.detach()), rel=1e-5) and learning.at_once == 3
    for one, two in zip(ours.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_the_pieces_stay_so_that_memory_is_not_tried_again() -> None:
    cramped, ear = made(4), Ear()
    learn(cramped, 8, 8, 8, ear=ear)
    assert cramped.backbone.sizes == [4] * 6 and len(ear.lines) == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, "DefaultCPUAllocator: can't allocate memory: you tried"])
def test_one_image_that_is_too_large_is_an_error_with_a_way_out(error: Any) -> None:
    with pytest.raises(EdgeError, match="memory does not suffice for training") as caught:
        learn(made(0, error=error), 6)
    assert "`batch_size`" in caught.value.hint and "`image_size`" in caught.value.hint


class Normed(Cramped):
    """One with batch norm, which has no statistics of a single image."""

    def __init__(self, most: int) -> None:
        super().__init__(most)
        self.layers.insert(2, nn.BatchNorm1d(16))


@pytest.mark.parametrize(
    ("at_once", "most", "sizes", "expected"),
    [(2, 9, (5, 3), [3, 2, 3]), (None, 3, (7,), [3, 2, 2]), (1, 9, (4,), [2, 2]), (2, 9, (1,), None)],
)
def test_no_part_is_a_single_image_where_batch_norm_learns(
    at_once: int | None, most: int, sizes: tuple[int, ...], expected: list[int] | None
) -> None:
    network = Network(Normed(most), mean=(0.5,) * 3, std=(0.2,) * 3)
    if expected is None:
        network.eval()
    learn(network, *sizes, at_once=at_once)
    assert network.backbone.sizes == (expected or [1])


def test_where_two_images_are_too_many_for_batch_norm_memory_does_not_suffice() -> None:
    with pytest.raises(EdgeError, match="memory does not suffice for training"):
        learn(Network(Normed(1), mean=(0.5,) * 3, std=(0.2,) * 3), 6)


def test_another_error_is_not_taken_for_want_of_memory() -> None:
    ear = Ear()
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        learn(made(0, error="mat1 and mat2 shapes cannot be multiplied"), 6, ear=ear)
    assert not ear.lines


@pytest.mark.parametrize("frozen", [False, True])
def test_accumulated_batches_train_as_the_larger_batch_does(
    frozen: bool, few_shapes: Path, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no batch's statistics have a say: without batch norm, or below a frozen backbone."""
    forward, sizes = Network.forward, []

    def measured(self: Network, images: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled():
            sizes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", measured)
    own: dict[str, Any] = {"backbone": "squeezenet1_1", "image_size": 48}
    if frozen:
        own = {"backbone": SMALL, "strategy": "feature-extraction", "weights": str(small_weights)}
    settings = quick_settings(few_shapes, tmp_path, epochs=1, dropout=0.0, optimizer="sgd", augment="none", **own)
    whole, pieces = (
        train(replace(settings, **given), ear := Ear()).run
        for given in ({"batch_size": 14}, {"batch_size": 7, "accumulate": 2})
    )
    assert not any("memory" in line for line in ear.lines)
    # 24 images: a step of 14, and one of the 10 that are left. A frozen backbone's head is another module.
    assert sizes == ([] if frozen else [14, 10, 7, 7, 5, 5])
    # Steps of 7 images end 1e-3 and more from there.
    torch.testing.assert_close(weights(pieces), weights(whole), rtol=0, atol=1e-5)


class StopAfterOne(Silence):
    """Interrupts a run after its first epoch."""

    def say(self, text: str) -> None:
        if text.startswith("epoch 1"):
            raise KeyboardInterrupt


def test_a_resumed_run_remembers_in_how_many_pieces(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Network.forward

    def cramped(self: Network, images: Tensor) -> Tensor:
        if self.training and len(images) > 4 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", cramped)
    settings, ear, first = quick_settings(few_shapes, tmp_path / "whole", backbone=SMALL, dropout=0.3), Ear(), Ear()
    whole = train(settings, first).run
    assert sum("memory does not suffice" in line for line in first.lines) == 1
    with pytest.raises(KeyboardInterrupt):
        train(replace(settings, out=tmp_path / "cut"), StopAfterOne())
    (path,) = (tmp_path / "cut").iterdir()
    assert equal(weights(resume(Run(path), ear).run), weights(whole))
    assert not any("memory does not suffice" in line for line in ear.lines)


@pytest.mark.parametrize("strategy", ["scratch", "feature-extraction"])
def test_memory_for_three_images_suffices_for_a_run(
    strategy: str, few_shapes: Path, small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where nothing learns: in validation, in a frozen backbone, a teacher, and batch norm's statistics."""
    given: dict[str, Any] = {"weights": str(small_weights)} if strategy == "feature-extraction" else {}
    settings = quick_settings(few_shapes, tmp_path, backbone=SMALL, strategy=strategy, epochs=1, **given)
    settings = replace(settings, teacher=str(train(settings).run.path))
    whole = train(settings)
    forward, sizes = Network.forward, []

    def cramped(self: Network, images: Tensor) -> Tensor:
        if len(images) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        sizes.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", cramped)
    result = train(settings, ear := Ear())
    assert max(sizes) <= 3 and sum("memory does not suffice" in line for line in ear.lines) >= 3
    assert all(torch.isfinite(value).all() for value in weights(result.run).values())
    if strategy == "feature-extraction":
        # No batch's statistics have a say.
        torch.testing.assert_close(weights(result.run), weights(whole.run), rtol=0, atol=1e-5)
        assert result.summary["metrics"]["val"]["log_loss"] == pytest.approx(
            whole.summary["metrics"]["val"]["log_loss"], abs=1e-4
        )


def test_memory_that_ends_elsewhere_is_an_error_too(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Network.forward

    def cramped(self: Network, images: Tensor) -> Tensor:
        if not self.training:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", cramped)
    with pytest.raises(EdgeError, match="memory does not suffice for training") as caught:
        train(quick_settings(few_shapes, tmp_path))
    assert "`batch_size`" in caught.value.hint
