"""Which images an exported model is scored on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edge_data.sets.copied_pictures import find_copies
from edge_data.sets.member_splits import SPLIT_AGAIN, networks_of, split_of_all
from edge_data.sets.run_data import run_places, scan_as_trained
from edge_data.sets.split_file import read_split
from edge_data.sets.splits import Splits
from edge_runtime import (
    CROSS_VALIDATED,
    ClassFolders,
    DataError,
    LabelFrom,
    ModelCard,
    Run,
    Sample,
    TruePlaces,
    UsageError,
    as_kind,
    find_run,
)


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Samples below `root`; `split` names them and `how` says where they come from.

    `had_a_part` tells that the model's own training learned from some of them, or chose by them; None where that is not
    known. `learned` tells the first of the two. By path, `parts` names the split of each where there are splits,
    `groups` the group of those that are in one.
    """

    root: Path
    samples: tuple[Sample, ...]
    split: str
    how: str
    had_a_part: bool | None = False
    parts: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, str] = field(default_factory=dict)
    learned: bool = False


def choose_evaluation(
    card: ModelCard,
    run: Run | str | Path | None = None,
    data: str | Path | Sequence[str | Path] | None = None,
    wanted: str | None = None,
    *,
    label_from: LabelFrom | None = None,
) -> EvaluationData:
    """The images to score a model on: those its run set aside, or those of another folder or manifest, or of several.

    Without `data`, the run's own split.csv decides. With `data`, a folder of the very files the model was
    trained on is split as in training, by the run's split.csv or else again, so that no training image is scored by
    mistake; any other data is taken by its own splits, or whole where it has none, and `how` says how many of its
    images trained the run, or were its validation. `wanted` is test, val, train or all; by default test, or val where
    there is no test split. `label_from` is training's by default.

    Raises:
        UsageError: there is no run and no `data`, or no such run.
        DataError: the folder or the split is not there, or the model learned from all its run's images and none are
            named.
    """
    as_kind(card, ModelCard, "`card`")
    run = None if run is None else find_run(run)
    if data is None:
        if run is None:
            raise UsageError("the model lies in no run folder, so its data is not known", "name a folder with `data`")
        place = run.read_config().get("data_root")
        if not place or not isinstance(place, str):
            raise DataError(f"{run.config} does not say what was trained on", "name the folder with `data`")
        root = Path(place)
        if not root.is_dir():
            raise DataError(f"{root}, which {run.path} was trained on, is gone", "name where it is now with `data`")
        return _choose_own(root, wanted, card, run)
    folders = scan_as_trained(data, card, label_from=label_from)
    data = folders.root
    if folders.fingerprint == card.data.get("fingerprint"):
        return _choose_own(data, wanted, card, run, folders)
    if "all" in folders.splits:
        if wanted not in (None, "all"):
            raise DataError(f"{data} has no split {wanted}: nothing in it is split", "use `split` all")
        how = "every image of the folder" if folders.is_one_folder else "every labelled image"
        return _tell_trained(EvaluationData(data, folders.splits["all"], "all", how, groups=folders.groups), card, run)
    train, val, test = (folders.splits.get(name, ()) for name in ("train", "val", "test"))
    how = "the folder's own splits" if folders.is_one_folder else "the data's own splits"
    chosen = _choose(data, Splits(train, val, test, how="as found", groups=folders.groups), wanted, how)
    return _tell_trained(chosen, card, run)


def _tell_trained(chosen: EvaluationData, card: ModelCard, run: Run | None) -> EvaluationData:
    """`chosen`, which says how many of its images trained the run, or chose in it: a figure on those flatters."""
    networks = networks_of(card, run)
    runs = [network.run for network in networks if network.run is not None]
    true, trained, chose, perhaps = TruePlaces(), set[str](), set[str](), set[str]()
    for each in runs:
        root, splits = str(each.read_config().get("data_root")), read_split(each.split, card.labels)
        for samples, places in ((splits.train, trained), (splits.val, chose)):
            copies = find_copies(root, chosen.root, (sample.path for sample in samples))
            places |= {true(os.path.join(root, sample.path)) for sample in samples}  # noqa: PTH118
            places |= {true(os.path.join(chosen.root, path)) for path in copies.alike}  # noqa: PTH118
            perhaps |= {true(os.path.join(chosen.root, path)) for path in copies.gone}  # noqa: PTH118
    here = Counter(true(os.path.join(chosen.root, sample.path)) for sample in chosen.samples)  # noqa: PTH118
    learned, chosen_by, like = (sum(here[at] for at in each) for each in (trained, chose - trained, perhaps))
    parts = [
        *([f"{learned:,} of them trained the model"] if learned else []),
        *([f"{chosen_by:,} of them chose its epoch and temperature"] if chosen_by else []),
    ]
    if like:
        also = f"{like:,} of them are called as images that trained the model or chose in it, which are gone"
        parts, chosen = [*parts, also], replace(chosen, had_a_part=None)
    if parts:
        chosen = replace(chosen, how=f"{chosen.how}; WARNING: {' and '.join(parts)}")
    if learned or chosen_by:
        chosen = replace(chosen, had_a_part=True, learned=learned > 0)
    return chosen if len(runs) == len(networks) else _tell_unknown(chosen, card)


def _tell_unknown(chosen: EvaluationData, card: ModelCard, *, own: bool = False) -> EvaluationData:
    """`chosen`, which says that some of its images may have trained the model: its run, which knows, is not here.

    A test split that the data brings is taken at its word; one of the model's `own` is that of some of its networks.
    """
    if chosen.split == "test" and not own:
        return chosen
    whose = "the runs of all its networks" if card.members else "its run"
    unknown = f"which of them trained the model is not known without {whose}"
    if own or card.data.get("name") == chosen.root.name:
        unknown = f"WARNING: it was trained on data of this name, {unknown}"
    return replace(chosen, how=f"{chosen.how}; {unknown}", had_a_part=chosen.had_a_part or None)


def _choose_own(
    root: Path, wanted: str | None, card: ModelCard, run: Run | None, folders: ClassFolders | None = None
) -> EvaluationData:
    """Of the images that training split; of a model that learned from all of them, none unless asked for by name.

    Without `folders`, which lists them, the run's own split decides.
    """
    networks = networks_of(card, run)
    whole, how = True, SPLIT_AGAIN
    if card.members:
        places = () if run is None else run_places(run.read_config())
        splits, whole = split_of_all(card, networks, root, lambda: folders or scan_as_trained(places, card))
        how = f"the splits of all {len(networks)} networks"
    elif run is not None and (folders is None or run.split.is_file()):
        splits, how = read_split(run.split, card.labels), f"the split in {run.split}"
    else:
        assert folders is not None, "there is a run where no data is named"
        splits = networks[0].split_again(folders)
    if wanted is None and not splits.val and not splits.test:
        figures = card.metrics.get(CROSS_VALIDATED, {})
        accuracy, n = figures.get("accuracy"), figures.get("n")
        known = f"; its cross-validated accuracy is {accuracy:.1%} (n {n})" if isinstance(accuracy, float) else ""
        raise DataError(
            f"the model learned from all images of {root}, none is left to score it on{known}",
            "name images that it has not seen with `data`, or ask for what it learned from with `split` train",
        )
    chosen = _choose(root, splits, wanted, how, own=True)
    return chosen if whole else _tell_unknown(chosen, card, own=True)


def _choose(root: Path, splits: Splits, wanted: str | None, how: str, *, own: bool = False) -> EvaluationData:
    parts = {"test": splits.test, "val": splits.val, "train": splits.train}
    parts["all"] = (*splits.train, *splits.val, *splits.test)
    name = wanted or next((name for name, samples in parts.items() if samples), "test")
    if not parts.get(name):
        there = ", ".join(other for other, samples in parts.items() if samples and other != "all")
        raise DataError(f"{root} has no {name} images", f"there is: {there or 'nothing'}")
    if wanted is None and name != "test":
        how += f"; no test split, so {name}"
    names = ("train", "val", "test") if name == "all" else (name,)
    split_of = {sample.path: part for part in names for sample in parts[part]}
    learned = own and name in ("train", "all")
    return EvaluationData(root, parts[name], name, how, own and name != "test", split_of, splits.groups, learned)
