"""Measure what a model costs on this machine: latency, throughput, size, memory.

    from pathlib import Path
    from edge_vision import Contestant, bench
    print(bench([Contestant("mine", Path("model.onnx"))]).to_json())

Names are loaded on first use, and torch only where a fresh backbone is built: a lean install can measure its models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_runtime import lazy_door

if TYPE_CHECKING:
    from edge_benchmarks.benching import bench
    from edge_benchmarks.models.contestant import Contestant
    from edge_benchmarks.models.engine_parity import HeldEngine, beside_engines, engines_here, hold_engines
    from edge_benchmarks.models.fresh_backbones import (
        build_fresh,
        build_int8,
        choose_backbones,
        choose_precisions,
        tell_apart,
    )
    from edge_benchmarks.models.other_engines import choose_engines, find_rivals
    from edge_benchmarks.report.fastest_engine import fastest_engines
    from edge_benchmarks.report.files import csv_text, json_text, make_folder, read_more, read_report, write_results
    from edge_benchmarks.report.plots import LATENCY_FILE, TRADEOFF_FILE, draw_latency, draw_tradeoff
    from edge_benchmarks.report.recommendation import Limits, Recommendation, recommend
    from edge_benchmarks.report.regression import compare_reports
    from edge_benchmarks.report.report import Report
    from edge_benchmarks.report.shared_report import is_public, require_public, share_report
    from edge_benchmarks.report.sustained_picture import SUSTAINED_FILE, draw_sustained
    from edge_benchmarks.report.tables import (
        comparison_table,
        cost_table,
        describe_conditions,
        describe_uncertainty,
        latency_table,
        milliseconds,
        sustained_table,
    )
    from edge_benchmarks.report.text_table import Table
    from edge_benchmarks.settings import BenchSettings
    from edge_benchmarks.training.registry import TRAINING_BENCHMARKS, run_training_benchmark
    from edge_benchmarks.tuning.search_space import DRAWN, TuneSettings
    from edge_benchmarks.tuning.sweep import Sweep, TrialRow
    from edge_benchmarks.tuning.sweeping import tune
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
