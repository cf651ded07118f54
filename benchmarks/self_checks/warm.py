"""Warm: `Classifier.predict(jpeg bytes)` against bare Pillow and a bare session, by turns in one process.

    python benchmarks/self_checks/warm.py [--model M] [--image I] [--seconds 5] [--threads N] [--beside] [--check]

The bare side decodes, resizes and crops with Pillow and calls `session.run` of a session with onnxruntime's defaults,
on the same file with as many threads; the target is set by the sum of the two, each repeated by itself. With --beside,
two processes that predict at the same time are compared with one, for edge and for the bare side. With --check it ends
with 1 where edge takes more than 1.10 times as long.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_benchmarks import Table
from edge_runtime import Classifier, warm_up
from shared import check, flags, say, subject, time_by_turns

TARGET = 1.10


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, the target was missed."""
    about = "Classifier.predict against bare Pillow and a bare session"
    parser = flags(about, "model", "image", "seconds", "threads")
    parser.add_argument("--beside", action="store_true", help="also two processes at the same time against one")
    parser.add_argument("--loop", choices=["edge", "bare"], help=argparse.SUPPRESS)
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        if given.loop:
            calls = Program(given.model, given.image.read_bytes(), given.threads).calls()
            loop(calls[given.loop], given.seconds)
            return True
        model, image = subject(given, folder)
        ratio = compare(Program(model, image.read_bytes(), given.threads), given.seconds)
        if given.beside:
            for how in ("edge", "bare"):
                compare_beside(how, model, image, given.seconds, given.threads)
        return ratio <= TARGET

    return check(given, measure)


class Program:
    """One model and one JPEG, and the two ways from the one to the other's probabilities."""

    def __init__(self, model: Path, jpeg: bytes, threads: int) -> None:
        import onnxruntime

        self.classifier = Classifier(model, threads=threads)
        self.jpeg = jpeg
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def bare_pixels(self) -> NDArray[np.uint8]:
        """The picture as the model takes it, [height, width, 3], by the plainest use of Pillow."""
        contract = self.classifier.preprocessing
        with Image.open(BytesIO(self.jpeg)) as opened:
            image = opened.convert("RGB")
        scale = contract.resize_px / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        image = image.resize(size, Image.Resampling[contract.interpolation.upper()])
        left, top = (image.width - contract.width_px) // 2, (image.height - contract.height_px) // 2
        return np.asarray(image.crop((left, top, left + contract.width_px, top + contract.height_px)))

    def calls(self) -> dict[str, Callable[[], object]]:
        """The whole way, and its two halves."""
        pixels = self.classifier.preprocessing(self.jpeg)[np.newaxis]
        run = self.session.run
        return {
            "edge": lambda: self.classifier.predict(self.jpeg),
            "bare": lambda: run(["probabilities"], {"image": self.bare_pixels()[np.newaxis]})[0][0],
            "edge, decode and resize": lambda: self.classifier.preprocessing(self.jpeg),
            "bare, decode and resize": self.bare_pixels,
            "edge, model": lambda: self.classifier.probabilities(pixels),
            "bare, model": lambda: run(["probabilities"], {"image": pixels}),
        }


def compare(program: Program, seconds: float) -> float:
    """How many times as long edge takes as bare Pillow and a bare session by themselves; prints all, by medians."""
    calls = program.calls()
    timings = dict(zip(calls, time_by_turns(list(calls.values()), seconds), strict=True))
    rows = [
        (name, *(f"{timing.percentile_ms(percent):.3f}" for percent in (50, 90)), str(timing.n))
        for name, timing in timings.items()
    ]
    say(Table(("", "p50 ms", "p90 ms", "n"), tuple(rows), left=1).text())
    edge_ms, together_ms = (timings[name].percentile_ms(50) for name in ("edge", "bare"))
    # One after the other, the bare session's spinning threads slow Pillow: the sum of the parts is lower.
    apart_ms = sum(timings[name].percentile_ms(50) for name in ("bare, decode and resize", "bare, model"))
    ratio = edge_ms / apart_ms
    say(
        f"ratio to the sum of the bare halves {ratio:.3f}, to both in turn {edge_ms / together_ms:.3f}; "
        f"the target is {TARGET:.2f}"
    )
    return ratio


def compare_beside(how: str, model: Path, image: Path, seconds: float, threads: int) -> None:
    """What two processes reach at the same time, against one alone before and one after."""
    words = ["--loop", how, "--model", str(model), "--image", str(image)]
    words += ["--seconds", str(seconds), "--threads", str(threads)]
    command = [sys.executable, str(Path(__file__).resolve()), *words]
    before, both, after = _rates(command, 1), _rates(command, 2), _rates(command, 1)
    alone = statistics.mean(before + after)
    say(
        f"{how}: one process {alone:.1f} images/s, two at once {both[0]:.1f} and {both[1]:.1f}, "
        f"together {sum(both) / alone:.2f} of one"
    )


def _rates(command: list[str], count: int) -> list[float]:
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        for process in started:
            # Each says when it is warm; then all begin.
            assert process.stdout is not None
            process.stdout.readline()
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outputs = [process.communicate()[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    for process in started:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command)
    return [float(output) for output in outputs]


def loop(call: Callable[[], object], seconds: float) -> None:
    """Call for so many seconds once stdin says so, and print calls a second."""
    warm_up(call, least_s=0.2)
    say("warm")
    sys.stdin.readline()
    calls, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds:
        call()
        calls += 1
    say(f"{calls / spent:.3f}")


if __name__ == "__main__":
    sys.exit(main())
