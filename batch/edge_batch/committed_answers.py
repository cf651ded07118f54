"""Files of answers as they become whole: what a person hears of a batch while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

from edge_batch.answers_folder import AnswersFolder

LOOK_S = 0.5


@dataclass(frozen=True, slots=True)
class FreshAnswers:
    """So many `pictures` more, with the errors of those that could not be read.

    `before` says that they were there when this call began.
    """

    pictures: int
    errors: tuple[str, ...]
    before: bool


OnAnswers = Callable[[FreshAnswers], None]


class Follower:
    """Looks which files of answers have become whole, and says it; `pictures` and `failed` are so far.

    `all_there` says that an earlier call had finished, whose note is believed.
    """

    def __init__(self, folder: AnswersFolder, on_answers: OnAnswers) -> None:
        self._folder, self._on_answers = folder, on_answers
        self._known: set[Path] = set()
        self.pictures = self.failed = 0
        self.all_there = False

    def look(self, *, before: bool = False) -> None:
        """Say what is new."""
        from pyarrow import parquet

        if (counts := self._folder.counts) is not None:
            self.pictures, self.failed, self.all_there = sum(counts), counts[1], True
            self._on_answers(FreshAnswers(self.pictures, (), before))
            return
        for file in self._folder.committed():
            if file not in self._known:
                cells = parquet.read_table(file, columns=["error"])["error"]
                errors = tuple(cells.drop_null().to_pylist())
                self._known.add(file)
                self.pictures += len(cells)
                self.failed += len(errors)
                self._on_answers(FreshAnswers(len(cells), errors, before))

    @contextmanager
    def following(self) -> Iterator[None]:
        """Say what is new, on another thread, until the block is left."""
        ended = Event()

        def follow() -> None:
            while not ended.wait(LOOK_S):
                # A folder on a network may be away for a moment, a file written once more; what counts is the end.
                with suppress(Exception):
                    self.look()

        thread = Thread(target=follow, name="edge-follower", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
