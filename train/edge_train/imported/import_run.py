"""The run folder of an import: what training leaves, but for what only an epoch can tell."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge_data import Splits
from edge_runtime import ModelCard, Run, to_words, write_json
from edge_train.imported.import_settings import ImportSettings, labels_in_words
from edge_train.imported.measuring import Measured, as_train_settings
from edge_train.network.backbones import Backbone
from edge_train.network.checkpoint import Checkpoint, save_checkpoint
from edge_train.network.lookup import as_kept
from edge_train.network.network import Network
from edge_train.network.weights import find_again_from_anywhere
from edge_train.report.page import RunReport, write_report
from edge_train.run.run_folder import create_run, finish_run
from edge_train.run.untrained import untrained_summary
from edge_train.targets.single_label import SingleLabel

_KEYS_KEPT = 100


def leave_run(  # noqa: PLR0917 (what a run is made of)
    settings: ImportSettings,
    checkpoint: str,
    backbone: Backbone,
    network: Network,
    card: ModelCard,
    measured: Measured | None,
    unused: Sequence[str],
    started: float,
) -> tuple[Run, dict[str, Any]]:
    """Write the run's folder; gives it, and what summary.json says. Raises OutputError."""
    weights = find_again_from_anywhere(checkpoint)
    named = as_kept(settings.backbone or card.backbone, backbone)
    train_settings = as_train_settings(settings, card, backbone=named, weights=weights)
    words = [*to_words(settings, without=("out", "labels", "mean", "std")), *_labels(settings), *_channels(settings)]
    command = shlex.join(["edge", "import", checkpoint, *words])
    about = {"checkpoint": weights, "unused": list(unused[:_KEYS_KEPT]), "unused_keys": len(unused)}
    splits = measured.splits if measured is not None else Splits((), (), (), how="none")
    root, places = (measured.root, measured.places) if measured is not None else (Path(), ())
    run = create_run(train_settings, card, splits, data_root=root, places=places, more={"import": about})
    if measured is None:
        # It was made of no images: none may be taken for its own.
        config = run.read_config()
        write_json(run.config, {**config, "data_root": None, "settings": {**config["settings"], "data": []}})
    save_checkpoint(run.best, Checkpoint(card, network.state_dict(), 0, {}))
    metrics = measured.metrics if measured is not None else {}
    summary = {
        **untrained_summary(run, card, metrics, network),
        "command": command,
        "import": {**about, "origin": card.data["imported"], "calibrated": measured is not None},
        "seconds": time.perf_counter() - started,
    }
    if measured is not None:
        _report(run, card, summary, measured)
    finish_run(run, summary)
    return run, summary


def _labels(settings: ImportSettings) -> list[str]:
    if settings.labels is None:
        return []
    said = settings.labels
    return ["--labels", said if isinstance(said, str) else labels_in_words(said)]


def _channels(settings: ImportSettings) -> list[str]:
    words = []
    for name, values in (("--mean", settings.mean), ("--std", settings.std)):
        words += [] if values is None else [name, ",".join(map(repr, values))]
    return words


def _report(run: Run, card: ModelCard, summary: dict[str, Any], measured: Measured) -> None:
    parts = {"train": measured.splits.train, "val": measured.splits.val, "test": measured.splits.test}
    counts = {name: SingleLabel(card).count(samples) for name, samples in parts.items() if samples}
    write_report(
        run,
        RunReport(
            card=card,
            history=(),
            best_epoch=0,
            val=measured.answers["val"],
            test=measured.answers.get("test"),
            counts=counts,
            settings={},
            command=summary["command"],
            data_root=measured.root,
            diagnosis=(),
            seconds=summary["seconds"],
            parameters=summary["parameters"],
            parameters_trained=0,
            git_revision=summary["git_revision"],
        ),
    )
