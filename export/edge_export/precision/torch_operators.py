"""The operators of our graphs in torch, so that gradients go through them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Attributes: TypeAlias = Mapping[str, Any]
Operator: TypeAlias = Callable[[Sequence[Any], Attributes], Any]

_TORCH_TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}


def _conv(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    image, weight, *bias = inputs
    image, pads = _padded(image, attributes, 0.0)
    return functional.conv2d(
        image,
        weight,
        bias[0] if bias else None,
        stride=tuple(attributes.get("strides", (1, 1))),
        padding=pads,
        dilation=tuple(attributes.get("dilations", (1, 1))),
        groups=attributes.get("group", 1),
    )


def _padded(image: Tensor, attributes: Attributes, value: float) -> tuple[Tensor, tuple[int, int]]:
    """The image and what torch itself is to pad it by: where sides differ, it is padded here."""
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise NotImplementedError("auto_pad")
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if (top, left) == (bottom, right):
        return image, (top, left)
    return functional.pad(image, (left, right, top, bottom), value=value), (0, 0)


def _gemm(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    left, right, *bias = inputs
    left = left.T if attributes.get("transA", 0) else left
    right = right.T if attributes.get("transB", 0) else right
    product: Tensor = attributes.get("alpha", 1.0) * (left @ right)
    return product + attributes.get("beta", 1.0) * bias[0] if bias else product


def _max_pool(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    image, pads = _padded(inputs[0], attributes, float("-inf"))
    kernel = tuple(attributes["kernel_shape"])
    return functional.max_pool2d(
        image,
        kernel,
        stride=tuple(attributes.get("strides", (1, 1))),
        padding=pads,
        dilation=tuple(attributes.get("dilations", (1, 1))),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
    )


def _average_pool(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
    if (top, left) != (bottom, right):
        raise NotImplementedError("pads that differ")
    return functional.avg_pool2d(
        inputs[0],
        tuple(attributes["kernel_shape"]),
        stride=tuple(attributes.get("strides", (1, 1))),
        padding=(top, left),
        ceil_mode=bool(attributes.get("ceil_mode", 0)),
        count_include_pad=bool(attributes.get("count_include_pad", 0)),
    )


def _batch_norm(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    image, scale, shift, mean, variance = inputs
    return functional.batch_norm(image, mean, variance, scale, shift, eps=attributes.get("epsilon", 1e-5))


def _layer_norm(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value, scale, *shift = inputs
    axis = attributes.get("axis", -1) % value.ndim
    shape = value.shape[axis:]
    return functional.layer_norm(value, shape, scale, shift[0] if shift else None, attributes.get("epsilon", 1e-5))


def _reduce_mean(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    axes = inputs[1].tolist() if len(inputs) > 1 else list(attributes.get("axes", range(inputs[0].ndim)))
    mean: Tensor = inputs[0].mean(axes, keepdim=bool(attributes.get("keepdims", 1)))
    return mean


def _reshape(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value, shape = inputs[0], inputs[1].tolist()
    if not attributes.get("allowzero", 0):
        shape = [value.shape[at] if size == 0 else size for at, size in enumerate(shape)]
    reshaped: Tensor = value.reshape(shape)
    return reshaped


def _transpose(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    return value.permute(tuple(attributes.get("perm", range(value.ndim - 1, -1, -1))))


def _flatten(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    axis = attributes.get("axis", 1)
    return value.flatten(1) if axis == 1 else value.reshape(int(torch.tensor(value.shape[:axis]).prod()), -1)


def _squeeze(inputs: Sequence[Any], _: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    return value.squeeze() if len(inputs) < 2 else value.squeeze(tuple(inputs[1].reshape(-1).tolist()))


def _unsqueeze(inputs: Sequence[Any], _: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    for axis in sorted(inputs[1].reshape(-1).tolist()):
        value = value.unsqueeze(axis)
    return value


def _split(inputs: Sequence[Any], attributes: Attributes) -> Sequence[Tensor]:
    value, axis = inputs[0], attributes.get("axis", 0)
    if len(inputs) > 1:
        return torch.split(value, inputs[1].tolist(), dim=axis)
    return torch.chunk(value, attributes["num_outputs"], dim=axis)


def _slice(inputs: Sequence[Any], _: Attributes) -> Tensor:
    value, starts, ends, *rest = inputs
    axes = rest[0].tolist() if rest else list(range(len(starts)))
    steps = rest[1].tolist() if len(rest) > 1 else [1] * len(axes)
    cut = [slice(None)] * value.ndim
    for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps, strict=True):
        cut[axis] = slice(start, end, step)
    taken: Tensor = value[tuple(cut)]
    return taken


def _pad(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    if attributes.get("mode", b"constant") != b"constant" or len(inputs) > 3:
        raise NotImplementedError("a padding of this kind")
    value, pads = inputs[0], inputs[1].tolist()
    half = len(pads) // 2
    sides = [side for at in reversed(range(half)) for side in (pads[at], pads[at + half])]
    return functional.pad(value, sides, value=float(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0)


def _clip(inputs: Sequence[Any], _: Attributes) -> Tensor:
    value, *ends = inputs
    low, high = (None if end is None else float(end) for end in (*ends, None, None)[:2])
    return torch.clamp(value, low, high)


def _gather(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value, places = inputs
    axis = attributes.get("axis", 0) % value.ndim
    taken: Tensor = value.index_select(axis, places.reshape(-1) % value.shape[axis])
    return taken.reshape(*value.shape[:axis], *places.shape, *value.shape[axis + 1 :])


def _hard_sigmoid(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    return torch.clamp(inputs[0] * attributes.get("alpha", 0.2) + attributes.get("beta", 0.5), 0, 1)


def _gelu(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    return functional.gelu(inputs[0], approximate=attributes.get("approximate", b"none").decode())


def _cast(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    value: Tensor = inputs[0]
    return value.to(_TORCH_TYPES[attributes["to"]])


def clip_counted(inputs: Sequence[Any], attributes: Attributes) -> Tensor:
    """A clip of integers, of which torch has the numbers they stand for: before it on `steps`, then on `own_steps`."""
    value, shut, opened = inputs
    (size, zero), (own_size, own_zero) = attributes["steps"], attributes["own_steps"]
    clipped: Tensor = torch.clamp(value / size + zero, float(shut), float(opened))
    return (clipped - own_zero) * own_size


OPERATORS: dict[str, Operator] = {
    "Add": lambda inputs, _: inputs[0] + inputs[1],
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda inputs, attributes: torch.cat(list(inputs), dim=attributes["axis"]),
    "Conv": _conv,
    "Div": lambda inputs, _: inputs[0] / inputs[1],
    "Erf": lambda inputs, _: torch.erf(inputs[0]),
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": lambda inputs, _: functional.hardswish(inputs[0]),
    "Identity": lambda inputs, _: inputs[0],
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda inputs, attributes: functional.leaky_relu(inputs[0], attributes.get("alpha", 0.01)),
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "MaxPool": _max_pool,
    "Mul": lambda inputs, _: inputs[0] * inputs[1],
    "Pad": _pad,
    "Pow": lambda inputs, _: inputs[0] ** inputs[1],
    "Range": lambda inputs, _: torch.arange(int(inputs[0]), int(inputs[1]), int(inputs[2])),
    "ReduceMean": _reduce_mean,
    "Relu": lambda inputs, _: functional.relu(inputs[0]),
    "Reshape": _reshape,
    "Shape": lambda inputs, attributes: torch.tensor(
        inputs[0].shape[attributes.get("start", 0) : attributes.get("end")]
    ),
    "Sigmoid": lambda inputs, _: torch.sigmoid(inputs[0]),
    "Slice": _slice,
    "Softmax": lambda inputs, attributes: torch.softmax(inputs[0], dim=attributes.get("axis", -1)),
    "Split": _split,
    "Sqrt": lambda inputs, _: torch.sqrt(inputs[0]),
    "Squeeze": _squeeze,
    "Sub": lambda inputs, _: inputs[0] - inputs[1],
    "Tanh": lambda inputs, _: torch.tanh(inputs[0]),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
