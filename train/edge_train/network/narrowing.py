"""A network rebuilt with fewer channels: each layer takes the sizes that a pruned network's tensors have.

What was pruned is kept in its tensors' shapes alone, so that a checkpoint of one is plain data like any other, and
loading it needs nothing of what pruned it.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

# In a card's `architecture`: the share of the channels that were taken.
PRUNED = "pruned"


def narrow(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give every layer of a model that `build` made the sizes of the tensors in `state`; its weights become arbitrary.

    Raises:
        RuntimeError: a tensor is missing, or has another number of dimensions than the layer's.
    """
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        own = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        changed = False
        for name, tensor in own.items():
            shape = _shape_of(prefix + name, tensor, state)
            if shape == tensor.shape:
                continue
            changed = True
            smaller = tensor.detach().new_empty(shape)
            if isinstance(tensor, nn.Parameter):
                module.register_parameter(name, nn.Parameter(smaller, requires_grad=tensor.requires_grad))
            else:
                module.register_buffer(name, smaller)
        if changed:
            _restate(module)


def _shape_of(name: str, tensor: Tensor, state: Mapping[str, Tensor]) -> tuple[int, ...]:
    found = state.get(name)
    if found is None or found.ndim != tensor.ndim:
        raise RuntimeError(f"{name} is missing, or is no {tensor.ndim}-dimensional tensor")
    return tuple(found.shape)


def _restate(module: nn.Module) -> None:
    """Say the sizes of a layer's tensors in its attributes, which its forward pass reads."""
    weight = getattr(module, "weight", None)
    if not isinstance(weight, Tensor):
        return
    if isinstance(module, nn.Conv2d):
        outputs, inputs = weight.shape[:2]
        if module.groups > 1 and inputs == 1:
            module.groups = outputs
        module.out_channels, module.in_channels = outputs, inputs * module.groups
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = weight.shape
    elif isinstance(module, nn.modules.batchnorm._BatchNorm):
        module.num_features = weight.shape[0]
    elif isinstance(module, nn.LayerNorm):
        module.normalized_shape = tuple(weight.shape)
