"""The number format that a run trains in: what was asked for, what the run began with, or what is faster here."""

from __future__ import annotations

import torch

from edge_runtime import Preprocessing, Progress, UsageError
from edge_train.network.device_memory import is_out_of_memory
from edge_train.network.fold_batch_norm import fold_frozen
from edge_train.network.held_values import copied
from edge_train.network.network import Network
from edge_train.network.own_code import said_in_one_line
from edge_train.network.own_network import OwnNetwork
from edge_train.run.processes import World
from edge_train.settings import Precision, TrainSettings
from edge_train.strategy.format_speed import FormatSpeed, remembered_speed
from edge_train.strategy.mixed_precision import ChosenPrecision, autocast, choose_precision, has_bf16, training_in
from edge_train.strategy.plan import Plan, freeze, set_mode


def choose_format(  # noqa: PLR0917 (what it is chosen by)
    settings: TrainSettings,
    plan: Plan,
    network: Network,
    contract: Preprocessing,
    device: torch.device,
    world: World,
    progress: Progress,
    begun: object = None,
) -> Precision:
    """The precision of a run, the same in all its processes; said where it is not float32 as everywhere.

    The first of them chooses, among what the machines of all can do.

    `begun` is what a run that is resumed has been trained in until now. `network` stays as it is; steps are tried as
    they are taken in the last epoch, in which all learns that ever does.

    Raises:
        UsageError: bf16 asked for where the device has none, or the user's own network cannot be computed in it.
    """
    able = world.collect(has_bf16(device))

    def choose() -> ChosenPrecision:
        if settings.precision == "auto" and (begun == "fp32" or (begun == "bf16" and all(able))):
            return ChosenPrecision("fp32" if begun == "fp32" else "bf16", "as the run began")
        if able[0] and not all(able):
            return _without_bf16(settings, able.index(False))
        return _choose(settings, plan, network, contract, device)

    chosen = world.lead(choose)
    if chosen.precision == "bf16":
        progress.say(f"mixed precision, bfloat16 ({chosen.why}); measured and exported in float32")
    elif chosen.tried or (settings.precision == "auto" and able[0] and not all(able)):
        progress.say(f"float32 ({chosen.why})")
    return chosen.precision


def _without_bf16(settings: TrainSettings, rank: int) -> ChosenPrecision:
    """What is left where process `rank` has no bfloat16, and the first one has."""
    why = f"the machine of process {rank} does not compute in bfloat16"
    if settings.precision == "bf16":
        raise UsageError(f"`precision` bf16: {why}", "use `precision` auto")
    return ChosenPrecision("fp32", why if settings.precision == "auto" else "as asked")


def _choose(
    settings: TrainSettings, plan: Plan, network: Network, contract: Preprocessing, device: torch.device
) -> ChosenPrecision:
    # With attention the gradient goes through what is frozen.
    frozen = plan.strategy == "feature-extraction" and plan.backbone.attention is None
    size_px = (contract.height_px, contract.width_px)
    name = plan.backbone.name

    def as_trained() -> Network:
        tried = copied(network).to(memory_format=torch.channels_last)
        freeze(tried, plan, settings.epochs)
        set_mode(tried, plan, settings.epochs)
        return fold_frozen(tried)

    def measure() -> FormatSpeed:
        # Of torchvision's it is known that they take images of other sizes.
        smallest_px = plan.backbone.smallest_px if plan.backbone.maker is None else None
        return remembered_speed(as_trained(), size_px, settings.step_images, frozen=frozen, smallest_px=smallest_px)

    # A user's forward may put float32 and bfloat16 together where torch takes them apart.
    if isinstance(plan.backbone.maker, OwnNetwork) and settings.precision != "fp32" and has_bf16(device):
        if (why := _failure_in_bf16(as_trained().to(device), size_px, device)) and settings.precision == "bf16":
            raise UsageError(f"`precision` bf16: {name} cannot be computed in bfloat16: {why}", "use `precision` fp32")
        if why:
            return ChosenPrecision("fp32", f"{name} cannot be computed in bfloat16: {why}", tried=True)
    return choose_precision(settings.precision, device, name, frozen=frozen, measure=measure)


def _failure_in_bf16(network: Network, size_px: tuple[int, int], device: torch.device) -> str:
    """What a step with two pictures, and an answer to them, fails with in bfloat16, in one line; empty for nothing."""
    pictures = torch.zeros(2, *size_px, 3, dtype=torch.uint8, device=device)
    with torch.random.fork_rng(devices=[]):
        try:
            with training_in(device, "bf16"):
                loss = network(pictures).square().mean()
            loss.backward()
            with torch.inference_mode(), autocast(device, "bf16"):
                network.eval()(pictures)
        except (RuntimeError, TypeError) as error:
            if is_out_of_memory(error):
                raise
            return said_in_one_line(error)
    return ""
