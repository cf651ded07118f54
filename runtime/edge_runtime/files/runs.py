"""Run folders: what `edge train` leaves behind, found again by the other commands."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import CheckpointError, UsageError
from edge_runtime.setting_kinds import as_kind

RUNS_FOLDER = Path("runs")


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder; the properties are the paths DESIGN promises, whether or not they exist yet."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def __fspath__(self) -> str:
        """The folder, so that a run stands wherever its path does."""
        return str(self.path)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Every resolved setting (JSON)."""
        return self.path / "config.json"

    @property
    def split(self) -> Path:
        """Which file went to train, val, test (CSV)."""
        return self.path / "split.csv"

    @property
    def metrics(self) -> Path:
        """One row per epoch (CSV)."""
        return self.path / "metrics.csv"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation accuracy."""
        return self.path / "best.pt"

    @property
    def last(self) -> Path:
        """The checkpoint of the last epoch."""
        return self.path / "last.pt"

    @property
    def summary(self) -> Path:
        """Final metrics, timings, parameters trained (JSON)."""
        return self.path / "summary.json"

    @property
    def model(self) -> Path:
        """The model file `edge export` makes."""
        return self.path / "model.onnx"

    @property
    def torchscript(self) -> Path:
        """The TorchScript file `edge export --format torchscript` makes."""
        return self.path / "model.torchscript.pt"

    def read_config(self) -> dict[str, Any]:
        """The settings in config.json. Raises CheckpointError where it is missing or damaged."""
        try:
            value = json.loads(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise CheckpointError(
                f"{self.path} is not a run folder: it has no config.json", "name one with `run`"
            ) from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"cannot read {self.config}: {error}", _ANOTHER) from error
        if not isinstance(value, dict):
            raise CheckpointError(f"{self.config} is not a JSON object", _ANOTHER)
        return value


def newest_run(root: str | Path = RUNS_FOLDER, *, needs: tuple[str, ...] = ("best.pt",)) -> Run:
    """The newest run below `root` that has one of the files `needs`.

    Newest is by the time the run was created, which its config.json holds, so that copying or touching
    a folder changes nothing. Of runs that were compared with each other, or tried in a sweep, it is the one found best.

    Raises:
        UsageError: there is no such run, or `root` cannot be read.
    """
    root = Path(as_kind(root, Path, "`root`"))
    there = _runs(root)
    runs = [(created, run) for run in there if (created := _created(run, needs))]
    runs += [(created, best) for run in there for created, best in _compared(run.path) if _created(best, needs)]
    if not runs and (unfinished := [run for run in there if _has(run.config)]):
        raise UsageError(
            f"there is no run with {' or '.join(needs)} in {root}/, but {len(unfinished)} without",
            f"name one with `run`, for example {unfinished[0].path}",
        )
    if not runs:
        raise UsageError(f"there is no run in {root}{'/' if root.is_dir() else ' (no such folder)'}", _TRAIN)
    return max(runs, key=lambda pair: (pair[0], pair[1].name))[1]


def find_run(name: str | os.PathLike[str] | Run, root: str | Path = RUNS_FOLDER) -> Run:
    """The run at the path `name`, or of that name below `root`; a Run as it is.

    Raises:
        UsageError: neither is a run folder, or `name` is no path.
    """
    if isinstance(name, Run):
        return name
    named, root = Path(as_kind(name, Path, "`run`")), Path(as_kind(root, Path, "`root`"))
    for path in (named, root / named):
        if _has(path / "config.json"):
            return Run(path)
    known = sorted((run.name for run in _runs(root) if _has(run.config)), reverse=True)[:3]
    hint = f"runs here: {', '.join(known)}" if known else _TRAIN
    raise UsageError(f"{name} is not a run folder", hint)


def find_runs(runs: object) -> tuple[Run, ...]:
    """Each run of one or several, which are a Run, a path or a name. Raises UsageError where one is none."""
    several: Any = runs if isinstance(runs, Iterable) and not isinstance(runs, str | os.PathLike) else [runs]
    return tuple(find_run(run) for run in several)


_ANOTHER = "name another run with `run`"
_TRAIN = "make one with edge train, or name one with `run`"


def _runs(root: Path) -> list[Run]:
    try:
        paths = sorted(root.iterdir()) if root.is_dir() else []
        return [Run(path) for path in paths if path.is_dir() and not path.name.startswith(".")]
    except OSError as error:
        raise UsageError(f"{root} cannot be read: {error.strerror}", "check its permissions") from None


def _compared(folder: Path) -> list[tuple[str, Run]]:
    """When a comparison or a sweep ended, and the run it found best, which lies beside it; nothing where it is none."""
    found = []
    for name in ("comparison.json", "tune.json"):
        with suppress(OSError, ValueError, KeyError, TypeError):
            value = json.loads((folder / name).read_text(encoding="utf-8"))
            found.append((str(value["created"]), Run(folder.parent / Path(value["best_run"]).name)))
    return found


def _created(run: Run, needs: tuple[str, ...]) -> str:
    """The run's creation time as ISO 8601 text, empty where it is no whole run or has none of the files `needs`."""
    if not any(_has(run.path / name) for name in needs):
        return ""
    try:
        return str(run.read_config().get("created", ""))
    except CheckpointError:
        return ""


def _has(path: Path) -> bool:
    """Whether a file is there and may be looked at."""
    try:
        return path.is_file()
    except OSError:
        return False
