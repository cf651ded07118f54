"""Watching a folder: pictures are classified as they land, once each, also across restarts, and sorted by label."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any

from edge_runtime.errors import ImageError, ImageProblem
from edge_runtime.model.image_classifier import ImageClassifier
from edge_runtime.model.prediction import UNKNOWN, LabelProbability, Prediction
from edge_runtime.watched_folder.arrivals import Landed, Landing
from edge_runtime.watched_folder.journal import Entry, Journal
from edge_runtime.watched_folder.sorter import Sorter, StuckError, bring, free_name

# A look at a folder of 100,000 files takes a second on a Raspberry Pi; it must not be all it does.
REST_PER_LOOK = 10
# The machine's troubles, not the picture's: memory comes back, a package is installed, permissions are mended. Such a
# picture is said once and tried on; decoding it may be what a small machine has no strength for at every look.
_PASSING = frozenset[ImageProblem]({"no-memory", "not-supported", "unreadable"})
TRY_AGAIN_S = 60.0
_NAP_S = 0.2


@dataclass(frozen=True, slots=True)
class Sighting:
    """One picture that landed, its answer, and where it lies now if it was moved.

    `again` is true for the one answer that a killed process may have given before this one. Of a model that gives
    several labels, or one for each of several tasks, `top` are those given, and `several` is the answer's JSON.
    `distance` is how far it lies from training's pictures, where the classifier was asked for that; `unlike` says that
    it was rejected as unlike all of them, and `unlikeness` which share of known pictures is less unlike it, None where
    the classifier rejects nothing. `unmoved` is why it could not be moved where it was to be, "" otherwise.
    """

    image: str
    label: str
    probability: float
    top: tuple[LabelProbability, ...]
    moved_to: str | None = None
    again: bool = False
    several: Mapping[str, Any] = field(default_factory=dict)
    distance: float | None = None
    unlike: bool = False
    unlikeness: float | None = None
    unmoved: str = ""


def watch(
    classifier: ImageClassifier,
    folder: Path,
    journal: Journal,
    *,
    sorter: Sorter | None = None,
    top: int = 5,
    min_confidence: float = 0.0,
    interval_s: float = 1.0,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Sighting | ImageError]:
    """Classify the pictures in `folder`, then those that land there, until `stop()` says so.

    A picture is taken once it has the same size and time of change at two looks, `interval_s` apart, and can be
    decoded; one that stays undecodable is given as its ImageError, once, and so is one that only this machine cannot
    decode now (no memory, a package missing, a failing disk, permissions), which is tried on. What is withheld for
    `min_confidence` is `unknown`. With a `sorter`, which goes with one label a picture, it is moved to its label's
    folder before it is given; one that may not be moved stays where it is, and says so.

    Each step is noted in the journal before it is taken. A picture is done with when the next one is asked for: what
    the process was killed over is finished, and given again, by the next `watch` with the same journal.

    Raises:
        ImageError: the folder itself cannot be read.
        OutputError: the journal cannot be written, or no picture can be moved.
        ModelError: the model fails.
    """
    if (left := journal.unfinished) is not None:
        left = _brought(left, folder, journal, again=True)
        yield _sighting(left, folder, again=True)
        journal.done(left.name)
    landing = Landing(folder, journal, apart=_apart(sorter, folder))
    closed: dict[Landed, float] = {}
    while not stop():
        begun = time.monotonic()
        ready = landing.look()
        looked_s = time.monotonic() - begun
        due = [landed for landed in ready if begun - closed.get(landed, -inf) >= TRY_AGAIN_S]
        new = [landed for landed in due if not _is_the_same(landed, journal)]
        stream = classifier.predict_many([landed.path for landed in new], on_error="return")
        with closing(stream) as answers:
            for landed, answer in zip(new, answers, strict=False):
                if isinstance(answer, ImageError):
                    if landed.is_unchanged() and landing.gives_up(landed):
                        if is_bad := answer.kind not in _PASSING and os.access(landed.path, os.R_OK):
                            journal.bad(landed.name, landed.size_bytes, landed.changed_ns, answer.message)
                        said = landed in closed
                        closed[landed] = begun
                        if is_bad or not said:
                            yield answer
                elif (entry := _entry(landed, answer, sorter, top, min_confidence)) is not None:
                    journal.answered(entry)
                    entry = _brought(entry, folder, journal)
                    yield _sighting(entry, folder)
                    journal.done(entry.name)
                if stop():
                    return
        _rest(max(interval_s, REST_PER_LOOK * looked_s), stop)


def _apart(sorter: Sorter | None, folder: Path) -> Path | None:
    """The folder that sorted pictures are below, where it lies in the watched one and is not to be watched itself."""
    if sorter is None:
        return None
    root, watched = sorter.root.resolve(), folder.resolve()
    return root if root != watched and root.is_relative_to(watched) else None


def _is_the_same(landed: Landed, journal: Journal) -> bool:
    """Whether it was answered before and only touched since; cards change all times when summer time ends."""
    known = journal.digest(landed.name, landed.size_bytes)
    try:
        if not known or landed.digest() != known:
            return False
    except OSError:
        return False
    journal.same(landed.name, landed.size_bytes, landed.changed_ns)
    return True


def _entry(landed: Landed, answer: Prediction, sorter: Sorter | None, top: int, min_confidence: float) -> Entry | None:
    """What the journal notes of an answer; None where the file has changed since it was found."""
    try:
        digest = landed.digest()
    except OSError:
        return None
    if not landed.is_unchanged():
        return None
    label = None if answer.unlike or answer.is_withheld(min_confidence) else answer.label
    told = {"label": label or UNKNOWN, "probability": answer.probability, "top": [list(row) for row in answer.top(top)]}
    target = None
    if sorter is not None:
        try:
            target = str(free_name(sorter.folder(label), landed.path.name))
        except StuckError as error:
            told["unmoved"] = str(error)
    if answer.unlike:
        told["unlike"] = True
    if answer.unlikeness is not None:
        told["unlikeness"] = answer.unlikeness
    if answer.distance is not None:
        told["distance"] = answer.distance
    if answer.kind != "single-label":
        told = _told_of_several(answer, top, min_confidence)
    return Entry(landed.name, landed.size_bytes, landed.changed_ns, digest, told, target)


def _told_of_several(answer: Prediction, top: int, min_confidence: float) -> dict[str, Any]:
    value = answer.to_json(top, min_confidence=min_confidence)
    del value["image"]
    given = [[f"{name}: {own['label']}", own["probability"]] for name, own in value.get("tasks", {}).items()]
    given += [[row["label"], row["probability"]] for row in value.get("labels", ())]
    told = {"label": answer.told(min_confidence), "probability": answer.probability, "top": given}
    return {**told, "several": value}


def _brought(entry: Entry, folder: Path, journal: Journal, *, again: bool = False) -> Entry:
    """The entry once its picture is where it is to be; under another name where its own was taken meanwhile."""
    source = folder / entry.name
    if again and entry.move_to is not None:
        # It may have been cleared away with all that was in it.
        with suppress(OSError):
            Path(entry.move_to).parent.mkdir(parents=True, exist_ok=True)
    try:
        while entry.move_to is not None and not bring(
            source, Path(entry.move_to), size_bytes=entry.size_bytes, changed_ns=entry.changed_ns, again=again
        ):
            entry = replace(entry, move_to=str(free_name(Path(entry.move_to).parent, source.name)))
            journal.answered(entry)
    except StuckError as error:
        # Answered where it lies, or each restart would try to finish it first.
        entry = replace(entry, move_to=None, answer={**entry.answer, "unmoved": str(error)})
        journal.answered(entry)
    # Its owner may have taken it away before it could be moved.
    there = entry.move_to is not None and os.path.lexists(entry.move_to)
    return entry if there else replace(entry, move_to=None)


def _sighting(entry: Entry, folder: Path, *, again: bool = False) -> Sighting:
    return Sighting(
        image=str(folder / entry.name),
        label=str(entry.answer["label"]),
        probability=float(entry.answer["probability"]),
        top=tuple(LabelProbability(str(label), float(share)) for label, share in entry.answer["top"]),
        moved_to=entry.move_to,
        again=again,
        several=entry.answer.get("several", {}),
        distance=entry.answer.get("distance"),
        unlike=bool(entry.answer.get("unlike")),
        unlikeness=entry.answer.get("unlikeness"),
        unmoved=str(entry.answer.get("unmoved", "")),
    )


def _rest(seconds: float, stop: Callable[[], bool]) -> None:
    # In naps: a signal's handler that returns does not end a sleep.
    end = time.monotonic() + seconds
    while not stop() and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _NAP_S))
