"""The errors a user can meet.

EdgeError                 exit 1   the work failed
├── ImageError                     an image cannot be decoded
├── ModelError                     a model file cannot be used
├── CheckpointError                a checkpoint cannot be used
├── WeightsError                   pretrained weights cannot be had or do not fit
├── ParityError                    an exported file does not equal its checkpoint
├── OutputError                    a result cannot be written
└── UsageError            exit 2   wrong usage or settings
    ├── DataError                  a data folder is not laid out as it must be
    └── MissingExtraError          a command needs an extra that is not installed
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias


def one_line(text: str) -> str:
    """`text` with control characters spelled out: a file's name or a label may hold line ends and terminal commands."""
    if text.isprintable():
        return text
    return re.sub("[\0-\x1f\x7f-\x9f\u2028\u2029]", lambda char: char[0].encode("unicode_escape").decode(), text)


class EdgeError(Exception):
    """What is wrong with which file or value (`message`), then what to do about it (`hint`); one line each."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.message = one_line(message)
        self.hint = one_line(hint)

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


ImageProblem: TypeAlias = Literal[
    "missing",  # no such file or folder, or a link to none
    "no-file",  # a folder, a device or a thing of another type
    "unreadable",  # may not be read, or the disk fails
    "oversized",  # a file of more bytes than any picture has
    "not-an-image",  # empty, or of no format edge reads
    "not-supported",  # of a format edge reads, but a package that does it is not installed
    "truncated",
    "damaged",
    "hostile",  # parts far beyond what any encoder writes
    "too-large",  # more pixels than the limit, or more memory for them
    "no-memory",  # within the limit, but not within what is free
    "colour-space",
]


class ImageError(EdgeError):
    """An image cannot be decoded; `kind` says why, for programs."""

    def __init__(self, message: str, hint: str, kind: ImageProblem) -> None:
        super().__init__(message, hint)
        self.kind = kind
        self.args = (message, hint, kind)


class ModelError(EdgeError):
    """A model file is missing, damaged, foreign or of a newer format."""


class CheckpointError(EdgeError):
    """A checkpoint or run folder is missing, damaged or of a newer format."""


class WeightsError(EdgeError):
    """Pretrained weights cannot be downloaded or do not fit the backbone."""


class ParityError(EdgeError):
    """An exported file does not give what its checkpoint gives."""


class OutputError(EdgeError):
    """A result cannot be written where it was asked for."""


class UsageError(EdgeError):
    """A flag, a setting or a combination of them makes no sense."""

    exit_code = 2


class DataError(UsageError):
    """A data folder is empty, a file, or not laid out in class folders."""


class MissingExtraError(UsageError, ImportError):
    """A command needs packages that the base install does not bring; an ImportError, for those who try an import."""

    def __init__(self, extra: str, package: str) -> None:
        self.extra, self.package = extra, package
        super().__init__(
            f"this needs {package}, which is not installed",
            f"pip install 'edge-vision[{extra}]', or in a clone of the project pip install '.[{extra}]'",
        )

    def __reduce__(self) -> tuple[object, ...]:
        return MissingExtraError, (self.extra, self.package)
