"""What each network of a sweep takes on the device: from a report of `edge bench` there, or measured here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from edge_benchmarks.benching import bench
from edge_benchmarks.models.fresh_backbones import build_fresh
from edge_benchmarks.report.files import json_text, make_folder, read_report
from edge_benchmarks.report.report import Report
from edge_benchmarks.settings import BenchSettings
from edge_runtime import EdgeError, Progress, UsageError, write_text
from edge_train import find_backbone

# Backbone and side of its input in pixels.
Network = tuple[str, int]
# Short, since there are many; the medians of idle machines repeat within a few per cent.
HERE = BenchSettings(random_input=True, duration_s=1.0, least_runs=30, cold_starts=1, batch=2)


@dataclass(frozen=True, slots=True)
class Latencies:
    """The median inference of one picture by network, in ms, fp32 in onnxruntime; `source` says where it was measured.

    Of several numbers of threads it is the fastest.
    """

    known: Mapping[Network, float]
    source: str

    def of(self, network: Network) -> float | None:
        """That of a network, None where nobody measured it."""
        return self.known.get(network)


def read_latencies(path: Path, wanted: Set[tuple[str, int | None]]) -> Latencies:
    """Those of a report of `edge bench`.

    Raises UsageError where it is none, or knows no network of those that are `wanted`, of any size where that is None.
    """
    report = read_report(path)
    known = _by_network(report)
    if not wanted & (known.keys() | {(name, None) for name, _ in known}):
        raise UsageError(
            f"{path} has no latency of any network of this sweep (fp32, in onnxruntime)",
            "measure the files of `keep_models` on the device: edge bench DIR/*.onnx --json",
        )
    return Latencies(known, f"{path.name}, {report.environment.cpu}")


def measure_latencies(
    networks: Iterable[Network], kept: Path, progress: Progress, *, models: Path | None = None
) -> Latencies:
    """Those of this machine, of fresh networks of 1,000 classes; the report `kept` is used as far as it goes.

    With `models` the networks' files are left there. One that cannot be exported or run here is left out, which is
    said.

    Raises:
        MissingExtraError: what exports is not installed.
        OutputError: a file cannot be written.
    """
    wanted = list(dict.fromkeys(networks))
    known: dict[Network, float] = {}
    if kept.is_file():
        known = _by_network(read_report(kept))
    if models is not None or any(network not in known for network in wanted):
        with TemporaryDirectory(prefix="edge-tune-") as temporary:
            if models is not None:
                make_folder(models)
            report = _measure(wanted, models or Path(temporary), progress)
        if report is not None:
            # Side by side, those that were known with the new ones: one report holds all.
            known = _by_network(report)
            write_text(kept, json_text(report.to_json()))
    return Latencies({network: known[network] for network in wanted if network in known}, "this machine")


def _measure(networks: Iterable[Network], folder: Path, progress: Progress) -> Report | None:
    contestants = []
    for name, size_px in networks:
        try:
            contestants.append(build_fresh(find_backbone(name), folder, size_px=size_px))
        except EdgeError as error:
            progress.say(f"note: the latency of {name} at {size_px} px is not known: {error.message}")
    return bench(contestants, HERE, progress=progress) if contestants else None


def _by_network(report: Report) -> dict[Network, float]:
    found: dict[Network, float] = {}
    for row in report.rows:
        if row.precision == "fp32" and row.engine == "onnxruntime" and row.input_px.isdecimal():
            network = row.backbone, int(row.input_px)
            found[network] = min(row.latency.p50_ms, found.get(network, float("inf")))
    return found
