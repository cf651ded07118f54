"""The record of a model in use: a JSON line for every hundred answers, of which the newest ten thousand are kept."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import write_text
from edge_runtime.model.card import ModelCard
from edge_runtime.monitoring.answer_window import AnswerWindow

EVERY = 100
KEPT_LINES = 10_000
_ELSEWHERE = "name another file with `drift`"


class DriftRecord:
    """Appends the figures of an `AnswerWindow` to the file at `path`; threads may add at the same time.

    A line that cannot be written, as on a full disk, is told to `say` once and lost: the answers go on. Closing it
    writes what has come since the last line.

    Raises:
        UsageError: the file is no such record, or the model is of another kind.
        OutputError: the file cannot be written.
    """

    def __init__(
        self, path: Path, card: ModelCard, say: Callable[[str], object], *, every: int = EVERY, kept: int = KEPT_LINES
    ) -> None:
        self.path = path
        self._window, self._card = AnswerWindow(card), card
        self._say = say
        self._every, self._kept = every, kept
        self._lock = threading.Lock()
        self._failed = False
        self._written = 0
        self._lines = _count_lines(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @staticmethod
    def require_card(card: ModelCard) -> None:
        """Raise what a record of a model with that card, or its `renew`, would raise."""
        AnswerWindow(card)

    def renew(self, card: ModelCard) -> None:
        """Begin a new window for another model; the lines go on in the same file. Raises as the window does."""
        fresh = AnswerWindow(card)
        with self._lock:
            self._write()
            self._window, self._card, self._written = fresh, card, 0

    def figures(self) -> dict[str, Any]:
        """Those of the last answers, as a line has them."""
        with self._lock:
            return self._window.figures()

    def add(
        self,
        card: ModelCard,
        label: str,
        probability: float,
        *,
        unlike: bool = False,
        distance: float | None = None,
    ) -> None:
        """One more answer; that of another model than the window's, one that was replaced meanwhile, is passed over."""
        with self._lock:
            if card is not self._card:
                return
            self._window.add(label, probability, unlike=unlike, distance=distance)
            if self._window.images - self._written >= self._every:
                self._write()

    def close(self) -> None:
        """Write what has come since the last line."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        figures = self._window.figures()
        if figures["images"] == self._written:
            return
        self._written = figures["images"]
        line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **figures}) + "\n"
        try:
            if self._lines >= 2 * self._kept:
                kept = self.path.read_text(encoding="utf-8").splitlines()[-self._kept :]
                write_text(self.path, "".join(f"{each}\n" for each in kept))
                self._lines = len(kept)
            self._append(line)
            self._lines += 1
            self._failed = False
        except (OSError, OutputError) as error:
            if not self._failed:
                self._say(f"note: {self.path} cannot be written: {getattr(error, 'strerror', None) or error}")
            self._failed = True

    def _append(self, line: str) -> None:
        # Unbuffered: what a full disk has no room for must not be tried again when the file is closed.
        with self.path.open("ab", buffering=0) as file:
            start, rest = file.seek(0, os.SEEK_END), line.encode("ascii")
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                # The part that there was room for: the next line would be glued to it.
                with suppress(OSError):
                    file.truncate(start)
                raise


def _count_lines(path: Path) -> int:
    """How many lines the record has; 0 where there is none yet. Raises UsageError and OutputError."""
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is not a regular file", _ELSEWHERE)
        with path.open("a+b") as file:
            file.seek(0)
            lines = file.readlines()
            whole = lines[:-1] if lines and not lines[-1].endswith(b"\n") else lines
            if not (_is_line(whole[0]) if whole else all(map(_is_torn, lines))):
                raise UsageError(f"{path} is there and no record of drift", _ELSEWHERE)
            if whole is not lines:
                # A power cut left half a line.
                file.truncate(sum(map(len, whole)))
            return len(whole)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", _ELSEWHERE) from None


def _is_torn(line: bytes) -> bool:
    """Whether it is what a power cut leaves of a record's first line, and nobody else's file."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return line.startswith(b'{"time":') or not line.strip(b"\0")
    return _is_line(line)


def _is_line(line: bytes) -> bool:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and {"time", "images", "window"} <= value.keys()
