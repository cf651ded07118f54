"""What each network of a sweep takes on the device: from a report of `edge bench` there, or measured here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from edge_benchmarks.benching import bench
from edge_benchmarks.machine.environment import Environment, read_environment
from edge_benchmarks.models.contestant import variant_of
from edge_benchmarks.models.trained_network import export_trained
from edge_benchmarks.report.files import json_text, make_folder, read_report
from edge_benchmarks.report.report import Report
from edge_benchmarks.settings import BenchSettings
from edge_runtime import CheckpointError, EdgeError, Progress, Run, UsageError, write_text
from edge_train import TrainSettings, find_backbone

# Of a network that is pruned before it is trained, how much of it is told by its weights.
_PRUNED = "pruned "
# Short, since there are many; the medians of idle machines repeat within a few per cent.
HERE = BenchSettings(random_input=True, duration_s=1.0, least_runs=30, cold_starts=1, batch=2)


class Network(NamedTuple):
    """What latency depends on: backbone, side of the input in pixels, and what it has that others have not, in words.

    The side is None before training, where it is to be the data's or the backbone's own.
    """

    backbone: str
    input_px: int | None
    variant: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{', '.join((self.backbone, *self.variant))} at {self.input_px} px"

    def may_be(self, planned: Network) -> bool:
        """Whether a run of `planned` may come to this one."""
        own = tuple(word for word in self.variant if not word.startswith(_PRUNED))
        return (self.backbone, own) == (planned.backbone, planned.variant) and planned.input_px in {None, self.input_px}


def planned_network(settings: TrainSettings) -> Network:
    """What a run of `settings` trains, but for what it takes over of its weights. Raises UsageError."""
    plain = {"stem": "standard", "attention": "none", "hidden_units": None}
    own = {name: getattr(settings, name) for name, usual in plain.items() if getattr(settings, name) != usual}
    backbone = find_backbone(settings.backbone)
    if backbone.maker is not None:
        own |= backbone.maker.identity
    return Network(backbone.name, settings.image_size, variant_of(own))


def trained_network(run: Run) -> Network:
    """What a run trained, by its config.json. Raises CheckpointError where that is damaged."""
    try:
        card = run.read_config()["card"]
        return Network(card["backbone"], card["preprocessing"]["height"], variant_of(card.get("architecture", {})))
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{run.config} is damaged: {error!r}", "train it again") from error


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


def read_latencies(path: Path, wanted: Collection[Network]) -> Latencies:
    """Those of a report of `edge bench`.

    Raises UsageError where it is none, or knows none that one of those that are `wanted` may come to.
    """
    report = read_report(path)
    known = _by_network(report)
    if not any(network.may_be(planned) for network in known for planned in wanted):
        raise UsageError(
            f"{path} has no latency of any network of this sweep (fp32, in onnxruntime)",
            "measure the files of `keep_models` on the device: edge bench DIR/*.onnx --json",
        )
    return Latencies(known, f"{path.name}, {report.environment.cpu}")


def measure_latencies(
    runs: Mapping[Network, Run], kept: Path, progress: Progress, *, models: Path | None = None
) -> Latencies:
    """Those of this machine, of a run of each network; the report `kept` is used as far as it goes and was made here.

    With `models` the networks' files are left there. One that cannot be exported or run here is left out, which is
    said.

    Raises:
        MissingExtraError: what exports is not installed.
        OutputError: a file cannot be written.
    """
    known: dict[Network, float] = {}
    if kept.is_file():
        report = read_report(kept)
        if elsewhere := _elsewhere(report.environment):
            progress.say(f"note: {kept} was measured with {elsewhere}; latency is measured again")
        else:
            known = _by_network(report)
    if models is not None or any(network not in known for network in runs):
        with TemporaryDirectory(prefix="edge-tune-") as temporary:
            if models is not None:
                make_folder(models)
            measured = _measure(runs, models or Path(temporary), progress)
        if measured is not None:
            # Side by side, those that were known with the new ones: one report holds all.
            known = _by_network(measured)
            write_text(kept, json_text(measured.to_json()))
    return Latencies({network: known[network] for network in runs if network in known}, "this machine")


def _elsewhere(there: Environment) -> str:
    """What a report was measured with, where that is not this machine as it is now."""
    here = read_environment()
    same = (there.cpu, there.usable_cores, there.onnxruntime) == (here.cpu, here.usable_cores, here.onnxruntime)
    return "" if same else f"{there.cpu}, {there.usable_cores} cores, onnxruntime {there.onnxruntime}"


def _measure(runs: Mapping[Network, Run], folder: Path, progress: Progress) -> Report | None:
    contestants = []
    for network, run in runs.items():
        try:
            contestants.append(export_trained(run, folder))
        except EdgeError as error:
            progress.say(f"note: the latency of {network} is not known: {error.message}")
    return bench(contestants, HERE, progress=progress) if contestants else None


def _by_network(report: Report) -> dict[Network, float]:
    found: dict[Network, float] = {}
    for row in report.rows:
        alone = row.at_once == 1 and row.input_px.isdecimal()
        if row.precision == "fp32" and row.engine == "onnxruntime" and alone:
            network = Network(row.backbone, int(row.input_px), row.variant)
            found[network] = min(row.latency.p50_ms, found.get(network, float("inf")))
    return found
