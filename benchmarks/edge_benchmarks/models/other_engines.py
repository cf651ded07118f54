"""The same network run by something else than onnxruntime, where it can be had; and where not, why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast

from edge_benchmarks.models.contestant import Contestant
from edge_benchmarks.models.engines import ENGINE_PACKAGES, EngineName, read_checkpoint
from edge_runtime import EdgeError, Run, UsageError

RIVALS: tuple[EngineName, ...] = ("torch", "torchscript", "openvino")


def choose_engines(choice: str) -> tuple[EngineName, ...]:
    """The engines of `--against`: names with commas between, or `all`. Raises UsageError for an unknown name."""
    names = [name.strip().lower() for name in choice.split(",") if name.strip()]
    if names == ["all"]:
        return RIVALS
    if not names or any(name not in RIVALS for name in names):
        raise UsageError(f"`against` {choice}: choose from {', '.join(RIVALS)}", "several with commas between, or all")
    return cast("tuple[EngineName, ...]", tuple(dict.fromkeys(names)))


def find_rivals(
    contestants: Sequence[Contestant], engines: Sequence[EngineName], folder: Path, say: Callable[[str], object]
) -> list[Contestant]:
    """Each of `contestants` run by each of `engines`, as far as that can be; `say` is told what is left out, and why.

    TorchScript that does not exist yet is traced into `folder`.
    """
    found = []
    for engine in engines:
        package = ENGINE_PACKAGES[engine]
        if find_spec(package) is None:
            extra = "fast" if engine == "openvino" else "export"
            say(f"without {engine}: {package} is not installed (pip install 'edge-vision[{extra}]')")
            continue
        for contestant in contestants:
            try:
                found.append(_rival(contestant, engine, folder))
            except EdgeError as error:
                say(f"without {engine} for {contestant.name}: {error.message}")
    return found


def _rival(contestant: Contestant, engine: EngineName, folder: Path) -> Contestant:
    """Raises EdgeError with the reason where there is none."""
    if contestant.card is None:
        raise UsageError("edge did not make it")
    if engine == "openvino":
        return contestant.run_by(engine, contestant.model)
    if contestant.precision != "fp32":
        raise UsageError(f"its {contestant.precision} layers exist in the ONNX file alone")
    if contestant.card.members:
        raise UsageError("it is an ensemble, which has no checkpoint of its own")
    if engine == "torchscript":
        beside = Run(contestant.model.parent).torchscript
        if beside.is_file() and contestant.model.name == "model.onnx":
            return contestant.run_by(engine, beside)
    if contestant.checkpoint is None:
        raise UsageError("its checkpoint, best.pt of its run, does not lie beside it")
    if engine == "torch":
        return contestant.run_by(engine, contestant.checkpoint)
    return contestant.run_by(engine, _trace(contestant, folder), passing=True)


def _trace(contestant: Contestant, folder: Path) -> Path:
    from edge_export import write_torchscript

    assert contestant.checkpoint is not None
    # Folders may have one name, too.
    path = folder / f"{contestant.model.stem}-{contestant.file.sha256[:16]}.torchscript.pt"
    write_torchscript(*read_checkpoint(contestant.checkpoint), path)
    return path
