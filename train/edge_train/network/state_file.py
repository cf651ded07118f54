"""A file of tensors from anywhere, read so that nothing in it is run: what torch.save wrote, or safetensors.

Checkpoints of training scripts hold settings beside the tensors, as objects of classes that torch does not know to be
harmless. Of those that many write, a stand-in takes the place: the file is read, and no code of theirs is run.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from edge_runtime import UsageError, WeightsError

# What describes the tensors; that of a model of 10,000 layers has some 2 MB.
_MOST_PICKLE_BYTES = 256 << 20


class _Nothing:
    """Stands for a value that nothing here reads: a path, a number of numpy's, a part of an optimiser."""

    def __new__(cls, *_: object) -> _Nothing:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        pass


class _Attributes(dict[str, Any]):
    """Stands for a dictionary whose keys are attributes, too."""

    def __setstate__(self, _: object) -> None:
        pass


# argparse's is plain data; timm's and torchvision's scripts keep all their flags in one.
_STAND_INS: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    argparse.Namespace,
    *(
        (_Attributes, name)
        for name in (
            "lightning.fabric.utilities.data.AttributeDict",
            "lightning_fabric.utilities.data.AttributeDict",
            "lightning.pytorch.utilities.parsing.AttributeDict",
            "pytorch_lightning.utilities.parsing.AttributeDict",
        )
    ),
    *(
        (_Nothing, name)
        for name in (
            "pathlib.Path",
            "pathlib.PosixPath",
            "pathlib.WindowsPath",
            "pathlib._local.Path",
            "pathlib._local.PosixPath",
            "pathlib._local.WindowsPath",
            "numpy.dtype",
            "numpy.ndarray",
            "numpy.core.multiarray.scalar",
            "numpy.core.multiarray._reconstruct",
            "numpy._core.multiarray.scalar",
            "numpy._core.multiarray._reconstruct",
            "fastcore.foundation.L",
            "omegaconf.dictconfig.DictConfig",
            "omegaconf.listconfig.ListConfig",
            "omegaconf.base.ContainerMetadata",
            "omegaconf.base.Metadata",
            "omegaconf.nodes.AnyNode",
            "typing.Any",
        )
    ),
]


def read_state_file(path: Path) -> object:
    """What the file holds: a state dict, or a checkpoint around one; no code of it is run. Large files are mapped.

    Raises:
        UsageError: a `.safetensors` file, and the package is not installed.
        WeightsError: damaged, no such file, or one that could run code or fill the memory.
    """
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    mapped = _require_plain_zip(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            # Those about pickle protocols and TorchScript archives precede errors that say it properly.
            warnings.simplefilter("ignore")
            loaded: object = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:
        # A damaged archive or pickle raises whatever it happens to trip over, OSError for one cut short included.
        raise WeightsError(*_why_unreadable(path, error)) from None
    return loaded


def require_file(path: Path, hint: str) -> None:
    """Raise UsageError, with that hint, where there is no file."""
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {error.strerror}") from None
    if not is_file:
        raise UsageError(f"{path} {'is a folder, not a weights file' if is_folder else 'does not exist'}", hint)


def sha256_of(path: Path) -> str:
    """The SHA-256 of the file, in hex. Raises WeightsError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from None


def _require_plain_zip(path: Path) -> bool:
    """Whether the file is a zip archive, of which torch can map the tensors.

    Raises WeightsError for one that torch.save does not write: what is compressed may be a thousand times its size.
    """
    try:
        if not zipfile.is_zipfile(path):
            return False
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        size = path.stat().st_size
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False
    if any("/code/" in entry.filename for entry in entries):
        raise WeightsError(*_torchscript(path))
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > size:
        raise WeightsError(
            f"{path} is a compressed archive, which torch.save never writes", "unpack it, and name the file inside"
        )
    if any(e.filename.endswith("data.pkl") and e.file_size > _MOST_PICKLE_BYTES for e in entries):
        raise WeightsError(f"{path} describes its tensors in more bytes than any network", "save its state_dict()")
    return True


def _torchscript(path: Path) -> tuple[str, str]:
    return f"{path} is a TorchScript program, not a state dict", "save the model's state_dict() instead"


def _why_unreadable(path: Path, error: Exception) -> tuple[str, str]:
    text = str(error)
    if "TorchScript" in text:
        return _torchscript(path)
    code = re.search(r"GLOBAL '?([\w.]+)", text)
    if isinstance(error, pickle.UnpicklingError) and code:
        return (
            f"{path} is not a plain state dict: it holds Python objects ({code[1]}), which could run code",
            "where you trust its source, load it with torch and save its state_dict()",
        )
    return f"{path} is damaged or not a PyTorch file", "give a state dict saved with torch.save"


def _read_safetensors(path: Path) -> object:
    try:
        safetensors = import_module("safetensors.torch")
    except ModuleNotFoundError:
        raise UsageError(
            f"reading {path} needs safetensors, which is not installed", "pip install safetensors"
        ) from None
    try:
        loaded: object = safetensors.load_file(path, device="cpu")
    except Exception as error:
        raise WeightsError(f"{path} is damaged or not a safetensors file: {error}") from None
    return loaded
