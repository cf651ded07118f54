"""Where weights files are looked for on this machine, and what their bytes must hash to.

`EDGE_WEIGHTS_DIR` comes first: a folder that a person fills where no hub can be reached. In it lie torchvision's files
under their own names, files called like a backbone, and `OWNER/NAME/FILE` of the hub at huggingface.co; a file
SHA256SUMS, as `sha256sum` writes it, says what they must be.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import torch

from edge_data import promised_hash
from edge_runtime import UsageError, WeightsError
from edge_train.network.state_file import sha256_of
from edge_train.network.user_path import user_path

FOLDER_VARIABLE = "EDGE_WEIGHTS_DIR"
SUFFIXES = (".safetensors", ".pth", ".pt")
SUMS = "SHA256SUMS"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class TorchvisionWeights:
    """torchvision's best weights of a backbone: their name, where they are, and their file's name."""

    name: str
    url: str

    @property
    def file(self) -> str:
        """As torch.hub's cache calls the file; its end is the beginning of the SHA-256."""
        return Path(urlparse(self.url).path).name


@dataclass(frozen=True, slots=True)
class KnownHash:
    """The SHA-256 that a file must have, or the beginning of it, in hex; `source` says who says so."""

    sha256: str
    source: str


def torchvision_weights(backbone: str) -> TorchvisionWeights:
    """torchvision's DEFAULT weights of a backbone of the table."""
    from torchvision import models

    weights = models.get_model_weights(backbone).DEFAULT
    return TorchvisionWeights(str(weights), weights.url)


def weights_folder() -> Path | None:
    """`$EDGE_WEIGHTS_DIR`, None where it is not set. Raises UsageError where it is no folder."""
    text = os.environ.get(FOLDER_VARIABLE, "")
    if not text:
        return None
    folder = user_path(text).absolute()
    if not folder.is_dir():
        raise UsageError(f"{FOLDER_VARIABLE} is {text}, which is no folder", "make it, or unset the variable")
    return folder


def hub_cache() -> Path:
    """Where torch.hub, and so torchvision, keeps what was downloaded; it need not exist."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def names_of(backbone: str, file: str) -> tuple[str, ...]:
    """What a backbone's weights may be called in EDGE_WEIGHTS_DIR: torchvision's `file`, or like the backbone."""
    return file, *(f"{backbone}{suffix}" for suffix in SUFFIXES)


def find_weights(names: Sequence[str]) -> Path | None:
    """The first of these files that is in EDGE_WEIGHTS_DIR; None where there is none. Raises UsageError."""
    folder = weights_folder()
    found = (folder / name for name in names) if folder is not None else ()
    return next((path for path in found if path.is_file()), None)


def known_hashes(path: Path) -> tuple[KnownHash, ...]:
    """What the file's SHA-256 must be, by SHA256SUMS in EDGE_WEIGHTS_DIR, its name, and the hub's cache; () if unknown.

    Raises WeightsError where SHA256SUMS cannot be read.
    """
    known = []
    folder = weights_folder()
    if folder is not None and path.absolute().is_relative_to(folder):
        listed = _read_sums(folder / SUMS).get(path.absolute().relative_to(folder).as_posix())
        known += [] if listed is None else [KnownHash(listed, SUMS)]
    if promised := promised_hash(path.name):
        known.append(KnownHash(promised, "its name"))
    # The hub's client keeps large files by their hash, and links to them.
    if path.is_symlink() and _SHA256.fullmatch(blob := path.resolve().name):
        known.append(KnownHash(blob, "the hub"))
    return tuple(known)


def require_undamaged(path: Path) -> str:
    """The file's SHA-256. Raises UsageError where it is known to be another: nothing may stand in for it."""
    found = sha256_of(path)
    for known in known_hashes(path):
        if not found.startswith(known.sha256):
            raise UsageError(
                f"{path} is damaged: its SHA-256 is {found[:16]}…, by {known.source} it must be {known.sha256[:16]}…",
                "copy it again (edge weights verify checks all)",
            )
    return found


def _read_sums(path: Path) -> dict[str, str]:
    """What SHA256SUMS says, by path relative to its folder; nothing where there is none. Raises WeightsError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", "write it with sha256sum") from None
    sums = {}
    for number, line in enumerate(lines, 1):
        digest, _, name = line.strip().partition(" ")
        if not line.strip():
            continue
        if not _SHA256.fullmatch(digest.lower()) or not name.strip():
            raise WeightsError(f"{path}: line {number} is no SHA-256 and a name", "write it with sha256sum")
        sums[name.strip().removeprefix("*").removeprefix("./")] = digest.lower()
    return sums
