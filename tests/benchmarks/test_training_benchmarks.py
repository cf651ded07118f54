"""The benchmarks of training, found and run by name."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from edge_benchmarks import TRAINING_BENCHMARKS, run_training_benchmark, training_benchmarks

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", list(TRAINING_BENCHMARKS))
def test_every_script_is_there_and_an_installed_one_comes_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = TRAINING_BENCHMARKS[name].script
    monkeypatch.setattr(training_benchmarks, "_PACKAGE", ROOT / "benchmarks" / "edge_benchmarks")
    assert training_benchmarks.find_script(script) == ROOT / "benchmarks" / script
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / script).touch()
    monkeypatch.setattr(training_benchmarks, "_PACKAGE", tmp_path)
    assert training_benchmarks.find_script(script) == tmp_path / "scripts" / script


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "training_speed.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(training_benchmarks, "_PACKAGE", tmp_path)


def test_words_options_and_the_exit_code_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(1)")
    code, output = run_training_benchmark("listing", ["--files", "7"], as_json=True)
    assert (code, output.strip()) == (1, '["listing", "--files", "7", "--json"]')


def test_an_interrupted_benchmark_interrupts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, "import sys; sys.exit(130)")
    with pytest.raises(KeyboardInterrupt):
        run_training_benchmark("speed", [], as_json=False)


def test_the_wheel_brings_the_scripts() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    brought = built["targets"]["wheel"]["force-include"]
    for benchmark in TRAINING_BENCHMARKS.values():
        assert brought[f"benchmarks/{benchmark.script}"] == f"edge_benchmarks/scripts/{benchmark.script}"
        # Of the package that is tested here, installed or in a clone.
        assert training_benchmarks.find_script(benchmark.script).is_file()
