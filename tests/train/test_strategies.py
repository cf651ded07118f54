"""What each strategy trains, how fast, and what it leaves untouched."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from edge_train import BACKBONES, Network, build, find_backbone, freeze, layer_groups, make_optimizer, set_mode  # noqa: E402
from edge_train.loop import Learning, run_network, train_epoch  # noqa: E402
from edge_train.schedules import Schedule  # noqa: E402
from edge_train.settings import STRATEGIES  # noqa: E402


def network(name: str) -> Network:
    torch.manual_seed(0)
    return Network(build(find_backbone(name), classes=3), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))


def learning(optimizer: torch.optim.Optimizer) -> Learning:
    return Learning(optimizer, Schedule("constant", 10))


def batches(n: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, 8, 32, 32, 3), dtype=torch.uint8, generator=draw)
    return [(images[i], torch.randint(0, 3, (8,), generator=draw)) for i in range(n)]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", BACKBONES)
def test_groups_hold_every_trained_parameter_once(name: str, strategy: str) -> None:
    with torch.device("meta") if name != "regnet_y_400mf" else torch.device("cpu"):
        made = Network(build(find_backbone(name), classes=3), mean=(0.5,) * 3, std=(0.2,) * 3)
    freeze(made, find_backbone(name), strategy)
    groups = layer_groups(made, find_backbone(name), strategy)
    grouped = [id(p) for group in groups for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in made.parameters() if p.requires_grad}


def test_rates_are_the_courses() -> None:
    backbone = find_backbone("resnet18")
    made = network("resnet18")
    rates = {g["name"]: g["lr"] for g in make_optimizer(layer_groups(made, backbone, "fine-tune")).param_groups}
    assert rates == {"stem": 1e-5, "layer1": 1e-5, "layer2": 1e-5, "layer3": 1e-5, "layer4": 1e-4, "head": 1e-3}
    assert [g.rate for g in layer_groups(made, backbone, "scratch")] == [1e-3]
    freeze(made, backbone, "feature-extraction")
    (head,) = layer_groups(made, backbone, "feature-extraction")
    assert (head.name, head.rate, sum(p.numel() for p in head.parameters)) == ("head", 1e-3, 512 * 3 + 3)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_a_frozen_backbone_is_bit_identical_after_training(name: str) -> None:
    backbone, made = find_backbone(name), network(name)
    before = {key: value.clone() for key, value in made.state_dict().items()}
    freeze(made, backbone, "feature-extraction")
    optimizer = make_optimizer(layer_groups(made, backbone, "feature-extraction"))
    train_epoch(made, backbone, "feature-extraction", learning(optimizer), batches(), device=torch.device("cpu"))
    changed = {key for key, value in made.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f"backbone.{backbone.head}.weight", f"backbone.{backbone.head}.bias"}


@pytest.mark.parametrize("strategy", ["fine-tune", "scratch"])
def test_the_other_strategies_train_every_layer_and_batch_norm(strategy: str) -> None:
    backbone, made = find_backbone("resnet18"), network("resnet18")
    before = {key: value.clone() for key, value in made.state_dict().items()}
    optimizer = make_optimizer(layer_groups(made, backbone, strategy))
    train_epoch(made, backbone, strategy, learning(optimizer), batches(), device=torch.device("cpu"))
    same = {key for key, value in made.state_dict().items() if torch.equal(value, before[key])}
    assert same == {"mean", "std"}


def test_fine_tuning_moves_the_head_more_than_the_last_stage_more_than_the_stem() -> None:
    backbone, made = find_backbone("resnet18"), network("resnet18")
    before = {key: value.clone() for key, value in made.named_parameters()}
    optimizer = make_optimizer(layer_groups(made, backbone, "fine-tune"))
    train_epoch(made, backbone, "fine-tune", learning(optimizer), batches(1), device=torch.device("cpu"))
    moved = {key: float((value - before[key]).detach().abs().max()) for key, value in made.named_parameters()}
    head, last, stem = (moved[f"backbone.{key}.weight"] for key in ("fc", "layer4.0.conv1", "conv1"))
    assert head == pytest.approx(1e-3, rel=0.05)
    assert last == pytest.approx(1e-4, rel=0.05)
    assert stem == pytest.approx(1e-5, rel=0.05)


def test_modes() -> None:
    backbone, made = find_backbone("mobilenet_v2"), network("mobilenet_v2")
    set_mode(made, backbone, "feature-extraction")
    training = {name for name, module in made.named_modules() if module.training}
    assert training == {"backbone.classifier.1"}
    set_mode(made, backbone, "fine-tune")
    assert all(module.training for module in made.modules())


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    backbone, made = find_backbone("resnet18"), network("resnet18")
    with torch.no_grad():
        made.backbone.fc.bias.fill_(float("nan"))
    optimizer = make_optimizer(layer_groups(made, backbone, "scratch"))
    with pytest.raises(FloatingPointError, match="nan"):
        train_epoch(made, backbone, "scratch", learning(optimizer), batches(1), device=torch.device("cpu"))


def test_measuring_changes_nothing_and_keeps_the_order() -> None:
    made = network("resnet18").eval()
    before = {key: value.clone() for key, value in made.state_dict().items()}
    made.train()
    given = batches()
    outputs = run_network(made, given, device=torch.device("cpu"))
    assert torch.equal(outputs.labels, torch.cat([labels for _, labels in given]))
    assert outputs.logits.shape == (24, 3)
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
