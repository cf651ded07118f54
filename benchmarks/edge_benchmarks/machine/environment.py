"""The machine a benchmark ran on: a figure without it means nothing."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass

from edge_benchmarks.plain_data import PlainData
from edge_runtime import cpu_model, installed_memory_bytes, package_version, read_health, usable_cores

# Of the hundred names Linux gives, those that decide which of an engine's kernels run.
TELLING = frozenset(
    {"sse4_1", "avx", "avx2", "fma", "f16c"}
    | {"avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"}
    | {"asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2"}
)


@dataclass(frozen=True, slots=True)
class Environment(PlainData):
    """The machine and the software; None is what the system does not say.

    `threads` is what one inference may use, None where that differs between rows. `load` is the load average of the
    minute before; `virtual` whether the processor is lent by a hypervisor. `versions` are those of the packages whose
    work was timed.
    """

    cpu: str
    machine: str
    instruction_sets: tuple[str, ...]
    governor: str | None
    highest_clock_mhz: int | None
    virtual: bool | None
    cores: int
    usable_cores: int
    threads: int | None
    memory_bytes: int | None
    os: str
    kernel: str
    python: str
    onnxruntime: str | None
    edge: str | None
    versions: Mapping[str, str]
    load: float | None

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 2**30:.1f} GiB" if self.memory_bytes else ""
        cores = f"{self.threads} of {self.usable_cores} cores" if self.threads else f"{self.usable_cores} cores"
        return f"{self.cpu} ({cores}{memory}), {self.os}, Python {self.python}, onnxruntime {self.onnxruntime}"

    def lines(self) -> list[tuple[str, str]]:
        """All of it as a person reads it, a name and a value a line."""
        kind = {True: ", virtual", False: "", None: ""}[self.virtual]
        memory = "" if self.memory_bytes is None else f", {self.memory_bytes / 2**30:.1f} GiB"
        clock = "not stated" if self.highest_clock_mhz is None else f"up to {self.highest_clock_mhz} MHz"
        sets = [name for name in self.instruction_sets if name in TELLING]
        return [
            ("processor", f"{self.cpu} ({self.machine}{kind}), {self.usable_cores} of {self.cores} cores{memory}"),
            ("instructions", ", ".join(sets) or "not stated"),
            ("clock", f"{clock}, governor {self.governor or 'not stated'}"),
            ("system", f"{self.os}, kernel {self.kernel}"),
            ("software", ", ".join([f"Python {self.python}", *(f"{k} {v}" for k, v in self.versions.items())])),
        ]


def read_environment(*, threads: int | None = None, packages: tuple[str, ...] = ()) -> Environment:
    """The environment of this process; `threads` as for `Classifier`, by default the usable cores.

    `packages` are looked up in addition to those that every prediction uses.
    """
    health = read_health()
    names = ("edge-vision", "onnxruntime", "numpy", "pillow", *packages)
    versions = {name: version for name in names if (version := package_version(name)) is not None}
    return Environment(
        cpu=cpu_model(),
        machine=platform.machine(),
        instruction_sets=tuple(health.instruction_sets),
        governor=health.governor,
        highest_clock_mhz=health.highest_frequency_mhz,
        # Linux on x86 says so; other processors have no such flag.
        virtual="hypervisor" in health.instruction_sets if health.architecture == "x86_64" else None,
        cores=health.cores,
        usable_cores=health.usable_cores,
        threads=threads or usable_cores(),
        memory_bytes=health.memory_bytes or installed_memory_bytes(),
        os=_os_name(),
        kernel=platform.release(),
        python=platform.python_version(),
        onnxruntime=versions.get("onnxruntime"),
        edge=versions.get("edge-vision"),
        versions=versions,
        load=health.load,
    )


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0]}".strip()
