"""Which operators a model's time goes to on this machine, by onnxruntime's profiler.

    edge bench --backbones efficientnet_b0 --precision fp32,int8 --keep-models models --runs 1 --duration 0.1s
    python benchmarks/self_checks/operator_times.py models/*.onnx [--runs 40] [--threads 1]

An operator's time is the sum over its nodes of the median of `--runs` runs, one picture of noise each, after half as
many to warm up. The profiler itself takes time, which small nodes feel: compare files with each other, not a bench.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime

from edge_benchmarks import Table
from edge_benchmarks.machine.environment import read_environment
from edge_benchmarks.program import exit_code
from edge_runtime import INPUT_NAME, Classifier
from shared import at_least_1, say


def main() -> int:
    """Profile each file and print its operators, the dearest first."""
    parser = argparse.ArgumentParser(description="which operators a model's time goes to")
    parser.add_argument("models", nargs="+", type=Path, help="files that edge export made")
    parser.add_argument("--runs", type=at_least_1, default=40, help="(default: %(default)s)")
    parser.add_argument("--threads", type=at_least_1, default=1, help="of one inference (default: %(default)s)")
    given = parser.parse_args()

    def measure() -> int:
        say(str(read_environment(threads=given.threads)))
        for path in given.models:
            times = operator_times(path, given.runs, given.threads)
            total = sum(ms for _, ms in times.values())
            rows = sorted(times.items(), key=lambda item: -item[1][1])
            cells = tuple((name, str(nodes), f"{ms:.3f}", f"{ms / total:.1%}") for name, (nodes, ms) in rows)
            say(Table((path.name, "nodes", "ms", "share"), (*cells, ("all", "", f"{total:.3f}", "")), left=1).text())
        return 0

    return exit_code(measure)


def operator_times(path: Path, runs: int, threads: int) -> dict[str, tuple[int, float]]:
    """The number of nodes and the ms of each operator; raises ModelError where `path` is no file of edge."""
    size = Classifier(path).preprocessing
    noise = np.random.default_rng(0).integers(0, 256, (1, size.height_px, size.width_px, 3), dtype=np.uint8)
    with TemporaryDirectory(prefix="edge-operators-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(runs + runs // 2):
            session.run(None, {INPUT_NAME: noise})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    of_nodes: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            of_nodes[event["args"]["op_name"], event["name"]].append(event["dur"])
    nodes: Counter[str] = Counter()
    total: dict[str, float] = defaultdict(float)
    for (operator, _), taken in of_nodes.items():
        nodes[operator] += 1
        total[operator] += statistics.median(taken[-runs:]) / 1000
    return {operator: (nodes[operator], total[operator]) for operator in nodes}


if __name__ == "__main__":
    sys.exit(main())
