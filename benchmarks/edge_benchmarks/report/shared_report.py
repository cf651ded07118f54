"""A report that may be given to strangers: what a kind of machine took for known networks, and nothing of its owner."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_benchmarks.machine.environment import TELLING
from edge_benchmarks.plain_data import PlainData
from edge_benchmarks.report.report import Report, Row
from edge_runtime import UsageError

SHARED_SCHEMA = 1
# torchvision's and timm's names; a network of one's own is called by its file and function.
_PUBLIC_NAME = re.compile(r"[a-z0-9_]+|timm:[\w.]+")
_NOT_PUBLIC = frozenset({"foreign"})


@dataclass(frozen=True, slots=True)
class SharedMachine(PlainData):
    """A kind of machine, and the software that its figures depend on; None is what the system does not say."""

    cpu: str
    machine: str
    instruction_sets: tuple[str, ...]
    virtual: bool | None
    usable_cores: int
    memory_gib: int | None
    os: str
    python: str
    onnxruntime: str | None
    edge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedRow(PlainData):
    """What one network took, one image at a time unless it says otherwise; None is what was not measured.

    `backbone` says what makes it another than the plain one of that name: "mobilenet_v2, pruned 0.5".
    """

    backbone: str
    precision: str
    engine: str
    threads: int
    input_px: str
    p50_ms: float
    p90_ms: float
    n: int
    end_to_end_p50_ms: float | None
    batch: int
    images_per_s: float
    size_bytes: int
    peak_bytes: int | None
    noisy: bool
    throttled: bool


@dataclass(frozen=True, slots=True)
class SharedReport(PlainData):
    """Rows of one machine, measured in `month`, "2026-11"."""

    schema: int
    month: str
    machine: SharedMachine
    rows: tuple[SharedRow, ...]


def share_report(report: Report) -> SharedReport:
    """What of `report` is of use to others: no path, file name, hash, label, picture, kernel or hour.

    Networks that are not known by a public name are left out. Raises UsageError where there is no other.
    """
    require_public(row.backbone for row in report.rows)
    rows = tuple(_row(row) for row in report.rows if is_public(row.backbone))
    own = report.environment
    memory = None if own.memory_bytes is None else round(own.memory_bytes / 2**30)
    machine = SharedMachine(
        cpu=own.cpu,
        machine=own.machine,
        instruction_sets=tuple(name for name in own.instruction_sets if name in TELLING),
        virtual=own.virtual,
        usable_cores=own.usable_cores,
        memory_gib=memory,
        os=own.os,
        python=own.python,
        onnxruntime=own.onnxruntime,
        edge=own.edge,
    )
    return SharedReport(SHARED_SCHEMA, report.created[:7], machine, rows)


def is_public(backbone: str) -> bool:
    """Whether a network is one that others know by its name."""
    return backbone not in _NOT_PUBLIC and _PUBLIC_NAME.fullmatch(backbone) is not None


def require_public(backbones: Iterable[str]) -> None:
    """Raise UsageError where none of them is public: there is then nothing to share."""
    if not any(map(is_public, backbones)):
        raise UsageError(
            "nothing to share: none of the models is of a backbone with a public name",
            "measure an export of edge, or `backbones` mobilenet_v2",
        )


def _row(row: Row) -> SharedRow:
    return SharedRow(
        backbone=", ".join((row.backbone, *row.variant)),
        precision=row.precision,
        engine=row.engine,
        threads=row.threads,
        input_px=row.input_px,
        p50_ms=round(row.latency.p50_ms, 4),
        p90_ms=round(row.latency.p90_ms, 4),
        n=row.latency.n,
        end_to_end_p50_ms=None if row.end_to_end is None else round(row.end_to_end.p50_ms, 4),
        batch=row.throughput.batch,
        images_per_s=round(row.throughput.images_per_s, 2),
        size_bytes=row.size_bytes,
        peak_bytes=row.cold_start.peak_bytes,
        noisy=row.noisy,
        throttled=bool(row.throttled),
    )


def read_shared(path: Path) -> SharedReport:
    """What `edge bench --share` wrote. Raises UsageError where the file is none of those."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        found = SharedReport.from_json(value)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not what edge bench --share writes: {error!r}") from None
    if found.schema != SHARED_SCHEMA:
        raise UsageError(f"{path} has schema {found.schema}; this edge reads {SHARED_SCHEMA}")
    return found
