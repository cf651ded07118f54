"""int8 against fp32 on this machine: one image at a time, both in one process, by turns.

    python benchmarks/self_checks/int8_speed.py [--backbones resnet18,mobilenet_v2] [--seconds 5] [--check]

Weights are random, activations as wide as in a trained network. With --check it ends with 1 where a target is missed:
on two cores with VNNI, int8 is to be 3 times as fast as fp32 for ResNet-18 and -50 and 2.2 times for MobileNetV2, on
x86-64 without it 1.8 and 1.3 times; for MobileNetV3-small and EfficientNet-B0 the best of fp32, int8 and int8-mixed
counts, as --precision auto would choose.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edge_benchmarks import Table, build_fresh, choose_backbones
from edge_benchmarks.machine.environment import read_environment
from edge_export import Quantizer
from edge_runtime import Classifier, int8_arithmetic
from edge_runtime.machine.arithmetic import saturates
from shared import check, flags, say, time_by_turns

DEFAULT = "resnet18,resnet50,mobilenet_v2,mobilenet_v3_small,efficientnet_b0"
# How many times as fast as fp32 int8 has to be, with VNNI and without; the others may fall back to fp32.
TARGETS = {"resnet18": (3.0, 1.8), "resnet50": (3.0, 1.8), "mobilenet_v2": (2.2, 1.3)}
CALIBRATION_IMAGES = 4


def main() -> int:
    """Measure and print; 1 where something failed or, with --check, a target was missed."""
    parser = flags("int8 against fp32, latency of one image", "seconds", "threads")
    parser.add_argument("--backbones", default=DEFAULT, help="names with commas between (default: %(default)s)")
    given = parser.parse_args()

    def measure(folder: Path) -> bool:
        say(str(read_environment(threads=given.threads)))
        missed = []
        for name in map(str.strip, given.backbones.split(",")):
            ratios = compare(name, folder, given.seconds, given.threads)
            target = TARGETS.get(name, (1.0, 1.0))[bool(saturates(int8_arithmetic()))]
            reached = ratios["int8"] if name in TARGETS else max(ratios.values())
            if reached < target:
                missed.append(f"missed: {name}: {reached:.2f} times as fast as fp32, {target:g} is the target")
        say("\n".join(missed) or "no target is missed")
        return not missed

    return check(given, measure)


def compare(name: str, folder: Path, seconds: float, threads: int) -> dict[str, float]:
    """How many times as fast as fp32 each precision of the backbone `name` is, by medians; prints a table."""
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
    timings = time_by_turns(calls, seconds)
    ratios, rows = {}, []
    for (precision, path), timing in zip(paths.items(), timings, strict=True):
        ratios[precision] = timings[0].percentile_ms(50) / timing.percentile_ms(50)
        figures = (timing.percentile_ms(50), timing.percentile_ms(90), ratios[precision])
        rows.append((precision, *(f"{x:.2f}" for x in figures), str(timing.n), f"{path.stat().st_size / 1e6:.1f}"))
    say(Table((name, "p50 ms", "p90 ms", "times", "n", "MB"), tuple(rows), left=1).text())
    return ratios


if __name__ == "__main__":
    sys.exit(main())
