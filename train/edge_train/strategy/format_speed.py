"""Which number format a network trains faster in on this machine: a few steps of each, measured once and remembered."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import nn

from edge_runtime import OutputError, cache_folder, cpu_model, instruction_sets, write_json
from edge_train.network.bf16_convolutions import training_in_bf16
from edge_train.network.held_values import copied
from edge_train.network.network import Network
from edge_train.strategy.plan import BATCH_NORM

Clock: TypeAlias = Callable[[], float]

# What a measurement may take, s.
BUDGET_S = 2.0
# bfloat16 rounds to 8 bits: it has to be worth that.
PAYS_FROM = 1.1
ROUNDS = 3
_KEPT = 200
# The fewest images that a step is tried with.
_FEW = 2
_FILE = "format-speed.json"
# What chooses between kernels, as Linux names it; a home folder may be that of many machines with one model name.
_OF_KERNELS = ("avx", "amx", "fma", "bf16", "asimd", "sve", "sme", "i8mm")
# With these a user holds oneDNN to fewer; the second is its older name.
_HELD_TO = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


@dataclass(frozen=True, slots=True)
class FormatSpeed:
    """Processor seconds of a training step, or of a forward pass, on the same images in the two formats.

    `of_layer` says that it is a convolution's alone, since the network's steps are too long to be tried; `halved` that
    they were tried on images of half the width and height.
    """

    fp32_s: float
    bf16_s: float
    of_layer: bool = False
    halved: bool = False

    @property
    def gain(self) -> float:
        """How many times as fast bfloat16 is."""
        return self.fp32_s / self.bf16_s

    @property
    def bf16_pays(self) -> bool:
        """Whether bfloat16 is faster by more than it costs in digits."""
        return self.gain >= PAYS_FROM


def remembered_speed(
    network: Network, size_px: tuple[int, int], batch_size: int, *, frozen: bool, smallest_px: int | None = None
) -> FormatSpeed:
    """What `measure_speed` found on this machine for a network like this one; measured where it has not been yet.

    Kept in `format-speed.json` in the cache folder, by processor, its kernels, torch, architecture, size and batch: a
    seed gives the same weights again on the machine that it gave them on. Not kept is what was tried with a convolution
    alone because the network's own steps took too long, which they may have done for once.
    """
    shape = "x".join(map(str, size_px))
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in network.parameters()]
    weights, learned = sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
    norms = sum(isinstance(module, BATCH_NORM) and module.training for module in network.modules())
    capability = torch.backends.cpu.get_cpu_capability()
    key = (
        f"{cpu_model()}, {capability}{_kernels()}, torch {torch.__version__}: "
        f"{type(network.backbone).__name__} of {weights} parameters, {shape} px, batches of {batch_size}, "
        f"{'forward' if frozen else f'training {learned}, {norms} batch norms, rearranged'}"
    )
    found = _as_speed(_read_kept().get(key))
    if found is None:
        found = measure_speed(network, size_px, batch_size, frozen=frozen, smallest_px=smallest_px)
        if _is_makeshift(found):
            return found
        # Read again: another process may have written meanwhile.
        kept = _read_kept()
        kept.pop(key, None)
        kept[key] = [found.fp32_s, found.bf16_s, found.of_layer, found.halved]
        # Without a cache that can be written it is measured again the next time.
        with suppress(OutputError, OSError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / _FILE, dict(list(kept.items())[-_KEPT:]))
    return found


def _kernels() -> str:
    """The instruction sets that kernels are chosen by, and what oneDNN is held to, to be part of a name."""
    sets = [name for name in instruction_sets() if name.startswith(_OF_KERNELS)]
    held = [f"{name}={value}" for name in _HELD_TO if (value := os.environ.get(name))]
    return "".join(f", {' '.join(words)}" for words in (sets, held) if words)


def _is_makeshift(speed: FormatSpeed) -> bool:
    """Whether a convolution was measured only since the network's steps took too long; else it says enough."""
    return speed.of_layer and speed.gain >= 1


def _read_kept() -> dict[str, object]:
    # A damaged file is as good as none.
    with suppress(OutputError, OSError, ValueError):
        kept = json.loads((cache_folder() / _FILE).read_text(encoding="utf-8"))
        return kept if isinstance(kept, dict) else {}
    return {}


def _as_speed(kept: object) -> FormatSpeed | None:
    match kept:
        case [float(fp32_s), float(bf16_s), bool(of_layer), bool(halved)] if fp32_s > 0 and bf16_s > 0:
            return FormatSpeed(fp32_s, bf16_s, of_layer, halved)
    return None


def measure_speed(
    network: Network,
    size_px: tuple[int, int],
    batch_size: int,
    *,
    frozen: bool,
    smallest_px: int | None = None,
    clock: Clock = time.process_time,
) -> FormatSpeed:
    """Take a few training steps, or with `frozen` forward passes, of a copy of `network` on the CPU, by turns.

    What learns in it, and which of its modules are in training mode, is what the run's steps have.

    At most BUDGET_S seconds by `clock`, on random images of `size_px`, height and width, as many at once as fit,
    `batch_size` at most. Where not even two fit, images of half the size are tried, if the network takes other sizes
    than its own, from `smallest_px`. Neither the network nor torch's random numbers are changed.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        began = clock()
        layer = _try(_layer_step(), clock, began, of_layer=True)
        # Where the processor has no such instructions a single step of the network may take ten seconds.
        if not _is_makeshift(layer):
            return layer
        own = copied(network)
        if frozen:
            own.eval()
        height_px, width_px = half = (size_px[0] // 2, size_px[1] // 2)
        sizes = [size_px] if smallest_px is None or min(height_px, width_px) < smallest_px else [size_px, half]
        for px in sizes:
            found = _try_images(own, px, batch_size, clock, began, frozen=frozen)
            if found is not None:
                return replace(found, halved=px != size_px)
        return layer


def _try_images(
    own: Network, size_px: tuple[int, int], batch_size: int, clock: Clock, began: float, *, frozen: bool
) -> FormatSpeed | None:
    """What a step of a whole batch takes, by what a few images do; None where the time left is too short for that."""
    left_s = BUDGET_S - (clock() - began)
    if left_s <= 0:
        return None
    few = _network_step(own, size_px, _FEW, frozen=frozen)
    # The first chooses kernels; where it is long, so are all.
    if _timed(few, "fp32", clock) > left_s / 4:
        return None
    of_few_s = _timed(few, "fp32", clock)
    room = (BUDGET_S - (clock() - began)) / (2 * (ROUNDS + 1))
    if of_few_s > room:
        return None
    images = min(batch_size, int(_FEW * (room / max(of_few_s, 1e-6) - 1)))
    fewest = _try(few, clock, began)
    if images <= _FEW:
        return fewest
    most = _try(_network_step(own, size_px, images, frozen=frozen), clock, began)
    further = (batch_size - images) / (images - _FEW)
    return FormatSpeed(_reach(fewest.fp32_s, most.fp32_s, further), _reach(fewest.bf16_s, most.bf16_s, further))


def _reach(few_s: float, most_s: float, further: float) -> float:
    """What a step of a whole batch takes, `further` times as far from `most_s` as that is from `few_s`.

    A step has a share that hangs on no image. It is the larger one in bfloat16, into which the weights are rounded
    anew each time.
    """
    return most_s + further * max(most_s - few_s, 0)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several wait for each other, spinning: beside other work their time says little of the format."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _try(step: Callable[[str], None], clock: Clock, began: float, *, of_layer: bool = False) -> FormatSpeed:
    """The shortest time of each format; the first step of each, which chooses kernels, does not count."""
    seconds: dict[str, list[float]] = {"fp32": [], "bf16": []}
    for round_ in range(ROUNDS + 1):
        for precision, taken in seconds.items():
            took = _timed(step, precision, clock)
            if round_:
                taken.append(took)
        if round_ and clock() - began > BUDGET_S * round_ / (round_ + 1):
            break
    fp32_s, bf16_s = (max(min(taken), 1e-9) for taken in seconds.values())
    return FormatSpeed(fp32_s, bf16_s, of_layer)


def _timed(step: Callable[[str], None], precision: str, clock: Clock) -> float:
    started = clock()
    step(precision)
    return clock() - started


def _autocast(precision: str) -> AbstractContextManager[object]:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16")


def _layer_step() -> Callable[[str], None]:
    """A convolution of 3x3 as ResNets are made of."""
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False).to(memory_format=torch.channels_last)
    inputs = torch.randn(4, 64, 28, 28).to(memory_format=torch.channels_last)

    def step(precision: str) -> None:
        with torch.inference_mode(), _autocast(precision):
            layer(inputs)

    return step


def _network_step(network: Network, size_px: tuple[int, int], images: int, *, frozen: bool) -> Callable[[str], None]:
    pictures = torch.randint(0, 256, (images, *size_px, 3), dtype=torch.uint8)

    def forward(precision: str) -> None:
        with torch.inference_mode(), _autocast(precision):
            network(pictures)

    def train(precision: str) -> None:
        with training_in_bf16() if precision == "bf16" else nullcontext():
            loss = network(pictures).square().mean()
        loss.backward()
        network.zero_grad(set_to_none=True)

    return forward if frozen else train
