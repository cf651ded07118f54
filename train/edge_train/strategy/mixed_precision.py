"""Number formats to train in: bfloat16 where it pays, float32 elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from edge_runtime import UsageError, instruction_sets
from edge_train.network.bf16_convolutions import training_in_bf16
from edge_train.settings import Precision, PrecisionChoice
from edge_train.strategy.format_speed import FormatSpeed

# Backbones that train at least a tenth faster in bfloat16 with AMX and with AVX512-BF16 alone, by `edge bench --train
# precision`: for where their steps are too long to be tried. Those of depthwise convolutions of 3x3 gain less and not
# everywhere; a frozen backbone, which only goes forwards, gains always.
PAYS_ON_CPU = frozenset(
    {"resnet18", "resnet50", "vgg16", "densenet121", "convnext_tiny", "squeezenet1_1", "regnet_y_400mf"}
)


@dataclass(frozen=True, slots=True)
class ChosenPrecision:
    """What a run is trained in, why in a few words, and whether that was tried on this machine."""

    precision: Precision
    why: str
    tried: bool = False


def choose_precision(
    choice: PrecisionChoice,
    device: torch.device,
    backbone: str,
    *,
    frozen: bool,
    measure: Callable[[], FormatSpeed],
) -> ChosenPrecision:
    """The precision of a run.

    `measure` is asked where `choice` is auto and a CPU computes in bfloat16, by its own word: some do so slower.

    Raises:
        UsageError: bf16 asked for where the device has none.
    """
    there = has_bf16(device)
    if choice == "bf16" and not there:
        raise UsageError(f"`precision` bf16: this {device.type} does not compute in bfloat16", "use `precision` auto")
    if choice != "auto":
        return ChosenPrecision(choice, "as asked")
    if not there:
        return ChosenPrecision("fp32", f"this {device.type} does not compute in bfloat16")
    if device.type != "cpu":
        return ChosenPrecision("bf16", f"this {device.type} computes in bfloat16")
    found = measure()
    if found.of_layer and found.bf16_pays and not frozen and backbone not in PAYS_ON_CPU:
        return ChosenPrecision("fp32", f"{backbone} takes too long a step to be tried in bfloat16", tried=True)
    what = "a convolution is" if found.of_layer else "bfloat16 is"
    where = "here, as tried with images of half the size" if found.halved else "here, as tried"
    why = f"{what} {found.gain:.2f} times as fast {'in bfloat16 ' if found.of_layer else ''}{where}"
    return ChosenPrecision("bf16" if found.bf16_pays else "fp32", why, tried=True)


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that mixed precision is faster there."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # The last is what Arm's processors call it.
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(instruction_sets())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """A context in which a network computes in `precision`; its weights stay float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def training_in(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """As `autocast`, for a step whose gradients are taken: on a CPU by the convolutions that are fast there."""
    return training_in_bf16() if device.type == "cpu" and precision == "bf16" else autocast(device, precision)
