"""edge predict --mjpeg: a JSON line for each frame of a camera's stream, until it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from edge_cli.predict.classify import open_stream, say_problem
from edge_cli.predict.output import JsonLines
from edge_runtime import ImageError, read_frames

if TYPE_CHECKING:
    from edge_runtime import ImageClassifier

Frame: TypeAlias = "tuple[int, bytes | ImageError]"
"""A frame's number in the stream, from 1, and its JPEG or what is wrong with it."""


def classify_stream(
    classifier: ImageClassifier, stream: Path, *, every: int, latest: bool, top: int, min_confidence: float
) -> int:
    """Print the answer for every `every`th frame of `stream`, - for standard input; the exit code.

    With `latest` the newest frame that is there is classified next, and those that came before it are passed over.
    Raises UsageError where the stream cannot be opened, ImageError where it holds no picture.
    """
    output = JsonLines(top, min_confidence)
    number = failed = 0
    with open_stream(stream, "--mjpeg") as file:
        for number, frame in _newest(_apart(file), every) if latest else _chosen(file, every):
            name = f"frame {number}"
            try:
                if isinstance(frame, ImageError):
                    raise frame
                output.write(classifier.predict_input(classifier.preprocessing(frame, name=name), name))
            except ImageError as error:
                failed += 1
                say_problem(error)
    if not number:
        raise ImageError(
            f"--mjpeg {stream} holds no JPEG", "is it a stream of JPEGs, and did it begin?", "not-an-image"
        )
    return 1 if failed else 0


def _chosen(file: BinaryIO, every: int) -> Iterator[Frame]:
    return (frame for frame in enumerate(read_frames(file), 1) if (frame[0] - 1) % every == 0)


def _apart(file: BinaryIO) -> BinaryIO:
    """`file` for a thread of its own: nobody who closes the first waits for what is still being read of this one."""
    try:
        return os.fdopen(os.dup(file.fileno()), "rb", buffering=0)
    except OSError:  # in memory: there is nothing to wait for
        return file


def _newest(file: BinaryIO, every: int) -> Iterator[Frame]:
    """The frames, read on a thread of their own; of those that came while one was in work, the last."""
    changed = Condition()
    waiting: list[Frame] = []
    ended: list[BaseException | None] = []

    def read() -> None:
        problem: BaseException | None = None
        try:
            with file:
                for frame in _chosen(file, every):
                    with changed:
                        waiting[:] = [frame]
                        changed.notify()
        except BaseException as error:  # or whoever waits would wait for ever
            problem = error
        with changed:
            ended.append(problem)
            changed.notify()

    Thread(target=read, name="edge-mjpeg", daemon=True).start()
    while True:
        with changed:
            changed.wait_for(lambda: waiting or ended)
            if not waiting:
                break
            frame = waiting.pop()
        yield frame
    if ended[0] is not None:
        raise ended[0]
