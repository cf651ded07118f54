"""A second, already optimised form of a model file, for the one machine it was made on.

onnxruntime rewrites a graph for the processor it runs on each time a model is opened; `edge export --optimize-for
this-machine` keeps the outcome beside the portable file, with a note of what it was made from and for. It is used where
all of the note is still true, and silently left alone elsewhere: the portable file is always the one that counts. So
are files that another user owns or may write, who would decide what this one's program answers.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from io import BufferedReader
from pathlib import Path
from typing import Any

from edge_runtime.files.atomic import write_json
from edge_runtime.files.own_file import keep_from_others, open_own
from edge_runtime.machine.resources import cpu_model, instruction_sets

NOTE_FORMAT = 1


def quick_load_paths(model: Path) -> tuple[Path, Path]:
    """Where the optimised form of `model` lies, and the note that says what it fits."""
    return model.with_name(f"{model.stem}.this-machine.onnx"), model.with_name(f"{model.stem}.this-machine.json")


def find_quick_load(model: Path, onnxruntime_version: str) -> Path | None:
    """The optimised form of `model`, None where there is none or it was made for another machine, version or file.

    None, too, where it or its note is a link, belongs to another than this user, root or the owner of `model`, who
    decides what it answers anyway, or may be written by others (on Windows, whose files say nothing of the kind, that
    is not asked).
    """
    quick, note = quick_load_paths(model)
    try:
        with model.open("rb") as portable:
            owners = (os.fstat(portable.fileno()).st_uid,)
            with open_own(note, owners=owners) as file:
                said = json.load(file)
            if said["note_format"] != NOTE_FORMAT or said["machine"] != describe_machine(onnxruntime_version):
                return None
            with open_own(quick, owners=owners) as optimized:
                return quick if is_file(portable, said["portable"]) and is_file(optimized, said["optimized"]) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_quick_load_note(model: Path, onnxruntime_version: str) -> None:
    """Note that the optimised form of `model`, which lies in its place, fits this machine and these two files.

    Raises:
        OSError: one of the files is not there.
        OutputError: the note cannot be written.
    """
    quick, note = quick_load_paths(model)
    keep_from_others(quick)
    value = {
        "note_format": NOTE_FORMAT,
        "machine": describe_machine(onnxruntime_version),
        "portable": describe_file(model),
        "optimized": describe_file(quick),
    }
    write_json(note, value)
    keep_from_others(note)


def describe_machine(onnxruntime_version: str) -> dict[str, Any]:
    """What an optimised graph depends on, as the note holds it."""
    return {
        "architecture": platform.machine(),
        "cpu": cpu_model(),
        "instruction_sets": list(instruction_sets()),
        "onnxruntime": onnxruntime_version,
    }


def describe_file(path: Path) -> dict[str, Any]:
    """Size, time of change and SHA-256 of the file at `path`, as the note holds them. Raises OSError."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        return {"size_bytes": status.st_size, "changed_ns": status.st_mtime_ns, "sha256": _sha256(file)}


def remove_quick_load(model: Path) -> None:
    """Take the optimised form of `model` away, where there is one. Raises OSError where that is not allowed."""
    quick, note = quick_load_paths(model)
    # The note goes first: without it nobody looks at the other.
    for path in (note, quick):
        path.unlink(missing_ok=True)


def is_file(file: BufferedReader, said: dict[str, Any]) -> bool:
    """Whether the file is the one described; hashing it would cost what loading quickly gains, so only if touched."""
    status = os.fstat(file.fileno())
    if status.st_size != said["size_bytes"]:
        return False
    return bool(status.st_mtime_ns == said["changed_ns"] or _sha256(file) == said["sha256"])


def _sha256(file: BufferedReader) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
