"""The split of a model's training; of one that averages several networks what all of their splits say together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_data.sets.folds import pool_data
from edge_data.sets.group_by import NONE
from edge_data.sets.grouped_split import split_data
from edge_data.sets.split_file import read_split
from edge_data.sets.splits import Splits
from edge_runtime import CROSS_VALIDATED, ClassFolders, DataError, ModelCard, Run, Sample, TruePlaces

SPLIT_AGAIN = "split again as in training"


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """What is known of one network's training: what its card says, and its run where that is there with its split."""

    data: Mapping[str, Any]
    metrics: Mapping[str, Any]
    run: Run | None

    def split_again(self, folders: ClassFolders) -> Splits:
        """`folders`, which it was trained on, split as they were then."""
        # A model that does not say was trained before there were groups.
        seed, limit, by = self.data.get("seed", 0), self.data.get("limit"), self.data.get("group_by", NONE)
        cut = pool_data if CROSS_VALIDATED in self.metrics else split_data
        return cut(folders, seed=seed, limit=limit, group_by=by)

    @property
    def split_key(self) -> tuple[Any, ...]:
        """What two networks have alike that `split_again` gives the same for."""
        said = (self.data.get(name) for name in ("seed", "limit", "group_by"))
        return (*said, CROSS_VALIDATED in self.metrics)


def networks_of(card: ModelCard, run: Run | None) -> tuple[TrainedNetwork, ...]:
    """The networks that the model averages, or the one it is, whose run is `run`.

    The runs of several are sought beside `run`, by the names that the card has.
    """
    if not card.members:
        return (TrainedNetwork(card.data, card.metrics, run if run is not None and run.split.is_file() else None),)
    beside = None if run is None else Path(os.path.abspath(run.path)).parent  # noqa: PTH100 (a link is as good)
    found = []
    for member in card.members:
        name = str(member.get("run") or "")
        its = Run(beside / name) if beside is not None and name and Path(name).name == name else None
        known = its if its is not None and its.config.is_file() and its.split.is_file() else None
        found.append(TrainedNetwork(member.get("data") or {}, member.get("metrics") or {}, known))
    return tuple(found)


def split_of_all(
    card: ModelCard, networks: Sequence[TrainedNetwork], root: Path, scanned: Callable[[], ClassFolders]
) -> tuple[Splits, bool]:
    """Which images below `root` trained any network, which none of them learned from or chose by, and whether all say.

    What is in the test split of all is of `test`, what trained one of them is of `train`, the rest is of `val`. A
    network whose run is not there splits the images again, which `scanned` lists, where it was trained on just those.
    """
    known: list[Splits] = []
    again: dict[tuple[Any, ...], Splits] = {}
    # Of data alike pictures are known by their paths in it, wherever it was.
    alike = card.data.get("fingerprint") is not None
    for network in networks:
        if network.run is not None:
            found = read_split(network.run.split, card.labels)
            known.append(found if alike else _below(root, network.run, found))
            continue
        try:
            folders = scanned()
        except DataError:
            continue
        if network.data.get("fingerprint") != folders.fingerprint:
            continue
        if network.split_key not in again:
            again[network.split_key] = network.split_again(folders)
        known.append(again[network.split_key])
    return _together(known), len(known) == len(networks)


def _below(root: Path, run: Run, splits: Splits) -> Splits:
    """`splits` of `run` by the paths that its images have below `root`; those that lie elsewhere are left out."""
    true, place = TruePlaces(), os.path.realpath(root)
    before = str(run.read_config().get("data_root", ""))

    def moved(samples: Sequence[Sample]) -> tuple[Sample, ...]:
        paths = [os.path.relpath(true(os.path.join(before, each.path)), place) for each in samples]  # noqa: PTH118
        return tuple(
            replace(each, path=path.replace(os.sep, "/"))
            for each, path in zip(samples, paths, strict=True)
            if not path.startswith(os.pardir)
        )

    return replace(splits, train=moved(splits.train), val=moved(splits.val), test=moved(splits.test), groups={})


def _together(splits: Sequence[Splits]) -> Splits:
    every: dict[str, Sample] = {}
    groups: dict[str, str] = {}
    for each in splits:
        every |= {sample.path: sample for sample in (*each.train, *each.val, *each.test)}
        groups |= each.groups
    train = {sample.path for each in splits for sample in each.train}
    tests = [{sample.path for sample in each.test} for each in splits]
    test = set.intersection(*tests) - train if tests else set()
    ordered = sorted(every.values(), key=lambda sample: (sample.label, sample.path))
    return Splits(
        tuple(sample for sample in ordered if sample.path in train),
        tuple(sample for sample in ordered if sample.path not in train and sample.path not in test),
        tuple(sample for sample in ordered if sample.path in test),
        "those of all networks together",
        groups=groups,
        kind=splits[0].kind if splits else "single-label",
        tasks=splits[0].tasks if splits else (),
    )
