"""export.json: what was exported from a run, and what each file was compared with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_export.formats.quick_load import QuickLoad
from edge_export.proof.parity import Parity
from edge_export.proof.whole_split import SplitAccuracy
from edge_runtime import ModelCard, Run, write_json

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
    --optimize-for found.
    """

    path: Path
    format: str
    size_bytes: int
    parity: Parity
    validation: SplitAccuracy
    card: ModelCard
    table: str = ""
    quick_load: QuickLoad | None = None

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
        optional = {
            "graph_sha256": self.card.graph_sha256,
            "embedding_size": self.card.embedding_size,
            "members": [str(member["run"]) for member in self.card.members],
            "quantization": dict(self.card.quantization),
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
    try:
        files = {entry["file"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        files = {}
    files |= {str(item.path): item.to_json() for item in done}
    write_json(path, {"files": list(files.values())})
