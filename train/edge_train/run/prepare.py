"""Everything that can go wrong before the first epoch, checked and loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from edge_data import (
    DATA_SETS,
    ImageStore,
    Splits,
    assign_folds,
    default_cache_bytes,
    find_augmentation,
    find_data,
    pool_data,
    read_split,
    run_places,
    scan_as_trained,
    split_data,
)
from edge_runtime import (
    CheckpointError,
    ClassFolders,
    DataError,
    EdgeError,
    ModelCard,
    Progress,
    Run,
    Silence,
    UsageError,
    find_run,
    is_prepared,
    scan,
    usable_cores,
)
from edge_train.network.attention_sites import with_attention
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint, load_checkpoint
from edge_train.network.device_memory import Portions, within_memory
from edge_train.network.input_preprocessing import choose_preprocessing
from edge_train.network.lookup import as_kept, find_again, same_name
from edge_train.network.narrowing import PRUNED
from edge_train.run.image_reading import read_images
from edge_train.run.initial_network import load_start, start_alike
from edge_train.run.job import Job
from edge_train.run.kept_settings import as_kept_settings
from edge_train.run.number_format import choose_format
from edge_train.run.processes import World, join_world
from edge_train.run.pruned_run import begin_pruning, require_pruning
from edge_train.run.run_folder import check_out, require_room
from edge_train.run.sweep_part import WHOLE, SweepPart
from edge_train.run.threshold import require_threshold
from edge_train.run.torch_memory import keep_freed_memory
from edge_train.run.versions import choose_device, now, versions
from edge_train.settings import STRATEGIES, Precision, TrainSettings, find_strategy
from edge_train.strategy.distillation import Teacher, load_teacher
from edge_train.strategy.plan import Plan, freeze, make_plan
from edge_train.strategy.progressive_resizing import require_sizes
from edge_train.strategy.seen_images import check_weights


@within_memory()
def prepare(
    settings: TrainSettings,
    progress: Progress,
    splits: Splits | None = None,
    part: SweepPart = WHOLE,
    begun: object = None,
) -> Job:
    """Check and load everything that can go wrong before the first epoch; `splits` are made where none are given.

    `begun` is the precision of a run that begins again.

    Raises, beside what is wrong with settings and images:
        EdgeError: the device has not the memory, which others may have taken.
    """
    require_pruning(settings)
    settings, backbone = as_kept_settings(settings)
    backbone = with_attention(backbone, settings.attention)
    augment = find_augmentation(settings.augment)
    world, device, threads = _use_machine(settings)
    progress = progress if world.leads else Silence()
    if backbone.maker is not None and backbone.maker.note:
        progress.say(f"note: {backbone.maker.note}")
    source = find_data(settings.data)
    check_out(settings.out, source.places)
    world.lead(lambda: require_room(settings.out))
    folders = scan(
        source.places,
        label_from=settings.label_from,
        group_column=settings.group_by,
        multi_label=settings.multi_label,
        tasks=settings.tasks,
    )
    for found in folders.notes:
        progress.say(f"note: {found.text}")
    splits = splits or world.lead(lambda: _split(settings, folders, progress, threads))
    for note in splits.notes:
        progress.say(f"note: {note}")
    if settings.positive is not None:
        settings = replace(settings, positive=require_threshold(settings.positive, folders.labels, splits))
    contract, why = choose_preprocessing(backbone, source, folders, settings.image_size, settings.stem)
    if settings.start_size is not None:
        why += f"; {require_sizes(settings.start_size, contract.height_px, settings.epochs, backbone)}"
    torch.manual_seed(settings.seed)
    pruned = begin_pruning(settings, backbone, folders, splits, contract.height_px)
    sizes = (len(folders.labels), len(splits.train), contract.height_px)
    strategy, network, origin, taken = (pruned and pruned.start) or start_alike(
        world, backbone.name, lambda: load_start(settings, backbone, *sizes, device, progress)
    )
    if pruned is None and origin != "none":
        check_weights(settings, folders, splits, progress)
    plan = make_plan(settings, backbone, strategy)
    progress.say(why)
    freeze(network, plan)
    precision = choose_format(settings, plan, network, contract, device, world, progress, begun)
    teacher = _find_teacher(settings, folders, splits, device, precision, progress)
    store = ImageStore(folders.root, contract, cache_bytes=_cache_bytes(plan, world, part), threads=threads)
    splits = read_images(settings, store, splits, progress, world, folders)
    progress.say(
        f"data {source.name}: {len(splits.train)} train, {len(splits.val)} val, {len(splits.test)} test images, "
        f"{_count_classes(folders)} ({splits.how})"
    )
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
            "group_by": settings.group_by,
            "label_from": settings.label_from,
            "pretrained": origin,
            **({} if settings.folds is None else {"folds": settings.folds}),
        },
        versions=versions() | dict(backbone.maker.versions if backbone.maker else {}),
        created=now(),
        architecture=_architecture(settings, backbone, taken),
        # Until validation says better.
        thresholds=(0.5,) * len(folders.labels) if folders.kind == "multi-label" else (),
        tasks=folders.tasks,
    )
    job = Job(
        settings,
        progress,
        plan,
        network.to(device).to(memory_format=torch.channels_last),
        store,
        splits,
        augment,
        device,
        card,
        precision=precision,
        teacher=teacher,
        world=world,
        places=source.places,
        part=part,
        portions=Portions(progress.say),
    )
    if pruned is not None:
        pruned.begin(job)
    return job


def _count_classes(folders: ClassFolders) -> str:
    if folders.kind == "multi-task":
        return " and ".join(f"{len(task.labels)} classes of {task.name}" for task in folders.tasks)
    return f"{len(folders.labels)} {'labels' if folders.kind == 'multi-label' else 'classes'}"


def _split(settings: TrainSettings, folders: ClassFolders, progress: Progress, threads: int) -> Splits:
    cut = split_data if settings.folds is None else partial(pool_data, folds=settings.folds)
    made = cut(
        folders,
        seed=settings.seed,
        limit=settings.limit,
        group_by=settings.group_by,
        progress=progress,
        threads=threads,
    )
    if settings.folds is not None:
        # Refused here what is refused after every image was read.
        assign_folds(made.train, made.groups, settings.folds, seed=settings.seed, labels=folders.labels)
    return made


def _architecture(settings: TrainSettings, backbone: Backbone, taken: float | None) -> dict[str, Any]:
    """What of the network is not the backbone's own; `taken` is the share of its channels that were pruned."""
    own: dict[str, Any] = {
        "stem": settings.stem,
        "hidden_units": settings.hidden_units,
        "attention": settings.attention,
    }
    own = {**own, PRUNED: taken}
    own = {name: value for name, value in own.items() if value not in {None, "standard", "none"}}
    return own | dict(backbone.maker.identity if backbone.maker else {})


def _find_teacher(  # noqa: PLR0917 (what it is found for)
    settings: TrainSettings,
    folders: ClassFolders,
    splits: Splits,
    device: torch.device,
    precision: Precision,
    progress: Progress,
) -> Teacher | None:
    if settings.teacher is None:
        return None
    found = load_teacher(find_run(settings.teacher), folders, splits, device=device, precision=precision)
    return replace(found, portions=Portions(progress.say))


@within_memory()
def prepare_again(run: Run, progress: Progress, part: SweepPart = WHOLE) -> tuple[Job, Checkpoint]:
    """The job of a run that was interrupted, with its own settings and split, and the checkpoint to go on from.

    Raises:
        CheckpointError: the run's files are missing or damaged.
        DataError: its images are gone or changed.
    """
    config = run.read_config()
    settings, places = _read_settings(run, config)
    checkpoint = load_checkpoint(run.last)
    card = checkpoint.card
    folders = scan_as_trained(places, card)
    _require_same_images(run, folders.fingerprint, card)
    world, device, threads = _use_machine(settings)
    progress = progress if world.leads else Silence()
    plan = make_plan(settings, checkpoint.backbone, find_strategy(card.strategy))
    network = checkpoint.build(dropout=settings.dropout)
    freeze(network, plan)
    store = ImageStore(folders.root, card.preprocessing, cache_bytes=_cache_bytes(plan, world, part), threads=threads)
    found = read_split(run.split, card.labels)
    splits = read_images(settings, store, found, progress, world, folders, again=True)
    begun = config.get("precision")
    precision = choose_format(settings, plan, network, card.preprocessing, device, world, progress, begun)
    job = Job(
        settings,
        progress,
        plan,
        network.to(device).to(memory_format=torch.channels_last),
        store,
        splits,
        find_augmentation(settings.augment),
        device,
        card,
        precision=precision,
        teacher=_find_teacher(settings, folders, found, device, precision, progress),
        world=world,
        places=places,
        part=part,
        portions=Portions(progress.say),
    )
    return job, checkpoint


def prepare_afresh(run: Run, progress: Progress, part: SweepPart = WHOLE) -> Job:
    """The job of a run that ended before its first epoch was kept: what `prepare` gave it then.

    Raises:
        CheckpointError: the run's config.json is missing or damaged, or the run was not trained.
        DataError: its images are gone or changed.
    """
    config = run.read_config()
    try:
        card = ModelCard.from_json(config["card"], where=str(run.config))
    except (KeyError, TypeError, EdgeError) as error:
        raise _unusable(run, error) from error
    if card.strategy not in STRATEGIES:
        hint = f"fine-tune it: edge train --weights {run.best}" if "import" in config else _OF_OTHERS
        raise CheckpointError(f"{run.last} is missing: {run.path} was not trained", hint)
    settings, places = _read_settings(run, config)
    data = settings.data if settings.data in DATA_SETS else tuple(map(str, places))
    # What `auto` came to must not depend on whether the weights can be had now.
    # Nor must the split, which a later version may make otherwise.
    splits = read_split(run.split, card.labels) if run.split.is_file() else None
    backbone = find_again(card.backbone, card.architecture)
    if not same_name(settings.backbone, card.backbone):
        raise CheckpointError(
            f"{run.config} names two networks, {settings.backbone} and {card.backbone}", "train again"
        )
    again = replace(
        settings, data=data, strategy=find_strategy(card.strategy), backbone=as_kept(card.backbone, backbone)
    )
    job = prepare(again, progress, splits, part, config.get("precision"))
    _require_same_images(run, job.card.data["fingerprint"], card)
    # The run goes on as it was asked for, and says so.
    job.settings, job.card = settings, card
    return job


_OF_OTHERS = "resume one of the runs it was made of"


def _read_settings(run: Run, config: Mapping[str, Any]) -> tuple[TrainSettings, tuple[Path, ...]]:
    """The settings in `config`, what config.json of `run` says, and the folders and manifests of its images."""
    try:
        settings = TrainSettings(**{**config["settings"], "out": Path(config["settings"]["out"])})
    except (KeyError, TypeError) as error:
        raise _unusable(run, error) from error
    places = run_places(config)
    if not places:
        raise _unusable(run, KeyError("data_root"))
    return settings, places


def _unusable(run: Run, error: Exception) -> CheckpointError:
    return CheckpointError(f"{run.config} lacks what a run is resumed with: {error}", "train again")


def _require_same_images(run: Run, fingerprint: str, card: ModelCard) -> None:
    if fingerprint != card.data.get("fingerprint"):
        raise DataError(f"the images of {run.path} have changed since it was started", "train again")


def _use_machine(settings: TrainSettings) -> tuple[World, torch.device, int]:
    """The processes that train together, this one's device, and the threads that torch and decoding may use."""
    world, device = join_world(choose_device(settings.device))
    if settings.batch_size < 2 * world.size:
        raise UsageError(
            f"`batch_size` {settings.batch_size} is too small for {world.size} processes",
            f"give at least {2 * world.size}",
        )
    if world.size > 1 and settings.accumulate > 1:
        raise UsageError(
            f"`accumulate` {settings.accumulate} is for one process, not {world.size}", "give a larger `batch_size`"
        )
    threads = settings.threads or max(1, usable_cores() // _processes_here(world))
    torch.set_num_threads(threads)
    if device.type == "cpu" and is_prepared():
        keep_freed_memory()
    return world, device, threads


def _cache_bytes(plan: Plan, world: World, part: SweepPart) -> int:
    """The memory for decoded images: a process's share, and of that half where embeddings take the other."""
    share = default_cache_bytes() // (_processes_here(world) * part.at_once)
    return share // 2 if plan.strategy == "feature-extraction" else share


def _processes_here(world: World) -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1")) if world.size > 1 else 1
