"""The journal of a watched folder: what became of each picture, so that none is lost or repeated, however it ends.

One JSON object a line, appended, and on the disk (fsync) before anything is done that it tells of:

    {"edge_watch": 1}
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "sha256": …, "answer": {…}, "move_to": PATH or null}
    {"done": NAME}                                          moved and told; only the last answer can be without
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "bad": WHY}
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "sha256": …, "same": true}     touched, its content as before
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from edge_runtime.errors import OutputError, UsageError

__all__ = ["Entry", "Journal"]

_HEADER = {"edge_watch": 1}
_ELSEWHERE = "name another file with --state"


@dataclass(frozen=True, slots=True)
class Entry:
    """One answered picture: its name below the watched folder, what told it apart, the answer, and where it goes."""

    name: str
    size_bytes: int
    changed_ns: int
    sha256: str
    answer: Mapping[str, Any]
    move_to: str | None = None


class Journal:
    """The journal at `path` of the watched `folder`, opened for this process alone.

    `unfinished` is the answer after which the last process was killed, before it was done with it.

    Raises:
        UsageError: the file is no journal, or another process works with it.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.unfinished: Entry | None = None
        self._folder = folder.resolve()
        self._known: dict[str, tuple[int, int, str]] = {}
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            # A pipe would be waited for.
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", _ELSEWHERE)
            self._file = os.open(path, flags, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}", _ELSEWHERE) from None
        try:
            self._lock()
            self._load()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def knows(self, name: str, size_bytes: int, changed_ns: int) -> bool:
        """Whether that very file was answered, or reported as bad."""
        known = self._known.get(name)
        return known is not None and known[:2] == (size_bytes, changed_ns)

    def digest(self, name: str, size_bytes: int) -> str:
        """SHA-256 of the file of that name and size when it was answered, empty where there is none."""
        known = self._known.get(name)
        return known[2] if known is not None and known[0] == size_bytes else ""

    def answered(self, entry: Entry) -> None:
        """Note an answer and what is about to be done; it is on the disk when this returns."""
        self._write({**_picture(entry.name, entry.size_bytes, entry.changed_ns, entry.sha256),
                     "answer": dict(entry.answer), "move_to": entry.move_to})  # fmt: skip
        self._learn(entry)

    def done(self, name: str) -> None:
        """Note that everything was done for the last answer."""
        # Not synced: after a power cut the reader of what was told is gone as well, and telling it again is right.
        self._write({"done": name}, sync=False)
        self.unfinished = None

    def bad(self, name: str, size_bytes: int, changed_ns: int, why: str) -> None:
        """Note that a file is no picture, so that it is reported once."""
        self._write({**_picture(name, size_bytes, changed_ns), "bad": why})
        self._known[name] = (size_bytes, changed_ns, "")

    def same(self, name: str, size_bytes: int, changed_ns: int) -> None:
        """Note that a file answered before has another time of change and the same content."""
        digest = self._known[name][2]
        self._write({**_picture(name, size_bytes, changed_ns, digest), "same": True}, sync=False)
        self._known[name] = (size_bytes, changed_ns, digest)

    def _learn(self, entry: Entry) -> None:
        value = (entry.size_bytes, entry.changed_ns, entry.sha256)
        self._known[entry.name] = value
        if entry.move_to is not None:
            # Sorted into a folder that is watched, it would be found there again.
            with suppress(ValueError):
                self._known[Path(entry.move_to).resolve().relative_to(self._folder).as_posix()] = value
        self.unfinished = entry

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two processes on one folder are not kept apart
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another process watches with {self.path}", f"stop it first, or {_ELSEWHERE}") from None
        except OSError:
            pass  # a file system without locks

    def _load(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise UsageError(f"{self.path} is not a regular file", _ELSEWHERE)
        header = json.dumps(_HEADER).encode("ascii") + b"\n"
        whole_bytes = 0
        try:
            with os.fdopen(os.dup(self._file), "rb") as lines:
                for number, line in enumerate(lines):
                    if not number and line != header and not header.startswith(line):
                        raise UsageError(f"{self.path} is not the journal of a watched folder", _ELSEWHERE)
                    if not line.endswith(b"\n"):
                        break
                    whole_bytes += len(line)
                    # What a failing disk left between whole lines tells nothing.
                    with suppress(ValueError, KeyError, TypeError):
                        self._read(json.loads(line))
            # A kill or a full disk leaves half a line: nothing was done yet that it would have told of.
            os.ftruncate(self._file, whole_bytes)
            if not whole_bytes:
                self._write(_HEADER)
        except OSError as error:
            raise OutputError(f"cannot use {self.path}: {error.strerror}", _ELSEWHERE) from None

    def _read(self, value: Mapping[str, Any]) -> None:
        if "done" in value:
            self.unfinished = None
        elif "answer" in value:
            self._learn(
                Entry(
                    name=str(value["picture"]),
                    size_bytes=int(value["size_bytes"]),
                    changed_ns=int(value["changed_ns"]),
                    sha256=str(value["sha256"]),
                    answer=dict(value["answer"]),
                    move_to=None if value["move_to"] is None else str(value["move_to"]),
                )
            )
        elif "picture" in value:
            self._known[value["picture"]] = (value["size_bytes"], value["changed_ns"], value.get("sha256", ""))

    def _write(self, value: Mapping[str, Any], *, sync: bool = True) -> None:
        data = json.dumps(value, allow_nan=False).encode("ascii") + b"\n"
        try:
            while data:
                data = data[os.write(self._file, data) :]
            if sync:
                os.fsync(self._file)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}", f"make room, or {_ELSEWHERE}") from None


def _picture(name: str, size_bytes: int, changed_ns: int, sha256: str = "") -> dict[str, Any]:
    value: dict[str, Any] = {"picture": name, "size_bytes": size_bytes, "changed_ns": changed_ns}
    return {**value, "sha256": sha256} if sha256 else value
