"""A sweep on Ray Tune, through the command: killed, gone on with, and the same weights as one trial after another.

Ray and what it brings take a minute: `make test-ray` runs this, and the suite without Ray skips it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("ray")

from edge_benchmarks import TuneSettings
from edge_benchmarks.tuning.search_space import draw_trials
from edge_data import draw_shapes
from edge_runtime import Run
from edge_train import TrainSettings, train
from quick_training import equal, weights, write_weights

NAME = "shufflenet_v2_x0_5"
EPOCHS, TRIALS = 4, 4
WORDS = ["--strategies", "feature-extraction,fine-tune", "--image-sizes", "32", "--augments", "light"]


def command(home: Path, *more: str) -> list[str]:
    given = ["--data", str(home / "shapes"), "--out", "runs", "--backbones", NAME, "--epochs", str(EPOCHS)]
    given += ["--trials", str(TRIALS), "--batch-size", "8", "--threads", "1", "--engine", "ray", "--grace-epochs", "2"]
    return [sys.executable, "-m", "edge_cli", "tune", *given, *WORDS, *more]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ray")
    draw_shapes(folder / "shapes", counts=(24, 9, 9))
    (folder / "weights").mkdir()
    write_weights(folder / "weights" / f"{NAME}.pth", NAME)
    return folder


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_and_comes_to_the_same_runs(home: Path) -> None:
    where: dict[str, Any] = {"cwd": home, "env": {**os.environ, "EDGE_WEIGHTS_DIR": str(home / "weights")}}
    with subprocess.Popen(
        command(home), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **where
    ) as begun:
        assert begun.stderr is not None
        for line in begun.stderr:
            if "epoch 1/" in line or "epoch 2/" in line:
                begun.send_signal(signal.SIGKILL)
                break
        begun.stderr.read()
    (folder,) = (home / "runs").glob("tune-*")
    assert not (folder / "tune.csv").exists()

    done = subprocess.run(command(home, "--json"), capture_output=True, text=True, timeout=400, check=False, **where)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["folder"] == str(folder.relative_to(home)) and len(found["trials"]) == TRIALS
    # Ray's own words are in its log.
    for line in done.stderr.splitlines():
        assert line.startswith(("going on with ", "Ray: ", "trial ", "measuring trial ", "mixed precision")), line
    assert (folder / "ray.log").is_file() and not (folder / "ray").exists()
    # Measured on this machine: nothing else was said.
    assert all(row["latency_ms"] > 0 for row in found["trials"]) and found["latency_from"] == "this machine"

    space = TuneSettings(
        trials=TRIALS, backbones=(NAME,), image_sizes=(32,), augments=("light",), strategies=tuple(WORDS[1].split(","))
    )
    base = TrainSettings(data=str(home / "shapes"), out=home / "runs", epochs=EPOCHS, batch_size=8, threads=1)
    own = {trial.number: trial for trial in draw_trials(space, base)}
    for row in found["trials"]:
        summary = json.loads((home / row["run"] / "summary.json").read_text())
        assert summary["epochs"] == row["epochs"] <= EPOCHS and row["stopped"] == (row["epochs"] < EPOCHS)
        assert row["epochs"] >= 2 and row["lr_scale"] == own[row["trial"]].settings.lr_scale
        assert ("test" in summary["metrics"]) == (row["trial"] == found["best"])
    assert not all(row["stopped"] for row in found["trials"])
    whole = next(row for row in found["trials"] if not row["stopped"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGE_WEIGHTS_DIR", str(home / "weights"))
        alone = train(replace(own[whole["trial"]].settings, out=home / "alone")).run
    assert equal(weights(Run(home / whole["run"])), weights(alone))


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(home: Path) -> None:
    done = subprocess.run(
        command(home, "--address", "127.0.0.1:9", "--seed", "1", "--out", "elsewhere"),
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        cwd=home,
        env={**os.environ, "EDGE_WEIGHTS_DIR": str(home / "weights")},
    )
    assert done.returncode == 2, done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "--address 127.0.0.1:9: no Ray cluster answers there" in said
    assert "Traceback" not in done.stderr and not list((home / "elsewhere").glob("*/best.pt"))


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of two machines, as far as Ray can tell: a core each."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # Workers that give way to all else, as Ray has it, take long beside another test.
    monkeypatch.setenv("RAY_worker_niceness", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster
    cluster.shutdown()


def raylets_that_train() -> set[int]:
    """Ray's process of each machine that has a trial, which is the parent of the trial's."""
    found = set()
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cmdline").read_bytes().startswith(b"ray::ImplicitFunc"):
                found.add(int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]))
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds the processes in /proc")
def test_two_nodes_share_a_sweep_and_go_on_with_it_after_its_driver_was_killed(home: Path, nodes: Any) -> None:
    machines = {process.process.pid for node in nodes.list_all_nodes() for process in node.all_processes["raylet"]}
    assert len(machines) == 2
    words = command(home, "--address", nodes.address, "--out", "shared")
    # What the machines need of it, the command hands on.
    where: dict[str, Any] = {"cwd": home, "env": {**os.environ, "EDGE_WEIGHTS_DIR": str(home / "weights")}}
    used: set[int] = set()
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **where) as begun:
        assert begun.stderr is not None
        for line in begun.stderr:
            used |= raylets_that_train()
            if line.startswith("trial ") and "epoch 2/" in line:
                begun.send_signal(signal.SIGKILL)
                break
        begun.stderr.read()
    (folder,) = (home / "shared").glob("tune-*")
    epochs = {path.name: len(json.loads(path.read_text())["values"]) for path in folder.glob("trial-*.json")}
    assert max(epochs.values()) >= 2 and not (folder / "tune.csv").exists()

    done = subprocess.Popen(
        [*words, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **where
    )
    end = time.monotonic() + 800
    while done.poll() is None and time.monotonic() < end:
        used |= raylets_that_train()
        time.sleep(0.2)
    stdout, stderr = done.communicate(timeout=10)
    assert done.returncode == 0, stderr
    assert used >= machines
    found = json.loads(stdout)
    assert len(found["trials"]) == TRIALS and not any(row["reason"] for row in found["trials"])
    assert "Ray: 2 trials at once" in stderr and f"going on with {folder.relative_to(home)}" in stderr
    # Nothing was trained twice: each run has each epoch once, those from before the kill, too.
    for row in found["trials"]:
        rows = (home / row["run"] / "metrics.csv").read_text().splitlines()[1:]
        assert [int(line.partition(",")[0]) for line in rows] == list(range(1, row["epochs"] + 1))
        assert row["epochs"] >= epochs.get(f"trial-{row['trial']:03}.json", 0)
    # One that was begun in the moment of the kill, before its trial's record said so, has no epoch.
    assert len(list((home / "shared").glob("*/last.pt"))) == TRIALS
