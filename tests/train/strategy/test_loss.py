"""The loss: the mean of what each image loses by its class's weight, the same in pieces, and a teacher's share."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge_train.strategy.loss import Distillation, Objective  # noqa: E402
from edge_train.targets.target_kind import balance  # noqa: E402

CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.5])
VARIANTS = [
    {},
    {"label_smoothing": 0.1},
    {"class_weights": CLASS_WEIGHTS},
    {"class_weights": CLASS_WEIGHTS, "label_smoothing": 0.2},
]


def answers(n: int = 7) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, labels and a teacher's logits."""
    draw = torch.Generator().manual_seed(3)
    logits, teacher = torch.randn(n, 3, generator=draw) * 3, torch.randn(n, 3, generator=draw) * 3
    return logits, torch.arange(n) % 3, teacher


def loss_of(objective: Objective, logits: Tensor, targets: Tensor, teacher: Tensor | None = None) -> Tensor:
    return objective(logits, targets, weight=objective.weight(targets), images=len(targets), teacher=teacher)


def each_weighed(settings: dict[str, object], logits: Tensor, targets: Tensor, truth: Tensor) -> Tensor:
    """The mean of torch's cross-entropies, each times the weight of what `truth`, `[n, classes]`, says is there."""
    smoothing: float = settings.get("label_smoothing", 0.0)  # type: ignore[assignment]
    losses = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
    return (losses * (truth @ settings.get("class_weights", torch.ones(3)))).mean()


@pytest.mark.parametrize("settings", VARIANTS)
def test_it_is_the_mean_cross_entropy_by_the_weight_of_each_images_class(settings: dict[str, object]) -> None:
    logits, labels, _ = answers()
    expected = each_weighed(settings, logits, labels, functional.one_hot(labels, 3).float())
    torch.testing.assert_close(loss_of(Objective(**settings), logits, labels), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", VARIANTS)
def test_a_blend_weighs_what_its_classes_do_in_their_shares(settings: dict[str, object]) -> None:
    logits, labels, _ = answers()
    blended = 0.7 * functional.one_hot(labels, 3) + 0.3 * functional.one_hot(labels.roll(1), 3)
    expected = each_weighed(settings, logits, blended, blended)
    torch.testing.assert_close(loss_of(Objective(**settings), logits, blended), expected)  # type: ignore[arg-type]


def test_a_smoothed_weighed_loss_asks_of_all_classes_for_the_same_certainty() -> None:
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor([95, 5]))
    objective = Objective(label_smoothing=0.1, class_weights=balance(np.array([95, 5])))
    # The answers to each class's images; the loss is least where its gradient is 0.
    logits = torch.tensor([[0.95, 0.05], [0.05, 0.95]]).log().requires_grad_()
    loss_of(objective, logits[labels], labels).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.parametrize("batch_size", [4, 40, 1000])
def test_in_batches_of_any_size_each_class_has_the_same_share_of_an_epochs_loss(batch_size: int) -> None:
    labels = torch.repeat_interleave(torch.arange(2), torch.tensor([980, 20]))
    labels = labels[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    objective = Objective(class_weights=balance(np.bincount(labels)))
    logits = torch.zeros(1000, 2, requires_grad=True)
    for batch in torch.arange(1000).split(batch_size):
        loss_of(objective, logits[batch], labels[batch]).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    shares = [float(logits.grad[labels == label].abs().sum()) for label in (0, 1)]
    assert shares[1] == pytest.approx(shares[0], rel=1e-4)


def test_class_weights_are_one_on_average_over_the_images() -> None:
    counts = np.array([30, 0, 10])
    weights = balance(counts).numpy()
    assert weights @ counts == pytest.approx(counts.sum()) and weights[2] == pytest.approx(3 * weights[0])
    assert torch.isfinite(balance(np.zeros(2, dtype=np.int64))).all()


@pytest.mark.parametrize("distillation", [None, Distillation(0.3, 4.0)])
@pytest.mark.parametrize("settings", VARIANTS)
def test_pieces_add_up_to_the_whole(settings: dict[str, object], distillation: Distillation | None) -> None:
    logits, labels, teacher = answers()
    objective = Objective(**settings, distillation=distillation)  # type: ignore[arg-type]
    whole = loss_of(objective, logits, labels, teacher)
    weight = objective.weight(labels)
    pieces = [
        objective(logits[cut], labels[cut], weight=weight, images=7, teacher=teacher[cut])
        for cut in (slice(0, 3), slice(3, 4), slice(4, 7))
    ]
    torch.testing.assert_close(torch.stack(pieces).sum(), whole)


def test_distillation_is_hintons_formula() -> None:
    student, teacher, label, temperature, share = [1.0, -0.5, 0.2], [2.0, 0.0, -1.0], 1, 3.0, 0.25

    def soft(logits: list[float], t: float) -> list[float]:
        powers = [math.exp(value / t) for value in logits]
        return [power / sum(powers) for power in powers]

    hard_loss = -math.log(soft(student, 1.0)[label])
    pairs = zip(soft(teacher, temperature), soft(student, temperature), strict=True)
    distance = sum(p * math.log(p / q) for p, q in pairs)
    expected = (1 - share) * hard_loss + share * temperature**2 * distance
    objective = Objective(distillation=Distillation(share, temperature))
    found = loss_of(objective, torch.tensor([student]), torch.tensor([label]), torch.tensor([teacher]))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_the_square_of_the_temperature_keeps_the_teachers_gradient_at_one_size() -> None:
    logits, labels, teacher = answers(64)
    sizes = []
    for temperature in (20.0, 40.0):
        given = logits.clone().requires_grad_()
        loss_of(Objective(distillation=Distillation(1.0, temperature)), given, labels, teacher).backward()
        assert given.grad is not None
        sizes.append(float(given.grad.norm()))
    # Without the factor the second were a quarter of the first.
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)


def test_the_teachers_whole_weight_leaves_the_labels_no_say() -> None:
    logits, labels, teacher = answers()
    objective = Objective(distillation=Distillation(1.0, 2.0))
    assert loss_of(objective, logits, labels, teacher) == loss_of(objective, logits, labels.flip(0), teacher)
    assert float(loss_of(objective, teacher, labels, teacher)) == pytest.approx(0, abs=1e-6)
