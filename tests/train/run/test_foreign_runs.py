"""Runs from elsewhere that ended before their first epoch: begun again, they run no code that nobody named here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from edge_runtime import CheckpointError, Run  # noqa: E402
from edge_train import resume, train  # noqa: E402
from own_nets import write_nets  # noqa: E402
from quick_training import SMALL, equal, quick_settings, weights  # noqa: E402


def begin_anew(run: Run, **changes: Any) -> Run:
    """The run as it was before its first epoch was kept, with other settings in its config.json."""
    for name in ("last.pt", "best.pt", "metrics.csv", "summary.json"):
        (run.path / name).unlink(missing_ok=True)
    config = json.loads(run.config.read_text())
    config["settings"].update(changes)
    run.config.write_text(json.dumps(config))
    return run


@pytest.mark.parametrize("folds", [None, 2])
def test_code_that_the_settings_alone_name_is_not_run(folds: int | None, few_shapes: Path, tmp_path: Path) -> None:
    run = train(quick_settings(few_shapes, tmp_path / "runs", epochs=1, backbone=SMALL)).run
    evil = tmp_path / "evil.py"
    evil.write_text(
        f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n{Path(SMALL.rpartition(':')[0]).read_text()}"
    )
    begin_anew(run, backbone=f"{evil}:staged", folds=folds)
    with pytest.raises(CheckpointError, match=r"config\.json names two networks, .*evil\.py:staged and small_net"):
        resume(run)
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_moved_is_the_one_that_is_taken(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nets = write_nets(tmp_path)
    run = train(quick_settings(few_shapes, tmp_path / "runs", epochs=1, backbone=f"{nets}:plain")).run
    whole = weights(run)
    (tmp_path / "elsewhere").mkdir()
    shutil.move(nets, tmp_path / "elsewhere" / nets.name)
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert equal(weights(resume(begin_anew(run)).run), whole)
