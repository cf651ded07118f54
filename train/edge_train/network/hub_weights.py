"""Weights in a repository of a Hugging Face hub: `hf:OWNER/NAME[@REVISION][:FILE]`, safetensors and nothing else.

What is on this machine already is taken without asking the network: from EDGE_WEIGHTS_DIR, then from the client's own
cache. A revision's commit is part of where the weights are said to be from.
"""

from __future__ import annotations

import importlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

from edge_runtime import MissingExtraError, UsageError, WeightsError
from edge_train.network.state_file import sha256_of
from edge_train.network.weights_folder import FOLDER_VARIABLE, find_weights, require_undamaged, weights_folder

SCHEME = "hf:"
_SUFFIX = ".safetensors"
_USUAL = "model.safetensors"
_CONNECT_S = 8.0
_SPELLED = re.compile(r"([\w.-]+)/([\w.-]+)(?:@([^:\s]+))?(?::(\S.*))?")
_HOW = "as in hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME:FILE.safetensors"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A safetensors file of a repository `OWNER/NAME`; `revision` and `file` are empty where they were not named."""

    repository: str
    revision: str = ""
    file: str = ""

    def __str__(self) -> str:
        revision, file = self.revision and f"@{self.revision}", self.file and f":{self.file}"
        return f"{SCHEME}{self.repository}{revision}{file}"


def parse_hub_file(text: str) -> HubFile | None:
    """What a text that begins with `hf:` names, None for any other. Raises UsageError where it names none."""
    if not text.lower().startswith(SCHEME):
        return None
    spelled = _SPELLED.fullmatch(text[len(SCHEME) :].strip())
    if spelled is None:
        raise UsageError(f"{text} names no repository of a hub", _HOW)
    owner, name, revision, file = (part or "" for part in spelled.groups())
    if file and (PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts):
        raise UsageError(f"{text}: {file} is no file of a repository", _HOW)
    if file and not file.endswith(_SUFFIX):
        raise UsageError(
            f"{text}: {file} is no safetensors file", "other formats may run code when they are read: name one that is"
        )
    return HubFile(f"{owner}/{name}", revision, file)


def fetch(wanted: HubFile) -> tuple[Path, str]:
    """The file on this machine, downloaded where it is not here yet, and where it is from.

    Raises:
        MissingExtraError: huggingface_hub is not installed, and the file is not in EDGE_WEIGHTS_DIR.
        WeightsError: it cannot be had, or the repository has no safetensors file, or several.
    """
    if (own := _in_folder(wanted)) is not None:
        digest = require_undamaged(own)
        return own, f"{wanted}, file {own.name} (sha256 {digest[:16]}) of {FOLDER_VARIABLE}"
    path = find_cached(wanted) or _download(wanted)
    return path, f"{SCHEME}{wanted.repository}@{_commit(path)}:{path.name} (sha256 {sha256_of(path)[:16]})"


def find_here(wanted: HubFile) -> Path | None:
    """The file where it is on this machine, else None.

    Raises MissingExtraError where the client whose cache it may be in is not installed, and WeightsError where the file
    is damaged, or is one of several.
    """
    if (own := _in_folder(wanted)) is not None:
        require_undamaged(own)
        return own
    return find_cached(wanted)


def find_cached(wanted: HubFile) -> Path | None:
    """The file in the cache of the hub's client, which needs no network; None where it is not in it.

    Raises MissingExtraError, and WeightsError where the repository has several files and none is named.
    """
    hub = _client()
    revision = wanted.revision or None
    if wanted.file:
        found = hub.try_to_load_from_cache(wanted.repository, wanted.file, revision=revision)
        return Path(found) if isinstance(found, str) else None
    # Where the file that marks a snapshot is not known, any file of it does.
    usual = hub.try_to_load_from_cache(wanted.repository, _USUAL, revision=revision)
    if isinstance(usual, str):
        return Path(usual)
    snapshot = _snapshot(wanted)
    if snapshot is None:
        return None
    names = [path.relative_to(snapshot).as_posix() for path in sorted(snapshot.rglob(f"*{_SUFFIX}"))]
    return snapshot / _only(wanted, names) if names else None


def hub_cache_folder() -> Path:
    """Where the hub's client keeps what was downloaded; it need not exist. Raises MissingExtraError."""
    _client()
    return Path(_constants().HF_HUB_CACHE)


def _in_folder(wanted: HubFile) -> Path | None:
    place = wanted.repository + (wanted.revision and f"@{wanted.revision}")
    if wanted.file:
        return find_weights([f"{place}/{wanted.file}"])
    if (usual := find_weights([f"{place}/{_USUAL}"])) is not None:
        return usual
    folder = weights_folder()
    here = sorted((folder / place).glob(f"*{_SUFFIX}")) if folder is not None else []
    return here[0].with_name(_only(wanted, [path.name for path in here])) if here else None


@contextmanager
def quiet_hub() -> Iterator[None]:
    """What the hub's client reads when it loads: a tool tells nobody of its user, and what it says is one line of ours.

    The process keeps its environment.
    """
    wanted = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_VERBOSITY": "error"}
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _client() -> Any:
    for package in ("huggingface_hub", "safetensors"):
        try:
            with quiet_hub():
                importlib.import_module(package)
                if package == "huggingface_hub":
                    _constants()
                    importlib.import_module("huggingface_hub.utils")
        except ModuleNotFoundError as error:
            raise MissingExtraError("hf", error.name or package) from None
    return importlib.import_module("huggingface_hub")


def _constants() -> Any:
    # The client loads its parts when they are asked for.
    return importlib.import_module("huggingface_hub.constants")


def _snapshot(wanted: HubFile) -> Path | None:
    """The folder of that revision in the client's cache."""
    repository = Path(_constants().HF_HUB_CACHE) / f"models--{wanted.repository.replace('/', '--')}"
    revision = wanted.revision or "main"
    try:
        commit = (repository / "refs" / revision).read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        commit = revision
    snapshot = repository / "snapshots" / commit
    return snapshot if snapshot.is_dir() else None


def _download(wanted: HubFile) -> Path:
    hub, endpoint = _client(), _constants().ENDPOINT
    try:
        _require_network()
        name = wanted.file
        if not name:
            api = hub.HfApi(endpoint=endpoint)
            there = api.list_repo_files(wanted.repository, revision=wanted.revision or None)
            name = _only(wanted, sorted(file for file in there if file.endswith(_SUFFIX)))
        got = hub.hf_hub_download(wanted.repository, name, revision=wanted.revision or None, endpoint=endpoint)
    except (WeightsError, UsageError):
        raise
    except Exception as error:  # what a connection, a proxy, a hub and its client each raise is their own
        raise WeightsError(f"{wanted} cannot be had: {_why(error)}", _ways_out(wanted)) from None
    return Path(got)


def _only(wanted: HubFile, names: Sequence[str]) -> str:
    """The one file to take: the usual one, or the only one."""
    if _USUAL in names:
        return _USUAL
    if not names:
        raise WeightsError(
            f"{SCHEME}{wanted.repository} has no safetensors file",
            "edge reads nothing else from a hub, since other formats may run code: take another repository",
        )
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise WeightsError(
            f"{SCHEME}{wanted.repository} has {len(names)} safetensors files: {shown}",
            f"name one: {wanted}:{names[0]}",
        )
    return names[0]


def _require_network() -> None:
    """Raise OSError where the hub cannot be reached: its client would try for half a minute to find that out."""
    if _constants().is_offline_mode() or getproxies():
        return
    address = urlparse(_constants().ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    socket.create_connection((address.hostname or "", port), timeout=_CONNECT_S).close()


def _why(error: BaseException) -> str:
    if type(error).__name__ == "LocalEntryNotFoundError" and error.__cause__ is not None:
        return _why(error.__cause__)
    name = type(error).__name__
    known = {
        "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set, and it is not in the cache",
        "RepositoryNotFoundError": "there is no such repository, or it is private and no token is set",
        "GatedRepoError": "its owner must grant access first",
        "RevisionNotFoundError": "it has no such revision",
        "RemoteEntryNotFoundError": "it has no such file",
        "EntryNotFoundError": "it has no such file",
    }
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return known.get(name) or next(iter(said.strip().splitlines()), "") or name


def _ways_out(wanted: HubFile) -> str:
    return (
        "download it elsewhere and name that file instead, or put it at "
        f"{wanted.repository}/{wanted.file or _USUAL} in the folder that {FOLDER_VARIABLE} names"
    )


def _commit(path: Path) -> str:
    """The commit that a file of the client's cache is of, which is the folder it lies in."""
    parts = path.parts
    return parts[parts.index("snapshots") + 1][:12] if "snapshots" in parts[:-1] else "unknown"
