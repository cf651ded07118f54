"""What a person may choose about an export."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from edge_runtime import UsageError

__all__ = ["FORMATS", "PRECISIONS", "ExportFormat", "ExportSettings", "PrecisionChoice"]

ExportFormat: TypeAlias = Literal["onnx", "torchscript"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

PrecisionChoice: TypeAlias = Literal["fp32", "fp16", "int8", "auto"]
PRECISIONS: tuple[PrecisionChoice, ...] = get_args(PrecisionChoice)


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How the file is made.

    `max_drop_points` is how much validation top-1 a precision below fp32 may cost, in percentage points;
    `calibration_images` how many training images int8 takes its ranges from. Raises UsageError when a value makes
    no sense.
    """

    precision: PrecisionChoice = "fp32"
    max_drop_points: float = 1.0
    calibration_images: int = 256
    with_embedding: bool = False
    for_this_machine: bool = False

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision} is not known", f"choose from {', '.join(PRECISIONS)}")
        if not (math.isfinite(self.max_drop_points) and 0 <= self.max_drop_points <= 100):
            raise UsageError(
                f"--max-drop {self.max_drop_points:g}: give percentage points from 0 to 100", "1.0 is usual"
            )
        if self.calibration_images < 1:
            raise UsageError(f"--calibration-images {self.calibration_images}: at least 1 is needed", "256 is usual")

    def require_possible(self, formats: tuple[ExportFormat, ...], *, members: int) -> None:
        """Raise UsageError where the formats, or an ensemble of so many members, cannot have what is asked for."""
        if "torchscript" in formats:
            if self.precision != "fp32":
                raise UsageError(
                    f"TorchScript files are fp32, not {self.precision}", "use --format onnx, or --precision fp32"
                )
            if self.for_this_machine:
                raise UsageError("--optimize-for is for ONNX files", "use --format onnx")
        if self.with_embedding and members > 1:
            raise UsageError(
                f"an ensemble of {members} runs has no one embedding", "drop --with-embedding, or export one run"
            )
