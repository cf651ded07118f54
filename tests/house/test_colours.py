"""Colours are said in one place, edge_runtime/visual_style.py, and everything else takes them from there."""

from __future__ import annotations

import re

from parts import ROOT, packages

KINDS = {".py", ".html", ".css", ".svg", ".js", ".webmanifest"}
COLOUR = re.compile(
    r"(?<![\w&])#(?:[0-9a-f]{8}|[0-9a-f]{6}|[0-9a-f]{3,4})\b(?!-)"
    r"|\b(?:rgb|hsl)a?\(\s*\d|(?:color|background|fill|stroke)(?::\s*|=[\"'])(?:white|black|gr[ae]y|red|green|blue)\b",
    re.IGNORECASE,
)


def test_no_other_file_has_a_colour_of_its_own() -> None:
    folders = [*packages().values(), ROOT / "docs"]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in KINDS]
    own = {
        str(path.relative_to(ROOT)): found
        for path in files
        if path.name != "visual_style.py" and "site" not in path.relative_to(ROOT).parts
        if (found := COLOUR.findall(path.read_text(encoding="utf-8")))
    }
    assert not own
    text = (packages()["edge_runtime"] / "visual_style.py").read_text(encoding="utf-8")
    assert len(COLOUR.findall(text)) > 30, "this finds what there is"
