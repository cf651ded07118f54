"""The optimised form of a model file for this machine, kept only where it makes the first answer come sooner."""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from edge_runtime import (
    Classifier,
    ModelError,
    Progress,
    atomic_path,
    python_command,
    quick_load_paths,
    remove_quick_load,
    write_quick_load_note,
)

RUNS = 12
# Less than a twentieth is what two series of the same file may differ by.
LARGEST_RATIO = 0.95
SHARE_OF_PAIRS = 0.75

_FATAL_ONLY = 4
_FIRST_ANSWER = """
import sys, time
from edge_runtime import Classifier, prepare_process
prepare_process()
import numpy, onnxruntime
started = time.perf_counter()
classifier = Classifier(sys.argv[1])
contract = classifier.preprocessing
classifier.probabilities(numpy.zeros((1, contract.height_px, contract.width_px, 3), numpy.uint8))
print(time.perf_counter() - started)
"""


@dataclass(frozen=True, slots=True)
class QuickLoad:
    """Milliseconds from opening a file to its first answer, medians over `runs` fresh processes of each kind."""

    path: Path | None
    portable_ms: float
    optimized_ms: float
    runs: int

    def describe(self) -> str:
        """The figures and what followed from them, in one sentence."""
        figures = (
            f"opening and first answer {self.portable_ms:.0f} ms portable, {self.optimized_ms:.0f} ms optimised for "
            f"this machine (medians of {self.runs} fresh processes each, taken in turns)"
        )
        return f"{figures}: kept {self.path}" if self.path else f"{figures}: no gain worth a second file, none written"

    def to_json(self) -> dict[str, Any]:
        """As export.json carries it."""
        return {
            "file": None if self.path is None else str(self.path),
            "portable_ms": self.portable_ms,
            "optimized_ms": self.optimized_ms,
            "runs": self.runs,
        }


def optimize_for_this_machine(model: Path, progress: Progress, *, runs: int = RUNS) -> QuickLoad:
    """Write onnxruntime's optimised form of `model` beside it, if that cuts the cold start measurably.

    Raises:
        ModelError: the optimised form does not answer as the portable file does.
        OutputError: it cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="edge-export-") as name:
        portable, both = Path(name) / "portable" / model.name, Path(name) / "both" / model.name
        for copy in (portable, both):
            copy.parent.mkdir()
            shutil.copy2(model, copy)
        optimized, _ = quick_load_paths(both)
        _optimize(portable, optimized)
        write_quick_load_note(both, onnxruntime.__version__)
        _must_answer_alike(portable, both)
        times: dict[Path, list[float]] = {portable: [], both: []}
        progress.begin("timing the first answer", 2 * runs, "processes")
        for number in range(runs):
            # Whoever goes second finds the machine as the first left it: the order changes.
            for path in (portable, both) if number % 2 else (both, portable):
                times[path].append(_time_first_answer(path))
                progress.advance()
        progress.end()
        slow, fast = (statistics.median(times[path]) for path in (portable, both))
        faster = sum(b < a for a, b in zip(times[portable], times[both], strict=True))
        remove_quick_load(model)
        kept: Path | None = None
        if fast <= LARGEST_RATIO * slow and faster >= SHARE_OF_PAIRS * runs:
            kept, _ = quick_load_paths(model)
            with atomic_path(kept) as temporary:
                shutil.copyfile(optimized, temporary)
            write_quick_load_note(model, onnxruntime.__version__)
    return QuickLoad(kept, slow * 1000, fast * 1000, runs)


def _optimize(model: Path, optimized: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    options.optimized_model_filepath = str(optimized)
    try:
        onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        raise ModelError(
            f"onnxruntime cannot write the optimised form of {model.name}: {error}", "leave `for_this_machine` out"
        ) from error


def _must_answer_alike(portable: Path, optimized: Path) -> None:
    one, two = Classifier(portable), Classifier(optimized)
    contract = one.preprocessing
    noise = np.random.default_rng(0).integers(0, 256, (2, contract.height_px, contract.width_px, 3), np.uint8)
    difference = float(np.abs(one.probabilities(noise) - two.probabilities(noise)).max())
    if difference > 1e-5 or one.card != two.card:
        raise ModelError(
            f"the optimised form of {portable.name} does not answer as the file does: |Δp| {difference:.2g}",
            "leave `for_this_machine` out",
        )


def _time_first_answer(model: Path) -> float:
    done = subprocess.run(python_command("-c", _FIRST_ANSWER, str(model)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ModelError(
            f"{model.name} cannot be opened in a fresh process: {done.stderr.strip().splitlines()[-1:]}",
            "leave `for_this_machine` out",
        )
    return float(done.stdout)
