"""One model in a process of its own: `python -m edge_benchmarks.probe MODEL IMAGE [THREADS]` prints a JSON object.

Peak memory is only a model's own in a process that has done nothing else. It loads the model, classifies the image, and
prints `load_ms`, `first_ms` (decode, resize and the first, cold inference) and `peak_bytes`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from edge_runtime import Classifier

__all__ = ["main", "peak_bytes"]


def peak_bytes() -> int | None:
    """The most memory this process has had resident, in bytes; None where the system does not say (Windows)."""
    # Not getrusage where there is a choice: on Linux its maximum survives exec, so a child starts with its parent's.
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    if sys.platform == "win32":
        return None
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # macOS counts bytes, the others kilobytes.
    return most if sys.platform == "darwin" else most * 1024


def main(model: str, image: str, threads: str | None = None) -> None:
    """Load, classify, report on stdout."""
    start = time.perf_counter()
    classifier = Classifier(model, threads=int(threads) if threads else None)
    loaded = time.perf_counter()
    classifier.predict(image)
    answered = time.perf_counter()
    report = {
        "load_ms": (loaded - start) * 1000,
        "first_ms": (answered - loaded) * 1000,
        "peak_bytes": peak_bytes(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
