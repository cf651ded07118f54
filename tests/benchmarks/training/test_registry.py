"""The benchmarks of training, found and run by name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest

from edge_benchmarks import TRAINING_BENCHMARKS, run_training_benchmark


@pytest.mark.parametrize("name", list(TRAINING_BENCHMARKS))
def test_every_benchmark_is_a_module_of_the_package(name: str) -> None:
    found = importlib.util.find_spec(TRAINING_BENCHMARKS[name].module)
    assert found is not None and found.name.partition(".")[0] == "edge_benchmarks"


def test_words_options_and_the_exit_code_are_handed_on(fake_training: Callable[[str], None]) -> None:
    fake_training("import json, sys; print(json.dumps(sys.argv[1:])); sys.exit(1)")
    code, output = run_training_benchmark("listing", ["--files", "7"], as_json=True)
    assert (code, output.strip()) == (1, '["listing", "--files", "7", "--json"]')


def test_an_interrupted_benchmark_interrupts(fake_training: Callable[[str], None]) -> None:
    fake_training("import sys; sys.exit(130)")
    with pytest.raises(KeyboardInterrupt):
        run_training_benchmark("speed", [], as_json=False)
