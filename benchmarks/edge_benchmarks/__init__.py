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
    from edge_benchmarks.accuracy import Accuracy, LabelledImages
    from edge_benchmarks.benching import bench
    from edge_benchmarks.comparing import Change, ModelChange, ReportComparison, compare_reports
    from edge_benchmarks.contestants import Contestant
    from edge_benchmarks.document import csv_text, json_text, make_folder, read_report, write_results
    from edge_benchmarks.engines import ENGINES, EngineName
    from edge_benchmarks.environment import Environment, read_environment
    from edge_benchmarks.freshly import build_fresh, build_int8, choose_backbones, choose_precisions, missing_package
    from edge_benchmarks.inspection import ModelFile, inspect_model
    from edge_benchmarks.latency import Plan, WarmUp, take_turns, warm_up
    from edge_benchmarks.markdown import markdown_text
    from edge_benchmarks.picture import draw_picture
    from edge_benchmarks.plots import LATENCY_FILE, TRADEOFF_FILE, draw_latency, draw_tradeoff, require_matplotlib
    from edge_benchmarks.recommending import Limits, Recommendation, recommend
    from edge_benchmarks.report import NOISY_SPREAD, Report, Row, Throughput
    from edge_benchmarks.rivals import choose_engines, find_rivals
    from edge_benchmarks.settings import BenchSettings
    from edge_benchmarks.table import Table
    from edge_benchmarks.tables import (
        cost_table,
        describe_conditions,
        latency_table,
        milliseconds,
        short_names,
        sustained_table,
    )
    from edge_benchmarks.timings import Timings
    from edge_benchmarks.training_benchmarks import TRAINING_BENCHMARKS, run_training_benchmark

__all__ = [
    "ENGINES",
    "LATENCY_FILE",
    "NOISY_SPREAD",
    "TRADEOFF_FILE",
    "TRAINING_BENCHMARKS",
    "Accuracy",
    "BenchSettings",
    "Change",
    "Contestant",
    "EngineName",
    "Environment",
    "LabelledImages",
    "Limits",
    "ModelChange",
    "ModelFile",
    "Plan",
    "Recommendation",
    "Report",
    "ReportComparison",
    "Row",
    "Table",
    "Throughput",
    "Timings",
    "WarmUp",
    "bench",
    "build_fresh",
    "build_int8",
    "choose_backbones",
    "choose_engines",
    "choose_precisions",
    "compare_reports",
    "cost_table",
    "csv_text",
    "describe_conditions",
    "draw_latency",
    "draw_picture",
    "draw_tradeoff",
    "find_rivals",
    "inspect_model",
    "json_text",
    "latency_table",
    "make_folder",
    "markdown_text",
    "milliseconds",
    "missing_package",
    "read_environment",
    "read_report",
    "recommend",
    "require_matplotlib",
    "run_training_benchmark",
    "short_names",
    "sustained_table",
    "take_turns",
    "warm_up",
    "write_results",
]

_HOMES = {
    "accuracy": ["Accuracy", "LabelledImages"],
    "benching": ["bench"],
    "comparing": ["Change", "ModelChange", "ReportComparison", "compare_reports"],
    "contestants": ["Contestant"],
    "document": ["csv_text", "json_text", "make_folder", "read_report", "write_results"],
    "engines": ["ENGINES", "EngineName"],
    "environment": ["Environment", "read_environment"],
    "freshly": ["build_fresh", "build_int8", "choose_backbones", "choose_precisions", "missing_package"],
    "inspection": ["ModelFile", "inspect_model"],
    "latency": ["Plan", "WarmUp", "take_turns", "warm_up"],
    "markdown": ["markdown_text"],
    "picture": ["draw_picture"],
    "plots": ["LATENCY_FILE", "TRADEOFF_FILE", "draw_latency", "draw_tradeoff", "require_matplotlib"],
    "recommending": ["Limits", "Recommendation", "recommend"],
    "report": ["NOISY_SPREAD", "Report", "Row", "Throughput"],
    "rivals": ["choose_engines", "find_rivals"],
    "settings": ["BenchSettings"],
    "table": ["Table"],
    "tables": [
        "cost_table",
        "describe_conditions",
        "latency_table",
        "milliseconds",
        "short_names",
        "sustained_table",
    ],
    "timings": ["Timings"],
    "training_benchmarks": ["TRAINING_BENCHMARKS", "run_training_benchmark"],
}

__getattr__, __dir__ = lazy_door(__name__, _HOMES)
