"""Workers that die again and again at the same pictures: counted on the disk, since whoever dies cannot tell.

Ray gives the work of a process that dies to another, and for want of memory it does so without end. A block of
pictures that has been begun too often is an error that ends the batch, and tells the picture that was being read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_runtime import EdgeError, write_json

# More than a machine that fails costs a block, and few enough to end within minutes.
MOST_DEATHS = 5
_HINT = "free memory, or take what cannot be read out of the data; the same command goes on"


class WorkerDeaths:
    """What workers have begun and not ended, in files of `folder`, which all machines share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def forget(self) -> None:
        """Begin to count: what was begun before has ended otherwise."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What is raised within can be had by `told`, too: on its way to the driver Ray makes other errors of it."""
        try:
            yield
        except EdgeError as error:
            with suppress(OSError):
                write_json(self._folder / "error.json", {"message": error.message, "hint": error.hint})
            raise

    def told(self) -> EdgeError | None:
        """What a worker ended the batch with, if one did."""
        try:
            said = json.loads((self._folder / "error.json").read_text(encoding="utf-8"))
            return EdgeError(said["message"], said["hint"])
        except (OSError, ValueError):
            return None

    def begin(self, block: int) -> Block:
        """A worker begins the block whose first picture has the place `block`. Raises EdgeError where too many died."""
        begun = self._folder / f"block-{block}"
        with begun.open("ab") as file:
            file.write(b".")
            times = file.tell()
        return Block(begun, times)


class Block:
    """A block in work for the n-th time, which from the second on says what picture it is at."""

    def __init__(self, begun: Path, times: int) -> None:
        self._begun, self._at = begun, begun.with_name(f"{begun.name}-at")
        if times > MOST_DEATHS:
            raise EdgeError(self._told(times - 1), _HINT)
        self._tells = times > 1

    def at(self, path: str) -> None:
        """The picture at `path` is read next."""
        if self._tells:
            with suppress(OSError):
                self._at.write_text(path, encoding="utf-8")

    def end(self) -> None:
        """The block is answered."""
        self._begun.unlink(missing_ok=True)
        self._at.unlink(missing_ok=True)

    def _told(self, died: int) -> str:
        try:
            return f"{died} workers in turn died of the same pictures, the last one at {self._at.read_text('utf-8')}"
        except (OSError, ValueError):
            return f"{died} workers in turn died of the same pictures"
