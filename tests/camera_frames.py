"""What the pages' cameras call their frames: the names of an evening, made of the very commands that are shown."""

from __future__ import annotations

import re
from datetime import date, timedelta

from documented_commands import code_blocks
from parts import ROOT

__all__ = ["evenings", "frame_name", "outputs"]


def outputs(page: str) -> list[str]:
    """What follows `--output` of each rpicam-still on a page below docs/, as a shell is given it."""
    pattern = re.compile(r"rpicam-still(?:.|\\\n)* --output (\S+(?: \S*%\S*)*?\.jpg)")
    # systemd takes one of two.
    return [
        name.replace("%%", "%").replace("$$", "$") if language == "ini" else name
        for language, block in code_blocks(ROOT / "docs" / page)
        for name in pattern.findall(block)
    ]


def frame_name(output: str, evening: date, number: int) -> str:
    """The name that the camera gives its frame of that number, once the shell has put in the day."""
    dated = re.sub(r"\$\(date \+([^)]*)\)", lambda match: evening.strftime(match[1]), output)
    return dated % number


def evenings(count: int) -> list[date]:
    return [date(2026, 11, 1) + timedelta(days=day) for day in range(count)]
