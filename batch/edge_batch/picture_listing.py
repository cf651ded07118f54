"""What `--data` stands for: the pictures of folders, patterns, lists and buckets, each of them once."""

from __future__ import annotations

import fnmatch
import glob
import hashlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn
from urllib.parse import unquote

from edge_batch.locations import Locations, Stored, beside, is_uri, without_secrets
from edge_runtime import (
    DataError,
    EdgeError,
    UsageError,
    expand,
    is_ignored,
    is_image,
    is_manifest,
    listed_pictures,
    natural_key,
    require_utf_8,
)


@dataclass(frozen=True, slots=True)
class Listing:
    """Pictures in the order given: absolute paths or URIs, each once, and their sizes where those are known.

    `names` are what they were listed of, without secrets; `locations` opens what lies in no folder.
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    sizes: tuple[int | None, ...]
    locations: Locations

    @property
    def sha256(self) -> str:
        """What tells the listing from one with other pictures, or with other files of these names."""
        digest = hashlib.sha256()
        for path, size in zip(self.paths, self.sizes, strict=True):
            digest.update(f"{path}\0{'' if size is None else size}\n".encode())
        return digest.hexdigest()

    @property
    def known_bytes(self) -> tuple[int, int]:
        """How many bytes the pictures of known size have together, and how many pictures those are."""
        known = [size for size in self.sizes if size is not None]
        return sum(known), len(known)


def list_all(data: Sequence[str]) -> Listing:
    """The pictures of each name in `data`: a folder at any depth, a pattern, a list of pictures, a file, or a URI.

    Of a list (CSV, or Parquet) a column `path` is read, whose paths are relative to the list or URIs.

    Raises DataError where a name stands for no picture, a list names a file that is not there, a store cannot be
    reached, or a name is no UTF-8; UsageError where nothing is named, or a secret has a slash.
    """
    if not data:
        raise UsageError("no pictures are named", "--data DIR, a pattern, a list, or s3://BUCKET/PATH")
    names = [os.path.abspath(_local(name)) if _is_file_uri(name) else name for name in data]  # noqa: PTH100
    locations = Locations([name for name in names if is_uri(name)])
    found: dict[str, int | None] = {}
    for name in names:
        none = True
        for path, size in _of_bucket(name, locations) if is_uri(name) else _of_disk(name, locations):
            found.setdefault(path, size)
            none = False
        if none:
            raise DataError(f"{without_secrets(name) if is_uri(name) else name} has no images in it", "name another")
    paths = tuple(found)
    require_utf_8(paths)
    shown = tuple(without_secrets(name) if is_uri(name) else os.path.abspath(name) for name in names)  # noqa: PTH100
    return Listing(shown, paths, tuple(found.values()), locations)


def _of_disk(name: str, locations: Locations) -> Iterator[Stored]:
    if is_manifest(Path(name)):

        def stored(row: str) -> str | None:
            return locations.learn(row) if is_uri(row) and not _is_file_uri(row) else None

        for path in listed_pictures(Path(name), stored):
            yield Stored(path, None if is_uri(path) else _size(path))
        return
    for source in expand([name], on_problem=_stop):
        path = os.path.abspath(str(source.image))  # noqa: PTH100
        yield Stored(path, _size(path))


def _of_bucket(uri: str, locations: Locations) -> Iterator[Stored]:
    shown = without_secrets(uri)
    if is_manifest(Path(shown)):
        yield from _of_list_in_bucket(shown, locations)
    elif glob.has_magic(shown) and not locations.has(uri):
        base = re.split(r"[*?\[]", shown, maxsplit=1)[0].rpartition("/")[0]
        fits = _pattern(shown)
        fitting = [
            file for file in locations.walk(base) if fits.match(file.path) and _is_picture(file.path[len(base) + 1 :])
        ]
        yield from sorted(fitting, key=_order)
    else:
        found = list(locations.walk(uri))
        alone = [file.path for file in found] == [shown]
        below = len(shown.rstrip("/")) + 1
        yield from sorted((file for file in found if alone or _is_picture(file.path[below:])), key=_order)


def _of_list_in_bucket(uri: str, locations: Locations) -> Iterator[Stored]:
    try:
        data = locations.read(uri)
    except EdgeError as error:
        raise DataError(error.message, error.hint) from None
    with TemporaryDirectory(prefix="edge-list-") as folder:
        copy = Path(folder, posixpath.basename(uri))
        copy.write_bytes(data)

        def stored(row: str) -> str:
            if _is_file_uri(row):
                raise DataError(f"{row!r} is a file of one machine, in a list of a bucket")
            return locations.learn(row) if is_uri(row) else beside(uri, row)

        try:
            listed = listed_pictures(copy, stored)
        except DataError as error:
            raise DataError(error.message.replace(str(copy), uri, 1), error.hint) from None
    for path in listed:
        yield Stored(path, None)


def _is_file_uri(name: str) -> bool:
    return name[:7].lower() == "file://"


def _local(uri: str) -> str:
    """The path that `file://…` means: as it stands, where that is there, else percent-decoded."""
    path = uri[7:]
    return path if os.path.lexists(path) else unquote(path)


def _order(file: Stored) -> tuple[str, str]:
    return natural_key(file.path)


def _is_picture(below: str) -> bool:
    """Whether it is taken of a folder: as on a disk no dot-entry at any depth, and nothing that edge draws."""
    return is_image(below) and not any(map(is_ignored, below.split("/")))


def _pattern(shown: str) -> re.Pattern[str]:
    """A pattern of which `*` does not go across folders, and `**` does."""
    parts = []
    for part in re.split(r"(\*\*/|\*\*|\*|\?|\[[^]]*\])", shown):
        match part:
            case "**/":
                parts.append("(?:.*/)?")
            case "**":
                parts.append(".*")
            case "*":
                parts.append("[^/]*")
            case "?":
                parts.append("[^/]")
            case _:
                parts.append(fnmatch.translate(part)[4:-3] if part.startswith("[") else re.escape(part))
    return re.compile("".join(parts) + r"\Z")


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return None  # it becomes a row that says so


def _stop(error: EdgeError) -> NoReturn:
    raise DataError(error.message, error.hint) from None
