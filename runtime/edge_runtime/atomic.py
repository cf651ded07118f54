"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge_runtime.errors import OutputError

__all__ = ["atomic_path", "write_json", "write_text"]


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `target`; when the block ends well it becomes `target`, else it is removed.

    A reader never sees half a file, and a kill at any moment leaves what was there before. The data is
    on the disk before the rename (fsync), so the promise survives a power cut too.

    Raises:
        OutputError: the folder is missing or not writable, or the disk is full.
    """
    target = Path(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        # A path outside the target's folder is somebody else's failure and keeps its own words.
        if error.filename and Path(error.filename).parent != target.parent:
            raise
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}",
            "make room or choose another folder with --out",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 `text` to `target`, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as an indented JSON document, whole or not at all; NaN is refused, as JSON has none."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
