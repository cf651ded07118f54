"""From a run's best checkpoint to files that are proven equal to it."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from edge_export.onnx_file import replace_card, write_onnx
from edge_export.parity import Model, Parity, check_parity, read_pixels, run_file, run_network
from edge_export.torchscript_file import read_torchscript, write_torchscript
from edge_runtime import (
    Classifier,
    ModelCard,
    ModelError,
    OutputError,
    ParityError,
    Run,
    Sample,
    UsageError,
    atomic_path,
    write_json,
)
from edge_train import DeployedNetwork, load_checkpoint, read_split

__all__ = ["FORMATS", "ExportFormat", "Exported", "export"]

ExportFormat: TypeAlias = Literal["onnx", "torchscript"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

PARITY_IMAGES = 64


@dataclass(frozen=True, slots=True)
class Exported:
    """One file that was written, and how close it is to its checkpoint."""

    path: Path
    format: ExportFormat
    size_bytes: int
    parity: Parity
    card: ModelCard


def export(
    run: Run,
    formats: tuple[ExportFormat, ...] = ("onnx",),
    *,
    out: Path | None = None,
    data: Path | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> list[Exported]:
    """Export the best checkpoint of `run`, each file checked on real validation images before it appears.

    `out` names the one file to write (by default they go into the run folder); `data` is where the images
    are now, if they moved since training.

    Raises:
        CheckpointError: there is no usable checkpoint.
        ParityError: a file does not equal its checkpoint, or no validation image can be read to prove it.
        OutputError: the file cannot be written, or would replace something edge did not make.
    """
    checkpoint = load_checkpoint(run.best)
    if not run.summary.is_file():
        say(f"note: {run.path} was not finished: this is its best epoch so far, uncalibrated and without test figures")
    card = replace(checkpoint.card, versions={**checkpoint.card.versions, **_versions()})
    network = DeployedNetwork(checkpoint.build().requires_grad_(False), card.temperature)
    root, samples = _validation_images(run, card, data)
    pixels, names = read_pixels(card.preprocessing, root, samples)
    if not names:
        raise ParityError(
            f"none of the validation images of {run.path} can be read in {root}, so nothing can be proven",
            "name the folder they are in now with --data",
        )
    done = []
    for format_ in formats:
        target = out or (run.model if format_ == "onnx" else run.torchscript)
        _may_write(target, own=out is None)
        say(f"exporting {format_} to {target}")
        done.append(_export_one(format_, target, network, card, (pixels, names)))
    try:
        _write_record(run, done)
    except OutputError as error:
        say(f"note: {error.message}")
    return done


def _export_one(
    format_: ExportFormat,
    target: Path,
    network: DeployedNetwork,
    card: ModelCard,
    images: tuple[NDArray[np.uint8], list[str]],
) -> Exported:
    with atomic_path(target) as temporary:
        write = write_onnx if format_ == "onnx" else write_torchscript
        write(network, card, temporary)
        candidate: Model = run_file(temporary) if format_ == "onnx" else _run_torchscript(temporary)
        parity = check_parity(run_network(network), candidate, *images, what=target.name, temperature=card.temperature)
        card = replace(card, parity=parity.to_json())
        if format_ == "onnx":
            replace_card(temporary, card)
            Classifier(temporary)
        else:
            write_torchscript(network, card, temporary)
    return Exported(target, format_, target.stat().st_size, parity, card)


def _run_torchscript(path: Path) -> Model:
    module, _ = read_torchscript(path)
    return run_network(module)


def _validation_images(run: Run, card: ModelCard, data: Path | None) -> tuple[Path, list[Sample]]:
    """The data root and up to 64 validation samples, evenly spread over the split and so over the classes."""
    root = data or Path(str(run.read_config().get("data_root", "")))
    samples = read_split(run.split, card.labels).val
    step = max(1, len(samples) // PARITY_IMAGES)
    return root, list(samples[::step][:PARITY_IMAGES])


def _may_write(target: Path, *, own: bool) -> None:
    """Refuse to replace a file that edge export did not make; a run's own exports may be damaged, and mended."""
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "name a file with --out")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} does not exist", "make it, or name another place with --out")
    if not own and target.exists() and not _is_ours(target):
        raise OutputError(f"{target} exists and edge export did not make it", "name another file with --out")


def _is_ours(path: Path) -> bool:
    for read in (Classifier, read_torchscript):
        try:
            read(path)
        except ModelError:
            continue
        return True
    return False


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("onnx", "onnxruntime", "torch")}


def _write_record(run: Run, done: list[Exported]) -> None:
    """Note each file and its proof in export.json, beside those of earlier exports."""
    path = run.path / "export.json"
    try:
        files = {entry["file"]: entry for entry in json.loads(path.read_text(encoding="utf-8"))["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        files = {}
    for item in done:
        files[str(item.path)] = {
            "file": str(item.path),
            "format": item.format,
            "size_bytes": item.size_bytes,
            "parity": item.parity.to_json(),
        }
    write_json(path, {"files": list(files.values())})
