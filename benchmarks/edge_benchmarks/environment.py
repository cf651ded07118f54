"""The machine a benchmark ran on: a figure without it means nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from edge_runtime import cpu_model, usable_cores

__all__ = ["Environment", "read_environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """The machine and the software; None is what the system does not say. `threads` is what one inference may use."""

    cpu: str
    machine: str
    usable_cores: int
    threads: int
    memory_bytes: int | None
    os: str
    kernel: str
    python: str
    onnxruntime: str | None
    edge: str | None

    def to_json(self) -> dict[str, Any]:
        """As `edge bench --json` prints it."""
        return asdict(self)

    def __str__(self) -> str:
        memory = f", {self.memory_bytes / 2**30:.1f} GiB" if self.memory_bytes else ""
        cores = f"{self.threads} of {self.usable_cores} cores"
        return f"{self.cpu} ({cores}{memory}), {self.os}, Python {self.python}, onnxruntime {self.onnxruntime}"


def read_environment(*, threads: int | None = None) -> Environment:
    """The environment of this process; `threads` as for `Classifier`, by default the usable cores."""
    cores = usable_cores()
    return Environment(
        cpu=cpu_model(),
        machine=platform.machine(),
        usable_cores=cores,
        threads=threads or cores,
        memory_bytes=_memory_bytes(),
        os=_os_name(),
        kernel=platform.release(),
        python=platform.python_version(),
        onnxruntime=_version("onnxruntime"),
        edge=_version("edge-vision"),
    )


def _memory_bytes() -> int | None:
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):
        return None


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.mac_ver()[0]}".strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
