"""CIFAR-10 (Krizhevsky 2009) as class folders of PNG files, made from torchvision's copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge_runtime import MissingExtraError, OutputError
from edge_train.cache import cache_folder
from edge_train.download import download

__all__ = ["cifar10_folder"]


def cifar10_folder() -> Path:
    """The folder `cifar10/{train,test}/CLASS/NNNNN.png` in the cache, downloaded and unpacked if absent.

    As files its images go the way of all others: split.csv names them, `edge evaluate` and
    `edge predict` read them.

    Raises:
        WeightsError: it cannot be downloaded.
        OutputError: the cache cannot be written.
    """
    folder = cache_folder() / "cifar10"
    if folder.is_dir():
        return folder
    try:
        from torchvision.datasets import CIFAR10
    except ImportError:
        raise MissingExtraError("train", "torchvision") from None
    archive = cache_folder() / CIFAR10.filename
    if not archive.is_file():
        ways_out = f"download it elsewhere and put it at {archive}, or name a folder of images with --data"
        download(CIFAR10.url, archive, ways_out=ways_out)
    building = folder.with_name(f".cifar10.{os.getpid()}.tmp")
    try:
        building.mkdir(parents=True)
        for split, train in (("train", True), ("test", False)):
            # torchvision finds the archive in place, checks its hash and only unpacks it.
            images = CIFAR10(str(cache_folder()), train=train, download=True)
            for index in range(len(images)):
                image, label = images[index]
                place = building / split / images.classes[label]
                place.mkdir(parents=True, exist_ok=True)
                image.save(place / f"{index:05d}.png")
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
