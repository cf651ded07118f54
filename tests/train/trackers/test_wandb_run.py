"""The files that Weights & Biases keeps offline have what was trained."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("wandb")

from tracked_runs import train_in_two_halves

BLOCK, HEADER = 32768, 7


def records(path: Path) -> Iterator[Any]:
    """What `path` holds: protocol buffers in LevelDB's log format, after seven bytes that say whose it is."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = path.read_bytes(), HEADER, b""
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        if kind == 0:
            break
        whole += data[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (1, 4):  # the whole of a record, or the last of its parts
            record = Record.FromString(whole)
            yield getattr(record, record.WhichOneof("record_type")), record.WhichOneof("record_type")
            whole = b""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_the_offline_files_are_of_one_run_in_two_halves(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    result = train_in_two_halves(few_shapes, tmp_path, "wandb")
    files = sorted(result.run.path.glob("wandb/offline-run-*/run-*.wandb"))
    halves = [list(records(file)) for file in files]
    assert len(halves) == 2
    runs = [record for half in halves for record, kind in half if kind == "run"]
    assert {run.run_id for run in runs} == {json.loads((result.run.path / "trackers.json").read_text())["wandb"]}
    assert {(run.project, run.display_name) for run in runs} == {("edge", result.run.name)}
    config = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    assert config["epochs"] == 3 and config["strategy"] == "scratch"
    for half, epochs in zip(halves, ([1, 2], [3]), strict=True):
        history = [record for record, kind in half if kind == "history"]
        assert [record.step.num for record in history] == epochs
        logged = [{"/".join(item.nested_key) or item.key: item.value_json for item in row.item} for row in history]
        assert {"train_loss", "val_accuracy", "learning_rate"} <= set.intersection(*map(set, logged))
    told = [record for record, kind in halves[1] if kind == "summary"]
    summary = {item.key or item.nested_key[0]: item.value_json for record in told for item in record.update}
    assert json.loads(summary["test/accuracy"]) == result.summary["metrics"]["test"]["accuracy"]
    assert (files[1].parent / "files" / "report.html").read_bytes() == (result.run.path / "report.html").read_bytes()
    assert list(files[1].parent.glob("files/media/images/confusion*.png"))
