"""The folder that answers are written to: what it is of, what of it is done, and that it holds nothing else.

    answers/*.parquet             the answers
    answers/_edge/run.json        the model, the listing and the settings they are of; "done" when all are there
    answers/_edge/listing.parquet, answers/_edge/checkpoint/, answers/_edge/ray.log     while they are made

Readers of Parquet folders pass over what begins with `_`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_batch.answer_columns import INDEX
from edge_batch.picture_listing import Listing
from edge_runtime import OutputError, UsageError, atomic_path, lock_file, write_json

FORMAT = 1
GROUP_ROWS = 512
_PENDING = ".pending"
# A path has lost one of the slashes; a letter alone is a drive of Windows.
_URI = re.compile(r"([A-Za-z][\w+.-]+):/+")


def answers_place(out: Path) -> Path:
    """The folder that `out` names, which may be written `file:///answers`. Raises UsageError for another URI."""
    if (uri := _URI.match(str(out))) is None:
        return out
    if uri[1].lower() == "file":
        return Path("/", str(out)[uri.end() :])
    given = f"{uri[1]}://{str(out)[uri.end() :]}"
    raise UsageError(f"`out` {given} is no folder", "name one, on a disk that every machine mounts")


@dataclass(frozen=True, slots=True)
class AnswersFolder:
    """The folder at `path`, absolute, whose answers are of what `promise` says."""

    path: Path
    promise: Mapping[str, Any]

    @property
    def inside(self) -> Path:
        """Where all lies that is no answer."""
        return self.path / "_edge"

    @property
    def log(self) -> Path:
        """Where Ray's own words go."""
        return self.inside / "ray.log"

    @property
    def listing(self) -> Path:
        """The pictures, by their place."""
        return self.inside / "listing.parquet"

    @property
    def ready(self) -> Path:
        """When each worker had opened the model, a line for each, in seconds since 1970."""
        return self.inside / "ready"

    @property
    def begun(self) -> Path:
        """What workers have begun and not ended."""
        return self.inside / "begun"

    @property
    def checkpoint(self) -> Path:
        """Where Ray keeps which of them are answered."""
        return self.inside / "checkpoint"

    @property
    def note(self) -> Path:
        """The note of what the answers are of."""
        return self.inside / "run.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """This process alone works on the folder, which is made where it is not there.

        Raises UsageError where another does, or the folder holds what is no answer, or answers of another model,
        listing or settings; OutputError where it cannot be made.
        """
        self._refuse_foreign()
        try:
            self.inside.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.inside / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise _unwritable(self.path, error) from None
        try:
            if not lock_file(handle):
                raise UsageError(f"another edge predict works on {self.path}", "wait for it, or name another `out`")
            self._refuse_other()
            yield
        finally:
            os.close(handle)

    def begin(self, listing: Listing) -> None:
        """Keep what the answers will be of, where that is not kept yet. Raises OutputError."""
        if self.note.exists():
            return
        import pyarrow as pa
        from pyarrow import parquet

        table = pa.table({INDEX: pa.array(range(len(listing.paths)), pa.int64()), "path": list(listing.paths)})
        with atomic_path(self.listing) as temporary:
            parquet.write_table(table, temporary, row_group_size=GROUP_ROWS)
        write_json(self.note, {**self.promise, "state": "begun"})

    def finish(self, counts: Mapping[str, int]) -> None:
        """Note that all answers are there, and take away what was kept to go on. Raises OutputError."""
        self.clear()
        write_json(self.note, {**self.promise, "state": "done", **counts})
        shutil.rmtree(self.checkpoint, ignore_errors=True)
        self.listing.unlink(missing_ok=True)
        self.ready.unlink(missing_ok=True)
        shutil.rmtree(self.begun, ignore_errors=True)

    @property
    def counts(self) -> tuple[int, int] | None:
        """How many pictures are answered and how many failed, once all are there; None before.

        What lies beside the note is not looked at then: whoever reads the answers may add to the folder.
        """
        said = _read(self.note) if self.note.exists() else {}
        if said.get("state") != "done":
            return None
        answered, failed = said.get("answered"), said.get("failed")
        if not isinstance(answered, int) or not isinstance(failed, int):
            raise UsageError(f"{self.note} is no note of this edge", "name another `out`")
        return answered, failed

    def committed(self) -> list[Path]:
        """The files of answers that are whole, so far."""
        whole = self._noted() - self._pending()
        return sorted(file for file in self._files() if _origin(file) in whole)

    def clear(self) -> None:
        """Take away files of answers that a kill left half done. Raises UsageError where one is none of these answers.

        Ray does the same where it begins again, which it does not where all is answered.
        """
        pending, noted = self._pending(), self._noted()
        for file in self._files():
            if _origin(file) in pending:
                file.unlink()
            elif _origin(file) not in noted:
                raise UsageError(
                    f"`out` {self.path} holds {file.name}, which is none of its answers: it is left alone",
                    "move it elsewhere",
                )

    def _files(self) -> list[Path]:
        """What may be files of answers, by their names."""
        return [file for file in self.path.glob("*.parquet") if not _is_passed_over(file.name)]

    def _noted(self) -> set[str]:
        return {name.stem.removesuffix(_PENDING) for name in self.checkpoint.glob("*.parquet")}

    def _pending(self) -> set[str]:
        return {name.stem.removesuffix(_PENDING) for name in self.checkpoint.glob(f"*{_PENDING}.parquet")}

    def count(self, pictures: int) -> NDArray[np.uint8]:
        """How many rows each picture has in the files that are whole: uint8 `[pictures]`, 255 for more than 254."""
        from pyarrow import parquet

        rows = np.zeros(pictures, np.int64)
        for file in self.committed():
            rows += np.bincount(parquet.read_table(file, columns=[INDEX])[INDEX].to_numpy(), minlength=pictures)
        return np.minimum(rows, 255).astype(np.uint8)

    def _refuse_foreign(self) -> None:
        if not os.path.lexists(self.path):
            return
        if not self.path.is_dir():
            raise UsageError(f"`out` {self.path} is no folder", "answers are files of a folder: name one")
        try:
            there = sorted(entry.name for entry in self.path.iterdir())
        except OSError as error:
            raise _unwritable(self.path, error) from None
        ours = self.inside.is_dir()
        foreign = [name for name in there if not (_is_passed_over(name) or (ours and name.endswith(".parquet")))]
        # It may be anything, such as answers of another program, where edge has not begun yet.
        foreign = foreign or [name for name in there if name.startswith("_") and not ours]
        if foreign:
            raise UsageError(
                f"`out` {self.path} holds {foreign[0]}, which is no answer: it is left alone", "name an empty folder"
            )

    def _refuse_other(self) -> None:
        """Raise UsageError where the answers that are there are of something else."""
        if not self.note.exists():
            if self._files():
                raise UsageError(f"`out` {self.path} holds Parquet that is none of edge", "name an empty folder")
            return
        said = _read(self.note)
        for key, what in (("model", "another model"), ("data", "other pictures"), ("settings", "other settings")):
            if _identity(said.get(key)) != _identity(self.promise[key]):
                raise UsageError(
                    f"`out` {self.path} has answers {_of(what, said.get(key), self.promise[key])}: none are mixed",
                    "name another `out`, or give what it was begun with",
                )
        if (version := said.get("edge")) != self.promise["edge"]:
            raise UsageError(f"`out` {self.path} was begun by edge {version}", "go on with that, or name another `out`")


def _is_passed_over(name: str) -> bool:
    """Whether readers of Parquet folders pass over it, or a system keeps it in any folder: `.DS_Store`, `.nfs…`."""
    return name.startswith((".", "_")) or name in ("Thumbs.db", "desktop.ini")


def _origin(file: Path) -> str:
    """What Ray's checkpoint calls the file, of which there may be several, by a number."""
    return file.stem.rpartition("-")[0]


def _identity(value: Any) -> Any:
    """What makes it the same: of a model and a listing its hash."""
    return value.get("sha256", value) if isinstance(value, dict) else value


def _of(what: str, old: Any, new: Any) -> str:
    if isinstance(old, dict) and isinstance(new, dict):
        if "pictures" in new:
            return f"to {what} ({old.get('pictures')}, now {new['pictures']}, or one of them changed)"
        if "sha256" in new:
            return f"of {what} ({str(old.get('sha256'))[:12]}, now {new['sha256'][:12]})"
        changed = [f"{name} {old.get(name)}, now {value}" for name, value in new.items() if old.get(name) != value]
        return f"by {what} ({'; '.join(changed)})"
    return f"of {what}"


def _read(note: Path) -> dict[str, Any]:
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        said = None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise UsageError(f"{note} is no note of this edge", "name another `out`")
    return said


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}", "choose another `out`")
