"""A contestant: one model and what runs it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from edge_benchmarks.models.engines import ENGINES, EngineName, Setup
from edge_benchmarks.models.model_file import ModelFile, inspect_model
from edge_benchmarks.models.sourced_accuracy import SourcedAccuracy
from edge_data import EvaluationData
from edge_runtime import ModelCard, UsageError, as_kind


@dataclass(frozen=True)
class Contestant:
    """One model file. `name` is what the table calls it; `fresh` says that its weights are random, `passing` that its
    file is gone when the benchmark is over.

    `model` is the ONNX file, and `path` what `engine` opens, where that is another file of the same network, such as
    a checkpoint. `checkpoint` is where torch finds the network, if it does. `images` are what its accuracy is measured
    on; `known_accuracy` is what is known without.
    """

    name: str
    model: Path
    engine: EngineName = "onnxruntime"
    path: Path | None = None
    checkpoint: Path | None = None
    fresh: bool = False
    passing: bool = False
    images: EvaluationData | None = None
    known_accuracy: SourcedAccuracy | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        kinds = {"name": str, "model": Path, "path": Path | None, "checkpoint": Path | None}
        for name, kind in kinds.items():
            object.__setattr__(self, name, as_kind(getattr(self, name), kind, f"`{name}`"))
        if self.engine not in ENGINES:
            raise UsageError(f"`engine` {self.engine} is not known", f"choose {', '.join(ENGINES)}")

    @cached_property
    def file(self) -> ModelFile:
        """The inspected ONNX file. Raises UsageError where there is none, ModelError where it cannot be run."""
        return inspect_model(self.model)

    @property
    def opened(self) -> Path:
        """The file that the engine opens."""
        return self.path or self.model

    @property
    def backbone(self) -> str:
        """Its backbone as the card has it; `foreign` where edge did not make it."""
        return "foreign" if self.card is None else self.card.backbone

    @property
    def variant(self) -> tuple[str, ...]:
        """What its network has that its backbone's own has not, in words, such as "pruned 0.5"; of any file's card."""
        return () if self.card is None else (*variant_of(self.card.architecture), *_combined(self.card))

    @property
    def precision(self) -> str:
        """Its precision as the card has it, `–` where it has none; a checkpoint is always fp32."""
        return "–" if self.card is None else self.card.precision

    @property
    def card(self) -> ModelCard | None:
        """The model card, None where edge did not make the file."""
        return self.file.card

    @property
    def takes_images(self) -> bool:
        """Whether it classifies pictures; other graphs can only be fed with random input."""
        return self.card is not None or self.file.classes is not None

    def run_by(self, engine: EngineName, path: Path, *, passing: bool = False) -> Contestant:
        """The same network, run by another engine from `path`."""
        other = replace(self, engine=engine, path=path, passing=self.passing or passing)
        # Both are the same file, which need not be inspected twice.
        other.__dict__["file"] = self.file
        return other

    def setup(self, *, threads: int | None, batch: int, images: tuple[Path, ...]) -> Setup:
        """What a worker needs to open it; without `images` its input is random.

        A file of a fixed batch gets as many images more as fill its last one, so that what runs is what is counted.

        Raises UsageError where it takes no pictures and `images` are given.
        """
        if images and not self.takes_images:
            raise UsageError(f"{self.model} takes no pictures ({self.file.input_px})", "measure it with `random_input`")
        at_once = self.file.at_once or 1
        return Setup(
            path=str(self.opened),
            engine=self.engine,
            threads=threads,
            batch=math.ceil(batch / at_once) * at_once,
            images=tuple(map(str, images)),
            classes=None if self.card is not None else self.file.classes,
            is_classifier=self.takes_images,
        )


def variant_of(architecture: Mapping[str, Any]) -> tuple[str, ...]:
    """What a network of a card's `architecture` has that its backbone's own has not, in words."""
    words = []
    if isinstance(share := architecture.get("pruned"), int | float):
        words.append(f"pruned {share:.2g}")
    # A card's texts may be anybody's, and what is made of this is for strangers.
    parts = [part for part in ("stem", "attention") if part in architecture]
    words += [f"{architecture[part] if _is_plain(architecture[part]) else 'another'} {part}" for part in parts]
    if isinstance(units := architecture.get("hidden_units"), int):
        words.append(f"hidden layer of {units}")
    if "fastai_units" in architecture:
        words.append("fastai head")
    if re.fullmatch("[0-9a-f]{64}", str(code := architecture.get("network_sha256"))):
        # Two networks of a user's own may have one name.
        words.append(f"code {str(code)[:8]}")
    return tuple(words)


def _combined(card: ModelCard) -> tuple[str, ...]:
    words = []
    if card.members:
        words.append(f"ensemble of {len(card.members)}")
    if card.tta:
        name = card.tta.get("name")
        words.append(f"averages {name} views" if _is_plain(name) else "averages views")
    return tuple(words)


def _is_plain(word: object) -> bool:
    return isinstance(word, str) and re.fullmatch(r"[a-z][a-z-]{0,19}", word) is not None
