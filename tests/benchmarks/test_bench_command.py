"""`edge bench` as a process: what it measures, prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from bench_command import Bench
from drifting_model import write_drifting_model
from edge_benchmarks import benching, read_report
from fake_worker import use_fake_workers
from other_models import write_foreign, write_sum
from tiny_model import write_tiny_model

RUN = "shapes-tiny-scratch-20260101-000000"
FAST = ("--duration", "50ms", "--runs", "20", "--threads", "1", "--batch", "2", "--cold-starts", "1")


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder with one exported run in it, and the images it set aside."""
    run = tmp_path / "runs" / RUN
    run.mkdir(parents=True)
    coloured_images(tmp_path / "photos")
    config = {"created": "2026-01-01T00:00:00.000000+00:00", "data_root": str(tmp_path / "photos")}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    rows = [
        f"{split},{name},{split}/{name}/{index}.png" for split in ("train", "val") for name in "abc" for index in (0, 1)
    ]
    (run / "split.csv").write_text("\n".join(["split,label,path", *rows]) + "\n", encoding="utf-8")
    write_tiny_model(run / "model.onnx")
    return tmp_path


def coloured_images(folder: Path) -> None:
    """Pictures of three classes that the tiny model tells apart, but for one that lies in the wrong folder."""
    for split in ("train", "val"):
        for name, colour in {"a": "red", "b": "lime", "c": "blue"}.items():
            (folder / split / name).mkdir(parents=True)
            for index in (0, 1):
                Image.new("RGB", (40, 40), colour).save(folder / split / name / f"{index}.png")
    Image.new("RGB", (40, 40), "red").save(folder / "val" / "c" / "1.png")


def test_two_tables_of_the_models_named(edge_bench: Bench, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    write_tiny_model(tmp_path / "b.onnx", size=64)
    # A pattern, as a shell hands it on that expands none.
    done = edge_bench("[ab].onnx", *FAST)
    assert done.returncode == 0, done.stderr
    for word in (
        "a.onnx",
        "b.onnx",
        "p50",
        "p90",
        "images/s",
        "peak",
        "fp32",
        "tiny",
        "cold",
        "load",
        "resize",
        "GFLOPs",
    ):
        assert word in done.stdout
    assert "inference alone of a drawn picture" in done.stderr and "onnxruntime" in done.stderr


def test_json_is_one_document_and_nothing_else(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench("a.onnx", "--json", "--quiet", *FAST)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert [row["model"] for row in report["results"]] == ["a.onnx"]
    assert report["results"][0]["throughput"]["batch"] == 2
    assert report["environment"]["threads"] == 1
    (tmp_path / "old.json").write_text(done.stdout, encoding="utf-8")
    assert read_report(tmp_path / "old.json").rows[0].latency.n >= 20


def test_csv_is_a_header_and_a_row_a_model(edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_workers(monkeypatch)
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench("a.onnx", "--csv", *FAST, "--threads", "1,2")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert sorted(row["threads"] for row in rows) == ["1", "2"]


@pytest.mark.usefixtures("run_folder")
def test_without_arguments_the_newest_runs_model_on_its_own_pictures(edge_bench: Bench) -> None:
    done = edge_bench("--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert RUN in done.stderr
    report = json.loads(done.stdout)
    (row,) = report["results"]
    assert row["path"] == str(Path("runs", RUN, "model.onnx"))
    assert report["settings"]["input"] == f"6 pictures of the val split of {Path('runs', RUN)}"
    assert row["accuracy"]["source"] == "recorded"


@pytest.mark.usefixtures("run_folder")
def test_a_run_by_name_and_its_accuracy_on_labelled_images(edge_bench: Bench) -> None:
    done = edge_bench("--run", RUN, "--data", "photos", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["results"]
    accuracy = row["accuracy"]
    assert (accuracy["source"], accuracy["where"], accuracy["n"]) == ("measured", "photos, val", 6)
    assert accuracy["value"] == pytest.approx(5 / 6)
    assert accuracy["interval_95"][0] < accuracy["value"] < accuracy["interval_95"][1]


@pytest.mark.usefixtures("run_folder")
def test_a_manifest_and_several_places_are_labelled_images(edge_bench: Bench, tmp_path: Path) -> None:
    names = sorted(path.relative_to(tmp_path) for path in (tmp_path / "photos/val").rglob("*.png"))
    (tmp_path / "half.csv").write_text("path,label\n" + "".join(f"{name},{name.parent.name}\n" for name in names[:3]))
    done = edge_bench("--run", RUN, "--data", "half.csv", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["results"][0]["accuracy"]["n"], report["settings"]["input"]) == (3, "3 pictures of half.csv")
    refused = edge_bench("--run", RUN, "--data", "half.csv", "--data", "photos", "--json", *FAST)
    assert refused.returncode == 2 and "photos is split into train, val or test, and half.csv is not" in refused.stderr


def test_a_classifier_that_edge_did_not_make_and_any_graph(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_foreign(tmp_path / "foreign.onnx")
    write_sum(tmp_path / "sum.onnx")
    done = edge_bench("foreign.onnx", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["backbone"] == "foreign"
    use_fake_workers(monkeypatch)
    refused = edge_bench("foreign.onnx", "sum.onnx", *FAST)
    assert refused.returncode == 2 and "--random-input" in refused.stderr
    done = edge_bench("foreign.onnx", "sum.onnx", "--random-input", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["settings"]["input"] == "random input"
    assert all(row["end_to_end"] is None for row in report["results"])


def test_what_cannot_be_shared_is_not_measured(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_foreign(tmp_path / "foreign.onnx")
    monkeypatch.setattr(benching, "Worker", None)
    done = edge_bench("foreign.onnx", "--share", "pi.json", *FAST)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nothing to share" in done.stderr and "--backbones mobilenet_v2" in done.stderr
    assert not (tmp_path / "pi.json").exists()


@pytest.mark.skipif(find_spec("matplotlib") is None, reason="matplotlib is not installed")
def test_out_has_the_report_and_both_pictures(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench("a.onnx", "--out", "new/folder", *FAST)
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert files == ["bench.csv", "bench.json", "bench.md", "latency.png", "tradeoff.png"]
    # The same table from the file, without measuring.
    again = edge_bench("--from", "new/folder/bench.json")
    assert again.returncode == 0 and again.stdout == done.stdout


def test_a_sustained_run_is_a_table_by_the_minute(
    edge_bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_workers(monkeypatch)
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench("a.onnx", "--sustained", "60ms", "--cooldown", "10ms", *FAST)
    assert done.returncode == 0, done.stderr
    assert "°C" in done.stdout and "MHz" in done.stdout
    assert re.search(r"a\.onnx: from the first \d+ s to the last \d+ s", done.stdout)
    assert "resting for 0.01 s" in done.stderr


def test_without_torch_the_runs_model_is_measured(run_folder: Path) -> None:
    done = _without("torch", run_folder, "--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert [row["backbone"] for row in json.loads(done.stdout)["results"]] == ["tiny"]


@pytest.mark.parametrize(
    ("package", "words", "extra"),
    [
        ("torch", ("--backbones", "resnet18"), "edge-vision[export]"),
        ("torch", ("--train",), "edge-vision[export]"),
        ("matplotlib", ("--out", "x"), "edge-vision[bench]"),
    ],
)
def test_what_is_not_installed_names_its_extra(
    run_folder: Path, package: str, words: tuple[str, ...], extra: str
) -> None:
    done = _without(package, run_folder, *words, *(FAST if "--train" not in words else ()))
    assert (done.returncode, done.stdout) == (2, "")
    assert extra in done.stderr
    assert not (run_folder / "x").exists()


def _without(package: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`edge bench` where a package cannot be found, as on a base install."""
    hide = (
        "import importlib.util as u, sys; find = u.find_spec; "
        f"u.find_spec = lambda name, *a: None if name.startswith({package!r}) else find(name, *a); "
        f"sys.modules[{package!r}] = None; "
        "from edge_cli.main import main; main()"
    )
    command = [sys.executable, "-P", "-c", hide, "bench", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_interrupted_is_130_and_leaves_no_worker(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    command = [sys.executable, "-P", "-m", "edge_cli", "bench", "a.onnx", "--duration", "60s", "--cold-starts", "1"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _wait_for_worker(process.pid)
        finally:
            # To the whole group, as a terminal does it.
            os.killpg(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr and "Traceback" not in stderr and stdout == ""
    # A worker that was being started meanwhile sees that its driver has gone, and goes as well.
    until = time.monotonic() + 60
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < until:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def _wait_for_worker(process: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if any(path.read_text() for path in Path(f"/proc/{process}/task").glob("*/children")):
            return
        time.sleep(0.05)
    pytest.fail("no worker was started")


def test_training_benchmarks_are_handed_their_options(edge_bench: Bench, fake_training: Callable[[str], None]) -> None:
    pytest.importorskip("torch")
    # One whose --check is not met: its document is printed all the same.
    fake_training("import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(1)")
    done = edge_bench(
        "--train", "speed", "--data", "photos", "--threads", "2", "--json", "--", "--runs", "1", "--check"
    )
    assert done.returncode == 1, done.stderr
    words = ["--data", "photos", "--threads", "2", "--runs", "1", "--check", "--json"]
    assert json.loads(done.stdout) == {"speed": words}
    done = edge_bench("--train", "cifar10", "--quiet", "--json")
    assert json.loads(done.stdout) == {"cifar10": ["--quiet", "--json"]}


@pytest.mark.slow
def test_a_fresh_backbone_in_both_precisions_beside_the_runs_model_and_torch(
    edge_bench: Bench, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "torchvision", "onnx", "onnxscript"):
        pytest.importorskip(package)
    # What is built here is opened and run by tests of its own.
    use_fake_workers(monkeypatch)
    fresh = "squeezenet1_1"
    words = ("--run", RUN, "--backbones", fresh, "--against", "torch", "--keep-models", "kept")
    done = edge_bench(*words, "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["results"]
    assert {(row["backbone"], row["precision"], row["engine"], row["fresh"]) for row in rows} == {
        ("tiny", "fp32", "onnxruntime", False),
        (fresh, "fp32", "onnxruntime", True),
        (fresh, "int8", "onnxruntime", True),
        (fresh, "fp32", "torch", True),
    }
    assert [row["latency"]["p90_ms"] for row in rows] == sorted(row["latency"]["p90_ms"] for row in rows)
    assert [row["max_difference"] for row in rows if row["engine"] == "torch"] == [0.0625]
    assert [row["max_difference"] for row in rows if row["engine"] == "onnxruntime"] == [None] * 3
    assert f"note: {fresh} fp32 run by torch answers otherwise than by onnxruntime (by 0.062)" in done.stderr
    assert "random weights" in done.stderr
    assert "without torch for model.onnx: its checkpoint, best.pt of its run, does not lie beside it" in done.stderr
    assert f"without torch for {fresh}: its int8 layers" in done.stderr
    assert sorted(path.name for path in (run_folder / "kept").iterdir()) == [f"{fresh}-int8.onnx", f"{fresh}.onnx"]


def test_an_int8_file_measured_elsewhere_is_told_of(edge_bench: Bench, tmp_path: Path) -> None:
    write_drifting_model(tmp_path / "old.onnx")
    write_tiny_model(tmp_path / "float.onnx")
    done = edge_bench("old.onnx", "float.onnx", *FAST, "--random-input")
    assert done.returncode == 0, done.stderr
    (note,) = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert note.startswith("note: old.onnx: measured on a processor it does not name; this is ")
