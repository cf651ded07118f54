"""Which images an exported model is scored on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edge_data.sets.folds import pool_data
from edge_data.sets.group_by import NONE
from edge_data.sets.grouped_split import split_data
from edge_data.sets.splits import Splits, read_split
from edge_runtime import CROSS_VALIDATED, DataError, ModelCard, Run, Sample, UsageError, scan


@dataclass(frozen=True, slots=True)
class EvaluationData:
    """Samples below `root`; `split` names them and `how` says where they come from.

    `had_a_part` tells that the model's own training learned from some of them, or chose by them.
    """

    root: Path
    samples: tuple[Sample, ...]
    split: str
    how: str
    had_a_part: bool = False


def choose_evaluation(
    card: ModelCard, run: Run | None = None, data: Path | None = None, wanted: str | None = None
) -> EvaluationData:
    """The images to score a model on: those its run set aside, or those of another folder.

    Without `data`, the run's own split.csv decides. With `data`, a folder of the very files the model was
    trained on is split as in training, by the run's split.csv or else again, so that no training image is scored by
    mistake; any other folder is taken by its own splits, or whole where it has none. `wanted` is test, val, train or
    all; by default test, or val where there is no test split.

    Raises:
        UsageError: there is no run and no `data`.
        DataError: the folder or the split is not there, or the model learned from all its run's images and none are
            named.
    """
    if wanted is None:
        _require_unseen(card, run, data)
    if data is None:
        if run is None:
            raise UsageError("the model lies in no run folder, so its data is not known", "name a folder with `data`")
        place = run.read_config().get("data_root")
        if not place or not isinstance(place, str):
            raise DataError(f"{run.config} does not say what was trained on", "name the folder with `data`")
        root = Path(place)
        if not root.is_dir():
            raise DataError(f"{root}, which {run.path} was trained on, is gone", "name where it is now with `data`")
        return _choose(root, read_split(run.split, card.labels), wanted, f"the split in {run.split}", own=True)
    folders = scan(data, labels=card.labels)
    if folders.fingerprint == card.data.get("fingerprint"):
        if run is not None and run.split.is_file():
            return _choose(data, read_split(run.split, card.labels), wanted, f"the split in {run.split}", own=True)
        # A model that does not say was trained before there were groups.
        seed, limit, by = card.data.get("seed", 0), card.data.get("limit"), card.data.get("group_by", NONE)
        cut = pool_data if CROSS_VALIDATED in card.metrics else split_data
        again = cut(folders, seed=seed, limit=limit, group_by=by)
        return _choose(data, again, wanted, "split again as in training", own=True)
    if "all" in folders.splits:
        if wanted not in (None, "all"):
            raise DataError(f"{data} has no split {wanted}: it is flat class folders", "use `split` all")
        return EvaluationData(data, folders.splits["all"], "all", "every image of the folder")
    train, val, test = (folders.splits.get(name, ()) for name in ("train", "val", "test"))
    return _choose(data, Splits(train, val, test, how="as found"), wanted, "the folder's own splits")


def _require_unseen(card: ModelCard, run: Run | None, data: Path | None) -> None:
    """Refuse to score a cross-validated model on what it learned from, unless that is asked for by name."""
    figures = card.metrics.get(CROSS_VALIDATED)
    if figures is None or "test" in card.metrics:
        return
    if data is not None and scan(data, labels=card.labels).fingerprint != card.data.get("fingerprint"):
        return
    accuracy, n = figures.get("accuracy"), figures.get("n")
    known = f" its cross-validated accuracy is {accuracy:.1%} (n {n})" if isinstance(accuracy, float) else ""
    raise DataError(
        f"{'the model' if run is None else run.path} learned from all images, none is left to score it on;{known}",
        "name images that it has not seen with `data`, or ask for what it learned from with `split` train",
    )


def _choose(root: Path, splits: Splits, wanted: str | None, how: str, *, own: bool = False) -> EvaluationData:
    parts = {"test": splits.test, "val": splits.val, "train": splits.train}
    parts["all"] = (*splits.train, *splits.val, *splits.test)
    name = wanted or next((name for name, samples in parts.items() if samples), "test")
    if not parts.get(name):
        there = ", ".join(other for other, samples in parts.items() if samples and other != "all")
        raise DataError(f"{root} has no {name} images", f"there is: {there or 'nothing'}")
    if wanted is None and name != "test":
        how += f"; no test split, so {name}"
    return EvaluationData(root, parts[name], name, how, had_a_part=own and name != "test")
