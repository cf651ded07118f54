"""What makes a machine slow: heat, a weak power supply, a governor, a quota, missing instructions, swapping.

Everything is read from files of Linux and from the one command of a Raspberry Pi; elsewhere it is unknown.
`root` stands for `/`, so that a machine can be described by a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.machine.resources import available_memory_bytes, instruction_sets, read_meminfo, usable_cores

HOT_C = 80
LOW_MEMORY_BYTES = 300_000_000
MUCH_SWAP_BYTES = 50_000_000

# https://www.raspberrypi.com/documentation/computers/os.html#get_throttled
# The bits for now; those for any time since it was started are 16 bits higher.
_THROTTLED_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
_DOT_PRODUCTS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})
# Governors of these drivers raise the frequency by themselves, whatever they are called.
_OWN_GOVERNORS = frozenset({"intel_pstate", "amd-pstate-epp", "amd_pstate_epp"})


@dataclass(frozen=True, slots=True)
class Throttling:
    """What a Raspberry Pi's firmware says holds it back, now and at any time since it was started."""

    now: tuple[str, ...]
    since_start: tuple[str, ...]

    @classmethod
    def decode(cls, value: int) -> Throttling:
        """The bits of `vcgencmd get_throttled`."""
        return cls(
            tuple(what for bit, what in _THROTTLED_BITS.items() if value >> bit & 1),
            tuple(what for bit, what in _THROTTLED_BITS.items() if value >> (bit + 16) & 1),
        )


@dataclass(frozen=True, slots=True)
class Health:
    """A machine's state; None and empty where the system does not say."""

    cores: int = 1
    usable_cores: int = 1
    architecture: str = ""
    instruction_sets: Sequence[str] = ()
    memory_bytes: int | None = None
    available_memory_bytes: int | None = None
    swap_used_bytes: int | None = None
    load: float | None = None
    governor: str | None = None
    frequency_driver: str | None = None
    frequency_mhz: int | None = None
    highest_frequency_mhz: int | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    throttling: Throttling | None = None


def read_health(root: Path = Path("/")) -> Health:
    """Look at this machine, or at the one whose files lie below `root`."""
    memory = read_meminfo(root / "proc/meminfo")
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    swap = (memory["SwapTotal"] - memory["SwapFree"]) if {"SwapTotal", "SwapFree"} <= memory.keys() else None
    return Health(
        cores=os.cpu_count() or 1,
        usable_cores=usable_cores(),
        architecture=os.uname().machine if hasattr(os, "uname") else "",
        instruction_sets=instruction_sets(),
        memory_bytes=memory.get("MemTotal"),
        available_memory_bytes=available_memory_bytes(),
        swap_used_bytes=swap,
        load=_load(root),
        governor=_text(frequency / "scaling_governor"),
        frequency_driver=_text(frequency / "scaling_driver"),
        frequency_mhz=_mhz(frequency / "scaling_cur_freq"),
        highest_frequency_mhz=_mhz(frequency / "cpuinfo_max_freq"),
        temperatures_c=_temperatures(root),
        throttling=read_throttling(root),
    )


@dataclass(frozen=True, slots=True)
class Sensors:
    """The hottest temperature and the first core's clock; None where the system does not say."""

    temperature_c: float | None = None
    clock_mhz: int | None = None


def read_sensors(root: Path = Path("/")) -> Sensors:
    """Look at what changes while a machine works: a few small files and no command, some tens of microseconds."""
    temperatures = _temperatures(root)
    clock = _mhz(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    return Sensors(max(temperatures.values(), default=None), clock)


def slow_reasons(health: Health) -> list[tuple[str, str]]:
    """What is slow here and why, each with what to do about it."""
    return [*_power(health), *_processor(health), *_memory(health)]


def _power(health: Health) -> list[tuple[str, str]]:
    found = []
    throttling = health.throttling or Throttling((), ())
    earlier = tuple(what for what in throttling.since_start if what not in throttling.now)
    for what, when in ((throttling.now, "now"), (earlier, "since it was started")):
        if "under-voltage" in what:
            found.append((f"the power supply is too weak ({when}), so the processor is slowed down",
                          "use the board's official supply, and a short cable"))  # fmt: skip
        if rest := [each for each in what if each != "under-voltage"]:
            found.append((f"the firmware slows the processor down ({', '.join(rest)}, {when})",
                          "cool it: a heat sink or a fan, and air around it"))  # fmt: skip
    hot = {place: degrees for place, degrees in health.temperatures_c.items() if degrees >= HOT_C}
    if hot:
        place, degrees = max(hot.items(), key=lambda pair: pair[1])
        found.append((f"it is hot: {place} at {degrees:.0f} °C", "cool it; a Raspberry Pi slows down from 80 °C on"))
    if health.governor == "powersave" and health.frequency_driver not in _OWN_GOVERNORS:
        highest = f" of {health.highest_frequency_mhz}" if health.highest_frequency_mhz else ""
        speed = f" ({health.frequency_mhz}{highest} MHz)" if health.frequency_mhz else ""
        found.append((f"the powersave governor keeps the processor at its lowest frequency{speed}",
                      "echo ondemand | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"))  # fmt: skip
    return found


def _processor(health: Health) -> list[tuple[str, str]]:
    found = []
    if health.usable_cores < health.cores:
        found.append((f"this process may use {health.usable_cores} of {health.cores} cores",
                      "a container's CPU limit, a service's CPUQuota= or taskset says so: raise it there"))  # fmt: skip
    if health.load is not None and health.load > health.usable_cores + 0.5:
        found.append((f"other programs are computing: a load of {health.load:.1f} on {health.usable_cores} cores",
                      "top shows which"))  # fmt: skip
    there = frozenset(health.instruction_sets)
    if there and not there & _DOT_PRODUCTS:
        wanted = "dotprod" if health.architecture in ("aarch64", "arm64") else "VNNI"
        found.append((f"the processor has no {wanted} instructions, so int8 models gain less",
                      "compare with edge bench before shipping an int8 model here"))  # fmt: skip
    if there and health.architecture in ("x86_64", "AMD64") and "avx2" not in there:
        found.append(("the processor has no AVX2, so every model takes several times as long",
                      "choose a small backbone: edge backbones"))  # fmt: skip
    return found


def _memory(health: Health) -> list[tuple[str, str]]:
    found = []
    if health.swap_used_bytes is not None and health.swap_used_bytes > MUCH_SWAP_BYTES:
        found.append((f"{health.swap_used_bytes / 1e6:.0f} MB of memory are swapped out to the disk",
                      "close other programs, or add memory"))  # fmt: skip
    if health.available_memory_bytes is not None and health.available_memory_bytes < LOW_MEMORY_BYTES:
        found.append((f"{health.available_memory_bytes / 1e6:.0f} MB of memory are free",
                      "close other programs; predicting with MobileNetV2 takes about 100 MB"))  # fmt: skip
    return found


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip("\0\n ")
    except (OSError, ValueError):
        return None


def _number(path: Path) -> int | None:
    try:
        return int(_text(path) or "")
    except ValueError:
        return None


def _mhz(path: Path) -> int | None:
    khz = _number(path)
    return None if khz is None else round(khz / 1000)


def _load(root: Path) -> float | None:
    try:
        return float((_text(root / "proc/loadavg") or "").split()[0])
    except (ValueError, IndexError):
        return None


def _temperatures(root: Path) -> dict[str, float]:
    """Degrees Celsius by the zone's type; of several of one type the hottest."""
    found: dict[str, float] = {}
    try:
        zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    except OSError:
        return {}
    for zone in zones:
        kind, thousandths = _text(zone / "type"), _number(zone / "temp")
        # A sensor that is not connected says zero, or less than the coldest winter.
        if kind and thousandths is not None and 0 < thousandths < 150_000:
            found[kind] = max(found.get(kind, 0.0), thousandths / 1000)
    return found


def read_throttling(root: Path = Path("/")) -> Throttling | None:
    """What the firmware of a Raspberry Pi says of throttling; None on other machines."""
    value = _text(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if value is None and root == Path("/") and (command := shutil.which("vcgencmd")):
        try:
            done = subprocess.run([command, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
        except (OSError, subprocess.SubprocessError):
            return None
        value = done.stdout.strip().partition("=")[2]
    try:
        return None if not value else Throttling.decode(int(value, 16))
    except ValueError:
        return None
