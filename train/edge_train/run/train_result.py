"""What a finished run hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_data import Splits
from edge_runtime import ModelCard, Run
from edge_train.report.diagnosis import Diagnosis, EpochFigures
from edge_train.targets.target_kind import Answers


@dataclass(frozen=True, slots=True, eq=False)
class TrainResult:
    """A finished run: where it is, the card of its best checkpoint, what summary.json says, and what ails it.

    `splits` are the images it used, relative to `data_root`; `history` has a row per epoch; `answers` are those of the
    best epoch on "val" and, where there is one, on "test": `SplitAnswers` where a picture has one label.
    """

    run: Run
    card: ModelCard
    summary: dict[str, Any]
    diagnosis: tuple[Diagnosis, ...]
    splits: Splits
    data_root: Path
    history: tuple[EpochFigures, ...]
    answers: Mapping[str, Answers]
