"""The three strategies of transfer learning: what is trained, when, how fast, and in which mode it runs.

Learning rates are the course's: a new head learns at 1e-3; in fine-tuning the last stage of the
backbone follows at 1e-4 and everything before it at 1e-5 (discriminative rates, Howard and Ruder 2018,
section 3.1); from scratch every layer learns at 1e-3. They are Adam's (Kingma and Ba 2015), the default.
Attention that was added is as new as the head and learns at its rate.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from edge_runtime import UsageError
from edge_train.network.attention import is_of_attention
from edge_train.network.backbones import Backbone
from edge_train.network.network import Network
from edge_train.settings import FINE_TUNING, BatchNormMode, OptimizerName, Strategy, TrainSettings

HEAD = "head"
ATTENTION = "attention"
HEAD_RATE = 1e-3
LAST_STAGE_RATE = 1e-4
BODY_RATE = 1e-5
SCRATCH_RATE = 1e-3
# What the loss itself learns, the tasks' variances, must get somewhere in the few hundred steps of a run.
LOSS_RATE = 1e-2
SGD_RATE_SCALE = 10.0

BATCH_NORM = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that learn together: their names in the backbone, and their learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Which stages learn in which epoch, at which rate. Epochs count from 1.

    Fine-tuning may keep the stages before `freeze_until` frozen throughout; train the head alone for
    `head_epochs` first, so that its random gradients do not spoil the backbone; and then thaw one stage more,
    from the head towards the input, every `unfreeze_every` epochs (gradual unfreezing, Howard and Ruder 2018,
    section 3.3). With `lr_decay_per_stage` each stage learns at that share of the rate of the stage above it.

    Batch norm in a stage that is frozen neither uses nor changes batch statistics: the stage is bit-identical
    after training. In a stage that learns it does both, or neither where `batch_norm` is `frozen`: its scales learn
    either way.

    Attention learns with its stage; in feature extraction with the head, through the frozen stages.
    """

    backbone: Backbone
    strategy: Strategy
    lr_decay_per_stage: float | None = None
    freeze_until: str | None = None
    unfreeze_every: int | None = None
    head_epochs: int = 0
    batch_norm: BatchNormMode = "train"

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that ever learn, from input to head."""
        names = [stage.name for stage in self.backbone.stages]
        if self.strategy == "feature-extraction":
            return (HEAD,)
        if self.freeze_until is not None:
            names = names[names.index(self.freeze_until) :] if self.freeze_until != HEAD else []
        return (*names, HEAD)

    def trained(self, epoch: int) -> frozenset[str]:
        """The stages that learn in `epoch`."""
        body = self.stages[:-1]
        if epoch <= self.head_epochs:
            return frozenset((HEAD,))
        if self.unfreeze_every is not None:
            thawed = (epoch - 1 - self.head_epochs) // self.unfreeze_every + (self.head_epochs > 0)
            body = body[max(0, len(body) - thawed) :]
        return frozenset((*body, HEAD))

    def first_thawed_epoch(self, epochs: int) -> int:
        """The first epoch in which all learns that ever does in a run of so many."""
        return next(epoch for epoch in range(1, epochs + 1) if self.trained(epoch) == self.trained(epochs))

    def learns(self, parameter: str, epoch: int) -> bool:
        """Whether the parameter of that name learns in `epoch`."""
        if self.strategy == "feature-extraction" and is_of_attention(parameter):
            return True
        return self.backbone.stage_of(parameter) in self.trained(epoch)

    def group_of(self, parameter: str) -> str | None:
        """What a parameter learns together with: its stage, `head` or `attention`; None where it never learns."""
        if is_of_attention(parameter) and self.strategy == "feature-extraction":
            return ATTENTION
        stage = self.backbone.stage_of(parameter)
        if stage not in self.stages:
            return None
        return ATTENTION if is_of_attention(parameter) else stage

    def rate(self, group: str) -> float:
        """Adam's learning rate for a stage, the head or attention."""
        if self.strategy == "scratch":
            return SCRATCH_RATE
        if group in (HEAD, ATTENTION):
            return HEAD_RATE
        names = [each.name for each in self.backbone.stages]
        if self.lr_decay_per_stage is not None:
            return float(HEAD_RATE * self.lr_decay_per_stage ** (len(names) - names.index(group)))
        return LAST_STAGE_RATE if group == names[-1] else BODY_RATE


def make_plan(settings: TrainSettings, backbone: Backbone, strategy: Strategy) -> Plan:
    """The plan of a run.

    Raises:
        UsageError: `--freeze-until` names no stage, or `auto` came to a strategy that a setting is not for.
    """
    shaped = next((name for name, default in FINE_TUNING.items() if getattr(settings, name) != default), None)
    if strategy != "fine-tune" and shaped is not None:
        # `auto` came to another strategy: frozen stages of random weights would stay random.
        raise UsageError(
            f"`{shaped}` is for fine-tuning, but the strategy is {strategy}",
            "drop it, or choose `strategy` fine-tune with pretrained weights",
        )
    if strategy != "feature-extraction" and settings.views is not None:
        raise UsageError(
            f"`views` is for feature extraction, but the strategy is {strategy}: it sees a new view every epoch",
            "drop `views`, or choose `strategy` feature-extraction with pretrained weights",
        )
    names = [*(stage.name for stage in backbone.stages), HEAD]
    if settings.freeze_until is not None and settings.freeze_until not in names:
        raise UsageError(
            f"`freeze_until` {settings.freeze_until}: {backbone.name} has no such stage", f"choose {', '.join(names)}"
        )
    return Plan(
        backbone,
        strategy,
        lr_decay_per_stage=settings.lr_decay_per_stage,
        freeze_until=settings.freeze_until,
        unfreeze_every=settings.unfreeze_every,
        head_epochs=settings.head_epochs,
        batch_norm=settings.batch_norm if strategy == "fine-tune" else "train",
    )


def freeze(network: Network, plan: Plan, epoch: int = 1) -> None:
    """Switch on the gradients of what learns in `epoch`, and off those of all else.

    Raises UsageError where nothing does, since whoever made the network has fixed it.
    """
    for name, parameter in network.backbone.named_parameters():
        parameter.requires_grad_(name not in network.fixed and plan.learns(name, epoch))
    if not any(parameter.requires_grad for parameter in network.backbone.parameters()):
        raise UsageError(
            f"{plan.backbone.name} comes with requires_grad_(False) on all that would learn in epoch {epoch}",
            "leave the head, at least, as torch makes it",
        )


def set_mode(network: Network, plan: Plan, epoch: int = 1) -> None:
    """Training mode for what learns in `epoch`, evaluation mode for what is frozen.

    In evaluation mode batch normalisation uses, and keeps, the statistics it was pretrained with, and dropout
    and stochastic depth are off. A block is in the mode of the layers within it: it may drop out by itself.
    """
    trained = plan.trained(epoch)
    network.train()
    last = head_dropout(network, plan.backbone)
    learning: set[nn.Module] = set()
    for stage, module in _leaves(network.backbone, plan.backbone):
        owner = HEAD if module is last else stage
        module.train(owner in trained and not (plan.batch_norm == "frozen" and isinstance(module, BATCH_NORM)))
        if owner in trained:
            learning.add(module)
    for block in network.backbone.modules():
        if list(block.children()) and not isinstance(block, BATCH_NORM):
            block.training = not learning.isdisjoint(block.modules())


def head_dropout(network: Network, backbone: Backbone) -> nn.Dropout | None:
    """The architecture's own dropout right in front of the head, None where it has none."""
    found = None
    for name, module in network.backbone.named_modules():
        if name == backbone.head:
            return found
        if isinstance(module, nn.Dropout) and not any(stage.holds(f"{name}.") for stage in backbone.stages):
            found = module
        elif not list(module.children()):
            found = None
    return None


def _leaves(model: nn.Module, backbone: Backbone) -> Iterator[tuple[str, nn.Module]]:
    """Every module without children, with the stage it works in; one between two stages belongs to the former.

    Batch norm is one of them though it have an activation, or attention, as its child.
    """
    stage = backbone.stages[0].name
    for name, module in model.named_modules():
        if list(module.children()) and not isinstance(module, BATCH_NORM):
            continue
        if f"{name}.".startswith(f"{backbone.head}."):
            stage = HEAD
        else:
            stage = next((each.name for each in backbone.stages if each.holds(f"{name}.")), stage)
        yield stage, module


def layer_groups(network: Network, plan: Plan) -> list[LayerGroup]:
    """The groups an optimiser gets, from input to head; together they hold once every parameter that ever learns.

    One that is still frozen has no gradient, so an optimiser leaves it as it is.
    """
    grouped: dict[str, list[nn.Parameter]] = {name: [] for name in (*plan.stages, ATTENTION)}
    for name, parameter in network.backbone.named_parameters():
        group = plan.group_of(name)
        if group is not None and name not in network.fixed:
            grouped[group].append(parameter)
    if plan.strategy == "scratch":
        return [LayerGroup("all", tuple(itertools.chain.from_iterable(grouped.values())), SCRATCH_RATE)]
    return [LayerGroup(group, tuple(found), plan.rate(group)) for group, found in grouped.items() if found]


def make_optimizer(
    groups: list[LayerGroup], name: OptimizerName = "adam", *, lr_scale: float = 1.0, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """The optimiser over the groups, each at its own rate times `lr_scale`, kept as `rate` in the group.

    SGD has Nesterov momentum 0.9 and ten times the rates, which are Adam's. Weight decay spares biases and
    the scales of normalisation, which it would only pull from their meaning (He et al. 2019, section 3.1).
    """
    scale = lr_scale * (SGD_RATE_SCALE if name == "sgd" else 1.0)
    settings = []
    for group in groups:
        weights = [p for p in group.parameters if p.ndim > 1]
        others = [p for p in group.parameters if p.ndim <= 1]
        for parameters, decay in ((weights, weight_decay), (others, 0.0)):
            if parameters:
                rate = group.rate * scale
                settings.append(
                    {"params": parameters, "lr": rate, "rate": rate, "name": group.name, "weight_decay": decay}
                )
    if name == "sgd":
        return torch.optim.SGD(settings, momentum=0.9, nesterov=True)
    return (torch.optim.AdamW if name == "adamw" else torch.optim.Adam)(settings)
