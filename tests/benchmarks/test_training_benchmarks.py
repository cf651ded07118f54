"""The benchmarks of training, found and run by name."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_benchmarks import TRAINING_BENCHMARKS, run_training_benchmark, training_benchmarks


@pytest.mark.parametrize("name", list(TRAINING_BENCHMARKS))
def test_every_benchmark_is_a_module_of_the_package(name: str) -> None:
    found = importlib.util.find_spec(TRAINING_BENCHMARKS[name].module)
    assert found is not None and found.name.partition(".")[0] == "edge_benchmarks"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A module in place of those of `speed` and `listing`."""

    def write(text: str) -> None:
        (tmp_path / "edge_fake.py").write_text(text, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
        changed = {
            name: dataclasses.replace(TRAINING_BENCHMARKS[name], module="edge_fake") for name in ("speed", "listing")
        }
        monkeypatch.setattr(training_benchmarks, "TRAINING_BENCHMARKS", changed)

    return write


def test_words_options_and_the_exit_code_are_handed_on(fake: Callable[[str], None]) -> None:
    fake("import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(1)")
    code, output = run_training_benchmark("listing", ["--files", "7"], as_json=True)
    assert (code, output.strip()) == (1, '["listing", "--files", "7", "--json"]')


def test_an_interrupted_benchmark_interrupts(fake: Callable[[str], None]) -> None:
    fake("import sys; sys.exit(130)")
    with pytest.raises(KeyboardInterrupt):
        run_training_benchmark("speed", [], as_json=False)
