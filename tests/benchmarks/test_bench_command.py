from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_model import write_tiny_model

RUN = "shapes-tiny-scratch-20260101-000000"
FAST = ("--duration", "0.05", "--threads", "1", "--batch", "2")


def edge_bench(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "edge_cli", "bench", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """A folder with one exported run in it."""
    run = tmp_path / "runs" / RUN
    run.mkdir(parents=True)
    (run / "config.json").write_text(json.dumps({"created": "2026-01-01T00:00:00.000000+00:00"}), encoding="utf-8")
    (run / "best.pt").touch()
    write_tiny_model(run / "model.onnx")
    return tmp_path


def test_a_table_of_the_models_named(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    write_tiny_model(tmp_path / "b.onnx", size=64)
    done = edge_bench(tmp_path, "a.onnx", "b.onnx", *FAST)
    assert done.returncode == 0, done.stderr
    for word in ("a.onnx", "b.onnx", "p50", "p90", "peak", "fp32", "tiny"):
        assert word in done.stdout
    assert "inference alone" in done.stderr


def test_json_is_one_document_and_nothing_else(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench(tmp_path, "a.onnx", "--json", "--quiet", *FAST)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert [row["model"] for row in report["results"]] == ["a.onnx"]
    assert report["results"][0]["throughput"]["batch"] == 2
    assert report["environment"]["threads"] == 1


def test_the_newest_runs_model_is_measured_and_said(run_folder: Path) -> None:
    done = edge_bench(run_folder, "--backbones", "none", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert RUN in done.stderr
    (row,) = json.loads(done.stdout)["results"]
    assert row["path"] == str(Path("runs", RUN, "model.onnx"))


def test_a_run_by_name(run_folder: Path) -> None:
    done = edge_bench(run_folder, "--run", RUN, "--backbones", "none", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert [row["path"] for row in json.loads(done.stdout)["results"]] == [str(Path("runs", RUN, "model.onnx"))]


def test_without_torch_the_runs_model_is_measured_and_the_extra_named(run_folder: Path) -> None:
    done = _without_torch(run_folder, "--json", *FAST)
    assert done.returncode == 0, done.stderr
    assert "edge-vision[export]" in done.stderr
    assert [row["backbone"] for row in json.loads(done.stdout)["results"]] == ["tiny"]


def test_without_torch_backbones_asked_for_name_the_extra(run_folder: Path) -> None:
    done = _without_torch(run_folder, "--backbones", "resnet18", *FAST)
    assert done.returncode == 2
    assert "edge-vision[export]" in done.stderr


def _without_torch(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`edge bench` where torch cannot be found, as on a base install."""
    hide = (
        "import importlib.util as u, sys; find = u.find_spec; "
        "u.find_spec = lambda name, *a: None if name.startswith('torch') else find(name, *a); "
        "sys.modules['torch'] = None; "
        "from edge_cli.main import main; main()"
    )
    command = [sys.executable, "-P", "-c", hide, "bench", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nofile.onnx",), "nofile.onnx does not exist"),
        (("--backbones", "resnet19"), "did you mean"),
        (("--backbones", "none"), "there is no run"),
        (("--run", "nowhere"), "nowhere"),
        (("a.onnx", "--duration", "nan"), "--duration"),
        (("a.onnx", "--batch", "0"), "--batch"),
        (("a.onnx", "--threads", "0"), "--threads 0"),
        (("a.onnx", "--image", "gone.jpg"), "gone.jpg does not exist"),
        (("a.onnx", "--run", "x"), "--run exclude"),
    ],
)
def test_wrong_usage_is_exit_2_in_words(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    write_tiny_model(tmp_path / "a.onnx")
    done = edge_bench(tmp_path, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_that_is_no_model_is_exit_1_in_words(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("not a model", encoding="utf-8")
    done = edge_bench(tmp_path, "text.onnx")
    assert done.returncode == 1
    assert "text.onnx" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_fresh_backbones_stand_beside_the_runs_model(run_folder: Path) -> None:
    for package in ("torch", "torchvision", "onnx", "onnxscript"):
        pytest.importorskip(package)
    done = edge_bench(run_folder, "--backbones", "shufflenet_v2_x0_5,squeezenet1_1", "--json", *FAST)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["results"]
    assert {(row["backbone"], row["fresh"]) for row in rows} == {
        ("tiny", False),
        ("shufflenet_v2_x0_5", True),
        ("squeezenet1_1", True),
    }
    assert [row["latency"]["p90_ms"] for row in rows] == sorted(row["latency"]["p90_ms"] for row in rows)
    assert "random weights" in done.stderr
