"""Where an export goes: which name it gets, and that it may be written there."""

from __future__ import annotations

import secrets
from pathlib import Path

from edge_export.formats.torchscript_file import read_torchscript
from edge_export.settings import REPOSITORIES
from edge_runtime import Classifier, ModelError, OutputError, Run, UsageError


def default_target(run: Run, format_: str, precision: str, *, members: int = 1) -> Path:
    """Beside the run's checkpoint: model.onnx for fp32 and for what `auto` chose, which `edge predict` takes.

    A precision that was asked for gets a name of its own, and so does an ensemble, beside its first member. A server's
    repository is a folder.
    """
    if format_ in REPOSITORIES:
        return run.path / format_
    stem = "model" if members == 1 else "ensemble"
    if precision in ("int8", "fp16"):
        stem += f"-{precision}"
    return run.path / (f"{stem}.onnx" if format_ == "onnx" else f"{stem}.torchscript.pt")


def require_writable(target: Path, *, own: bool) -> None:
    """Refuse now what would fail after minutes of work, and to replace a file that edge export did not make.

    With `own`, a file under the name is replaced in any case: a run's own exports may be damaged, and mended.

    Raises:
        UsageError: the target is a folder.
        OutputError: its folder is missing or takes no file, or another's file is there.
    """
    if target.is_dir():
        raise UsageError(f"{target} is a folder", "name a file with `out`")
    if not target.parent.is_dir():
        raise OutputError(f"{target.parent} does not exist", "make it, or name another place with `out`")
    if not own and target.exists() and not _is_ours(target):
        raise OutputError(f"{target} exists and edge export did not make it", "name another file with `out`")
    probe_folder(target.parent, target)


def probe_folder(folder: Path, target: Path) -> None:
    """Raise OutputError where `folder` takes no new file, so that `target` cannot be written."""
    # Permissions alone do not tell: root passes them, a read-only disk does not heed them.
    probe = folder / f".{target.name[:100]}.{secrets.token_hex(4)}.tmp"
    try:
        probe.touch(exist_ok=False)
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}", "choose another folder with `out`"
        ) from error


def _is_ours(path: Path) -> bool:
    for read in (Classifier, read_torchscript):
        try:
            read(path)
        except ModelError:
            continue
        return True
    return False
