"""CIFAR-10 (Krizhevsky 2009) as class folders of PNG files, made from its own archive."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from edge_data.sets.downloading import download
from edge_runtime import DataError, OutputError, cache_folder

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
ARCHIVE_MD5 = "c58f30108f718f92721af3b95e74349a"
BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}


def cifar10_folder() -> Path:
    """The folder `cifar10/{train,test}/CLASS/NNNNN.png` in the cache, downloaded and unpacked if absent.

    As files its images go the way of all others: split.csv names them, `edge evaluate` and
    `edge predict` read them.

    Raises:
        WeightsError: it cannot be downloaded.
        DataError: the archive in the cache is not CIFAR-10's.
        OutputError: the cache cannot be written.
    """
    folder = cache_folder() / "cifar10"
    if folder.is_dir():
        return folder
    archive = cache_folder() / "cifar-10-python.tar.gz"
    if not archive.is_file():
        ways_out = f"download it elsewhere and put it at {archive}, or name a folder of images with `data`"
        download(URL, archive, ways_out=ways_out)
    building = folder.with_name(f".cifar10.{os.getpid()}.tmp")
    try:
        _check(archive)
        _unpack(archive, building)
        building.rename(folder)
    except OSError as error:
        if folder.is_dir():  # another process was faster
            return folder
        raise OutputError(
            f"cannot write {folder}: {error.strerror or error}", "set EDGE_CACHE to a folder with room"
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _check(archive: Path) -> None:
    with archive.open("rb") as file:
        if hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() != ARCHIVE_MD5:
            raise DataError(f"{archive} is not the archive of CIFAR-10", "remove it, to have it downloaded again")


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        names = _read(tar, "batches.meta")["label_names"]
        for split, batches in BATCHES.items():
            for name in names:
                (target / split / name).mkdir(parents=True, exist_ok=True)
            index = 0
            for batch in batches:
                entry = _read(tar, batch)
                for row, label in zip(entry["data"], entry["labels"], strict=True):
                    pixels = row.reshape(3, 32, 32).transpose(1, 2, 0)
                    Image.fromarray(pixels).save(target / split / names[label] / f"{index:05d}.png")
                    index += 1


def _read(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    """An entry of the archive, whose hash was compared: a pickle of anybody's could run what it likes."""
    file = tar.extractfile(f"cifar-10-batches-py/{name}")
    assert file is not None
    with file:
        entry: dict[str, Any] = pickle.load(file, encoding="latin1")
    return entry
