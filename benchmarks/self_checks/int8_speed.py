"""int8 against fp32 on this machine: one image at a time, both in one process, by turns.

    python benchmarks/self_checks/int8_speed.py [--backbones resnet18,mobilenet_v2] [--seconds 5] [--threads N] [--check]

Weights are random: speed does not depend on what they are. With --check it ends with 1 where a target is missed: on two
cores with VNNI, int8 is to be 3 times as fast as fp32 for ResNet-18 and -50 and twice for MobileNetV2; for
MobileNetV3-small and EfficientNet-B0 the best of fp32, int8 and int8-mixed counts, as --precision auto would choose.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from edge_benchmarks import Plan, Timings, build_fresh, choose_backbones, read_environment, take_turns, warm_up
from edge_export.quantization import Quantizer
from edge_runtime import Classifier, EdgeError

DEFAULT = "resnet18,resnet50,mobilenet_v2,mobilenet_v3_small,efficientnet_b0"
# How many times as fast as fp32 int8 has to be; the others may fall back to fp32.
TARGETS = {"resnet18": 3.0, "resnet50": 3.0, "mobilenet_v2": 2.0}
CALIBRATION_IMAGES = 4


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, a target was missed."""
    parser = argparse.ArgumentParser(description="int8 against fp32, latency of one image")
    parser.add_argument("--backbones", default=DEFAULT, help="names with commas between (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each file (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of one inference (default: all cores)")
    parser.add_argument("--check", action="store_true", help="fail where a target is missed")
    given = parser.parse_args()
    if not 0 < given.seconds <= 3600:
        parser.error("--seconds: more than 0 and at most 3600")
    missed = []
    try:
        _say(f"{read_environment()}\n{'':20}{'precision':12}{'p50 ms':>8}{'p90 ms':>8}{'n':>6}{'MB':>7}{'times':>7}")
        with TemporaryDirectory(prefix="edge-int8-speed-") as folder:
            for name in given.backbones.split(","):
                ratios = compare(name.strip(), Path(folder), given.seconds, given.threads)
                target = TARGETS.get(name, 1.0)
                reached = ratios["int8"] if name in TARGETS else max(ratios.values())
                if reached < target:
                    missed.append(f"{name}: {reached:.2f} times as fast as fp32, {target:g} is the target")
    except EdgeError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    for line in missed:
        _say(f"missed: {line}")
    return 1 if given.check and missed else 0


def compare(name: str, folder: Path, seconds: float, threads: int | None) -> dict[str, float]:
    """How many times as fast as fp32 each precision of the backbone `name` is, by medians; prints a line for each."""
    paths = {"fp32": build_fresh(choose_backbones(name)[0], folder).model}
    size = Classifier(paths["fp32"]).preprocessing
    shape = (CALIBRATION_IMAGES, size.height_px, size.width_px, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Quantizer(paths["fp32"], [noise], threads=threads) as quantizer:
        for precision in ("int8", "int8-mixed"):
            paths[precision] = folder / f"{name}-{precision}.onnx"
            quantizer.write(paths[precision], mixed=precision == "int8-mixed")
    classifiers = [Classifier(path, threads=threads) for path in paths.values()]
    calls = [lambda one=one: one.probabilities(noise[:1]) for one in classifiers]
    for call in calls:
        warm_up(call, least_s=0.2)
    timings = take_turns(calls, Plan(duration_s=seconds, rounds=20, least_runs=40, most_durations=3))
    ratios = {}
    for (precision, path), timing in zip(paths.items(), timings, strict=True):
        ratios[precision] = timings[0].percentile_ms(50) / timing.percentile_ms(50)
        _say(_line(name if precision == "fp32" else "", precision, path, timing, ratios[precision]))
    return ratios


def _line(name: str, precision: str, path: Path, timing: Timings, ratio: float) -> str:
    p50, p90 = (timing.percentile_ms(percent) for percent in (50, 90))
    return f"{name:20}{precision:12}{p50:8.2f}{p90:8.2f}{timing.n:6}{path.stat().st_size / 1e6:7.1f}{ratio:7.2f}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
