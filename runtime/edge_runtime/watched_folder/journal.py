"""The journal of a watched folder: what became of each picture, so that none is lost or repeated, however it ends.

One JSON object a line, appended, and on the disk (fsync) before anything is done that it tells of:

    {"edge_watch": 1}
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "sha256": …, "answer": {…}, "move_to": PATH or null}
    {"done": NAME}                                          moved and told; only the last answer can be without
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "bad": WHY}
    {"picture": NAME, "size_bytes": …, "changed_ns": …, "sha256": …, "same": true}     touched, its content as before

When it has grown long it is written anew, a line for each picture: those in the folder, and of those that are there no
more the last 50,000, for a copying program may bring them again.
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
from edge_runtime.files.atomic import lock_file, sync_folder

REMEMBERED = 50_000

_HEADER = {"edge_watch": 1}
_ELSEWHERE = "name another file with `state`"
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


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
        # In the order in which they were last written.
        self._known: dict[str, tuple[int, int, str]] = {}
        # Folders by label are few, and resolving one for each of 100,000 lines takes long.
        self._resolved: dict[str, Path] = {}
        self._lines = 0
        self._most_lines = 2 * REMEMBERED
        try:
            # A pipe would be waited for.
            if path.exists() and not path.is_file():
                raise UsageError(f"{path} is not a regular file", _ELSEWHERE)
            self._file = os.open(path, _APPEND, 0o666)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}", _ELSEWHERE) from None
        try:
            self._lock()
            self._load()
            self._shorten()
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
        self._shorten()

    def bad(self, name: str, size_bytes: int, changed_ns: int, why: str) -> None:
        """Note that a file is no picture, so that it is reported once."""
        self._write({**_picture(name, size_bytes, changed_ns), "bad": why})
        self._know(name, (size_bytes, changed_ns, ""))

    def same(self, name: str, size_bytes: int, changed_ns: int) -> None:
        """Note that a file answered before has another time of change and the same content."""
        digest = self._known[name][2]
        self._write({**_picture(name, size_bytes, changed_ns, digest), "same": True}, sync=False)
        self._know(name, (size_bytes, changed_ns, digest))

    def _know(self, name: str, value: tuple[int, int, str]) -> None:
        self._known.pop(name, None)
        self._known[name] = value

    def _learn(self, entry: Entry) -> None:
        value = (entry.size_bytes, entry.changed_ns, entry.sha256)
        self._know(entry.name, value)
        if entry.move_to is not None:
            # Sorted into a folder that is watched, it would be found there again.
            with suppress(ValueError):
                self._know(self._below_folder(entry.move_to), value)
        self.unfinished = entry

    def _below_folder(self, path: str) -> str:
        """The posix path of `path` below the watched folder; ValueError where it lies elsewhere."""
        parent, name = os.path.split(path)
        if parent not in self._resolved:
            self._resolved[parent] = Path(parent).resolve()
        return (self._resolved[parent] / name).relative_to(self._folder).as_posix()

    def _lock(self) -> None:
        try:
            # Between opening and locking, the process that had it may have written it anew.
            ours = lock_file(self._file) and os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            ours = False
        if not ours:
            raise UsageError(f"another process watches with {self.path}", f"stop it first, or {_ELSEWHERE}")

    def _load(self) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise UsageError(f"{self.path} is not a regular file", _ELSEWHERE)
        header = _line(_HEADER)
        whole_bytes = 0
        try:
            with os.fdopen(os.dup(self._file), "rb") as lines:
                for number, line in enumerate(lines):
                    if not number and line != header and not header.startswith(line):
                        raise UsageError(f"{self.path} is not the journal of a watched folder", _ELSEWHERE)
                    if not line.endswith(b"\n"):
                        break
                    whole_bytes += len(line)
                    self._lines += 1
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
            self._know(value["picture"], (value["size_bytes"], value["changed_ns"], value.get("sha256", "")))

    def _write(self, value: Mapping[str, Any], *, sync: bool = True) -> None:
        try:
            _append(self._file, _line(value))
            self._lines += 1
            if sync:
                os.fsync(self._file)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}", f"make room, or {_ELSEWHERE}") from None

    def _shorten(self) -> None:
        """Once it has grown long, forget pictures that are long gone, and write it anew where that makes it shorter."""
        if self._lines <= self._most_lines or self.unfinished is not None:
            return
        gone = [name for name in self._known if not os.path.lexists(os.path.join(self._folder, name))]  # noqa: PTH118
        for name in gone[: max(0, len(gone) - REMEMBERED)]:
            del self._known[name]
        if self._lines > len(self._known) + REMEMBERED:
            # Where there is no room for a second one, it goes on growing.
            with suppress(OSError):
                self._write_anew()
        self._most_lines = self._lines + 2 * REMEMBERED

    def _write_anew(self) -> None:
        # Under the lock the name is ours; what a killed process left there is written over.
        path = self.path.with_name(f"{self.path.name}.new")
        file = os.open(path, _APPEND | os.O_TRUNC, 0o666)
        try:
            lock_file(file)
            lines = [_HEADER, *(_picture(name, *value) for name, value in self._known.items())]
            _append(file, b"".join(map(_line, lines)))
            os.fsync(file)
            path.replace(self.path)
            # What is appended from now on must not be lost with the name.
            sync_folder(path.parent)
        except BaseException:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        os.close(self._file)
        self._file, self._lines = file, len(lines)


def _append(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, allow_nan=False).encode("ascii") + b"\n"


def _picture(name: str, size_bytes: int, changed_ns: int, sha256: str = "") -> dict[str, Any]:
    value: dict[str, Any] = {"picture": name, "size_bytes": size_bytes, "changed_ns": changed_ns}
    return {**value, "sha256": sha256} if sha256 else value
