"""export.json: what was exported from a run, and what each file was compared with."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any

from edge_export.formats.quick_load import QuickLoad
from edge_export.proof.parity import Parity
from edge_export.proof.whole_split import SplitAccuracy
from edge_runtime import ModelCard, Run, lock_file, write_json

# How often it is asked whether another export has written its record.
POLL_S = 0.05

# What a figure is called behind its number.
_TOLD = {
    "accuracy": "right",
    "map": "mAP",
    "mean_accuracy": "right of the tasks, on average",
    "exact_match": "right in all labels",
}


@dataclass(frozen=True, slots=True)
class Exported:
    """One file that was written, and how close it is to its checkpoint.

    `table` tells a person how its precision was reached, where that was below fp32; `quick_load` is what
    --optimize-for found. `candidates` are those that `auto` chose from.
    """

    path: Path
    format: str
    size_bytes: int
    parity: Parity
    validation: SplitAccuracy
    card: ModelCard
    table: str = ""
    quick_load: QuickLoad | None = None
    candidates: tuple[Mapping[str, Any], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As export.json and `edge export --json` give it."""
        value: dict[str, Any] = {
            "file": str(self.path),
            "format": self.format,
            "precision": self.card.precision,
            "size_bytes": self.size_bytes,
            "parity": self.parity.to_json(),
            self.validation.shown: self.validation.to_json(),
            "compared": self.describe(),
        }
        tried = {"candidates": [dict(each) for each in self.candidates]} if self.candidates else {}
        optional = {
            "graph_sha256": self.card.graph_sha256,
            "embedding_size": self.card.embedding_size,
            "members": [str(member["run"]) for member in self.card.members],
            # A file in fp32 has nothing to say of how it came to be so.
            "quantization": {**tried, **self.card.quantization},
            "quick_load": None if self.quick_load is None else self.quick_load.to_json(),
        }
        return value | {key: item for key, item in optional.items() if item}

    def describe(self) -> str:
        """What was compared with what, in one sentence."""
        parity, split = self.parity, self.validation
        sizes = ", ".join(map(str, parity.batch_sizes))
        if split.shown != "validation":
            return (
                f"the file with the checkpoint in torch on {parity.images} {split.shown} images and "
                f"{parity.hostile_images} hostile ones in batches of {sizes}; of {split.checkpoint.n} {split.shown} "
                f"images both answered {split.top1_agreement:.2%} alike; the accuracy is cross-validated"
            )
        name = split.score_name
        told = _TOLD[name]
        all_right = "right" if name == "accuracy" else "right in all labels"
        recorded = (
            f"training recorded no {name} of this checkpoint"
            if split.recorded.get(name) is None
            else f"training recorded {split.recorded[name]:.4f} on {split.recorded.get('n')}"
        )
        return (
            f"the file with the checkpoint in torch on {parity.images} validation images and {parity.hostile_images} "
            f"hostile ones in batches of {sizes}; the file classified all {split.whole.n} readable validation images "
            f"({split.score:.4f} {told}), the checkpoint in torch {split.checkpoint.n} of them "
            f"({split.checkpoint.share:.4f} {all_right}, the file {split.same_images.share:.4f}); {recorded}"
        )


def write_record(run: Run, done: Sequence[Exported]) -> None:
    """Note each file and its proof in export.json, beside those of earlier exports. Raises OutputError."""
    path = run.path / "export.json"
    with _alone(run.path):
        try:
            files = {_place(entry["file"]): entry for entry in json.loads(path.read_text(encoding="utf-8"))["files"]}
        except (OSError, ValueError, KeyError, TypeError):
            files = {}
        # From another folder the same file has another name.
        files |= {_place(item.path): {**item.to_json(), "file": str(item.path.absolute())} for item in done}
        write_json(path, {"files": list(files.values())})


def _place(path: str | Path) -> Path:
    return Path(path).resolve()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other export of the run is in such a block meanwhile, where a folder can be locked."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folder
        yield
        return
    try:
        while not lock_file(handle):
            sleep(POLL_S)
        yield
    finally:
        os.close(handle)
