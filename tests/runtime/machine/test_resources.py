"""What a process may use: never more than the machine has, less where a container says so."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path

import pytest

from edge_runtime import available_memory_bytes, cpu_model, usable_cores
from edge_runtime.machine import resources as machine
from edge_runtime.machine.resources import _cgroup_cores, _cgroup_memory_bytes


def put(root: Path, files: dict[str, str]) -> Path:
    """A control group's folder: text by path."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="ascii")
    return root


def test_cores_are_at_least_one_and_at_most_the_machines() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to a core")
def test_a_process_pinned_to_one_core_uses_one() -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", math.inf), ("odd", math.inf)])
def test_a_containers_quota_counts(tmp_path: Path, text: str, cores: float) -> None:
    assert _cgroup_cores(put(tmp_path, {"cpu.max": text})) == cores


def test_a_quota_of_the_first_version_counts(tmp_path: Path) -> None:
    limited = put(tmp_path / "a", {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"})
    free = put(tmp_path / "b", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"})
    assert (_cgroup_cores(limited), _cgroup_cores(free), _cgroup_cores(tmp_path / "gone")) == (2.5, math.inf, math.inf)


def test_the_tightest_limit_between_the_root_and_the_own_group_counts(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("0::/system.slice/camera.service\n", encoding="ascii")
    stat = {"memory.current": "100", "memory.stat": "inactive_file 0"}
    root = put(
        tmp_path / "root",
        {
            "system.slice/cpu.max": "100000 100000",
            "system.slice/camera.service/cpu.max": "300000 100000",
            "system.slice/other.service/cpu.max": "10000 100000",
            **{f"system.slice/{name}": text for name, text in {"memory.max": "max", **stat}.items()},
            **{f"system.slice/camera.service/{name}": text for name, text in {"memory.max": "900", **stat}.items()},
        },
    )
    assert _cgroup_cores(root, membership) == 1
    assert _cgroup_memory_bytes(root, membership) == 800


def test_a_group_of_the_first_version_below_the_root_counts(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("4:cpu,cpuacct:/docker/abc\n3:memory:/\n0::/\n", encoding="ascii")
    quota = {"cpu/docker/abc/cpu.cfs_quota_us": "50000", "cpu/docker/abc/cpu.cfs_period_us": "100000"}
    assert _cgroup_cores(put(tmp_path / "root", quota), membership) == 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say")
def test_memory_is_less_than_the_machine_has() -> None:
    free = available_memory_bytes()
    assert free is not None
    assert 10_000_000 < free <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_containers_memory_limit_counts_and_its_cached_files_do_not(tmp_path: Path) -> None:
    stat = "anon 300\ninactive_file 150\nactive_file 50\n"
    second = put(tmp_path / "a", {"memory.max": "1000\n", "memory.current": "600\n", "memory.stat": stat})
    assert _cgroup_memory_bytes(second) == 1000 - 600 + 150 + 50
    assert _cgroup_memory_bytes(put(tmp_path / "a", {"memory.max": "max\n"})) == math.inf
    assert _cgroup_memory_bytes(put(tmp_path / "a", {"memory.max": "400\n"})) == 0
    assert _cgroup_memory_bytes(tmp_path / "gone") == math.inf


def test_a_memory_limit_of_the_first_version_counts(tmp_path: Path) -> None:
    stat = "inactive_file 1\ntotal_inactive_file 200\n"
    files = {"limit_in_bytes": "1000\n", "usage_in_bytes": "700\n", "stat": stat}
    put(tmp_path, {f"memory/memory.{name}": text for name, text in files.items()})
    assert _cgroup_memory_bytes(tmp_path) == 500


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00 nothing\n", b"model name\n"])
def test_the_processor_has_a_name_whatever_the_system_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    assert cpu_model().strip() == cpu_model() != ""
    if content is not None:
        (tmp_path / "cpuinfo").write_bytes(content)
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert machine.instruction_sets() == ()
    assert cpu_model() != ""


def test_instruction_sets_are_those_of_the_first_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nFeatures\t: fp asimd crc32\n\nFeatures\t: other\n")
    monkeypatch.setattr(machine, "_CPUINFO", tmp_path / "cpuinfo")
    assert machine.instruction_sets() == ("asimd", "crc32", "fp")
