"""edge serve --model NAME=FILE: several model files, each under a name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_runtime import UsageError


def named_models(words: Sequence[str]) -> Path | Mapping[str, Path]:
    """The file of one word without a name, else the files by name; of those without one their file's name is taken.

    Raises UsageError where a name or a file is missing, or two have one name.
    """
    if len(words) == 1 and _split(words[0])[0] is None:
        return Path(words[0])
    found: dict[str, Path] = {}
    for word in words:
        name, file = _split(word)
        if name == "" or not file:
            raise UsageError(f"`model` {word!r} lacks a {'name' if file else 'file'}", "--model cats=cats.onnx")
        name = Path(file).stem if name is None else name
        if name in found:
            raise UsageError(f"`model` {name} is there twice: {found[name]} and {file}", "--model NAME=FILE names them")
        found[name] = Path(file)
    return found


def _split(word: str) -> tuple[str | None, str]:
    """Name and file; None where there is no name. A file whose own name has an equals sign is a file."""
    name, mark, file = word.partition("=")
    # Unlike a Path's, it knows of no file where the name is longer than any may be.
    return (None, word) if not mark or "/" in name or os.path.lexists(word) else (name, file)
