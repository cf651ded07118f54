"""Which run a job of torchrun began: where it starts its processes again, they go on with it."""

from __future__ import annotations

import json
import os

from edge_runtime import CheckpointError, Run
from edge_train.run.kept_settings import as_kept_settings
from edge_train.run.processes import join_world
from edge_train.run.run_folder import plain_settings
from edge_train.run.versions import choose_device
from edge_train.settings import TrainSettings

# What torchrun calls a job that was given no name.
_UNNAMED = "none"


def job_id() -> str | None:
    """The name of the job that this process belongs to (`--rdzv-id`); None where there is none, or it has no name."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", _UNNAMED)
    return None if name == _UNNAMED or "RANK" not in os.environ else name


def find_begun(settings: TrainSettings) -> Run | None:
    """The unfinished run in `settings.out` that an earlier start of this job began with these settings; None if none.

    The first process looks, and tells the others.
    """
    name = job_id()
    if name is None:
        return None
    # In each process, so that none waits for one that was refused.
    settings, _ = as_kept_settings(settings)
    world, _ = join_world(choose_device(settings.device))
    return world.lead(lambda: _newest(settings, name))


def _newest(settings: TrainSettings, name: str) -> Run | None:
    wanted = _compared(plain_settings(settings))
    found: list[tuple[str, Run]] = []
    for folder in settings.out.iterdir() if settings.out.is_dir() else ():
        run = Run(folder)
        if run.summary.is_file() or not run.config.is_file():
            continue
        try:
            config = run.read_config()
        except CheckpointError:
            continue
        if config.get("torchrun") == name and _compared(config.get("settings", {})) == wanted:
            found.append((str(config.get("created")), run))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _compared(plain: dict[str, object]) -> dict[str, object]:
    # As a file has them: without tuples. The folder may be called otherwise from another machine.
    known: dict[str, object] = json.loads(json.dumps({key: plain[key] for key in plain if key != "out"}))
    return known
