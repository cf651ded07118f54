"""Batch norm folded into the convolutions before it: the same answers with a third fewer passes over memory.

Where batch norm uses fixed statistics it is an affine map, which the convolution can make in the same pass: its
weights become `conv.weight * scale` and its bias `norm.bias + (conv.bias - mean) * scale`, with
`scale = norm.weight / sqrt(variance + eps)` (Jacob et al. 2018, section 3.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edge_train.network.backbones import Backbone
from edge_train.network.held_values import copied, held_modules
from edge_train.network.module_tracer import ModuleTracer
from edge_train.network.network import Network

M = TypeVar("M", bound=nn.Module)

_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def fold(network: Network) -> Network:
    """A copy for evaluation alone; its logits differ from the network's by float rounding (about one in a million)."""
    own = _fold(copied(network).requires_grad_(False))
    return own.to(memory_format=torch.channels_last)


def with_folded_norms(module: M) -> M:
    """A view of a module for evaluation alone, each `Network` in it folded; what is not folded is shared."""
    return _fold(_view(module))


def fold_body(network: Network, backbone: Backbone) -> Network:
    """A folded copy without its head: uint8 images `[N, H, W, 3]` to embeddings `[N, D]`."""
    body = copied(network).requires_grad_(False)
    body.backbone.set_submodule(backbone.head, nn.Identity())
    return _fold(body).to(memory_format=torch.channels_last)


def fold_frozen(network: Network) -> Network:
    """The same network to train through: batch norms in evaluation mode are folded, all tensors are shared.

    Gradients reach the convolutions' weights and batch norm's scales as they would unfolded; what an optimiser
    changes in `network` changes here. The network itself where no batch norm can be folded.
    """
    # Tracing takes longer than looking, and from scratch every batch norm learns.
    if not any(_is_plain_norm(module) and not module.training for module in network.backbone.modules()):
        return network
    frozen = [names for names in _pairs(network.backbone) if not _modules(network.backbone, names)[1].training]
    if not frozen:
        return network
    view = _view(network)
    for names in frozen:
        _replace(view.backbone, names, _FoldedConv(*_modules(view.backbone, names)))
    return view


def _fold(module: M) -> M:
    """The module itself, each `Network` in it folded."""
    module.eval()
    for network in module.modules():
        if isinstance(network, Network):
            for names in _pairs(network.backbone):
                _replace(network.backbone, names, fuse_conv_bn_eval(*_modules(network.backbone, names)))
    return module


def _view(module: M) -> M:
    """Modules of its own over the same tensors."""
    return copied(module, shared=(*module.parameters(), *module.buffers()))


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


def _pairs(backbone: nn.Module) -> Iterator[tuple[str, str]]:
    """The names of each convolution and of the batch norm that alone reads it; none where it cannot be traced."""
    modules = dict(backbone.named_modules())
    try:
        nodes = ModuleTracer().trace(backbone).nodes
    except Exception:  # what a forward of anyone's does with a stand-in for a tensor is its own
        return
    calls = Counter(str(node.target) for node in nodes if node.op == "call_module")
    # Of a layer that lies in two places only one would be replaced.
    places = Counter(map(id, held_modules(backbone)))
    read = {str(node.target).rpartition(".")[0] for node in nodes if node.op == "get_attr"}
    for node in nodes:
        before = node.args[0] if node.args else None
        if node.op != "call_module" or not isinstance(before, fx.Node) or before.op != "call_module":
            continue
        conv, norm = str(before.target), str(node.target)
        once = calls[conv] == calls[norm] == len(before.users) == 1
        # Another's convolution may do more than convolve: standardise its weights, or pad.
        plain = type(modules[conv]) is nn.Conv2d and _is_plain_norm(modules[norm])
        alone = all(places[id(modules[name])] == 1 and name not in read for name in (conv, norm))
        if once and plain and alone and not (_has_hooks(modules[conv]) or _has_hooks(modules[norm])):
            yield conv, norm


def _has_hooks(module: nn.Module) -> bool:
    """Whether more than its forward is called: to make its weights anew (`spectral_norm`), or to see what goes by."""
    return any(vars(module)[name] for name in _HOOKS)


def _is_plain_norm(module: nn.Module) -> bool:
    """Batch norm that can be without batches, or timm's with an activation behind it."""
    if not isinstance(module, nn.BatchNorm2d) or not module.affine or module.running_mean is None:
        return False
    return type(module) is nn.BatchNorm2d or _is_with_activation(module)


def _is_with_activation(norm: nn.Module) -> bool:
    return type(norm).__name__ == "BatchNormAct2d" and all(hasattr(norm, name) for name in ("drop", "act"))


def _modules(backbone: nn.Module, names: tuple[str, str]) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    conv, norm = (backbone.get_submodule(name) for name in names)
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return conv, norm


def _replace(backbone: nn.Module, names: tuple[str, str], by: nn.Module) -> None:
    conv, norm = names
    old = backbone.get_submodule(norm)
    behind = [old.get_submodule(part) for part in ("drop", "act")] if _is_with_activation(old) else []
    backbone.set_submodule(conv, by)
    backbone.set_submodule(norm, nn.Sequential(*behind) if behind else nn.Identity())
