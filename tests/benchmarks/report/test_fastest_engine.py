"""Which engine is taken: the fastest beyond noise, of each file and number of threads."""

from __future__ import annotations

from pathlib import Path

from bench_reports import make_report, make_row, noisy_timings
from edge_benchmarks import HeldEngine, fastest_engines
from edge_runtime import Timings


def steady(ms: float) -> Timings:
    return Timings(((ms,) * 10,) * 20)


def test_the_fastest_is_taken_and_what_it_was_held_against_kept() -> None:
    rows = [
        make_row("a.onnx", latency=steady(6.0)),
        make_row("a.onnx", engine="openvino", latency=steady(4.0)),
        make_row("a.onnx", engine="openvino-bf16", latency=steady(3.0)),
        make_row("a.onnx", engine="torch", latency=steady(1.0)),
        make_row("a.onnx", threads=2, latency=steady(2.0)),
        make_row("a.onnx", threads=2, engine="openvino", latency=steady(1.98)),
        make_row("b.onnx", latency=steady(9.0)),
        make_row("fresh", path=None, latency=steady(9.0)),
    ]
    held = [HeldEngine("a.onnx", "openvino-bf16", images=64, made=5, max_difference=0.01, agreement=1.0)]
    chosen = {(path, choice.threads): choice for path, _, choice in fastest_engines(make_report(rows), held)}
    best = chosen[Path("a.onnx"), 1]
    assert (best.engine, best.p50_ms, best.onnxruntime_p50_ms) == ("openvino-bf16", 3.0, 6.0)
    assert (best.max_difference, best.images, best.speedup) == (0.01, 64, 2.0)
    # One in a hundred is the clock's mood; and what is gone is not chosen for.
    assert chosen[Path("a.onnx"), 2].engine == chosen[Path("b.onnx"), 1].engine == "onnxruntime"
    assert len(chosen) == 3


def test_what_is_faster_on_average_alone_is_not_taken() -> None:
    moody = Timings((((5.0,) * 10,) * 11) + (((12.0,) * 10,) * 9))
    rows = [make_row(latency=steady(10.0)), make_row(engine="openvino", latency=moody)]
    ((_, _, choice),) = fastest_engines(make_report(rows), [])
    assert moody.p50_ms < 10 and choice.engine == "onnxruntime"
    quick = make_row(engine="openvino", latency=noisy_timings(5.0))
    ((_, _, choice),) = fastest_engines(make_report([rows[0], quick]), [])
    assert choice.engine == "openvino"
