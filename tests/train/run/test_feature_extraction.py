"""Feature extraction sees each image once, and learns the head that a loop over images would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

import edge_train.run.epochs  # noqa: E402
import edge_train.run.feature_extraction  # noqa: E402
from edge_data.sets.image_store import ImageStore  # noqa: E402
from edge_runtime import Silence  # noqa: E402
from edge_train import Network, TrainSettings, find_backbone, train  # noqa: E402
from edge_train.run.feature_extraction import Head, choose_views, embed  # noqa: E402
from edge_train.run.job import Job  # noqa: E402
from edge_train.run.prepare import prepare  # noqa: E402
from quick_training import SMALL, Ear, changed, equal, quick_settings, weights, write_weights  # noqa: E402

TRAIN, VAL, TEST = 24, 9, 9
WIDTH = 32  # of SMALL's embedding

Settings = Callable[..., TrainSettings]


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "mobilenet.pth", "mobilenet_v2")


@pytest.fixture
def frozen(few_shapes: Path, small_weights: Path, tmp_path: Path) -> Settings:
    def make(**others: Any) -> TrainSettings:
        given = {"backbone": SMALL, "strategy": "feature-extraction", "weights": str(small_weights), **others}
        return quick_settings(few_shapes, tmp_path / "runs", **given)

    return make


def job_of(settings: TrainSettings) -> Job:
    return prepare(settings, Silence())


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of each forward pass through a whole network."""
    seen: list[int] = []
    forward = Network.forward

    def counted(self: Network, images: Tensor) -> Tensor:
        # Two drawn pictures ask a network of one's own whether its head is its last.
        if len(images) > 2:
            seen.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(Network, "forward", counted)
    return seen


@pytest.mark.parametrize(
    ("others", "views"),
    [({"augment": "none"}, 1), ({"augment": "standard"}, 5), ({"augment": "standard", "views": 2}, 2)],
)
def test_the_backbone_sees_each_view_once_in_five_epochs(
    frozen: Settings, passes: list[int], others: dict[str, Any], views: int
) -> None:
    ear = Ear()
    train(frozen(epochs=5, **others), ear)
    # After the last epoch validation and test images are measured through the whole network.
    assert sum(passes) == views * TRAIN + VAL + (VAL + TEST)
    assert any(line.startswith("the frozen backbone sees each image once") for line in ear.lines)
    assert sum(line.startswith("epoch ") for line in ear.lines) == 5


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"dropout": 0.4, "optimizer": "sgd", "weight_decay": 0.01, "clip_norm": 0.5, "schedule": "one-cycle"},
        {"hidden_units": 16, "class_balance": "sampler", "label_smoothing": 0.1, "ema": 0.9},
        {"backbone": "mobilenet_v2"},
    ],
)
def test_the_head_is_the_one_that_the_loop_over_images_learns(
    frozen: Settings, mobilenet_file: Path, monkeypatch: pytest.MonkeyPatch, others: dict[str, Any]
) -> None:
    if others.get("backbone") == "mobilenet_v2":
        others = {**others, "weights": str(mobilenet_file)}
    settings = frozen(augment="none", epochs=3, **others)
    start = dict(job_of(settings).network.state_dict())
    quick = train(settings)
    monkeypatch.setattr(edge_train.run.epochs, "choose_views", lambda _: 0)
    plain = train(settings)
    for name in ("last", "best"):
        one, two = weights(quick.run, name), weights(plain.run, name)
        for key in one:
            # Adam's steps follow the sign of a gradient near 0, which rounding decides.
            torch.testing.assert_close(one[key], two[key], rtol=0, atol=1e-4)
    assert quick.summary["training_accuracy"] == plain.summary["training_accuracy"]
    learned = weights(plain.run)
    assert max(float((learned[key] - start[key]).abs().max()) for key in changed(start, learned)) > 2e-3


def test_the_dropout_of_the_architecture_is_active(frozen: Settings, mobilenet_file: Path) -> None:
    settings = {"backbone": "mobilenet_v2", "weights": str(mobilenet_file), "augment": "none", "epochs": 1}
    own, off = (train(frozen(**settings, dropout=dropout)).run for dropout in (None, 0.0))
    assert not equal(weights(own), weights(off))
    job = job_of(frozen(**settings))
    head = Head(job.network, job.backbone).train()
    vectors = torch.ones(2000, 1280)
    torch.manual_seed(0)
    spread = head(vectors).std(dim=0)
    assert head.dropout == 0.2 and bool((spread > 0).all())
    assert bool((head.eval()(vectors).std(dim=0) < 1e-6).all())


def test_a_frozen_backbone_is_bit_identical_after_it(frozen: Settings) -> None:
    settings = frozen(precision="auto", augment="standard", weight_decay=0.1, ema=0.9)
    before = dict(job_of(settings).network.state_dict())
    run = train(settings).run
    for name in ("last", "best"):
        assert changed(before, weights(run, name)) == {"backbone.fc.weight", "backbone.fc.bias"}


@pytest.mark.parametrize("others", [{"mixup": 0.2}, {"cutmix": 1.0}, {"backbone": "squeezenet1_1"}])
def test_what_cannot_be_embedded_goes_through_the_network_every_epoch(
    frozen: Settings, passes: list[int], tmp_path: Path, others: dict[str, Any]
) -> None:
    if others.get("backbone") == "squeezenet1_1":
        others = {**others, "weights": str(write_weights(tmp_path / "squeezenet.pth", "squeezenet1_1"))}
    settings = frozen(**others)
    before = dict(job_of(settings).network.state_dict())
    ear = Ear()
    run = train(settings, ear).run
    assert sum(passes) == 2 * (TRAIN + VAL) + VAL + TEST
    assert not any("sees each image once" in line for line in ear.lines)
    moved = changed(before, weights(run))
    assert moved and all("fc" in key or "classifier.1" in key for key in moved)


def test_as_many_views_as_epochs_as_long_as_that_is_cheap(frozen: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    job = job_of(frozen(epochs=4))
    assert choose_views(job) == 4
    monkeypatch.setattr(edge_train.run.feature_extraction, "CHEAP_EMBEDDINGS", 3 * TRAIN - 1)
    assert choose_views(job) == 2
    monkeypatch.setattr(edge_train.run.feature_extraction, "CHEAP_EMBEDDINGS", 1)
    assert choose_views(job) == 1
    assert choose_views(job_of(frozen(epochs=4, views=7))) == 7
    assert choose_views(job_of(frozen(epochs=4, views=7, augment="none"))) == 1
    assert choose_views(job_of(frozen(strategy="scratch", weights="none"))) == 0
    assert choose_views(job_of(frozen(strategy="fine-tune"))) == 0


def test_little_memory_means_fewer_views_and_then_none(
    frozen: Settings, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = job_of(frozen(epochs=4))
    row = 4 * WIDTH
    for room, views in (
        (row * (4 * TRAIN + VAL), 4),
        (row * (4 * TRAIN + VAL) - 1, 3),
        (row * (TRAIN + VAL), 1),
        (row * (TRAIN + VAL) - 1, 0),
        (0, 0),
    ):
        monkeypatch.setattr(ImageStore, "bound_bytes", property(lambda _, room=room: room))
        assert choose_views(job) == views
    train(frozen(epochs=2))
    assert sum(passes) == 2 * (TRAIN + VAL) + VAL + TEST


def test_embeddings_are_in_the_order_of_the_images_and_give_the_networks_answers(frozen: Settings) -> None:
    job = job_of(frozen(augment="standard", epochs=3))
    embeddings = embed(job, 3)
    assert embeddings.train.shape == (3, TRAIN, WIDTH) and embeddings.val.shape == (VAL, WIDTH)
    whole, quick = job.answers(job.splits.val, "val"), embeddings.validate(job, job.network)
    torch.testing.assert_close(*(torch.from_numpy(each.logits) for each in (quick, whole)), rtol=1e-4, atol=1e-5)
    assert quick.labels.tolist() == whole.labels.tolist() and quick.accuracy == whole.accuracy
    twins = {sample.path: "twins" for sample in job.splits.val[:2]}
    grouped = replace(job, splits=replace(job.splits, groups=twins))
    assert grouped.answers(job.splits.val, "val").groups == twins, "the calibration is judged without an image's group"
    # The first view is the image as it is evaluated, the others are not.
    shown = torch.from_numpy(job.answers(job.splits.train, "train").logits)
    head = Head(job.network, job.backbone).eval()
    with torch.no_grad():
        torch.testing.assert_close(head(embeddings.train[0]), shown, rtol=1e-4, atol=1e-5)
    for one, two in ((0, 1), (0, 2), (1, 2)):
        assert bool((embeddings.train[one] != embeddings.train[two]).any(dim=1).all())


def test_each_image_shows_every_view_in_as_many_epochs(frozen: Settings) -> None:
    job = job_of(frozen(augment="standard", epochs=3))
    embeddings = embed(job, 3)
    by_row = {row.numpy().tobytes(): place for place, row in enumerate(embeddings.train.flatten(0, 1))}
    seen = []
    for epoch in (1, 2, 3):
        places = [by_row[row.numpy().tobytes()] for batch, _ in embeddings.batches(job, epoch) for row in batch]
        labels = [int(label) for _, batch in embeddings.batches(job, epoch) for label in batch]
        assert sorted(place % TRAIN for place in places) == list(range(TRAIN))
        assert labels == [job.splits.train[place % TRAIN].label for place in places]
        seen += places
    assert sorted(seen) == list(range(3 * TRAIN))
    again = [by_row[row.numpy().tobytes()] for batch, _ in embeddings.batches(job, 4) for row in batch]
    assert {place // TRAIN for place in seen[:TRAIN]} == {0, 1, 2}
    assert sorted(again) == sorted(seen[:TRAIN])


AFTER_HEAD = """
import torch
from torch import nn

class Plain(nn.Module):
    edge = {"image_size": 32}

    def __init__(self, classes):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.fc = nn.Linear(8, classes)
        nn.init.zeros_(self.fc.weight)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))

class Scaled(Plain):
    def forward(self, x):
        return 30 * super().forward(x)

class LogSoftmax(Plain):
    def forward(self, x):
        return torch.log_softmax(super().forward(x), 1)

class Asking(Plain):
    def forward(self, x):
        return super().forward(x.to(self.fc.weight.dtype))
"""


@pytest.mark.parametrize(("function", "views"), [("Plain", 1), ("Scaled", 0), ("LogSoftmax", 0), ("Asking", 0)])
def test_a_network_that_goes_on_after_its_head_is_trained_as_it_is(
    frozen: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, views: int
) -> None:
    monkeypatch.setenv("EDGE_CACHE", str(tmp_path / "cache"))
    nets = tmp_path / "after_head.py"
    nets.write_text(AFTER_HEAD)
    backbone = f"{nets}:{function}"
    file = tmp_path / "own.pth"
    torch.save(find_backbone(backbone).maker.build(3, 32).state_dict(), file)
    ear = Ear()
    job = prepare(frozen(backbone=backbone, weights=str(file), augment="none"), ear)
    before = {name: tensor.clone() for name, tensor in job.network.state_dict().items()}
    assert choose_views(job) == views
    assert any("does more after its head fc" in line for line in ear.lines) == (not views)
    assert equal(before, dict(job.network.state_dict()))
