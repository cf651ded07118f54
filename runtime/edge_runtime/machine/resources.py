"""What this process may use of the machine it runs on."""

from __future__ import annotations

import math
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
_CPUINFO = Path("/proc/cpuinfo")


def usable_cores() -> int:
    """Cores this process may really use: its affinity, cut down by a cgroup quota, at least 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cgroup_cores())))


def _groups(controller: str, cgroup: Path, membership: Path) -> Iterator[Path]:
    """Folders of the control groups that limit this process: from the root down to its own, in both versions' layouts.

    A container sees its own group as the root; a service of systemd (CPUQuota=) sits some levels below.
    """
    paths = {"": "/", controller: "/"}
    try:
        for line in membership.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            controllers, _, path = line.partition(":")[2].partition(":")
            paths.update({name: path for name in controllers.split(",") if name in paths})
    except OSError:
        pass
    for name, path in paths.items():
        folder = cgroup / name
        yield folder
        for part in path.strip("/").split("/"):
            if part:
                folder /= part
                yield folder


def _cgroup_cores(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> float:
    """The smallest CPU quota over this process's control groups in cores, infinity where there is none."""
    return min(_quota_cores(folder) for folder in _groups("cpu", cgroup, membership))


def _quota_cores(group: Path) -> float:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return math.inf if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((group / "cpu.cfs_quota_us").read_text(encoding="ascii"))
        period_us = int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))
        return quota_us / period_us if quota_us > 0 else math.inf
    except (OSError, ValueError):
        return math.inf


def available_memory_bytes() -> int | None:
    """Memory that can be taken without swapping or being killed, None where the system does not say."""
    free = _system_memory_bytes()
    return None if free is None else int(min(free, _cgroup_memory_bytes()))


def _cgroup_memory_bytes(cgroup: Path = _CGROUP, membership: Path = _MEMBERSHIP) -> float:
    """What this process's control groups may still take, infinity where they have no limit."""
    return min(_free_bytes(folder) for folder in _groups("memory", cgroup, membership))


def _free_bytes(group: Path) -> float:
    for limit_file, used_file, prefix in (
        ("memory.max", "memory.current", ""),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    ):
        try:
            limit, used = ((group / name).read_text(encoding="ascii").strip() for name in (limit_file, used_file))
            stat = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
            # Cached files are given up before anything is killed.
            cached = sum(int(stat.get(f"{prefix}{state}_file", 0)) for state in ("inactive", "active"))
            return math.inf if limit == "max" else max(0, int(limit) - int(used) + cached)
        except (OSError, ValueError):
            continue
    return math.inf


def read_meminfo(path: Path = Path("/proc/meminfo")) -> dict[str, int]:
    """Bytes by the names of /proc/meminfo, or of a process's file like it; empty where there is no such file."""
    found = {}
    with suppress(OSError, ValueError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(":")
            fields = value.split()
            if len(fields) == 2 and fields[1] == "kB" and fields[0].isdigit():
                found[name] = int(fields[0]) * 1024
    return found


def _system_memory_bytes() -> int | None:
    available = read_meminfo().get("MemAvailable")
    return installed_memory_bytes() if available is None else available


def installed_memory_bytes() -> int | None:
    """All memory of the machine, None where the system does not say."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def cpu_model() -> str:
    """The processor's name as the system gives it, on a Raspberry Pi the board's."""
    for path in ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model"):
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").strip("\0\n ")
        except OSError:
            continue
    try:
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name") and (name := line.partition(":")[2].strip()):
                return name
    except OSError:
        pass
    return platform.processor() or platform.machine() or sys.platform


def instruction_sets() -> tuple[str, ...]:
    """The processor's instruction set extensions as Linux names them, sorted; empty on other systems."""
    try:
        # Line by line: on a machine of many cores the whole file takes long, and every core says the same.
        with _CPUINFO.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip().lower() in ("flags", "features"):
                    return tuple(sorted(value.split()))
    except OSError:
        pass
    return ()
