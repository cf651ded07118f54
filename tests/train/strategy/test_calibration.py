"""Temperature scaling finds the temperature that made the logits, and never changes an answer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge_train.strategy.calibration import fit_temperature  # noqa: E402


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_it_finds_the_temperature_that_labels_were_drawn_with(temperature: float) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(20000, 4, generator=draw) * 3
    labels = torch.multinomial(torch.softmax(logits / temperature, dim=1), 1, generator=draw)[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_it_minimises_the_loss() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(50, 3, generator=draw) * 5
    labels = torch.multinomial(torch.softmax(logits / 2, dim=1), 1, generator=draw)[:, 0]
    found = fit_temperature(logits, labels)

    def loss(t: float) -> float:
        # One image in 52, half of it to each wrong class.
        return float(torch.nn.functional.cross_entropy(logits / t, labels, label_smoothing=1 / 52 * 3 / 2))

    assert loss(found) <= min(loss(found * 0.97), loss(found * 1.03), loss(1.0)) + 1e-9


def test_all_right_on_few_images_does_not_make_every_answer_certain() -> None:
    logits = torch.eye(3).repeat(20, 1) * 30
    found = fit_temperature(logits, torch.arange(3).repeat(20))
    confidence = torch.softmax(logits / found, dim=1).max(dim=1).values
    # Sixty images, none wrong: Platt's estimate is 61 in 62.
    assert confidence.tolist() == pytest.approx([61 / 62] * 60, abs=1e-3)


def test_all_wrong_stays_within_bounds() -> None:
    logits = torch.eye(3) * 10
    assert fit_temperature(logits, torch.tensor([1, 2, 0])) == pytest.approx(20, rel=0.01)
