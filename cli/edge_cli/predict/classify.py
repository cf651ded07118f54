"""The pictures named on the command line, classified one after another."""

from __future__ import annotations

import io
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from edge_cli.console import over_bar
from edge_cli.flags import said_as_flags
from edge_cli.whole_writes import whole_write
from edge_runtime import STANDARD_INPUT, EdgeError, ImageError, Source, UsageError, expand, read_names

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_cli.predict.output import Output
    from edge_runtime import ImageClassifier, Prediction


class Pictures:
    """The pictures that names and a list of names stand for, found while others are classified.

    `failed` counts what stood for nothing; `count` is 1 where there is one picture and that is known, else None.
    `once` tells that no picture can come twice.

    Raises the EdgeError of the only name where that stands for no picture, UsageError where none of several does.
    """

    def __init__(self, names: Sequence[str], files_from: Path | None) -> None:
        if not names and files_from is None:
            raise UsageError("no image is named", "edge predict --image x.png")
        listed_on_stdin = files_from is not None and str(files_from) == STANDARD_INPUT
        if STANDARD_INPUT in names and (listed_on_stdin or names.count(STANDARD_INPUT) > 1):
            raise UsageError("standard input can be read once", "give - once")
        self.failed = 0
        self.once = len(names) == 1 and files_from is None
        # Whoever writes a list while it is read may wait to hear of a name before the next.
        self._held: list[EdgeError] | None = None if listed_on_stdin else []
        found = chain(
            expand(names, on_problem=self._problem, stdin=_stdin()),
            () if files_from is None else self._listed(files_from),
        )
        # Or for the first answer.
        first = list(islice(filter(None, found), 1 if listed_on_stdin else 2))
        held, self._held = self._held or [], None
        if not first and not self.failed:
            raise UsageError(f"{files_from} names no pictures", "one name a line")
        if not first and self.failed == len(held) == 1:
            raise held[0]
        for error in held:
            say_problem(error)
        if not first:
            raise UsageError("none of the names stands for a picture", "see the lines above")
        self.count = None if listed_on_stdin or len(first) > 1 else 1
        self._found = chain(first, found)
        self._ended = False

    def bursts(self) -> Iterator[Iterator[Source]]:
        """The pictures, as many at a time as there are without waiting for names; each is used up before the next."""
        while not self._ended:
            yield self._burst()

    def _burst(self) -> Iterator[Source]:
        for source in self._found:
            if source is None:
                return
            yield source
        self._ended = True

    def _listed(self, path: Path) -> Iterator[Source | None]:
        """What a list names, and None where more names may have to be waited for."""
        with open_stream(path, "--files-from") as file:
            for names in read_names(file):
                # A `-` in a list is a file's name; only on the command line does it mean standard input.
                yield from expand(names, on_problem=self._problem)
                yield None

    def _problem(self, error: EdgeError) -> None:
        self.failed += 1
        if self._held is None:
            say_problem(error)
        else:
            self._held.append(error)


def classify(
    classifier: ImageClassifier,
    pictures: Pictures,
    output: Output,
    console: Console,
    *,
    save_input: Path | None = None,
    prints: bool = True,
) -> int:
    """Hand each answer to `output` in the order given, and say on stderr what cannot be classified; the exit code.

    `prints` says that it prints them: on a terminal that stands in a bar's place.
    """
    failed = 0
    try:
        with console:
            if pictures.count is None and not (prints and sys.stdout.isatty()):
                console.begin("classifying", None)
            for name, answer in _answers(classifier, pictures, save_input):
                console.advance()
                with whole_write():
                    if isinstance(answer, ImageError):
                        failed += 1
                        say_problem(answer)
                        output.fail(name, answer)
                    else:
                        output.write(answer)
    except (EdgeError, KeyboardInterrupt):
        output.cut_off()
        raise
    output.end()
    return 1 if failed or pictures.failed else 0


def _answers(
    classifier: ImageClassifier, pictures: Pictures, save_input: Path | None
) -> Iterator[tuple[str, Prediction | ImageError]]:
    """The name of each picture, and its answer or why it has none."""
    if pictures.count == 1:
        # One picture needs no thread to decode ahead of it.
        source = next(next(pictures.bursts()))
        try:
            if save_input is None:
                yield source.name, replace(classifier.predict(source.image), image=source.name)
            else:
                yield source.name, _predict_and_save(classifier, source, save_input)
        except ImageError as error:
            yield source.name, error
        return
    for burst in pictures.bursts():
        names: deque[str] = deque()
        for answer in classifier.predict_many(_images(burst, names), on_error="return"):
            name = names.popleft()
            if isinstance(answer, ImageError) or answer.image == name:
                yield name, answer
            else:
                yield name, replace(answer, image=name)


def _images(burst: Iterator[Source], names: deque[str]) -> Iterator[str | bytes]:
    for source in burst:
        names.append(source.name)
        yield source.image


def _predict_and_save(classifier: ImageClassifier, source: Source, target: Path) -> Prediction:
    """The answer for what `target` shows: the model's input, after resizing and cropping."""
    from edge_cli.predict.seen_input import write_input

    pixels = classifier.preprocessing(source.image)
    write_input(target, pixels)
    return classifier.predict_input(pixels, source.name)


def _stdin() -> BinaryIO:
    # The caller may have closed it: then it is empty.
    return io.BytesIO() if sys.stdin is None else sys.stdin.buffer


@contextmanager
def open_stream(path: Path, flag: str) -> Iterator[BinaryIO]:
    """The file that `flag` names, or standard input for -. Raises UsageError."""
    if str(path) == STANDARD_INPUT:
        yield _stdin()
        return
    try:
        file: BinaryIO = path.open("rb")
    except OSError as error:
        raise UsageError(f"{flag} {path} cannot be read: {error.strerror}", "name a file, or - for stdin") from None
    with file:
        yield file


def say_problem(error: EdgeError) -> None:
    """One line on stderr, while others go on."""
    sys.stderr.write(f"{over_bar()}error: {said_as_flags(str(error))}\n")
    sys.stderr.flush()
