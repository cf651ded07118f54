"""Batch norm folded into the convolutions before it: the same answers with a third fewer passes over memory.

Where batch norm uses fixed statistics it is an affine map, which the convolution can make in the same pass: its
weights become `conv.weight * scale` and its bias `norm.bias + (conv.bias - mean) * scale`, with
`scale = norm.weight / sqrt(variance + eps)` (Jacob et al. 2018, section 3.2).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_train.network.backbones import Backbone
from edge_train.network.network import Network

M = TypeVar("M", bound=nn.Module)


def fold(network: Network) -> Network:
    """A copy for evaluation alone; its logits differ from the network's by float rounding (about one in a million)."""
    own = copy.deepcopy(network).requires_grad_(False)
    return with_folded_norms(own).to(memory_format=torch.channels_last)


def with_folded_norms(module: M) -> M:
    """A view of a module for evaluation alone, each `Network` in it folded; what is not folded is shared."""
    view = _view(module).eval()
    for network in view.modules():
        if isinstance(network, Network):
            for names in _pairs(network.backbone):
                _replace(network.backbone, names, fuse_conv_bn_eval(*_modules(network.backbone, names)))
    return view


def fold_body(network: Network, backbone: Backbone) -> Network:
    """A folded copy without its head: uint8 images `[N, H, W, 3]` to embeddings `[N, D]`."""
    body = copy.deepcopy(network)
    body.backbone.set_submodule(backbone.head, nn.Identity())
    return fold(body)


def fold_frozen(network: Network) -> Network:
    """The same network to train through: batch norms in evaluation mode are folded, all tensors are shared.

    Gradients reach the convolutions' weights and batch norm's scales as they would unfolded; what an optimiser
    changes in `network` changes here. The network itself where no batch norm can be folded.
    """
    frozen = [names for names in _pairs(network.backbone) if not _modules(network.backbone, names)[1].training]
    if not frozen:
        return network
    view = _view(network)
    for names in frozen:
        _replace(view.backbone, names, _FoldedConv(*_modules(view.backbone, names)))
    return view


def _view(module: M) -> M:
    """Modules of its own over the same tensors."""
    return copy.deepcopy(module, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})


class _FoldedConv(nn.Module):
    """A convolution and the batch norm after it in one pass; differentiable in the weights and scales of both."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv, self.norm = conv, norm

    def forward(self, inputs: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        folded: Tensor = conv._conv_forward(inputs, conv.weight * scale.reshape(-1, 1, 1, 1), shift)
        return folded


class _ModuleTracer(fx.Tracer):
    """Sees every module that has no children as one step, torchvision's own among them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or not list(m.children())


def _pairs(backbone: nn.Module) -> Iterator[tuple[str, str]]:
    """The names of each convolution and of the batch norm that alone reads it."""
    modules = dict(backbone.named_modules())
    for node in _ModuleTracer().trace(backbone).nodes:
        if node.op != "call_module" or not isinstance(modules[node.target], nn.BatchNorm2d):
            continue
        before = node.args[0]
        if before.op == "call_module" and isinstance(modules[before.target], nn.Conv2d) and len(before.users) == 1:
            yield before.target, node.target


def _modules(backbone: nn.Module, names: tuple[str, str]) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv, norm = (backbone.get_submodule(name) for name in names)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _replace(backbone: nn.Module, names: tuple[str, str], by: nn.Module) -> None:
    conv, norm = names
    backbone.set_submodule(conv, by)
    backbone.set_submodule(norm, nn.Identity())
