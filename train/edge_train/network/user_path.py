"""The path that a user named, with a `~` in front of it."""

from __future__ import annotations

from pathlib import Path


def user_path(text: str | Path) -> Path:
    """The path with a home folder in the place of `~`; the home of nobody is left, and there is no file in it."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)
