"""The folder of a sweep: found again by what the sweep is, and by one process at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_benchmarks.tuning.search_space import TuneSettings
from edge_runtime import EdgeError, OutputError, Run, UsageError, find_run, lock_file, write_json
from edge_train import TrainSettings, find_backbone

STATE = "tune.json"
PREFIX = "tune-"
# What may change between two commands of one sweep: where it runs, how many trials, and what is recommended.
_FREE = ("trials", "engine", "address", "grace_epochs", "reduction", "bench", "max_latency_ms", "keep_models")
_FREE_OF_EACH = ("out", "threads", "device", "track")


def identify(space: TuneSettings, base: TrainSettings, fingerprint: str) -> dict[str, Any]:
    """What makes a sweep the one that it is, as plain data: what is drawn from, all other settings, and the images.

    With them the code of networks that are not of the table, its hash or its version, and what the files held that
    trials begin with and learn from.
    """
    drawn = {field.name: getattr(space, field.name) for field in fields(space) if field.name not in _FREE}
    shared = {field.name: getattr(base, field.name) for field in fields(base) if field.name not in _FREE_OF_EACH}
    makers = {name: find_backbone(name).maker for name in space.backbones}
    code = {name: {**maker.identity, **maker.versions} for name, maker in makers.items() if maker is not None}
    more = {"code": code, "read": _read_by_trials(base)}
    told = {
        "drawn": drawn,
        "settings": shared,
        "images": fingerprint,
        **{key: each for key, each in more.items() if each},
    }
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def _read_by_trials(base: TrainSettings) -> dict[str, str]:
    """SHA-256 of the files of weights that are no backbone's own and of the teacher, as far as they are there."""
    from edge_train import parse_weights, sha256_of

    found = {}
    if isinstance(weights := parse_weights(base.weights), Path):
        found["weights"] = Run(weights).best if weights.is_dir() else weights
    if base.teacher is not None:
        # Where there is none, the trials say so.
        with suppress(EdgeError):
            found["teacher"] = find_run(base.teacher).best
    return {name: sha256_of(path) for name, path in found.items() if path.is_file()}


@contextmanager
def sweep_folder(out: Path, data: str, identity: Mapping[str, Any]) -> Iterator[tuple[Path, bool]]:
    """The newest folder in `out` of that sweep, or a new one; and whether it was there. Nobody else has it meanwhile.

    Raises:
        UsageError: another process is at it.
        OutputError: it cannot be made.
    """
    known = [path for path in _folders(out) if _read(path).get("sweep") == identity]
    folder = known[-1] if known else _make(out, data, identity)
    with (folder / "lock").open("wb") as file:
        if not lock_file(file.fileno()):
            raise UsageError(f"this sweep is going on in another process, in {folder}", "wait for it, or end it")
        yield folder, bool(known)


def write_state(folder: Path, identity: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Keep what came out of a sweep. Raises OutputError."""
    write_json(folder / STATE, {"created": _now(), "sweep": identity, **found})


def _folders(out: Path) -> list[Path]:
    try:
        return sorted(path for path in out.iterdir() if path.name.startswith(PREFIX)) if out.is_dir() else []
    except OSError as error:
        raise UsageError(f"{out} cannot be read: {error.strerror}", "check its permissions") from None


def _read(folder: Path) -> dict[str, Any]:
    try:
        value = json.loads((folder / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _make(out: Path, data: str, identity: Mapping[str, Any]) -> Path:
    from edge_train import make_stamped_folder, plain_name

    try:
        out.mkdir(parents=True, exist_ok=True)
        folder = make_stamped_folder(out, f"{PREFIX}{plain_name(data)}")
    except OSError as error:
        hint = "make room or choose another folder with `out`"
        raise OutputError(f"cannot make a folder in {out}: {error.strerror or error}", hint) from error
    write_json(folder / STATE, {"sweep": identity})
    return folder


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
