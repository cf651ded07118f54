"""What a person may choose about an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from edge_runtime import Setting, UsageError, check_settings

ExportFormat: TypeAlias = Literal["onnx", "torchscript", "triton", "kserve"]
# What a device takes, and folders for a server, with the ONNX file in them.
FORMATS: tuple[ExportFormat, ...] = ("onnx", "torchscript")
REPOSITORIES: tuple[ExportFormat, ...] = ("triton", "kserve")
TtaChoice: TypeAlias = Literal["none", "flip", "five-crop", "ten-crop"]

PrecisionChoice: TypeAlias = Literal["fp32", "fp16", "int8", "auto"]

DEFAULT_NAME = "model"
MAX_DROP_POINTS = 1.0
CALIBRATION_IMAGES = 256


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """How the file is made. Raises UsageError when a value makes no sense."""

    precision: Annotated[
        PrecisionChoice, Setting("Of the weights and most arithmetic; auto keeps the fastest here.")
    ] = "fp32"
    max_drop_points: Annotated[
        float | None,
        Setting(
            "Validation top-1 that less than fp32 may cost.",
            "POINTS",
            shown_default=str(MAX_DROP_POINTS),
            flag="--max-drop",
            at_least=0,
            at_most=100,
        ),
    ] = None
    calibration_images: Annotated[
        int | None,
        Setting("Training images that int8 is calibrated on.", "N", shown_default=str(CALIBRATION_IMAGES), at_least=1),
    ] = None
    with_embedding: Annotated[bool, Setting("Add an output with the penultimate features.")] = False
    with_unlike: Annotated[
        bool, Setting("Store what is unlike all training, as measured on validation: for predict --reject-unlike.")
    ] = False
    tta: Annotated[
        TtaChoice,
        Setting("Average the answers to several views of each picture, inside the file: as many times the work."),
    ] = "none"
    positive: Annotated[
        str | None,
        Setting(
            "Of two classes the one that must not be missed: a threshold chosen on validation decides for it.",
            "CLASS",
            shown_default="as trained",
        ),
    ] = None
    min_sensitivity: Annotated[
        float | None,
        Setting(
            "The share of the positive class's pictures that it finds, at least.",
            "X",
            shown_default="as trained, or 0.95",
            above=0,
            at_most=1,
        ),
    ] = None
    name: Annotated[str, Setting("With triton and kserve: what the server calls the model.", "NAME")] = DEFAULT_NAME
    for_this_machine: Annotated[
        bool,
        Setting(
            "Also write a form that loads faster on this machine, if it does.",
            "this-machine",
            shown_default="any machine",
            flag="--optimize-for",
        ),
    ] = False

    def __post_init__(self) -> None:
        check_settings(self)
        if self.calibration_images is not None and self.precision in {"fp32", "fp16"}:
            raise UsageError(
                f"`calibration_images` is for int8, and the file will be {self.precision}",
                "add `precision` int8 or auto, or drop it",
            )
        if self.max_drop_points is not None and self.precision == "fp32":
            raise UsageError(
                "`max_drop_points` is for less than fp32, which loses nothing",
                "add `precision` int8, fp16 or auto, or drop it",
            )

    @property
    def allowed_drop_points(self) -> float:
        """`max_drop_points`, or what it is where nobody says."""
        return MAX_DROP_POINTS if self.max_drop_points is None else self.max_drop_points

    @property
    def wanted_calibration_images(self) -> int:
        """`calibration_images`, or what they are where nobody says."""
        return CALIBRATION_IMAGES if self.calibration_images is None else self.calibration_images

    def require_possible(self, formats: tuple[ExportFormat, ...], *, members: int) -> None:
        """Raise UsageError where the formats, or an ensemble of so many members, cannot have what is asked for."""
        if "torchscript" in formats:
            if self.precision != "fp32":
                raise UsageError(
                    f"TorchScript files are fp32, not {self.precision}", "use `formats` onnx, or `precision` fp32"
                )
            if self.for_this_machine:
                raise UsageError("`for_this_machine` is for ONNX files", "use `formats` onnx")
            if self.with_unlike:
                raise UsageError("`with_unlike` is for ONNX files", "use `formats` onnx")
        if self.name != DEFAULT_NAME and not any(each in REPOSITORIES for each in formats):
            raise UsageError(
                f"`name` {self.name} is for a server's repository", "use `formats` triton or kserve, or `out`"
            )
        if self.for_this_machine and any(each in REPOSITORIES for each in formats):
            raise UsageError("`for_this_machine` is for one file, and no server opens it", "use `formats` onnx")
        for name in ("with_embedding", "with_unlike"):
            if getattr(self, name) and self.tta != "none":
                raise UsageError(f"`tta` averages answers, and `{name}` needs the embedding of one view", "drop one")
            if getattr(self, name) and members > 1:
                raise UsageError(
                    f"an ensemble of {members} runs has no one embedding", f"drop `{name}`, or export one run"
                )
