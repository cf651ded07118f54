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
    from edge_benchmarks.benching import bench as bench
    from edge_benchmarks.models.contestant import Contestant as Contestant
    from edge_benchmarks.models.fresh_backbones import (
        build_fresh as build_fresh,
        build_int8 as build_int8,
        choose_backbones as choose_backbones,
        choose_precisions as choose_precisions,
    )
    from edge_benchmarks.models.other_engines import choose_engines as choose_engines, find_rivals as find_rivals
    from edge_benchmarks.models.sourced_accuracy import LabelledImages as LabelledImages
    from edge_benchmarks.report.files import (
        csv_text as csv_text,
        json_text as json_text,
        make_folder as make_folder,
        read_report as read_report,
        write_results as write_results,
    )
    from edge_benchmarks.report.plots import (
        LATENCY_FILE as LATENCY_FILE,
        TRADEOFF_FILE as TRADEOFF_FILE,
        draw_latency as draw_latency,
        draw_tradeoff as draw_tradeoff,
    )
    from edge_benchmarks.report.recommendation import (
        Limits as Limits,
        Recommendation as Recommendation,
        recommend as recommend,
    )
    from edge_benchmarks.report.regression import (
        ModelChange as ModelChange,
        ReportComparison as ReportComparison,
        compare_reports as compare_reports,
    )
    from edge_benchmarks.report.report import NOISY_SPREAD as NOISY_SPREAD, Report as Report
    from edge_benchmarks.report.tables import (
        cost_table as cost_table,
        describe_conditions as describe_conditions,
        latency_table as latency_table,
        milliseconds as milliseconds,
        short_names as short_names,
        sustained_table as sustained_table,
    )
    from edge_benchmarks.report.text_table import Table as Table
    from edge_benchmarks.settings import BenchSettings as BenchSettings
    from edge_benchmarks.training.registry import (
        TRAINING_BENCHMARKS as TRAINING_BENCHMARKS,
        run_training_benchmark as run_training_benchmark,
    )
else:
    __all__, __getattr__, __dir__ = lazy_door(__name__)
