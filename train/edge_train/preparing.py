"""Everything that can go wrong before the first epoch, checked and loaded."""

from __future__ import annotations

from pathlib import Path

import torch

from edge_runtime import (
    CheckpointError,
    DataError,
    EdgeError,
    ImageError,
    ModelCard,
    OutputError,
    Run,
    UsageError,
    WeightsError,
    scan,
    usable_cores,
)
from edge_train.augment import find_augmentation
from edge_train.backbones import Backbone, build, find_backbone, preset
from edge_train.checkpoint import Checkpoint, load_checkpoint
from edge_train.data import choose_preprocessing, find_data
from edge_train.download import OnBytes
from edge_train.environment import choose_device, now, versions
from edge_train.job import Job
from edge_train.network import Network
from edge_train.progress import Progress
from edge_train.settings import Strategy, TrainSettings, find_strategy
from edge_train.splits import Splits, read_split, split, without
from edge_train.store import ImageStore, default_cache_bytes
from edge_train.strategies import freeze
from edge_train.weights import load_pretrained, parse_weights

__all__ = ["prepare", "prepare_again"]


def prepare(settings: TrainSettings, progress: Progress) -> Job:
    """Check and load everything that can go wrong before the first epoch."""
    backbone = find_backbone(settings.backbone)
    augment = find_augmentation(settings.augment)
    device, threads = _use_machine(settings)
    source = find_data(settings.data)
    _check_out(settings.out, source.root)
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
    return Job(settings, progress, backbone, strategy, network.to(device), store, splits, augment, device, card)


def _check_out(out: Path, root: Path) -> None:
    """Refuse, before anything takes time, to put runs where they cannot be, or among the images."""
    try:
        if out.resolve().is_relative_to(root.resolve()):
            raise UsageError(
                f"--out {out} lies inside the data folder {root}: runs would be taken for classes of images",
                "put runs elsewhere, for example --out ../runs",
            )
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"--out {out} is a file", "name a folder for runs with --out") from None
    except OSError as error:
        raise OutputError(
            f"cannot make a run folder in {out}: {error.strerror}", "choose another folder with --out"
        ) from error


def _start_network(
    settings: TrainSettings, backbone: Backbone, classes: int, progress: Progress
) -> tuple[Strategy, Network, str]:
    """The network to start from, with the strategy that `auto` comes to and where its weights are from."""
    _, mean, std = preset(backbone)
    network = Network(build(backbone, classes=classes, dropout=settings.dropout), mean, std)
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


def prepare_again(run: Run, progress: Progress) -> tuple[Job, Checkpoint]:
    """The job of a run that was interrupted, with its own settings and split, and the checkpoint to go on from.

    Raises:
        CheckpointError: the run's files are missing or damaged.
        DataError: its images are gone or changed.
    """
    config = run.read_config()
    try:
        settings = TrainSettings(**{**config["settings"], "out": Path(config["settings"]["out"])})
        root = Path(config["data_root"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{run.config} lacks what a run is resumed with: {error}", "train again") from error
    checkpoint = load_checkpoint(run.last)
    card = checkpoint.card
    if scan(root, labels=card.labels).fingerprint != card.data["fingerprint"]:
        raise DataError(f"the images in {root} have changed since {run.path} was started", "train again")
    device, threads = _use_machine(settings)
    backbone = find_backbone(card.backbone)
    strategy = find_strategy(card.strategy)
    network = checkpoint.build(dropout=settings.dropout)
    freeze(network, backbone, strategy)
    store = ImageStore(root, card.preprocessing, cache_bytes=default_cache_bytes(), threads=threads)
    splits = _read_images(settings, store, read_split(run.split, card.labels), progress)
    augment = find_augmentation(settings.augment)
    job = Job(settings, progress, backbone, strategy, network.to(device), store, splits, augment, device, card)
    return job, checkpoint


def _use_machine(settings: TrainSettings) -> tuple[torch.device, int]:
    """The device to train on, and the threads that torch, decoding and resizing each may use."""
    threads = settings.threads or usable_cores()
    torch.set_num_threads(threads)
    return choose_device(settings.device), threads
