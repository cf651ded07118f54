"""Activations that no longer overwrite what they alone read; where another reads it, they go on."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edge_train import Network, without_overwriting  # noqa: E402
from edge_train.network.fold_batch_norm import with_folded_norms  # noqa: E402
from quick_training import network  # noqa: E402


class _ReadAgain(nn.Module):
    """The convolution's map is read after an activation has overwritten it, and one activation stands twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))
        self.again, self.twice, self.free = (nn.ReLU6(inplace=True) for _ in range(3))

    def forward(self, images: Tensor) -> Tensor:
        seen = self.first(images)
        summed = self.twice(self.again(seen) + seen)
        answer: Tensor = self.free(self.third(self.twice(self.second(summed))))
        return answer.mean((2, 3))


class _Untraceable(_ReadAgain):
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) if images.sum() > 0 else images


def overwriting(model: nn.Module) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name, part in model.named_modules() if getattr(part, "inplace", False)}


@pytest.mark.parametrize("name", ["mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"])
def test_no_activation_of_a_backbone_overwrites_and_its_answers_stay(name: str) -> None:
    images = torch.randint(0, 256, (2, 48, 48, 3), dtype=torch.uint8)
    with torch.inference_mode():
        folded = with_folded_norms(network(name))
        before, expected = overwriting(folded), folded(images)
        assert before
        # What squeezes and gates reads a mean, which is not asked about.
        assert {type(part) for part in without_overwriting(folded).modules() if getattr(part, "inplace", False)} <= {
            nn.Dropout,
            nn.ReLU,
        }
        torch.testing.assert_close(folded(images), expected, rtol=0, atol=0)


def test_what_another_reads_or_a_place_shares_is_overwritten_as_before() -> None:
    images = torch.randint(0, 256, (2, 8, 8, 3), dtype=torch.uint8)
    model = Network(_ReadAgain(), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).eval()
    with torch.inference_mode():
        expected = model(images)
        assert overwriting(without_overwriting(model)) == {"again", "twice"}
        torch.testing.assert_close(model(images), expected, rtol=0, atol=0)


def test_what_cannot_be_traced_stays_as_it_is() -> None:
    model = Network(_Untraceable(), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2))
    assert overwriting(without_overwriting(model)) == {"again", "twice", "free"}
