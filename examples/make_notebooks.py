"""Writes a notebook beside each script of the course, by jupytext, without outputs: make notebooks"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext

FOLDER = Path(__file__).parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook_of(script: Path) -> str:
    """The notebook of a script in the percent format, as its file holds it."""
    notebook: Any = jupytext.read(script)
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells, start=1):
        # Drawn by chance otherwise: a new one for every cell in every change.
        cell["id"] = f"cell-{number}"
    return jupytext.writes(notebook, fmt="ipynb").rstrip("\n") + "\n"


def scripts() -> list[Path]:
    """The scripts of the course, in its order."""
    return sorted(FOLDER.glob("[0-9][0-9]_*.py"))


if __name__ == "__main__":
    for script in scripts():
        script.with_suffix(".ipynb").write_text(notebook_of(script), encoding="utf-8")
        print(script.with_suffix(".ipynb"))
