"""A run that begins with the network of a finished one, without a share of its channels.

The older run is left as it is. Which channels leave is told by the loss of training images. Right after pruning, batch
norm's statistics, which are those of maps that are no more, are taken anew over training images (Li et al. 2020,
"EagleEye", section 3.3: they say what a pruned network can be).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from edge_data import Splits
from edge_runtime import ClassFolders, Run, UsageError, as_kind, composed, find_run
from edge_train.config_file import read_train_config
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint, load_checkpoint
from edge_train.network.fold_batch_norm import fold
from edge_train.network.narrowing import PRUNED
from edge_train.network.network import Network
from edge_train.network.pruning import prune_channels, require_pruner
from edge_train.network.tracing import trace
from edge_train.network.weights import parse_weights
from edge_train.pruned_fields import OF_PRUNING, OF_THE_RUN
from edge_train.run.batch_norm_statistics import reestimate_batch_norm
from edge_train.run.channel_sensitivity import measure_sensitivity
from edge_train.run.job import Job
from edge_train.settings import Strategy, TrainSettings
from edge_train.strategy.plan import freeze
from edge_train.strategy.seen_images import require_unseen
from edge_train.targets.target_kind import Answers

_NAME_A_RUN = "give `weights` the folder of a finished run of edge train"


def pruning_settings(run: Run | str | Path, share: float, **given: Any) -> TrainSettings:
    """Settings that prune `share` of the channels of a finished run, its path or its name, and fine-tune it.

    Data, split, network and image size are the run's, and it is the teacher of what is left of it, as far as `given`,
    by the fields of TrainSettings, says nothing else.

    Raises:
        UsageError: the run is none that was trained, or the settings make no sense.
    """
    folder = as_kind(run, str, "`run`")
    with suppress(UsageError):  # what is no run is said below
        folder = str(find_run(folder).path)
    return TrainSettings(**{**pruning_values(folder), **given, "prune": share, "weights": folder})


def pruning_values(weights: str) -> dict[str, Any]:
    """What the settings are that prune the run in `weights`, where a person says nothing else.

    Raises UsageError where it is no run that was trained.
    """
    run = find_pruned(weights)
    known = read_train_config(run.path).values
    if known.get("folds") is not None:
        raise UsageError(
            f"{run.path} learned from all images, so none is left to judge a pruned network by",
            "train a run without `folds`, and prune that",
        )
    one_label = not (known.get("multi_label") or known.get("tasks"))
    values = {name: known[name] for name in OF_THE_RUN if name in known}
    return {**values, **OF_PRUNING, **({"teacher": str(run.path)} if one_label else {})}


def find_pruned(weights: str) -> Run:
    """The run whose folder, or best.pt in it, `weights` names. Raises UsageError where it names none."""
    path = parse_weights(weights)
    folder = path if isinstance(path, Path) and path.is_dir() else getattr(path, "parent", None)
    if not isinstance(path, Path) or folder is None or path not in {folder, folder / "best.pt"}:
        raise UsageError(f"`prune` takes channels from a finished run, and {weights} is none", _NAME_A_RUN)
    run = Run(folder)
    for file in (run.best, run.config):
        if not file.is_file():
            raise UsageError(f"`prune` takes channels from a run, and {folder} has no {file.name}", _NAME_A_RUN)
    return run


@dataclass(frozen=True, slots=True, eq=False)
class PrunedStart:
    """The network of a run before pruning; `total` is the share of channels pruned from it since ever."""

    run: Run
    backbone: Backbone
    share: float
    total: float
    whole: Network
    size_px: int

    @property
    def start(self) -> tuple[Strategy, Network, str, float]:
        """What is trained, from which network, where what is left of it is from, and the share pruned since ever."""
        return "fine-tune", self.whole, f"run {self.run.name} without {self.share:.0%} of its channels", self.total

    def begin(self, job: Job) -> None:
        """Give the job the pruned network, its statistics taken anew, and what config.json says of it.

        That is sizes, and accuracy before and right after, in 0..1, on what is measured.
        """
        before = _accuracies(job, self.whole)
        # Unlike processors round unlike, and all must lose the same channels.
        gradients = job.world.tell(measure_sensitivity(job, self.whole))
        network = prune_channels(self.whole, self.backbone, self.share, self.size_px, gradients)
        job.network = network.to(memory_format=torch.channels_last)
        freeze(job.network, job.plan)
        reestimate_batch_norm(job, job.network, 0)
        after = _accuracies(job, job.network)
        parameters = [sum(p.numel() for p in network.parameters()) for network in (self.whole, job.network)]
        gflops = [trace(_own(network), self.size_px).gmacs for network in (self.whole, job.network)]
        job.progress.say(
            f"pruned {self.share:.0%} of the channels of {self.run.path}: parameters {parameters[0]:,} to "
            f"{parameters[1]:,}, GFLOPs {gflops[0]:.3f} to {gflops[1]:.3f} at {self.size_px} px"
        )
        for split, (n, was) in before.items():
            job.progress.say(f"{split} accuracy {was:.1%} before, {after[split][1]:.1%} right after (n {n})")
        job.pruning = {
            "run": str(self.run.path.resolve()),
            "share": self.share,
            "total_share": self.total,
            "size_px": self.size_px,
            "parameters": parameters,
            "gflops": gflops,
            "accuracy": {s: {"n": n, "before": was, "pruned": after[s][1]} for s, (n, was) in before.items()},
        }


def begin_pruning(
    settings: TrainSettings, backbone: Backbone, folders: ClassFolders, splits: Splits, size_px: int
) -> PrunedStart | None:
    """The run whose network the settings prune; None where they do not.

    Raises:
        UsageError: the run in `weights` answers other labels, is of another network, or learned from images that this
            one is measured on; or the network cannot lose channels.
    """
    if settings.prune is None:
        return None
    run = find_pruned(settings.weights)
    checkpoint = load_checkpoint(run.best)
    _require_same(run, checkpoint, settings, backbone)
    card = checkpoint.card
    if [*map(composed, card.labels)] != [*folders.labels]:
        raise UsageError(
            f"{run.path} tells {', '.join(card.labels[:5])} apart, the data has {', '.join(folders.labels[:5])}",
            "prune it with the data that it was trained on",
        )
    require_unseen(run, card, folders, splits, role="run to prune")
    whole = checkpoint.build(dropout=settings.dropout)
    # Which channels leave is told by images. That some can is found out before any is read.
    prune_channels(whole, backbone, settings.prune, size_px)
    total = 1 - (1 - float(card.architecture.get(PRUNED, 0))) * (1 - settings.prune)
    return PrunedStart(run, backbone, settings.prune, round(total, 4), whole, size_px)


def require_pruning(settings: TrainSettings) -> None:
    """Raise what there is to say before anything takes time: MissingExtraError, UsageError."""
    if settings.prune is not None:
        require_pruner()
        find_pruned(settings.weights)


def note_pruning(summary: dict[str, Any], run: Run, answers: Mapping[str, Answers]) -> None:
    """Add to `summary` what the run's config.json says of its pruning, with the accuracy at the end."""
    if (pruning := run.read_config().get("pruning")) is None:
        return
    accuracy = {
        split: {**found, "tuned": answers[split].validated("loss").accuracy}
        for split, found in pruning["accuracy"].items()
        if split in answers
    }
    summary["pruning"] = {**pruning, "accuracy": accuracy}


def _require_same(run: Run, checkpoint: Checkpoint, settings: TrainSettings, backbone: Backbone) -> None:
    card = checkpoint.card
    asked = {"stem": settings.stem, "hidden_units": settings.hidden_units, "attention": settings.attention}
    plain = {"stem": "standard", "hidden_units": None, "attention": "none"}
    differs = next((name for name, value in asked.items() if card.architecture.get(name, plain[name]) != value), None)
    if card.backbone != backbone.name:
        raise UsageError(f"{run.path} is a {card.backbone}, not a {backbone.name}", "drop `backbone`")
    if differs is not None:
        raise UsageError(
            f"{run.path} has `{differs}` {card.architecture.get(differs, plain[differs])}, not {asked[differs]}",
            "a pruned network is that of its run: drop it",
        )


def _accuracies(job: Job, network: Network) -> dict[str, tuple[int, float]]:
    """The images and the accuracy of each split that is measured at the end."""
    folded = fold(network)
    return {
        name: (len(samples), job.answers(samples, f"measuring {name}", network=folded).validated("loss").accuracy)
        for name, samples in (("val", job.splits.val), ("test", job.splits.test))
        if samples and not (name == "test" and job.part.spares_test)
    }


def _own(network: Network) -> Any:
    """The backbone of a copy on the CPU: tracing changes its mode."""
    return fold(network).cpu().backbone
