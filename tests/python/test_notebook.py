"""examples/strategies.ipynb runs from top to bottom, and is kept without what it shows."""

from __future__ import annotations

import json
import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "strategies.ipynb"


def test_it_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_shows_tables_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("nbclient", "ipykernel", "torch"):
        pytest.importorskip(package)
    import nbformat
    from nbclient import NotebookClient

    from edge_data import draw_shapes
    from quick_training import write_weights

    draw_shapes(tmp_path / "shapes", counts=(24, 9, 9))
    write_weights(tmp_path / "weights.pth")
    notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
    settings = next(cell for cell in notebook.cells if cell.id == "settings")
    for usual, quick in (
        ('data="shapes"', 'data="./shapes", image_size=32, threads=1'),
        ('weights="default"', 'weights="weights.pth"'),
        ("epochs=8", "epochs=2"),
    ):
        assert usual in settings.source
        settings.source = settings.source.replace(usual, quick)
    # The kernel is a process of its own; what the tests import need not be installed.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*_parts(), os.environ.get("PYTHONPATH", "")]))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    tables = [re.sub(r"\x1b\[\d*m", "", out.data["text/plain"]) for out in shown["compare"] if "data" in out]
    assert [table.split()[0] for table in tables] == ["feature-extraction", "fine-tune", "scratch"]
    assert all(table.count("%") == 2 for table in tables)
    assert [set(output.data) & {"image/png"} for output in shown["pictures"]] == [{"image/png"}] * 2
    assert "confusion" in shown["page"][0].data["text/html"].lower()


def _parts() -> list[str]:
    specs = [find_spec(name) for name in ("edge_vision", "edge_train", "edge_data", "edge_runtime")]
    return [str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin]
