"""export.json keeps each file that was exported once, whoever else exports from the run meanwhile."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnx")

from edge_export import export
from edge_export.record import write_record
from edge_runtime import Run


def test_exports_at_once_are_all_noted_and_each_file_once(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(Path(shutil.copytree(run_folder, tmp_path / "run")))
    (done,) = export(run)
    files = [replace(done, path=run.path / f"{number}.onnx") for number in range(16)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: write_record(run, [file]), files))

    noted = [entry["file"] for entry in json.loads((run.path / "export.json").read_text())["files"]]
    assert sorted(noted) == sorted(str(file.path) for file in (done, *files))
    assert not list(run.path.glob(".*"))
    monkeypatch.chdir(tmp_path)
    write_record(Run(Path("run")), [replace(done, path=Path("run/model.onnx"))])
    again = [entry["file"] for entry in json.loads((run.path / "export.json").read_text())["files"]]
    assert again == noted
