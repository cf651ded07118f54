"""What the words after `edge predict` stand for: files, folders, patterns, a list of names, bytes on standard input.

They are found one after another while others are classified: beside the names of the one folder that is being read,
100,000 files take no more memory than ten.
"""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edge_runtime.errors import EdgeError, ImageError, UsageError
from edge_runtime.files.patterns import match_pattern
from edge_runtime.files.walk import DRAWING_SUFFIX, is_ignored, is_image, unreadable, walk_folder

STANDARD_INPUT = "-"
MAX_INPUT_BYTES = 500_000_000
CHUNK_BYTES = 65_536

OnProblem = Callable[[EdgeError], None]


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to classify: the name it was given by, and its path or its encoded bytes."""

    name: str
    image: str | bytes


def expand(names: Iterable[str], *, on_problem: OnProblem, stdin: BinaryIO | None = None) -> Iterator[Source]:
    """The pictures that `names` stand for, in the order given.

    A name is a file; a folder, of which every image at any depth is taken in natural order; `-`, the bytes of one
    picture on `stdin`; or a pattern (`*`, `?`, `[…]`, `**`), where no file has that very name. Of what a pattern
    matches, the images are taken, or all files where it ends in a suffix of its own, such as `*.dat`; like a folder it
    leaves out what edge draws itself, unless it ends as those names do. What stands for nothing, or cannot be read, is
    handed to `on_problem`, and the rest goes on.
    """
    for name in names:
        if name == STANDARD_INPUT and stdin is not None:
            try:
                yield Source(name, _read_all(stdin))
            except EdgeError as error:
                on_problem(error)
        elif os.path.isdir(name):  # noqa: PTH112 (a name such as "./x" must come back as it was given)
            none = UsageError(f"{name} has no images in it", "name an image, or another folder")
            yield from _some(_images(name, on_problem), none, on_problem)
        elif os.path.lexists(name):
            yield Source(name, name)
        else:
            import glob

            is_pattern = glob.has_magic(name)
            what = "matches no image" if is_pattern else "does not exist"
            none = UsageError(f"{name or repr(name)} {what}", "name an image or a folder of images")
            yield from _some(_matching(name, on_problem) if is_pattern else iter(()), none, on_problem)


def _some(sources: Iterator[Source], none: UsageError, on_problem: OnProblem) -> Iterator[Source]:
    """The sources; where there are none, that is a problem."""
    first = next(sources, None)
    if first is None:
        on_problem(none)
    else:
        yield first
        yield from sources


def read_names(file: BinaryIO) -> Iterator[list[str]]:
    """The names in a list, as `find` writes it: each ends in NUL (`-print0`) or in a newline, and empty ones are none.

    Which of the two it is, the first that are read decide. A list being written is read as far as it has come: it gives
    as many names at a time as there are without waiting for more. A byte order mark before them, as editors on Windows
    write it, is none of them.
    """
    read = getattr(file, "read1", file.read)
    rest, separator, begun = b"", b"", False
    while chunk := read(CHUNK_BYTES):
        rest += chunk
        if not begun and len(rest) < len(BOM_UTF8) and BOM_UTF8.startswith(rest):
            continue
        if not begun:
            rest, begun = rest.removeprefix(BOM_UTF8), True
        if not separator:
            separator = b"\0" if b"\0" in rest else b"\n" if b"\n" in rest else b""
        if separator:
            *whole, rest = rest.split(separator)
            yield _names(whole, separator)
    yield _names([rest], separator)


def _names(pieces: Iterable[bytes], separator: bytes) -> list[str]:
    names = (piece if separator == b"\0" else piece.removesuffix(b"\r") for piece in pieces)
    return [os.fsdecode(name) for name in names if name]


def _read_all(stdin: BinaryIO) -> bytes:
    data = stdin.read(MAX_INPUT_BYTES + 1)
    if len(data) > MAX_INPUT_BYTES:
        raise ImageError(
            f"standard input holds more than {MAX_INPUT_BYTES / 1e6:.0f} MB",
            "- takes the bytes of one picture",
            "oversized",
        )
    return data


def _matching(pattern: str, on_problem: OnProblem) -> Iterator[Source]:
    import glob

    suffix = os.path.splitext(pattern)[1]  # noqa: PTH122
    any_file = bool(suffix) and not glob.has_magic(suffix)
    for path in match_pattern(pattern):
        if _is_apart(path, pattern):
            continue
        if not os.path.isdir(path):  # noqa: PTH112
            if any_file or is_image(path):
                yield Source(path, path)
        # ** has matched what lies in the folder, too.
        elif "**" not in pattern:
            yield from _images(path, on_problem)


def _is_apart(path: str, pattern: str) -> bool:
    """Whether a match, or a folder on its way, is what a folder leaves out, and `pattern` does not name it either."""
    if pattern.endswith(DRAWING_SUFFIX):
        return False
    named = set(Path(pattern).parts)
    # A dot-entry is matched only where the pattern has the dot, too.
    return any(is_ignored(part) and part not in named and not part.startswith(".") for part in Path(path).parts)


def _images(folder: str, on_problem: OnProblem) -> Iterator[Source]:
    """Every image below `folder`."""
    for path in walk_folder(folder, on_error=lambda place, error: on_problem(unreadable(place, error))):
        if is_image(path):
            yield Source(path, path)
