"""Where an int8 file's figures were measured, and whether they hold on this processor."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.machine.arithmetic import int8_arithmetic, saturates
from edge_runtime.model.onnx_bytes import largest_int8_weight, read_metadata

# Two products with activations of 8 bits fit into 16 bits then.
MOST_WITHOUT_SATURATION = 64


@dataclass(frozen=True, slots=True)
class Int8Origin:
    """An int8 file's largest weight, what it was measured on (empty where an older edge did not say), and this machine.

    `drift` is the export's largest difference from exact arithmetic, None where it was not measured.
    """

    largest_weight: int
    measured_on: str
    drift: float | None
    here: str

    @property
    def portable(self) -> bool:
        """Whether its weights are small enough for every processor's kernels."""
        return self.largest_weight <= MOST_WITHOUT_SATURATION

    @property
    def elsewhere(self) -> bool:
        """Whether its figures were measured on another kind of processor than this, or nobody knows on which."""
        return not self.measured_on or self.measured_on != self.here

    @property
    def holds_here(self) -> bool:
        """Whether this processor gives the answers that were measured, as far as its kind tells."""
        return self.portable or not self.elsewhere or (bool(self.measured_on) and self._alike)

    @property
    def _alike(self) -> bool:
        kinds = saturates(self.measured_on), saturates(self.here)
        return None not in kinds and kinds[0] == kinds[1]

    def describe(self) -> str:
        """In one sentence, what to know of it here."""
        where = f"measured on {self.measured_on}" if self.measured_on else "measured on a processor it does not name"
        if self.portable:
            drift = "" if self.drift is None else f" (max |Δp| {self.drift:.2g} from exact arithmetic)"
            other = f"; this is {self.here or 'an unknown one'}" if self.elsewhere else ", as this is"
            return f"{where}{other}: weights of 7 bits, the same answers on every processor{drift}"
        what = "weights of full range, which saturate on x86-64 without VNNI"
        if not self.elsewhere:
            return f"{where}, as this is: {what}, so it answers otherwise on another; export it again"
        if self.holds_here:
            return f"{where}; this is {self.here}, which computes alike: {what}, so it answers otherwise elsewhere"
        return (
            f"{where}; this is {self.here or 'an unknown one'}: {what}, so its figures may not hold here: "
            "edge evaluate --exact tells; or export it again"
        )

    def to_json(self) -> dict[str, Any]:
        """As `edge info --json`, `edge doctor --json` and the bench's JSON carry it."""
        return {
            "largest_weight": self.largest_weight,
            "measured_on": self.measured_on or None,
            "here": self.here,
            "max_difference": self.drift,
            "portable": self.portable,
            "holds_here": self.holds_here,
            "says": self.describe(),
        }


def int8_origin(path: Path, *, here: str | None = None) -> Int8Origin | None:
    """What the model file at `path` is in int8; None where it has no int8 weight.

    It needs neither numpy nor onnxruntime. `here` stands for another machine's kind.

    Raises UsageError and ModelError as `read_metadata` does.
    """
    largest = largest_int8_weight(path)
    if largest is None:
        return None
    try:
        # As a float a whole number of any length is one.
        card = json.loads(read_metadata(path).get("edge", "{}"), parse_int=float)
        how = card.get("quantization", {}).get("arithmetic", {})
    except (ValueError, AttributeError, RecursionError):
        how = {}
    if not isinstance(how, Mapping):
        how = {}
    exact = how.get("exact")
    drift = exact.get("max_difference") if isinstance(exact, Mapping) else None
    return Int8Origin(
        largest,
        str(how.get("measured_on") or ""),
        drift if isinstance(drift, float) and math.isfinite(drift) else None,
        int8_arithmetic() if here is None else here,
    )
