"""Activations that overwrite their input, which torch's exporter takes apart where they are ReLU6 or hard-swish."""

from __future__ import annotations

from typing import TypeVar

from torch import fx, nn

from edge_train.network.module_tracer import ModuleTracer
from edge_train.network.network import Network

M = TypeVar("M", bound=nn.Module)

# What they give is new memory, of which nothing else is a view.
_FRESH = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)


def without_overwriting(module: M) -> M:
    """The module itself, the activations of each `Network` in it told not to overwrite an input that they alone read.

    Its answers stay the same to the bit. A backbone that cannot be traced stays as it is.
    """
    for network in module.modules():
        if isinstance(network, Network):
            _let_be(network.backbone)
    return module


def _let_be(backbone: nn.Module) -> None:
    try:
        nodes = ModuleTracer().trace(backbone).nodes
    except Exception:  # what a forward of anyone's does with a stand-in for a tensor is its own
        return
    modules = dict(backbone.named_modules())
    calls = [node for node in nodes if node.op == "call_module"]
    read_by_others = {str(node.target) for node in calls if not _alone(node.args[0] if node.args else None, modules)}
    for name in {str(node.target) for node in calls} - read_by_others:
        if getattr(modules[name], "inplace", False) is True:
            modules[name].inplace = False


def _alone(node: object, modules: dict[str, nn.Module]) -> bool:
    """Whether what a node gives is new and has one reader."""
    if not isinstance(node, fx.Node) or node.op != "call_module" or len(node.users) != 1:
        return False
    giver = modules[str(node.target)]
    if isinstance(giver, nn.Identity):
        return _alone(node.args[0], modules)
    return isinstance(giver, _FRESH)
