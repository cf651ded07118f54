"""What one prediction takes in a fresh process: peak memory, and the time to load."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime import ModelError

__all__ = ["FreshProcess", "probe"]

# A cold start of a 500 MB model from an SD card takes a minute; ten are a process that hangs.
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class FreshProcess:
    """A model in a process of its own, from load to one answer.

    `load_ms` opens the file and prepares the graph, `first_ms` is the first answer, decoding included; `peak_bytes` is
    the process's peak resident memory, interpreter and onnxruntime included, None where the system does not say.
    """

    load_ms: float
    first_ms: float
    peak_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --json` prints it."""
        return {"load_ms": self.load_ms, "first_ms": self.first_ms, "peak_bytes": self.peak_bytes}


def probe(model: Path, image: Path, *, threads: int | None = None) -> FreshProcess:
    """Classify `image` with `model` once, in a new Python process.

    Raises:
        ModelError: the process failed: it was killed for its memory, or does not end.
    """
    # -P: a random.py in the user's folder is not the standard library's.
    command = [sys.executable, "-P", "-m", "edge_benchmarks.probe", str(model), str(image)]
    if threads is not None:
        command.append(str(threads))
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except subprocess.CalledProcessError as error:
        reason = f"it was killed by signal {-error.returncode}" if error.returncode < 0 else _last_line(error.stderr)
        raise ModelError(f"{model} cannot be run in a fresh process: {reason}", _HINT) from None
    except subprocess.TimeoutExpired:
        raise ModelError(f"{model} gave no answer in a fresh process within {TIMEOUT_S} s", _HINT) from None
    return FreshProcess(**json.loads(done.stdout))


_HINT = "is there memory enough for it? edge predict with the same model says more"


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
