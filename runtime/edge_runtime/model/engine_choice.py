"""Which engine was measured to be the fastest for a model file on this machine, kept for `engine="auto"`.

`edge bench --engines --choose` writes one note a file into the cache folder, below `engines`, with what it was measured
on: the file, the processor, the versions. It is heeded where all of that is still true and the note is this user's
alone, and passed over in silence elsewhere: onnxruntime then runs the file, as it does without any note.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import OutputError
from edge_runtime.extras import package_version
from edge_runtime.files.atomic import write_json
from edge_runtime.files.cache import cache_folder
from edge_runtime.files.own_file import keep_from_others, open_own
from edge_runtime.machine.resources import usable_cores
from edge_runtime.model.engine_names import CHOICES_FOLDER, RUNTIME_ENGINES, RuntimeEngine
from edge_runtime.model.this_machine import describe_file, describe_machine, is_file

CHOICE_FORMAT = 1
# A few hundred bytes are usual.
_LARGEST_NOTE_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine to run a file with on so many threads, and what one picture took it and onnxruntime, medians.

    `max_difference` is how far its probabilities were from onnxruntime's on `images` pictures.
    """

    engine: RuntimeEngine
    threads: int
    p50_ms: float
    onnxruntime_p50_ms: float
    max_difference: float
    images: int

    @property
    def speedup(self) -> float:
        """How many times as fast as onnxruntime it was."""
        return self.onnxruntime_p50_ms / self.p50_ms

    def __str__(self) -> str:
        if self.engine == "onnxruntime":
            return f"onnxruntime, than which no other was faster here on {self.threads} threads (edge bench --engines)"
        return (
            f"{self.engine}, {self.speedup:.2f} times as fast as onnxruntime when it was measured here on "
            f"{self.threads} thread{'' if self.threads == 1 else 's'} (edge bench --engines)"
        )

    def to_json(self) -> dict[str, Any]:
        """As the note and `edge info --json` carry it."""
        return asdict(self)


def find_engine_choice(model: Path, threads: int | None = None) -> EngineChoice | None:
    """What was chosen for the file at `model` on so many threads (None: the usable cores); None where nothing holds."""
    with suppress(OSError, OutputError):
        # Most machines have no such folder, and no file need be read then.
        if (note := _note_of(model)).parent.is_dir():
            return _read(note, model).get(threads or usable_cores())
    return None


def keep_engine_choices(model: Path, choices: Sequence[EngineChoice], *, measured_sha256: str | None = None) -> Path:
    """Note what was measured of the file at `model`; what holds for other numbers of threads stays. Gives the note.

    Of the file as it is now, which is to be the one of `measured_sha256` where that is given.

    Raises:
        OutputError: the model is gone or another by now, or the note cannot be written.
    """
    note = _note_of(model)
    try:
        file = describe_file(model)
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"no engine is noted for {model}: {reason}", "measure it where it is now") from None
    if measured_sha256 not in (None, file["sha256"]):
        raise OutputError(
            f"no engine is noted for {model}: it is another file than the one that was measured", "measure it again"
        )
    kept = {**_read(note, model), **{choice.threads: choice for choice in choices}}
    value = {
        "choice_format": CHOICE_FORMAT,
        "machine": _machine(),
        "model": file,
        "choices": [choice.to_json() for choice in kept.values()],
    }
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write {note.parent}: {error.strerror or error}", "set EDGE_CACHE to a folder with room"
        ) from None
    write_json(note, value)
    keep_from_others(note)
    return note


def _note_of(model: Path) -> Path:
    """By the file's place, for its hash takes as long as loading it. Raises OutputError where there is no cache."""
    place = hashlib.sha256(os.fsencode(model.absolute())).hexdigest()
    return cache_folder() / CHOICES_FOLDER / f"{place[:32]}.json"


def _machine() -> dict[str, Any]:
    """What a choice depends on beside the file."""
    machine = describe_machine(package_version("onnxruntime") or "")
    return {**machine, "openvino": package_version("openvino"), "edge": package_version("edge-vision")}


def _read(note: Path, model: Path) -> dict[int, EngineChoice]:
    """The choices of a note that still holds, by threads; none of any other."""
    try:
        with open_own(note) as file, model.open("rb") as portable:
            said = json.loads(file.read(_LARGEST_NOTE_BYTES))
            if said["choice_format"] != CHOICE_FORMAT or said["machine"] != _machine():
                return {}
            if not is_file(portable, said["model"]):
                return {}
            return {choice.threads: choice for choice in map(_choice, said["choices"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _choice(value: Mapping[str, Any]) -> EngineChoice:
    """Raises ValueError or TypeError where it is none."""
    choice = EngineChoice(**value)
    numbers = choice.p50_ms, choice.onnxruntime_p50_ms, choice.max_difference
    sensible = (
        choice.engine in RUNTIME_ENGINES
        and all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
        and min(choice.p50_ms, choice.onnxruntime_p50_ms) > 0
        and isinstance(choice.threads, int)
        and isinstance(choice.images, int)
    )
    if not sensible:
        raise ValueError("no choice of an engine")
    return choice
