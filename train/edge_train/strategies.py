"""The three strategies of transfer learning: what is trained, how fast, and in which mode it runs.

Learning rates are the course's: a new head learns at 1e-3; in fine-tuning the last stage of the
backbone follows at 1e-4 and everything before it at 1e-5 (discriminative rates, Howard and Ruder 2018,
section 3.1); from scratch every layer learns at 1e-3. They are Adam's (Kingma and Ba 2015), the default.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from edge_train.backbones import Backbone
from edge_train.network import Network
from edge_train.settings import OptimizerName, Strategy

__all__ = ["LayerGroup", "freeze", "layer_groups", "make_optimizer", "set_mode"]

HEAD_RATE = 1e-3
LAST_STAGE_RATE = 1e-4
BODY_RATE = 1e-5
SCRATCH_RATE = 1e-3
SGD_RATE_SCALE = 10.0


@dataclass(frozen=True, slots=True)
class LayerGroup:
    """Layers that learn together: their names in the backbone, and their learning rate."""

    name: str
    parameters: tuple[nn.Parameter, ...]
    rate: float


def freeze(network: Network, backbone: Backbone, strategy: Strategy) -> None:
    """Switch off the gradients of what `strategy` does not train."""
    for name, parameter in network.backbone.named_parameters():
        parameter.requires_grad_(strategy != "feature-extraction" or backbone.stage_of(name) == "head")


def set_mode(network: Network, backbone: Backbone, strategy: Strategy) -> None:
    """Training mode for what learns; a frozen backbone stays in evaluation mode.

    In evaluation mode batch normalisation uses, and keeps, the statistics it was pretrained with, so a
    frozen backbone is bit-identical after training.
    """
    network.train()
    if strategy == "feature-extraction":
        network.eval()
        network.backbone.get_submodule(backbone.head).train()


def layer_groups(network: Network, backbone: Backbone, strategy: Strategy) -> list[LayerGroup]:
    """The groups an optimiser gets, from input to head; together they hold every trained parameter once."""
    trained = {name: p for name, p in network.backbone.named_parameters() if p.requires_grad}
    if strategy == "scratch":
        return [LayerGroup("all", tuple(trained.values()), SCRATCH_RATE)]
    rates = {stage.name: BODY_RATE for stage in backbone.stages}
    rates |= {backbone.stages[-1].name: LAST_STAGE_RATE, "head": HEAD_RATE}
    groups = [
        LayerGroup(stage, tuple(p for name, p in trained.items() if backbone.stage_of(name) == stage), rate)
        for stage, rate in rates.items()
    ]
    return [group for group in groups if group.parameters]


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
