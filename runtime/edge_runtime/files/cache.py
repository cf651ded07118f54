"""Where files that can be made again are kept."""

from __future__ import annotations

import os
from pathlib import Path

from edge_runtime.errors import OutputError


def cache_folder() -> Path:
    """`$EDGE_CACHE`, else `$XDG_CACHE_HOME/edge`, else `~/.cache/edge`; it need not exist yet.

    Raises OutputError when none of them can be told.
    """
    try:
        if chosen := os.environ.get("EDGE_CACHE"):
            return Path(chosen).expanduser().absolute()
        shared = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG base directory specification has relative paths ignored.
        base = Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        raise OutputError(
            "there is no home folder to keep a cache in", "set EDGE_CACHE to a folder that can be written"
        ) from None
    return base / "edge"
