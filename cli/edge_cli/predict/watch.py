"""edge predict --watch: one line per picture that lands, until a signal ends it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cli.console import json_text
from edge_cli.flags import said_as_flags
from edge_cli.predict.output import say_threshold
from edge_runtime import DriftRecord, ImageError, Journal, Sighting, Sorter, UsageError, one_line, watch

if TYPE_CHECKING:
    from edge_cli.console import Console
    from edge_runtime import ImageClassifier, OperatingPoint

JOURNAL_NAME = ".edge-watch.jsonl"
INTERRUPTED = 130


def watch_folder(
    folder: Path,
    open_classifier: Callable[..., ImageClassifier],
    console: Console,
    *,
    move_to: str | None,
    state: Path | None,
    interval_s: float,
    top: int,
    min_confidence: float,
    jsonl: bool,
    drift: Path | None = None,
) -> int:
    """Classify what lands in `folder`; 0 when SIGTERM ends it, as a service manager does, 130 for Ctrl-C.

    Raises UsageError where `folder` is none, another process watches with the same journal, or the template is wrong.
    """
    if not folder.is_dir():
        raise UsageError(f"--watch {folder} is not a folder", "make it first, or name another")
    classifier = open_classifier(with_distance=drift is not None)
    if move_to is not None and (kind := classifier.card.kind) != "single-label":
        raise UsageError(f"--move-to sorts by one label, and this is a {kind} model", "watch without it, with --jsonl")
    sorter = None if move_to is None else Sorter(move_to, classifier.labels)
    record = None if drift is None else DriftRecord(drift, classifier.card, console.say)
    with Journal(state or folder / JOURNAL_NAME, folder) as journal, _signals() as caught, record or nullcontext():
        sightings = watch(
            classifier,
            folder,
            journal,
            sorter=sorter,
            top=top,
            min_confidence=min_confidence,
            interval_s=interval_s,
            stop=lambda: bool(caught),
        )
        point = classifier.card.operating_point
        say_threshold(point, console)
        console.say(f"watching {folder}, journal {journal.path}; Ctrl-C ends it")
        for sighting in sightings:
            if problem := str(sighting) if isinstance(sighting, ImageError) else sighting.unmoved:
                sys.stderr.write(f"error: {said_as_flags(problem)}\n")
                sys.stderr.flush()
            if not isinstance(sighting, ImageError):
                sys.stdout.write(f"{_line(sighting, point, jsonl=jsonl)}\n")
                sys.stdout.flush()
                if record is not None:
                    likely = sighting.top[0]
                    record.add(
                        classifier.card,
                        likely.label,
                        likely.probability,
                        unlike=sighting.unlike,
                        distance=sighting.distance,
                    )
    return INTERRUPTED if signal.SIGINT in caught else 0


def _line(sighting: Sighting, point: OperatingPoint | None, *, jsonl: bool) -> str:
    if jsonl and sighting.several:
        told = {"moved_to": sighting.moved_to, "again": sighting.again}
        return json_text({"image": sighting.image, **sighting.several, **told})
    if jsonl:
        chosen = {} if point is None else {"positive": point.positive, "threshold": point.threshold}
        return json_text({**_plain(sighting), "top": [row._asdict() for row in sighting.top], **chosen})
    moved = f"  moved to {sighting.moved_to}" if sighting.moved_to else ""
    again = "  (after a restart, perhaps told before)" if sighting.again else ""
    if sighting.several:
        said = [f"{name}  {probability:.2%}" for name, probability in sighting.top]
        return one_line(f"{sighting.image}  {', '.join(said) or 'no label'}{moved}{again}")
    return one_line(f"{sighting.image}  {sighting.label}  {sighting.probability:.2%}{moved}{again}")


def _plain(sighting: Sighting) -> dict[str, Any]:
    value = asdict(sighting)
    del value["several"], value["distance"], value["unmoved"]
    if sighting.unlikeness is None:
        del value["unlike"], value["unlikeness"]
    return value


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collects the signals that ask for an end, so that the picture in work is finished; a second Ctrl-C is not
    waited for."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
