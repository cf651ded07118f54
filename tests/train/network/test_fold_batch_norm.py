"""Batch norm folded into convolutions: the same answers and the same gradients, in fewer passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402

from edge_train import BACKBONES, Network, find_backbone, train  # noqa: E402
from edge_train.network.fold_batch_norm import fold, fold_body, fold_frozen  # noqa: E402
from quick_training import network, quick_settings  # noqa: E402

NORMALISED = ["mobilenet_v2", "resnet18", "densenet121", "efficientnet_b0", "shufflenet_v2_x0_5", "regnet_y_400mf"]


def images(count: int = 4, side: int = 48) -> Tensor:
    draw = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=draw)


def worn(name: str) -> Network:
    """A network whose batch norms are as training leaves them: no mean is 0 and no variance 1. Dropout is off."""
    made = network(name)
    draw = torch.Generator().manual_seed(2)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * torch.randn(module.num_features, generator=draw))
            module.running_var.copy_(0.5 + torch.rand(module.num_features, generator=draw))
            nn.init.normal_(module.weight, 1.0, 0.1, generator=draw)
            nn.init.normal_(module.bias, 0.0, 0.1, generator=draw)
    return made.eval()


def gradients(model: nn.Module, of: Network) -> list[Tensor]:
    of.zero_grad()
    model(images()).square().mean().backward()
    return [parameter.grad.clone() for parameter in of.parameters() if parameter.grad is not None]


def norms(model: nn.Module) -> int:
    """How many batch norms a forward pass runs."""
    calls = []
    hooks = [
        module.register_forward_hook(lambda *_: calls.append(1))
        for module in model.modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    model(images())
    for hook in hooks:
        hook.remove()
    return len(calls)


@pytest.mark.parametrize("name", sorted(BACKBONES))
def test_a_folded_copy_answers_as_the_network_does(name: str) -> None:
    whole = worn(name)
    before = {key: value.clone() for key, value in whole.state_dict().items()}
    with torch.no_grad():
        expected, found = whole(images(2, 64)), fold(whole)(images(2, 64))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(before[key], value) for key, value in whole.state_dict().items())


def test_a_folded_body_ends_before_the_head() -> None:
    whole = worn("mobilenet_v2")
    with torch.no_grad():
        embeddings = fold_body(whole, find_backbone("mobilenet_v2"))(images())
        head = whole.backbone.classifier[1](embeddings)
        torch.testing.assert_close(head, whole(images()), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NORMALISED)
def test_training_through_folded_norms_gives_the_same_gradients(name: str) -> None:
    whole = worn(name)
    folded = fold_frozen(whole)
    assert norms(folded) < norms(whole)
    torch.testing.assert_close(folded(images()), whole(images()), rtol=1e-4, atol=1e-5)
    unfolded = gradients(whole, whole)
    assert len(unfolded) == len(list(whole.parameters()))
    for ours, theirs in zip(gradients(folded, whole), unfolded, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()) + 1e-9)


def test_what_the_optimiser_changes_in_the_network_changes_in_the_view() -> None:
    whole = worn("resnet18")
    folded = fold_frozen(whole)
    optimizer = torch.optim.SGD(whole.parameters(), lr=0.01)
    gradients(folded, whole)
    before = folded(images())
    optimizer.step()
    assert not torch.allclose(folded(images()), before)
    torch.testing.assert_close(folded(images()), whole(images()), rtol=1e-4, atol=1e-5)


def test_norms_that_learn_are_not_folded() -> None:
    whole = worn("resnet18").train()
    assert fold_frozen(whole) is whole
    whole.backbone.layer1.eval()
    folded = fold_frozen(whole)
    assert norms(folded) == norms(whole) - 4
    mean = whole.backbone.layer4[1].bn2.running_mean.clone()
    folded(images())
    assert not torch.equal(whole.backbone.layer4[1].bn2.running_mean, mean)


@pytest.mark.parametrize("mode", ["frozen", "train"])
def test_fine_tuning_with_frozen_norms_runs_none_while_it_learns(
    few_shapes: Path, shufflenet_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    ran: list[bool] = []
    forward = nn.BatchNorm2d.forward

    def counted(self: nn.BatchNorm2d, inputs: Tensor) -> Tensor:
        ran.append(torch.is_grad_enabled())
        return forward(self, inputs)

    monkeypatch.setattr(nn.BatchNorm2d, "forward", counted)
    given = {"strategy": "fine-tune", "weights": str(shufflenet_weights), "epochs": 1}
    train(quick_settings(few_shapes, tmp_path, batch_norm=mode, **given))
    assert any(ran) is (mode == "train")


class Own(nn.Module):
    """A network as users write them; `first` is what makes its first maps."""

    def __init__(self, first: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.conv1 = first or nn.Conv2d(3, 8, 3, 2, 1)
        self.norm1 = nn.BatchNorm2d(8)
        self.rest = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.fc = nn.Linear(16, 3)

    def maps(self, pixels: Tensor) -> Tensor:
        return self.rest(self.norm1(self.conv1(pixels)).relu())

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(self.maps(pixels).mean((2, 3)))


class TwoNames(Own):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(self.conv1, self.norm1, nn.ReLU(), *self.rest)

    def maps(self, pixels: Tensor) -> Tensor:
        return self.features(pixels)


class Listed(Own):
    """Its norms lie in a list that torch knows nothing of, too."""

    def __init__(self) -> None:
        super().__init__()
        self.norms = [self.norm1]

    def maps(self, pixels: Tensor) -> Tensor:
        return self.rest(self.norms[0](self.conv1(pixels)).relu())


class Reads(Own):
    """Convolves by the weights of its first layer once more."""

    def maps(self, pixels: Tensor) -> Tensor:
        again = nn.functional.conv2d(pixels, self.conv1.weight, stride=2, padding=1)
        return self.rest(self.norm1(self.conv1(pixels)).relu() + again)


class Keeps(Own):
    def maps(self, pixels: Tensor) -> Tensor:
        self.kept = {"maps": [super().maps(pixels)]}
        return self.kept["maps"][0]


def hooked() -> Own:
    made = Own()
    made.norm1.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    return made


OWN: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "plain": (Own, 0),
    "two names": (TwoNames, 2),
    "in a list": (Listed, 1),
    "reads weights": (Reads, 1),
    "keeps activations": (Keeps, 0),
    "hooked": (hooked, 1),
    "old spectral norm": (lambda: Own(nn.utils.spectral_norm(nn.Conv2d(3, 8, 3, 2, 1))), 1),
    "parametrized": (lambda: Own(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, 2, 1))), 1),
}


@pytest.mark.parametrize("name", OWN)
def test_an_own_network_answers_alike_folded_however_its_layers_are_kept(name: str) -> None:
    make, left = OWN[name]
    torch.manual_seed(0)
    whole = Network(make(), (0.5,) * 3, (0.2,) * 3)
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 2, 4)
            nn.init.uniform_(module.bias, -2, 2)
    # As after a step: activations and weights that were made anew belong to a graph.
    whole(images())
    whole.eval()
    whole(images())
    expected = whole(images()).detach()
    for folded in (fold(whole), fold_frozen(whole)):
        torch.testing.assert_close(folded(images()), expected, rtol=1e-4, atol=1e-4)
        assert norms(folded) == left
    with torch.no_grad():
        embedding = whole.backbone.maps((images().permute(0, 3, 1, 2) / 255 - 0.5) / 0.2).mean((2, 3))
        body = fold_body(whole, replace(find_backbone("resnet18"), head="fc"))
        torch.testing.assert_close(body(images()), embedding, rtol=1e-4, atol=1e-4)
