"""Where bfloat16 pays: training steps and forward passes of each backbone in float32 and bfloat16, side by side.

    python -m edge_benchmarks.training.bfloat16 [--backbones resnet18,mobilenet_v2] [--image-size 64] [--runs 10]

They take turns in one process, on random pictures and weights. A training step in bfloat16 is taken as torch's autocast
alone does (autocast) and as `edge train` does (bf16), which rearranges convolutions whose kernels are slow. On one
thread it is processor time that is measured, which other work does not heed much.
`edge_train.strategy.mixed_precision` holds what came out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence

import torch

from edge_benchmarks.program import exit_code
from edge_benchmarks.report.text_table import Table
from edge_runtime import cpu_model, usable_cores
from edge_train import BACKBONES, FormatSpeed, Network, build, find_backbone, has_bf16, training_in_bf16

# What is measured of each task, the first and the last against each other.
WAYS = {"train": ("fp32", "autocast", "bf16"), "forward": ("fp32", "bf16")}
CPU = torch.device("cpu")
CLASSES = 10


def main(words: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default=",".join(BACKBONES), metavar="NAMES")
    parser.add_argument("--image-size", type=int, default=64, metavar="PX")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N")
    parser.add_argument("--runs", type=int, default=10, metavar="N")
    parser.add_argument("--threads", type=int, default=usable_cores(), metavar="N")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(words)
    for flag in ("image_size", "batch_size", "runs", "threads"):
        if (value := getattr(given, flag)) < 1:
            parser.error(f"--{flag.replace('_', '-')} {value}: at least 1 is needed")
    return exit_code(lambda: _compare(given))


def _compare(given: argparse.Namespace) -> int:
    torch.set_num_threads(given.threads)
    rows = []
    for name in map(str.strip, given.backbones.split(",")):
        size_px = max(given.image_size, find_backbone(name).smallest_px)
        rows.append(measure(name, size_px, given.batch_size, given.runs))
    if given.json:
        said = json.dumps({"cpu": cpu_model(), "threads": given.threads, "rows": rows}, indent=2)
    else:
        said = (
            f"{cpu_model()}, {given.threads} threads; {'bfloat16' if has_bf16(CPU) else 'no bfloat16'} in hardware\n"
            f"images a second, batches of {given.batch_size}, median of {given.runs} (lowest to highest)\n"
            f"{_table(rows).text()}"
        )
    sys.stdout.write(f"{said}\n")
    return 0


def _table(rows: Sequence[dict[str, object]]) -> Table:
    heads = [head for task, ways in WAYS.items() for head in (*(f"{task} {way}" for way in ways), "ratio")]
    return Table(
        ("backbone", "px", *heads, "faster to train in"),
        tuple(
            (
                str(row["backbone"]),
                str(row["image_size_px"]),
                *(cell for task in WAYS for cell in _cells(row[task])),
                "bf16" if _speed(row["train"]).bf16_pays else "fp32",
            )
            for row in rows
        ),
        left=1,
    )


def measure(name: str, image_size_px: int, batch_size: int, runs: int) -> dict[str, object]:
    """Images a second by task and way: a list with one figure a run, the ways taking turns."""
    backbone = find_backbone(name)
    network = Network(build(backbone, classes=CLASSES), (0.5,) * 3, (0.2,) * 3).to(memory_format=torch.channels_last)
    images = torch.randint(0, 256, (batch_size, image_size_px, image_size_px, 3), dtype=torch.uint8)
    labels = torch.randint(0, CLASSES, (batch_size,))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4)

    def train(way: str) -> None:
        with training_in_bf16() if way == "bf16" else _autocast(way):
            logits = network(images)
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def forward(way: str) -> None:
        with torch.inference_mode(), _autocast(way):
            network(images)

    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    row: dict[str, object] = {"backbone": name, "image_size_px": image_size_px}
    for task in (train, forward):
        network.train(task is train)
        figures: dict[str, list[float]] = {way: [] for way in WAYS[task.__name__]}
        for run in range(runs + 2):
            for way, measured in figures.items():
                started = clock()
                task(way)
                if run >= 2:  # the first ones choose kernels
                    measured.append(batch_size / max(clock() - started, 1e-9))
        row[task.__name__] = figures
    return row


def _autocast(way: str) -> torch.autocast:
    return torch.autocast(CPU.type, dtype=torch.bfloat16, enabled=way != "fp32")


def _speed(figures: object) -> FormatSpeed:
    assert isinstance(figures, dict)
    return FormatSpeed(*(1 / statistics.median(figures[precision]) for precision in ("fp32", "bf16")))


def _cells(figures: object) -> list[str]:
    assert isinstance(figures, dict)
    texts = [f"{statistics.median(runs):.0f} ({min(runs):.0f}–{max(runs):.0f})" for runs in figures.values()]
    return [*texts, f"{_speed(figures).gain:.2f}"]


if __name__ == "__main__":
    raise SystemExit(main())
