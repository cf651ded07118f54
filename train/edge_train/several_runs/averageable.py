"""Which runs can be averaged: those of one network, one data and one split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_data import Splits, read_split, run_places, scan_as_trained
from edge_runtime import CheckpointError, DataError, ModelCard, Run, UsageError
from edge_train.network.checkpoint import Checkpoint, load_checkpoint
from edge_train.settings import TrainSettings


def check_runs(runs: Sequence[Run]) -> tuple[Checkpoint, Splits]:
    """The first run's checkpoint and split, once all runs are known to go together.

    Raises UsageError, DataError or CheckpointError where they do not.
    """
    if len(runs) < 2:
        raise UsageError(f"{len(runs)} run to average: at least two are needed", "edge average RUN RUN …")
    seen: set[Path] = set()
    for run in runs:
        if run.path.resolve() in seen:
            raise UsageError(f"{run.path} is named twice", "name each run once")
        seen.add(run.path.resolve())
        if not run.best.is_file():
            raise UsageError(f"{run.path} has no best.pt", "no epoch of it was finished: leave it out")
        settings_of(run, run.path)  # asked for in the end, and better refused before the work than after it
    first = load_checkpoint(runs[0].best)
    if first.card.kind != "single-label":
        raise UsageError(
            f"{runs[0].path} is a {first.card.kind} run, and those of one label a picture alone are averaged",
            "export it by itself",
        )
    splits = read_split(runs[0].split, first.card.labels)
    if len(splits.train) < 2 or not splits.val:
        raise DataError(
            f"{runs[0].split} lists {len(splits.train)} training and {len(splits.val)} validation images",
            "at least 2 and 1 are needed",
        )
    for run in runs[1:]:
        _check_pair(runs[0], first, run, load_checkpoint(run.best))
        other = read_split(run.split, first.card.labels)
        if any(set(getattr(other, name)) != set(getattr(splits, name)) for name in ("train", "val", "test")):
            raise UsageError(
                f"{run.path} and {runs[0].path} were split differently: images that one validates with, "
                "the other was trained on, so no average of them can be judged",
                "train them with the same `seed`, `limit` and `group_by`, or on a folder with its own train/ and val/",
            )
    return first, splits


def _check_pair(one: Run, first: Checkpoint, two: Run, other: Checkpoint) -> None:
    mine, theirs = _facts(first.card), _facts(other.card)
    for name, value in mine.items():
        if value != theirs.get(name):
            raise UsageError(
                f"{one.path} and {two.path} cannot be averaged, their {name} differs: {value} and {theirs.get(name)}",
                "name runs of the same `data`, `backbone`, `image_size` and `stem`",
            )
    shapes, others = ({name: w.shape for name, w in found.network.items()} for found in (first, other))
    if shapes != others:
        layer = min(name for name in shapes | others if shapes.get(name) != others.get(name))
        raise UsageError(
            f"{one.path} and {two.path} cannot be averaged, their layers differ, {layer} among them",
            "name runs whose backbone was built with the same settings",
        )


def _facts(card: ModelCard) -> dict[str, Any]:
    return {
        "backbone": card.backbone,
        "labels": list(card.labels),
        **card.preprocessing.to_json(),
        **card.normalization,
        "data fingerprint": card.data.get("fingerprint"),
        "stem": card.architecture.get("stem", "standard"),
        "hidden layer": card.architecture.get("hidden_units"),
        "attention": card.architecture.get("attention"),
        "pruned share": card.architecture.get("pruned"),
        "network's file": card.architecture.get("network_sha256"),
    }


def find_images_again(runs: Sequence[Run], card: ModelCard) -> tuple[Path, tuple[Path, ...]]:
    """What the images lie below and what names them: the first data of a run that is there, as it was in training.

    Raises DataError where none is.
    """
    several = dict.fromkeys(run_places(run.read_config()) for run in runs)
    there = [places for places in several if places and all(place.exists() for place in places)]
    if not there:
        raise DataError(f"the images that {runs[0].path} was trained on are gone", "put them back where they were")
    for places in there:
        folders = scan_as_trained(places, card)
        if folders.fingerprint == card.data.get("fingerprint"):
            return folders.root, places
    raise DataError(f"the images in {there[0][0]} have changed since {runs[0].path} was trained", "train again")


def settings_of(run: Run, out: Path) -> TrainSettings:
    """The settings of a run, with `out` for the folder of runs. Raises CheckpointError where config.json lacks them."""
    try:
        return TrainSettings(**{**run.read_config()["settings"], "out": out})
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{run.config} lacks the settings of a run: {error}", "train again") from error
