from __future__ import annotations

import json

from edge_benchmarks.machine.environment import Environment, read_environment
from edge_runtime import usable_cores


def test_the_machine_and_the_software_are_there() -> None:
    found = read_environment(threads=1)
    assert found.threads == 1 and found.usable_cores == usable_cores()
    assert all((found.cpu, found.machine, found.os, found.kernel, found.python, found.onnxruntime))
    assert {"onnxruntime", "numpy", "pillow"} <= set(found.versions)
    assert found.memory_bytes is None or found.memory_bytes > 100e6


def test_packages_that_took_part_are_named_and_those_that_are_not_there_are_not() -> None:
    assert "pytest" in read_environment(packages=("pytest", "no-such-package")).versions
    assert "no-such-package" not in read_environment(packages=("no-such-package",)).versions


def test_it_survives_json() -> None:
    found = read_environment()
    assert Environment.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_a_person_reads_it_in_lines() -> None:
    lines = dict(read_environment().lines())
    assert list(lines) == ["processor", "instructions", "clock", "system", "software"]
    assert "onnxruntime" in lines["software"] and all(lines.values())
