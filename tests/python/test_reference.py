"""docs/reference.md is what its script makes of the docstrings."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from edge_runtime import missing_package

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    for extra in ("export", "serve"):
        if package := missing_package(extra):
            pytest.skip(f"{package} is absent")
    made = runpy.run_path(str(ROOT / "python" / "reference.py"))["reference"]()
    assert (ROOT / "docs" / "reference.md").read_text(encoding="utf-8") == made, "run python python/reference.py"
    # Nothing that is promised is left without words.
    assert "\n\n\n\n" not in made and made.count("\n## ") > 50
