"""docs/reference/commands.md is what its script makes of the commands."""

from __future__ import annotations

import runpy
from pathlib import Path

from edge_cli.main import COMMANDS

ROOT = Path(__file__).parents[2]


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(ROOT / "cli" / "command_reference.py"))["command_reference"]()
    assert (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8") == made, (
        "run python cli/command_reference.py"
    )
    assert all(f"\n## edge {verb}\n" in made for verb in COMMANDS)
    assert "\n### edge data suspects\n" in made and "<code>--batch-size N</code> | 32 |" in made
