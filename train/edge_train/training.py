"""One training run from settings to a finished run folder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from edge_runtime import (
    DataError,
    EdgeError,
    ImageError,
    ModelCard,
    Run,
    Sample,
    WeightsError,
    measure,
    scan,
    usable_cores,
)
from edge_train.augment import Augmentation, find_augmentation
from edge_train.backbones import Backbone, build, find_backbone, preset
from edge_train.batches import evaluation_batches, training_batches
from edge_train.calibration import fit_temperature
from edge_train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from edge_train.data import choose_preprocessing, find_data
from edge_train.download import OnBytes
from edge_train.environment import choose_device, git_revision, now, versions
from edge_train.loop import Outputs, run_network, train_epoch
from edge_train.network import Network
from edge_train.progress import Progress, Silence
from edge_train.runfolder import EpochRow, append_epoch, create_run, finish_run
from edge_train.settings import Strategy, TrainSettings
from edge_train.splits import Splits, split, without
from edge_train.store import ImageStore, default_cache_bytes
from edge_train.strategies import freeze, layer_groups, make_optimizer
from edge_train.weights import load_pretrained, parse_weights

__all__ = ["TrainResult", "train"]


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """A finished run: where it is, the card of its best checkpoint, and what summary.json says."""

    run: Run
    card: ModelCard
    summary: dict[str, Any]


@dataclass(slots=True, eq=False)
class _Job:
    """What the steps of one run share."""

    settings: TrainSettings
    progress: Progress
    backbone: Backbone
    strategy: Strategy
    network: Network
    store: ImageStore
    splits: Splits
    augment: Augmentation
    device: torch.device
    card: ModelCard

    def outputs(self, samples: Sequence[Sample], task: str) -> Outputs:
        self.progress.begin(task, len(samples))
        batches = evaluation_batches(self.store, samples, batch_size=max(64, self.settings.batch_size))
        outputs = run_network(self.network, batches, device=self.device, on_images=self.progress.advance)
        self.progress.end()
        return outputs


def train(settings: TrainSettings, progress: Progress | None = None) -> TrainResult:
    """Train as `settings` say and leave a run folder with best.pt, last.pt and their records.

    Raises:
        DataError: the data folder is not as it must be, or has unreadable images (exit 2).
        UsageError: settings that do not go together (exit 2).
        WeightsError: pretrained weights asked for by name cannot be had.
        OutputError: the run folder cannot be written.
    """
    started = time.perf_counter()
    progress = progress or Silence()
    job = _prepare(settings, progress)
    run = create_run(settings, job.card, job.splits, data_root=job.store.root)
    progress.say(f"run {run.path}")
    best_epoch = _fit(job, run)
    return _finish(job, run, best_epoch, started)


def _prepare(settings: TrainSettings, progress: Progress) -> _Job:
    """Check and load everything that can go wrong before the first epoch."""
    backbone = find_backbone(settings.backbone)
    augment = find_augmentation(settings.augment)
    device = choose_device(settings.device)
    threads = settings.threads or usable_cores()
    torch.set_num_threads(threads)
    source = find_data(settings.data)
    folders = scan(source.root)
    for note in folders.notes:
        progress.say(f"note: {note}")
    splits = split(folders, seed=settings.seed, limit=settings.limit)
    for note in splits.notes:
        progress.say(f"note: {note}")
    contract, why = choose_preprocessing(backbone, source, folders, settings.image_size)
    torch.manual_seed(settings.seed)
    strategy, network, origin = _start_network(settings, backbone, len(folders.labels), progress)
    progress.say(why)
    store = ImageStore(folders.root, contract, cache_bytes=default_cache_bytes(), threads=threads)
    splits = _read_images(settings, store, splits, progress)
    progress.say(
        f"data {source.name}: {len(splits.train)} train, {len(splits.val)} val, {len(splits.test)} test images, "
        f"{len(folders.labels)} classes ({splits.how})"
    )
    freeze(network, backbone, strategy)
    card = ModelCard(
        labels=folders.labels,
        preprocessing=contract,
        backbone=backbone.name,
        strategy=strategy,
        normalization={"mean": network.mean.flatten().tolist(), "std": network.std.flatten().tolist()},
        data={
            "name": source.name,
            "fingerprint": folders.fingerprint,
            "split": splits.how,
            "seed": settings.seed,
            "limit": settings.limit,
            "pretrained": origin,
        },
        versions=versions(),
        created=now(),
    )
    return _Job(settings, progress, backbone, strategy, network.to(device), store, splits, augment, device, card)


def _start_network(
    settings: TrainSettings, backbone: Backbone, classes: int, progress: Progress
) -> tuple[Strategy, Network, str]:
    """The network to start from, with the strategy that `auto` comes to and where its weights are from."""
    _, mean, std = preset(backbone)
    network = Network(build(backbone, classes=classes), mean, std)
    strategy: Strategy
    choice = parse_weights(settings.weights)
    if settings.strategy == "scratch" or choice == "none":
        strategy, origin = "scratch", "none"
        why = "asked for" if settings.strategy == "scratch" else "no pretrained weights wanted"
    else:
        try:
            origin = load_pretrained(network.backbone, backbone, choice, progress=_downloading(progress))
        except WeightsError as error:
            if settings.strategy != "auto" or choice != "default":
                raise
            progress.say(f"note: {error.message}")
            strategy, origin = "scratch", "none"
            why = "auto: no pretrained weights can be had here; --weights FILE brings your own"
        else:
            strategy = "fine-tune" if settings.strategy == "auto" else settings.strategy
            why = "auto: pretrained weights are at hand" if settings.strategy == "auto" else "asked for"
    progress.say(f"strategy {strategy} ({why}); backbone {backbone.name}; weights: {origin}")
    return strategy, network, origin


def _downloading(progress: Progress) -> OnBytes:
    """A listener that draws a download as a task in kilobytes."""
    done_kb = 0

    def on_bytes(received: int, total: int | None) -> None:
        nonlocal done_kb
        if done_kb == 0:
            progress.begin("downloading weights", (total or 0) // 1000, "kB")
        progress.advance(received // 1000 - done_kb)
        done_kb = received // 1000
        if received == total:
            progress.end()

    return on_bytes


def _read_images(settings: TrainSettings, store: ImageStore, splits: Splits, progress: Progress) -> Splits:
    """Decode every image once; refuse or leave out the unreadable ones, by name."""
    total = len(splits.train) + len(splits.val) + len(splits.test)
    progress.begin("reading images", total)
    bad = store.read_all(splits.train, (*splits.val, *splits.test), on_image=progress.advance)
    progress.end()
    if not bad:
        return _checked(splits, store.root)
    if settings.on_bad_image == "error":
        raise _bad_images(list(bad.values()), total)
    for error in bad.values():
        progress.say(f"left out: {error.message}")
    return _checked(without(splits, bad.keys()), store.root)


def _checked(splits: Splits, root: Path) -> Splits:
    if len(splits.train) < 2 or not splits.val:
        raise DataError(
            f"{root} leaves {len(splits.train)} images to train on and {len(splits.val)} to validate with",
            "at least 2 and 1 are needed: add images, or raise --limit",
        )
    return splits


def _bad_images(bad: list[ImageError], total: int) -> EdgeError:
    shown = "; ".join(error.message for error in bad[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    return DataError(
        f"{len(bad)} of {total} images cannot be read: {shown}{more}",
        "mend or remove them, or leave them out with --on-bad-image skip",
    )


def _fit(job: _Job, run: Run) -> int:
    """Train all epochs; best.pt is the epoch with the best validation accuracy, then the lowest loss."""
    settings = job.settings
    groups = layer_groups(job.network, job.backbone, job.strategy)
    optimizer = make_optimizer(groups)
    trained = sum(p.numel() for group in groups for p in group.parameters)
    total = sum(p.numel() for p in job.network.parameters())
    job.progress.say(f"training {trained:,} of {total:,} parameters ({trained / total:.1%}) on {job.device}")
    best: tuple[float, float] = (-1.0, 0.0)
    best_epoch = 0
    for epoch in range(1, settings.epochs + 1):
        job.progress.begin(f"epoch {epoch}/{settings.epochs}", len(job.splits.train))
        batches = training_batches(
            job.store,
            job.splits.train,
            job.augment,
            batch_size=settings.batch_size,
            seed=settings.seed,
            epoch=epoch,
        )
        try:
            result = train_epoch(
                job.network,
                job.backbone,
                job.strategy,
                optimizer,
                batches,
                device=job.device,
                on_images=job.progress.advance,
            )
        except FloatingPointError as error:
            raise EdgeError(
                f"epoch {epoch}: {error}",
                f"{run.path} keeps the epochs before it; check the data, or try a seed",
            ) from error
        job.progress.end()
        val = job.outputs(job.splits.val, "validating")
        row = EpochRow(epoch, result, val.loss, val.accuracy)
        state = job.network.state_dict()
        save_checkpoint(run.last, Checkpoint(job.card, state, epoch, {"optimizer": optimizer.state_dict()}))
        if (val.accuracy, -val.loss) > best:
            best, best_epoch = (val.accuracy, -val.loss), epoch
            save_checkpoint(run.best, Checkpoint(job.card, state, epoch, {}))
        append_epoch(run, row)
        job.progress.say(row.describe(settings.epochs, best=best_epoch == epoch))
    return best_epoch


def _finish(job: _Job, run: Run, best_epoch: int, started: float) -> TrainResult:
    """Calibrate and measure the best epoch, and write it all down."""
    best = load_checkpoint(run.best)
    job.network.load_state_dict(dict(best.network))
    metrics: dict[str, Any] = {}
    temperature = 1.0
    for name, samples in (("val", job.splits.val), ("test", job.splits.test)):
        if not samples:
            continue
        outputs = job.outputs(samples, f"measuring {name}")
        if name == "val":
            temperature = fit_temperature(outputs.logits, outputs.labels)
        probabilities = torch.softmax(outputs.logits / temperature, dim=1).numpy()
        metrics[name] = measure(job.card.labels, outputs.labels.numpy(), probabilities)
    figures = {
        name: {
            "accuracy": found.accuracy,
            "n": found.n,
            "expected_calibration_error": found.calibration_error,
        }
        for name, found in metrics.items()
    }
    card = replace(best.card, temperature=temperature, metrics=figures)
    save_checkpoint(run.best, replace(best, card=card))
    groups = layer_groups(job.network, job.backbone, job.strategy)
    summary = {
        "run": run.name,
        "strategy": job.strategy,
        "backbone": job.backbone.name,
        "best_epoch": best_epoch,
        "temperature": temperature,
        "metrics": {name: found.to_json() for name, found in metrics.items()},
        "parameters": sum(p.numel() for p in job.network.parameters()),
        "parameters_trained": sum(p.numel() for group in groups for p in group.parameters),
        "seconds": time.perf_counter() - started,
        "git_revision": git_revision(),
    }
    finish_run(run, summary)
    return TrainResult(run, card, summary)
