"""What a run records of where it ran: versions, revision, device."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime

import torch

from edge_runtime import UsageError


def now() -> str:
    """The time as ISO 8601 in UTC, to the microsecond so that runs sort."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    packages = ("edge-vision", "torch", "torchvision", "numpy", "pillow")
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def git_revision() -> str | None:
    """The revision of the repository the command runs in, with `+changes` where it has some; None outside one."""
    try:
        revision = _git("rev-parse", "HEAD")
        words = (*_without_programs(), "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty")
        return f"{revision}+changes" if _git(*words) else revision
    except (OSError, subprocess.SubprocessError):
        return None


def _without_programs() -> list[str]:
    """What git needs to look at a repository without running what its own configuration names: it may be anybody's."""
    words = ["--no-optional-locks", "-c", "core.fsmonitor=false"]
    try:
        named = _git("config", "--show-scope", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$")
    except subprocess.CalledProcessError:
        return words  # there is none
    for scope, _, name in (line.partition("\t") for line in named.splitlines()):
        if scope in ("local", "worktree"):
            words += ["-c", f"{name}="]
    return words


def choose_device(choice: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `mps`.

    Raises:
        UsageError: the device asked for is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if choice == "auto":
        choice = next(name for name in ("cuda", "mps", "cpu") if there[name])
    if choice not in there:
        raise UsageError(f"`device` {choice} is not known", "choose auto, cpu, cuda or mps")
    if not there[choice]:
        raise UsageError(f"`device` {choice}: this machine has none that torch can use", "use `device` auto")
    return torch.device(choice)


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
