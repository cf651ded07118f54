"""Measure what a model costs on this machine: latency, throughput, size, memory.

    from pathlib import Path
    from edge_benchmarks import Contestant, bench
    print(bench([Contestant("mine", Path("model.onnx"))]).to_json())

Names are loaded on first use, and torch only where a fresh backbone is built: a lean install can measure its models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_benchmarks.benching import BenchSettings, bench
    from edge_benchmarks.contestants import Contestant
    from edge_benchmarks.environment import Environment, read_environment
    from edge_benchmarks.freshly import QUICK_FEW, build_fresh, choose_backbones, missing_package
    from edge_benchmarks.latency import Plan, Timings, take_turns, warm_up
    from edge_benchmarks.memory import FreshProcess, probe
    from edge_benchmarks.picture import draw_picture
    from edge_benchmarks.report import Report, Row, Throughput

__all__ = [
    "QUICK_FEW",
    "BenchSettings",
    "Contestant",
    "Environment",
    "FreshProcess",
    "Plan",
    "Report",
    "Row",
    "Throughput",
    "Timings",
    "bench",
    "build_fresh",
    "choose_backbones",
    "draw_picture",
    "missing_package",
    "probe",
    "read_environment",
    "take_turns",
    "warm_up",
]

_HOMES = {
    "benching": ["BenchSettings", "bench"],
    "contestants": ["Contestant"],
    "environment": ["Environment", "read_environment"],
    "freshly": ["QUICK_FEW", "build_fresh", "choose_backbones", "missing_package"],
    "latency": ["Plan", "Timings", "take_turns", "warm_up"],
    "memory": ["FreshProcess", "probe"],
    "picture": ["draw_picture"],
    "report": ["Report", "Row", "Throughput"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
