"""The loss: torch's own mean for a whole batch, the same in pieces, and a teacher's share of it."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from edge_train.strategy.loss import Distillation, Objective  # noqa: E402

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


@pytest.mark.parametrize("settings", VARIANTS)
def test_it_is_torchs_mean_cross_entropy(settings: dict[str, object]) -> None:
    logits, labels, _ = answers()
    expected = functional.cross_entropy(
        logits,
        labels,
        weight=settings.get("class_weights"),  # type: ignore[arg-type]
        label_smoothing=settings.get("label_smoothing", 0.0),  # type: ignore[arg-type]
    )
    torch.testing.assert_close(loss_of(Objective(**settings), logits, labels), expected)  # type: ignore[arg-type]


def test_blended_labels_weigh_as_torch_weighs_them() -> None:
    logits, labels, _ = answers()
    blended = 0.7 * functional.one_hot(labels, 3) + 0.3 * functional.one_hot(labels.roll(1), 3)
    for settings in VARIANTS:
        expected = functional.cross_entropy(
            logits,
            blended,
            weight=settings.get("class_weights"),  # type: ignore[arg-type]
            label_smoothing=settings.get("label_smoothing", 0.0),  # type: ignore[arg-type]
        )
        torch.testing.assert_close(loss_of(Objective(**settings), logits, blended), expected)  # type: ignore[arg-type]


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
