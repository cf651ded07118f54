"""What several tests of the benchmarks share, because it takes seconds to make."""

from __future__ import annotations

import dataclasses
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench_command import Bench, Done
from edge_benchmarks import TRAINING_BENCHMARKS, Contestant, build_fresh, choose_backbones
from edge_benchmarks.training import registry as training_benchmarks

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "self_checks"


@pytest.fixture
def edge_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """`edge bench` in this process, in a folder of its own: starting Python costs more than most of what is tested."""
    from edge_cli.main import run

    monkeypatch.chdir(tmp_path)

    def bench(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["edge", "bench", *words])
        capsys.readouterr()
        code = run()
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return bench


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a self check in this process, as it ends before it does anything: exit code, stdout, stderr."""
    monkeypatch.syspath_prepend(str(SCRIPTS))

    def run(script: str, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *words])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(SCRIPTS / script), run_name="__main__")
        assert isinstance(ended.value.code, int)
        return (ended.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def fake_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A module in place of those of `speed`, `listing` and `cifar10`."""

    def write(text: str) -> None:
        (tmp_path / "edge_fake.py").write_text(text, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        changed = {
            name: dataclasses.replace(TRAINING_BENCHMARKS[name], module="edge_fake")
            for name in ("speed", "listing", "cifar10")
        }
        monkeypatch.setattr(training_benchmarks, "TRAINING_BENCHMARKS", changed)

    return write


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Contestant:
    """A freshly built SqueezeNet with its checkpoint: of all backbones the quickest to export."""
    torch = pytest.importorskip("torch")
    for package in ("torchvision", "onnx", "onnxscript"):
        pytest.importorskip(package)
    from onnx_operators import keep_operators

    keep_operators()
    torch.manual_seed(7)
    expected = torch.rand(3).tolist()
    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("fresh")
    contestant = build_fresh(choose_backbones("squeezenet1_1")[0], folder, checkpoint=True)
    assert torch.rand(3).tolist() == expected, "the caller's random numbers were disturbed"
    return contestant
