"""A sweep: interrupted and gone on with, its runs ordinary ones, one recommended, its test images alone looked at."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from bench_reports import make_report, make_row
from edge_benchmarks import Sweep, TuneSettings, read_report, tune
from edge_benchmarks.models.trained_network import export_trained
from edge_benchmarks.report.files import json_text
from edge_benchmarks.tuning.search_space import Trial
from edge_benchmarks.tuning.sweep_folder import identify, sweep_folder
from edge_benchmarks.tuning.target_latency import (
    Network,
    measure_latencies,
    planned_network,
    read_latencies,
    trained_network,
)
from edge_benchmarks.tuning.trial_run import TrialRecord, end_stopped, forget_lost, read_record, write_record
from edge_data import draw_shapes
from edge_runtime import EdgeError, Run, Silence, Timings, UsageError, newest_run, usable_cores
from edge_train import SweepPart, TrainSettings, train
from fake_worker import CALL_MS, use_fake_workers
from quick_training import QUICK, SMALL, Ear, equal, weights, write_weights

NAME = "shufflenet_v2_x0_5"
OWN = """
from torch import nn
def make(classes):
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(nn.Conv2d(3, WIDTH, 3, stride=4), nn.ReLU(), *pooled, nn.Linear(WIDTH, classes))
"""


class Interrupted(Silence):
    """A person who presses Ctrl-C when a trial has had its first epoch."""

    def __init__(self) -> None:
        self.epochs = 0

    def say(self, text: str) -> None:
        self.epochs += text.startswith("epoch 1")
        if self.epochs == 2 and "epoch 1" in text:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Images, a folder of weights of which one file is damaged, and a report of the device."""
    folder = tmp_path_factory.mktemp("tune")
    draw_shapes(folder / "shapes", counts=(24, 9, 9))
    (folder / "weights").mkdir()
    write_weights(folder / "weights" / f"{NAME}.pth", NAME)
    (folder / "weights" / "squeezenet1_1.pth").write_bytes(b"not weights")
    report = make_report([make_row(backbone=NAME, median_ms=7.0), make_row("b", 3.0, backbone="other")])
    (folder / "pi.json").write_text(json_text(report.to_json()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_WEIGHTS_DIR", str(folder / "weights"))
        yield folder


@pytest.fixture(scope="module")
def base(home: Path) -> TrainSettings:
    quick = {name: value for name, value in QUICK.items() if name not in ("backbone", "strategy", "image_size")}
    return TrainSettings(**quick, data=str(home / "shapes"), out=home / "runs", epochs=2)


@pytest.fixture(scope="module")
def space(home: Path) -> TuneSettings:
    return TuneSettings(
        trials=4,
        backbones=(NAME, "squeezenet1_1"),
        strategies=("feature-extraction",),
        image_sizes=(32,),
        augments=("light", "standard"),
        bench=home / "pi.json",
    )


@pytest.fixture(scope="module")
def heard() -> Ear:
    return Ear()


@pytest.fixture(scope="module")
def swept(base: TrainSettings, space: TuneSettings, heard: Ear) -> Sweep:
    with pytest.raises(KeyboardInterrupt):
        tune(base, space, Interrupted())
    assert newest_run(base.out).path.is_dir()
    return tune(base, space, heard)


def test_the_same_call_goes_on_and_every_run_is_an_ordinary_one(swept: Sweep, heard: Ear, base: TrainSettings) -> None:
    assert heard.lines[0].startswith(f"going on with {swept.folder}: 1 of 4 trials have ended")
    assert sum(line.startswith("resuming ") and "after epoch 1 of 2" in line for line in heard.lines) == 1
    runs = [path for path in base.out.iterdir() if (path / "config.json").is_file()]
    trained = [row for row in swept.rows if row.figures]
    assert {row.figures.run.path for row in trained if row.figures and row.figures.run} == set(runs)
    assert len(runs) == 2
    for path in runs:
        assert all((path / name).is_file() for name in ("best.pt", "last.pt", "summary.json", "report.html"))


def test_a_failed_trial_is_a_row_with_its_reason(swept: Sweep) -> None:
    failed = [row for row in swept.rows if row.reason]
    assert [row.trial.settings.backbone for row in failed] == ["squeezenet1_1"] * 2
    assert all("squeezenet1_1.pth" in str(row.reason) for row in failed)
    assert swept.rows[-2:] == tuple(failed)


def test_test_images_are_looked_at_for_the_recommended_run_alone(swept: Sweep) -> None:
    for row in swept.rows:
        if row.figures is None or row.figures.run is None:
            continue
        metrics = json.loads(row.figures.run.summary.read_text())["metrics"]
        best = row is swept.best
        assert ("test" in metrics) == best == (row.figures.test_n == 9), row.trial
        # The images were set aside all the same.
        assert row.figures.run.split.read_text().count("test") >= 9


def test_export_without_a_name_takes_the_recommended_run(swept: Sweep, base: TrainSettings) -> None:
    assert newest_run(base.out) == swept.best_run
    state = json.loads((swept.folder / "tune.json").read_text())
    assert state["best_run"] == str(swept.best_run.path) and len(state["trials"]) == 4
    with (swept.folder / "tune.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [str(row.trial.number) for row in swept.rows]
    assert rows[0]["latency_ms"] == str(swept.rows[0].latency_ms) and abs(float(rows[0]["latency_ms"]) - 7) < 0.2
    assert (swept.folder / "tune.png").read_bytes().startswith(b"\x89PNG")
    assert not (swept.folder / "embeddings").exists()


def test_what_embeddings_are_shared_changes_nothing(swept: Sweep, tmp_path: Path) -> None:
    row = swept.rows[1]
    assert row.figures is not None and row.figures.run is not None
    alone = train(replace(row.trial.settings, out=tmp_path)).run
    assert equal(weights(row.figures.run), weights(alone))


def test_a_finished_sweep_is_shown_again_with_another_limit(
    swept: Sweep, base: TrainSettings, space: TuneSettings
) -> None:
    before = {path: path.stat().st_mtime_ns for path in base.out.glob("*/last.pt")}
    with pytest.raises(EdgeError, match="no trial answers within 1 ms: the fastest takes"):
        tune(base, replace(space, max_latency_ms=1.0, trials=2))
    again = tune(base, replace(space, max_latency_ms=50.0, trials=2))
    assert again.folder == swept.folder and len(again.rows) == 2
    assert {path: path.stat().st_mtime_ns for path in base.out.glob("*/last.pt")} == before


def test_another_sweep_gets_another_folder_and_one_that_goes_on_is_left_alone(
    swept: Sweep, base: TrainSettings, space: TuneSettings, tmp_path: Path
) -> None:
    data = json.loads((swept.folder / "tune.json").read_text())["sweep"]
    same = identify(replace(space, trials=9, engine="ray"), base, data["images"])
    assert same == data
    for other in (
        identify(replace(space, lr_scale_low=0.1), base, data["images"]),
        identify(space, replace(base, seed=1), data["images"]),
        identify(space, base, "other images"),
    ):
        assert other != data
    own = tmp_path / "own.py"
    edited = []
    for line in ("", "\n"):
        own.write_text(Path(SMALL.rpartition(":")[0]).read_text() + line)
        edited.append(identify(replace(space, backbones=(f"{own}:staged",)), base, data["images"]))
    assert edited[0] != edited[1], "what the trials of other code came to is not theirs"
    with sweep_folder(base.out, "shapes", same) as (folder, known):
        assert known and folder == swept.folder
        going = pytest.raises(UsageError, match="is going on in another process")
        with going, sweep_folder(base.out, "shapes", same):
            pass


def test_other_weights_or_another_teacher_at_the_same_place_make_another_sweep(
    swept: Sweep, base: TrainSettings, space: TuneSettings, tmp_path: Path
) -> None:
    run = Run(tmp_path / "teacher")
    run.path.mkdir()
    run.config.write_text((swept.best_run.config).read_text())
    (weights := tmp_path / "weights.pth").write_bytes(b"1")
    run.best.write_bytes(b"1")
    settings = replace(base, weights=str(weights), teacher=str(run.path))
    for place in (weights, run.best):
        before = identify(space, settings, "images")
        assert identify(space, settings, "images") == before
        place.write_bytes(b"2")
        assert identify(space, settings, "images") != before
    # A run stands for its best checkpoint.
    begun = replace(settings, weights=str(run.path))
    assert identify(space, begun, "images")["read"]["weights"] == identify(space, begun, "images")["read"]["teacher"]
    weights.unlink()
    assert "weights" not in identify(space, settings, "images")["read"]


def test_latency_that_was_measured_here_is_not_measured_again(home: Path, tmp_path: Path) -> None:
    kept = tmp_path / "latency.json"
    kept.write_text((home / "pi.json").read_text())
    here, other = Network(NAME, 32), Network("other", 32)
    known = measure_latencies(dict.fromkeys((here, other), Run(tmp_path)), kept, Silence())
    assert known.of(here) == pytest.approx(7, rel=0.05) and known.of(Network("other", 64)) is None


def test_a_latency_of_another_network_or_of_several_pictures_is_none_of_this_one(tmp_path: Path) -> None:
    rows = [
        make_row("a", 7.0, backbone=NAME),
        make_row("b", 3.0, backbone=NAME, variant=("pruned 0.5", "small stem")),
        make_row("c", 2.0, backbone=NAME, at_once=4),
        make_row("d", 1.0, backbone=NAME, precision="int8"),
    ]
    path = tmp_path / "pi.json"
    path.write_text(json_text(make_report(rows).to_json()))
    planned = Network(NAME, None, ("small stem",))
    known = read_latencies(path, [planned])
    assert {str(network): round(ms) for network, ms in known.known.items()} == {
        f"{NAME} at 32 px": 7,
        f"{NAME}, pruned 0.5, small stem at 32 px": 3,
    }
    with pytest.raises(UsageError, match="has no latency of any network of this sweep"):
        read_latencies(path, [Network(NAME, 32, ("se attention",))])


def test_what_is_measured_is_the_network_that_was_trained(base: TrainSettings, tmp_path: Path) -> None:
    own = replace(base, backbone=NAME, strategy="scratch", image_size=32, epochs=1, out=tmp_path, hidden_units=7)
    run = train(own).run
    assert trained_network(run) == planned_network(own) == Network(NAME, 32, ("hidden layer of 7",))
    (tmp_path / "models").mkdir()
    found = export_trained(run, tmp_path / "models")
    assert found.variant == ("hidden layer of 7",) and found.model.name == f"{NAME}-32px-hidden-layer-of-7.onnx"
    trained = sum(tensor.numel() for tensor in weights(run, "best").values() if tensor.is_floating_point())
    assert found.file.parameters == pytest.approx(trained, rel=0.05)
    assert found.card is not None and found.card.labels == ("class 0", "class 1", "class 2")


def test_two_files_of_one_name_are_two_networks(base: TrainSettings, tmp_path: Path) -> None:
    networks, models = [], tmp_path / "models"
    models.mkdir()
    for folder, width in (("a", 8), ("b", 16)):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "net.py"
        path.write_text(OWN.replace("WIDTH", str(width)))
        settings = replace(base, backbone=f"{path}:make", strategy="scratch", image_size=32, epochs=1, out=tmp_path)
        run = train(settings).run
        networks.append(trained_network(run))
        assert networks[-1] == planned_network(settings) and networks[-1].backbone == "net.py:make"
        export_trained(run, models)
    assert networks[0] != networks[1] and len(list(models.iterdir())) == 2


def test_without_a_report_latency_is_measured_here_and_again_on_another_machine(
    base: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    (tmp_path / "net.py").write_text(OWN.replace("WIDTH", "8"))
    space = TuneSettings(
        trials=1,
        backbones=(f"{tmp_path}/net.py:make",),
        strategies=("scratch",),
        image_sizes=(32,),
        augments=("none",),
    )
    settings = replace(base, out=tmp_path / "runs", epochs=1)
    sweep, expected = tune(settings, space), pytest.approx(CALL_MS["latency"] / usable_cores())
    assert sweep.best.latency_ms == expected and sweep.latency_from == "this machine"
    kept = sweep.folder / "latency.json"
    report = read_report(kept)
    faster = [replace(row, latency=Timings.of([0.5])) for row in report.rows]
    for changed, known in (({}, 0.5), ({"cpu": "Another 9000"}, expected), ({"onnxruntime": "1.0"}, expected)):
        other = replace(report, rows=tuple(faster), environment=replace(report.environment, **changed))
        kept.write_text(json_text(other.to_json()))
        ear = Ear()
        assert tune(settings, space, ear).best.latency_ms == known
        assert any("latency is measured again" in line for line in ear.lines) == bool(changed)
        assert read_report(kept).environment.cpu == report.environment.cpu


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bench": Path("nothing.json")}, "nothing.json cannot be read"),
        ({"image_sizes": (48,)}, "pi.json has no latency of any network of this sweep"),
        ({"data": "nothing"}, "nothing: no such folder"),
        ({"backbones": ("nothing",)}, "nothing"),
    ],
)
def test_what_is_wrong_for_all_trials_is_said_before_the_first(
    home: Path, base: TrainSettings, space: TuneSettings, changes: dict[str, Any], message: str
) -> None:
    out = home / "none"
    training = {name: value for name, value in changes.items() if name == "data"}
    drawn = {name: value for name, value in changes.items() if name != "data"}
    with pytest.raises(EdgeError, match=message) as caught:
        tune(replace(base, out=out, **training), replace(space, **drawn))
    assert caught.value.exit_code == 2 and not out.exists()


def test_where_no_trial_can_be_trained_the_reason_ends_the_sweep(base: TrainSettings, space: TuneSettings) -> None:
    with pytest.raises(EdgeError, match=r"no trial could be trained: .*squeezenet1_1\.pth") as caught:
        tune(base, replace(space, backbones=("squeezenet1_1",), trials=1, bench=None))
    assert caught.value.exit_code == 1


def test_a_run_without_files_is_a_row_with_a_reason(swept: Sweep, base: TrainSettings, space: TuneSettings) -> None:
    lost = next(row.figures.run for row in swept.rows if row.figures and row is not swept.best)
    assert isinstance(lost, Run)
    lost.summary.rename(lost.path / "kept")
    try:
        again = tune(base, space)
        (row,) = [row for row in again.rows if row.reason and "is not a finished run" in row.reason]
        assert row.figures is None
    finally:
        (lost.path / "kept").rename(lost.summary)


def test_a_trial_whose_run_was_deleted_is_trained_again(base: TrainSettings, tmp_path: Path) -> None:
    ear = Ear()
    trials = [Trial(number, replace(base, out=tmp_path / "runs")) for number in (1, 2, 3)]
    there, unfinished = TrialRecord("there", (0.5,), ended=True), TrialRecord("gone", (0.5,))
    for trial, record in zip(trials, (there, TrialRecord("gone", (0.5, 0.6), ended=True), unfinished), strict=True):
        write_record(tmp_path, trial, record)
    (tmp_path / "runs" / "there").mkdir(parents=True)
    forget_lost(trials, tmp_path, ear)
    assert [read_record(tmp_path, number) for number in (1, 2, 3)] == [there, TrialRecord(), unfinished]
    assert ear.lines == ["note: the run of trial 2, gone, is gone; it is trained again"]


def test_a_stopped_trial_that_cannot_be_measured_is_a_row_with_its_reason(base: TrainSettings, tmp_path: Path) -> None:
    ear = Ear()
    trial = Trial(1, replace(base, out=tmp_path / "runs"))
    write_record(tmp_path, trial, TrialRecord("gone", (0.5,)))
    found = end_stopped(trial, tmp_path, ear, SweepPart())
    assert found == read_record(tmp_path, 1) and not found.ended and found.run == "gone"
    assert found.error is not None and ear.lines == [f"note: trial 1 failed: {found.error}"]
