"""What each strategy trains, when, how fast, and what it leaves untouched."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from edge_runtime import Sample, UsageError  # noqa: E402
from edge_train import BACKBONES, Network, TrainSettings, build, find_backbone  # noqa: E402
from edge_train.network.backbones import Backbone, Stage  # noqa: E402
from edge_train.network.moving_average import MovingAverage  # noqa: E402
from edge_train.run.split_answers import answer_split  # noqa: E402
from edge_train.run.step import Learning, train_epoch  # noqa: E402
from edge_train.settings import OPTIMIZERS, STRATEGIES, Strategy  # noqa: E402
from edge_train.strategy.learning_rate import Schedule  # noqa: E402
from edge_train.strategy.plan import (  # noqa: E402
    BATCH_NORM,
    Plan,
    freeze,
    head_dropout,
    layer_groups,
    make_optimizer,
    make_plan,
    set_mode,
)
from quick_training import changed, network  # noqa: E402

CPU = torch.device("cpu")


def plan(name: str, strategy: Strategy = "fine-tune", **others: Any) -> Plan:
    return Plan(find_backbone(name), strategy, **others)


def learning(made: Network, plan: Plan, optimizer: Any = "adam", **others: Any) -> Learning:
    groups = layer_groups(made, plan)
    return Learning(made, make_optimizer(groups, optimizer, **others), Schedule("constant", 10))


def batches(n: int = 3, size: int = 8) -> list[tuple[torch.Tensor, torch.Tensor]]:
    draw = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (n, size, 32, 32, 3), dtype=torch.uint8, generator=draw)
    return [(images[i], torch.randint(0, 3, (size,), generator=draw)) for i in range(n)]


def run_epoch(made: Network, plan: Plan, learning: Learning, epoch: int = 1, *, n: int = 1, size: int = 8) -> None:
    """One epoch as a run does it."""
    freeze(made, plan, epoch)
    set_mode(made, plan, epoch)
    train_epoch(made, learning, batches(n, size), device=CPU)


def state(made: Network) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in made.state_dict().items()}


def stages_of(plan: Plan, keys: set[str]) -> set[str]:
    return {plan.backbone.stage_of(key.removeprefix("backbone.")) for key in keys}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", BACKBONES)
def test_groups_hold_every_trained_parameter_once(name: str, strategy: Strategy) -> None:
    with torch.device("meta") if name != "regnet_y_400mf" else torch.device("cpu"):
        made = Network(build(find_backbone(name), classes=3), mean=(0.5,) * 3, std=(0.2,) * 3)
    freeze(made, plan(name, strategy))
    groups = layer_groups(made, plan(name, strategy))
    grouped = [id(p) for group in groups for p in group.parameters]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in made.parameters() if p.requires_grad}


def test_rates_are_the_courses() -> None:
    made = network("resnet18")
    optimizer = make_optimizer(layer_groups(made, plan("resnet18")))
    rates = {g["name"]: g["lr"] for g in optimizer.param_groups}
    assert rates == {"stem": 1e-5, "layer1": 1e-5, "layer2": 1e-5, "layer3": 1e-5, "layer4": 1e-4, "head": 1e-3}
    assert [g.rate for g in layer_groups(made, plan("resnet18", "scratch"))] == [1e-3]
    (head,) = layer_groups(made, plan("resnet18", "feature-extraction"))
    assert (head.name, head.rate, sum(p.numel() for p in head.parameters)) == ("head", 1e-3, 512 * 3 + 3)


def test_each_stage_learns_at_a_share_of_the_rate_above_it() -> None:
    made, by_half = network("resnet18"), plan("resnet18", lr_decay_per_stage=0.5)
    rates = {group.name: group.rate for group in layer_groups(made, by_half)}
    names = ["head", "layer4", "layer3", "layer2", "layer1", "stem"]
    assert rates == pytest.approx({name: 1e-3 / 2**depth for depth, name in enumerate(names)})
    # With SGD the ratios stay and all are ten times as high.
    sgd = {g["name"]: g["rate"] for g in make_optimizer(layer_groups(made, by_half), "sgd").param_groups}
    assert sgd == pytest.approx({name: 1e-2 / 2**depth for depth, name in enumerate(names)})
    frozen = plan("resnet18", lr_decay_per_stage=0.5, freeze_until="layer4")
    assert {g.name: g.rate for g in layer_groups(made, frozen)} == pytest.approx({"head": 1e-3, "layer4": 5e-4})


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_1"])
def test_a_frozen_backbone_is_bit_identical_after_training(name: str) -> None:
    made, frozen = network(name), plan(name, "feature-extraction")
    before = state(made)
    run_epoch(made, frozen, learning(made, frozen), n=2)
    head = frozen.backbone.head
    assert changed(before, state(made)) == {f"backbone.{head}.weight", f"backbone.{head}.bias"}


@pytest.mark.parametrize("strategy", ["fine-tune", "scratch"])
def test_the_other_strategies_train_every_layer_and_batch_norm(strategy: Strategy) -> None:
    made, all_of_it = network("resnet18"), plan("resnet18", strategy)
    before = state(made)
    run_epoch(made, all_of_it, learning(made, all_of_it))
    assert before.keys() - changed(before, state(made)) == {"mean", "std"}


def test_fine_tuning_moves_the_head_more_than_the_last_stage_more_than_the_stem() -> None:
    made, tuned = network("resnet18"), plan("resnet18")
    before = {key: value.detach().clone() for key, value in made.named_parameters()}
    run_epoch(made, tuned, learning(made, tuned))
    moved = {key: float((value - before[key]).detach().abs().max()) for key, value in made.named_parameters()}
    head, last, stem = (moved[f"backbone.{key}.weight"] for key in ("fc", "layer4.0.conv1", "conv1"))
    assert head == pytest.approx(1e-3, rel=0.05)
    assert last == pytest.approx(1e-4, rel=0.05)
    assert stem == pytest.approx(1e-5, rel=0.05)


MIDDLE = {
    "resnet18": "layer3",
    "mobilenet_v2": "stage4",
    "densenet121": "block4",
    "vgg16": "hidden",
    "efficientnet_b0": "stage5",
    "mobilenet_v3_small": "stage4",
    "shufflenet_v2_x0_5": "stage4",
    "regnet_y_400mf": "block3",
}


@pytest.mark.parametrize("name", MIDDLE)
def test_the_stages_before_freeze_until_are_bit_identical_after_training(name: str) -> None:
    # Two images are enough to change statistics; vgg16 has 134 million weights to move.
    made, cut = network(name), plan(name, freeze_until=MIDDLE[name])
    before = state(made)
    run_epoch(made, cut, learning(made, cut, "sgd", weight_decay=0.1, lr_scale=10), size=4)
    found = changed(before, state(made))
    names = [stage.name for stage in cut.backbone.stages]
    assert stages_of(cut, found) == {*names[names.index(MIDDLE[name]) :], "head"}
    # In a stage that learns, the statistics of batch norm do, too.
    learned = {f"backbone.{key}" for key, _ in made.backbone.named_buffers() if "running" in key}
    assert {key for key in learned if stages_of(cut, {key}) & set(cut.stages)} == found & learned


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weight_decay_momentum_and_the_average_leave_what_is_frozen(optimizer: Any) -> None:
    cut = plan("shufflenet_v2_x0_5", freeze_until="stage3", unfreeze_every=2)
    made = network("shufflenet_v2_x0_5")
    before = state(made)
    steps = learning(made, cut, optimizer, weight_decay=0.1, lr_scale=10)
    steps.average = MovingAverage(made, 0.9)
    run_epoch(made, cut, steps, epoch=1, n=3)
    for now in (state(made), state(steps.evaluated)):
        assert stages_of(cut, changed(before, now)) == {"head"}
    run_epoch(made, cut, steps, epoch=3, n=3)
    for now in (state(made), state(steps.evaluated)):
        assert stages_of(cut, changed(before, now)) == {"stage4", "head"}
    assert changed(state(made), state(steps.evaluated)), "an average differs from the last weights"


def test_stages_thaw_from_the_head_downwards_epoch_by_epoch() -> None:
    made, thawing = network("shufflenet_v2_x0_5"), plan("shufflenet_v2_x0_5", unfreeze_every=1)
    before = state(made)
    steps = learning(made, thawing, "adamw", weight_decay=0.1)
    expected = {"head"}
    for epoch, thawed in enumerate(["head", "stage4", "stage3", "stage2", "stem", "stem"], start=1):
        expected |= {thawed}
        run_epoch(made, thawing, steps, epoch=epoch)
        assert stages_of(thawing, changed(before, state(made))) == expected, epoch


@pytest.mark.parametrize(
    ("others", "thawed"),
    [
        ({"unfreeze_every": 1}, [1, 2, 3, 4, 5, 6, 6]),
        ({"unfreeze_every": 2}, [1, 1, 2, 2, 3, 3, 4]),
        ({"unfreeze_every": 2, "head_epochs": 1}, [1, 2, 2, 3, 3, 4, 4]),
        ({"unfreeze_every": 1, "freeze_until": "layer3"}, [1, 2, 3, 3, 3, 3, 3]),
        ({"head_epochs": 3}, [1, 1, 1, 6, 6, 6, 6]),
        ({"head_epochs": 2, "freeze_until": "layer4"}, [1, 1, 2, 2, 2, 2, 2]),
        ({"freeze_until": "head"}, [1] * 7),
        ({}, [6] * 7),
    ],
)
def test_how_many_stages_learn_in_each_epoch(others: dict[str, Any], thawed: list[int]) -> None:
    made = plan("resnet18", **others)
    order = ["head", "layer4", "layer3", "layer2", "layer1", "stem"]
    assert [made.trained(epoch) for epoch in range(1, 8)] == [frozenset(order[:count]) for count in thawed]


def test_frozen_batch_norm_keeps_its_statistics_and_trains_its_scales() -> None:
    made, kept = network("resnet18"), plan("resnet18", batch_norm="frozen")
    before = state(made)
    run_epoch(made, kept, learning(made, kept))
    found = changed(before, state(made))
    assert not [key for key in found if "running" in key or "num_batches" in key]
    assert {"backbone.bn1.weight", "backbone.layer4.1.bn2.bias", "backbone.conv1.weight"} <= found


def test_modes() -> None:
    made = network("mobilenet_v2")
    set_mode(made, plan("mobilenet_v2", "feature-extraction"))
    training = {name for name, module in made.named_modules() if module.training and not list(module.children())}
    # The dropout in front of the head is the head's.
    assert training == {"backbone.classifier.0", "backbone.classifier.1"}
    set_mode(made, plan("mobilenet_v2"))
    assert all(module.training for module in made.modules())
    set_mode(made, plan("mobilenet_v2", batch_norm="frozen"))
    for module in made.modules():
        assert module.training != isinstance(module, BATCH_NORM)


def test_dropout_between_hidden_layers_is_on_where_its_stage_learns() -> None:
    with torch.device("meta"):
        made = network("vgg16")
    for until, hidden in (("head", False), ("hidden", True)):
        set_mode(made, plan("vgg16", freeze_until=until))
        modes = {name: module.training for name, module in made.backbone.classifier.named_children()}
        # classifier: linear, relu, dropout, linear, relu, dropout, head
        assert (modes["2"], modes["5"], modes["6"]) == (hidden, True, True)


def test_stochastic_depth_is_off_in_frozen_stages() -> None:
    from torchvision.ops import StochasticDepth

    made, cut = network("efficientnet_b0"), plan("efficientnet_b0", freeze_until="stage5")
    set_mode(made, cut)
    modes: dict[str, set[bool]] = {"frozen": set(), "stage5": set()}
    for name, module in made.backbone.named_modules():
        if isinstance(module, StochasticDepth):
            modes["stage5" if name.split(".")[1] in "678" else "frozen"].add(module.training)
    assert modes == {"frozen": {False}, "stage5": {True}}


@pytest.mark.parametrize(
    ("name", "own"),
    [("mobilenet_v2", 0.2), ("efficientnet_b0", 0.2), ("vgg16", 0.5), ("resnet18", None), ("densenet121", None)],
)
def test_the_dropout_in_front_of_the_head_is_found(name: str, own: float | None) -> None:
    with torch.device("meta"):
        found = head_dropout(network(name), find_backbone(name))
    assert (found.p if found is not None else None) == own


def test_an_unknown_stage_is_answered_with_the_stages() -> None:
    backbone = find_backbone("mobilenet_v2")
    with pytest.raises(UsageError) as caught:
        make_plan(TrainSettings(strategy="fine-tune", freeze_until="layer3"), backbone, "fine-tune")
    assert caught.value.message == "`freeze_until` layer3: mobilenet_v2 has no such stage"
    assert caught.value.hint == "choose stem, stage2, stage3, stage4, stage5, head"


def test_a_loss_that_is_no_number_stops_the_run() -> None:
    made, from_scratch = network("resnet18"), plan("resnet18", "scratch")
    with torch.no_grad():
        made.backbone.fc.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="nan"):
        run_epoch(made, from_scratch, learning(made, from_scratch))


def test_measuring_changes_nothing_and_keeps_the_order() -> None:
    made = network("resnet18")
    before = state(made)
    given = batches(3)
    samples = [Sample(f"{index}.png", index % 3) for index in range(24)]
    found = answer_split(made.train(), samples, given, device=CPU)
    assert found.samples == tuple(samples) and found.labels.tolist() == [sample.label for sample in samples]
    assert found.logits.shape == (24, 3)
    whole = torch.cat([images for images, _ in given])
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found.logits), made.eval()(whole), rtol=1e-4, atol=1e-5)
    assert not changed(before, state(made))
    assert not any(isinstance(module, nn.Module) and module.training for module in made.modules())


class Block(nn.Module):
    """One that drops out by itself, as functions of torch do."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 8, 3, 2, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(self.conv(maps).relu(), 0.5, self.training)


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.low, self.high, self.attention = Block(3), Block(8), nn.MultiheadAttention(8, 2, dropout=0.5)
        self.fc = nn.Linear(8, 3)
        self.low.conv.weight.requires_grad_(False)
        self.high.table = nn.Parameter(torch.arange(4), requires_grad=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        tokens = self.high(self.low(pixels)).flatten(2).permute(2, 0, 1)
        return self.fc(self.attention(tokens, tokens, tokens)[0].mean(0))


OWN = Backbone("own", "fc", tuple(Stage(name, (name,)) for name in ("low", "high", "attention")), 0, 0.0, None, "")


def own_network() -> Network:
    torch.manual_seed(0)
    return Network(Own(), mean=(0.5,) * 3, std=(0.2,) * 3)


@pytest.mark.parametrize("strategy", ["scratch", "fine-tune"])
def test_what_a_network_comes_with_fixed_stays_as_it_is(strategy: Strategy) -> None:
    made, all_of_it = own_network(), Plan(OWN, strategy)
    before = state(made)
    run_epoch(made, all_of_it, learning(made, all_of_it, "sgd", lr_scale=10, weight_decay=0.1))
    stayed = before.keys() - changed(before, state(made)) - {"mean", "std"}
    assert stayed == {"backbone.low.conv.weight", "backbone.high.table"}
    # What edge froze itself thaws.
    freeze(made, Plan(OWN, "feature-extraction"))
    freeze(made, all_of_it)
    assert {name for name, p in made.backbone.named_parameters() if not p.requires_grad} == made.fixed
    made.fixed |= {"fc.weight", "fc.bias"}
    with pytest.raises(UsageError, match=r"own comes with requires_grad_\(False\) on all that would learn in epoch 1"):
        freeze(made, Plan(OWN, "feature-extraction"))


def test_a_block_whose_layers_are_all_frozen_drops_nothing_out_by_itself() -> None:
    made, images = own_network(), batches(1)[0][0]
    set_mode(made, Plan(OWN, "fine-tune", freeze_until="head"))
    assert torch.equal(made(images), made(images))
    set_mode(made, Plan(OWN, "fine-tune", freeze_until="high"))
    assert (made.backbone.low.training, made.backbone.high.training) == (False, True)
    assert made.backbone.attention.training and not torch.equal(made(images), made(images))
