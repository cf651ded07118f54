"""Structured pruning: whole channels leave a network, and with them their share of its size and time.

Channels that others depend on, through an addition, a concatenation or a depthwise convolution, leave together; which
they are is found by torch-pruning's dependency graph (Fang et al. 2023, "DepGraph: Towards Any Structural Pruning",
section 3). Of each group of layers, the channels leave first that the loss depends on least, to first order: weight
times gradient (Molchanov et al. 2019, "Importance Estimation for Neural Network Pruning", section 3.1). Where no
gradients are given it is those whose weights are the smallest (Li et al. 2017, "Pruning Filters for Efficient
ConvNets", section 3.1, by the L2 norm over the group).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from edge_runtime import MissingExtraError, UsageError
from edge_train.network.backbones import Backbone
from edge_train.network.device_memory import is_out_of_memory
from edge_train.network.held_values import copied
from edge_train.network.narrowing import narrow
from edge_train.network.network import Network

# Vector and int8 kernels work on eight channels at a time: fewer cost what eight do.
ROUND_TO = 8
# What rebuilding and pruning may differ by is a matter of which kernels are chosen.
_TOLERANCE = 1e-4


def require_pruner() -> None:
    """Raise MissingExtraError where torch-pruning is not installed."""
    _torch_pruning()


def prune_channels(
    network: Network,
    backbone: Backbone,
    share: float,
    size_px: int,
    gradients: Mapping[str, Tensor] | None = None,
) -> Network:
    """A copy of the network without the `share` of the channels of each group of layers that matters least.

    Widths stay multiples of eight, and the head's answers as many as they were; they depend on the share alone.
    `size_px` is the side of the images it is asked about. `gradients` are those of the loss, by the names of the
    network's parameters and in their shapes; without them the weights alone decide.

    Raises:
        MissingExtraError: torch-pruning is not installed.
        UsageError: the network cannot lose channels, or has none to lose.
    """
    pruner = _torch_pruning()
    pruned = copied(network).eval()
    pruned.take_gradients()
    model = pruned.backbone
    importance = pruner.importance.GroupMagnitudeImportance(p=2)
    if gradients is not None:
        importance = pruner.importance.GroupTaylorImportance()
        for name, parameter in pruned.named_parameters():
            parameter.grad = gradients[name].clone()
    example = torch.zeros(1, 3, size_px, size_px, device=next(model.parameters()).device)
    try:
        with warnings.catch_warnings():
            # Bare parameters, as the scales of ConvNeXt's blocks, are pruned along their channels, and it says so.
            warnings.filterwarnings("ignore", "Unwrapped parameters", UserWarning)
            pruner.pruner.BasePruner(
                model,
                example,
                importance=importance,
                pruning_ratio=share,
                pruning_ratio_dict=_shares(model, share),
                ignored_layers=[model.get_submodule(backbone.head), *_joined(pruner, model, example)],
            ).step()
        _require_rebuilt(network.backbone, model, example)
    except Exception as error:  # it meets whatever layers, and code, the network is made of
        if is_out_of_memory(error):
            raise
        raise UsageError(
            f"channels cannot be taken from {backbone.name}: {_first_line(error)}",
            "choose a `backbone` such as resnet18 or mobilenet_v2",
        ) from error
    if _parameters(pruned) == _parameters(network):
        raise UsageError(
            f"a `prune` of {share:g} takes no channel from {backbone.name}: widths stay multiples of eight",
            "give a larger share",
        )
    pruned.zero_grad(set_to_none=True)
    pruned.take_gradients()
    return pruned


def narrowed(channels: int, share: float) -> int:
    """The channels that are left of so many: a multiple of eight, at most a tenth below what the share leaves.

    As torchvision rounds the widths of a MobileNet. A layer of fewer than eight is left alone.
    """
    if channels <= ROUND_TO:
        return channels
    left = channels * (1 - share)
    rounded = max(ROUND_TO, int(left + ROUND_TO / 2) // ROUND_TO * ROUND_TO)
    return min(rounded + ROUND_TO * (rounded < 0.9 * left), channels)


def _shares(model: nn.Module, share: float) -> dict[nn.Module, float]:
    """For each layer the share of its channels that leaves the right number of them."""
    found: dict[nn.Module, float] = {}
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            channels = module.weight.shape[0]
            left = narrowed(channels, share)
            # The pruner rounds what is left down: half a channel more makes that exact.
            found[module] = 0.0 if left == channels else 1 - (left + 0.5) / channels
    return found


def _joined(pruner: Any, model: nn.Module, example: Tensor) -> list[nn.Module]:
    """The layers whose outputs are added to those of others: they keep their width.

    What runs through all blocks of a residual network bears the loss of channels worst, and the channels within a block
    are as many (Li et al. 2017, section 3.3).
    """
    graph = pruner.DependencyGraph().build_dependency(model, example_inputs=example)
    kinds = {nn.Conv2d: pruner.prune_conv_out_channels, nn.Linear: pruner.prune_linear_out_channels}
    found: list[nn.Module] = []
    for module in model.modules():
        prune = kinds.get(type(module))
        if prune is None or module not in graph.module2node or getattr(module, "groups", 1) > 1:
            continue
        group = graph.get_pruning_group(module, prune, [0])
        # Nodes without a layer are named after the operation that autograd saw.
        if any("AddBackward" in str(dependency.target.name) for dependency, _ in group):
            found.append(module)
    return found


def _require_rebuilt(whole: nn.Module, pruned: nn.Module, example: Tensor) -> None:
    """Raise RuntimeError where the network that a checkpoint is built into would not be the one that was pruned."""
    again = copied(whole).eval()
    state = pruned.state_dict()
    narrow(again, state)
    again.load_state_dict(state)
    images = torch.rand_like(example) - 0.5
    with torch.no_grad():
        expected, found = pruned.eval()(images), again(images)
    if expected.shape != found.shape or not torch.allclose(expected, found, atol=_TOLERANCE, rtol=_TOLERANCE):
        raise RuntimeError("the smaller network answers differently when it is built again")


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _torch_pruning() -> Any:
    try:
        import torch_pruning
    except ModuleNotFoundError as error:
        raise MissingExtraError("prune", error.name or "torch_pruning") from None
    return torch_pruning
