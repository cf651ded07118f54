"""Image files on disk: which files are images, and which class and split a data folder puts them in.

Two layouts are read, the same ones torchvision's `ImageFolder` users have:

    DIR/train/CLASS/…  DIR/val/CLASS/…  [DIR/test/CLASS/…]
    DIR/CLASS/…

A class is called like that folder, or, where folders above it say something else, like the one its images lie in; in
Unicode's composed form, so that folders which differ in code points alone are one class.

Split folders may be spelt in any letter case and as `training`, `valid`, `validation`, `dev` or `testing`, with `_set`
or `_data` behind it. A folder with such a name is a class, not a split, when it stands among other class folders and
has no folders of its own: photos of trains do not split a data set.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edge_runtime.errors import DataError
from edge_runtime.files.labelling import composed
from edge_runtime.files.samples import (
    NAMES_SHOWN,
    ClassFolders,
    FolderNote,
    Sample,
    count_text,
    names_text,
    note_alike,
    note_missing,
    split_of,
)
from edge_runtime.files.walk import is_folder, is_ignored, is_image, unreadable, walk_folder
from edge_runtime.settings import LabelFrom

_LAYOUT = (
    "expected DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg, or DIR/CLASS/*.jpg to have it split; "
    "images are jpg, jpeg, png, webp, heic, heif, avif, bmp, tif, tiff or gif"
)
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar"})


@dataclass
class _Found:
    """What one split folder holds; `prefix` is its posix path below the root, "" or ending in "/".

    `folders` is the first folder of each class, as it is spelt on the disk, below the root.
    """

    prefix: str
    classes: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not any(self.classes.values())

    def add_class(self, root: Path, folder: str) -> list[tuple[str, int]]:
        """The files of the class that a folder below the root is of, one more where it is not known yet."""
        name = folder.rpartition("/")[2]
        if any("\ud800" <= character <= "\udfff" for character in name):
            raise DataError(f"the class folder {name!r} in {root / self.prefix} is not valid UTF-8", "rename it")
        label = composed(name)
        self.folders.setdefault(label, folder)
        return self.classes.setdefault(label, [])


@dataclass(frozen=True)
class FoundFolders:
    """A data folder as it was found: its classes by split, not yet numbered."""

    root: Path
    label_from: LabelFrom
    found: Mapping[str, _Found]
    notes: Sequence[FolderNote]

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of its splits, or "all"."""
        return tuple(self.found)

    @property
    def classes(self) -> set[str]:
        """The classes that can be trained on."""
        parts = [self.found[split] for split in ("train", "all") if split in self.found]
        return {name for part in parts for name in part.classes}

    def align(self, labels: Sequence[str] | None, *, empty_classes: bool = False) -> ClassFolders:
        """The images by number of their class, the folder's own or one of `labels`. Raises DataError as `scan` does."""
        root, found, notes = self.root, dict(self.found), list(self.notes)
        if labels is None:
            if not found.keys() & {"train", "all"}:
                folders = " and ".join(each.prefix for each in found.values())
                raise DataError(f"{root} has {folders} but no train/", _LAYOUT)
            labels = _own_labels(root, found.get("train") or found["all"], empty_classes=empty_classes)
            notes += note_alike(labels)
            required = {"train", "all"} if empty_classes else {"train", "val", "all"}
        else:
            required = set()
        for split in [split for split, each in found.items() if each.is_empty]:
            if split in required or len(found) == 1:
                raise _no_images(root, found[split])
            prefix = found[split].prefix
            notes.append(FolderNote("no-split", prefix, f"left out {prefix}: it has no images in class folders"))
            del found[split]
        splits = {split: _align(root, each, labels) for split, each in found.items()}
        for split, each in found.items():
            where = each.prefix or "the folder"
            notes += note_missing(where, each.prefix, {sample.label for sample in splits[split]}, labels)
            notes += _empty(each, splits[split], labels)
        fingerprint = _fingerprint(found.values(), self.label_from)
        return ClassFolders(root, tuple(labels), splits, tuple(notes), fingerprint, label_from=self.label_from)


def find_images(folder: Path) -> list[Path]:
    """Every image below `folder`, at any depth, in natural order: `2.jpg` comes before `10.jpg`.

    Dot-entries are ignored, links are followed, link loops are not. A link to nowhere is listed, for whoever
    opens it to name. Raises DataError when `folder` is missing, not a folder or cannot be read.
    """
    _check_folder(folder)
    return [Path(path) for path in walk_folder(os.fspath(folder)) if is_image(path)]


def find_folders(root: Path, label_from: LabelFrom = "top") -> FoundFolders:
    """List a data folder's images by split and class, without opening any.

    Raises DataError when the folder is missing, unreadable or not laid out as above.
    """
    _check_folder(root)
    layout, notes = _layout(root)
    found = {split: _read_classes(root, name, label_from) for split, name in layout.items()}
    beside = [] if "all" in found else [_read_loose(root)]
    for each in [*beside, *found.values()]:
        notes += _leftovers(each)
    if label_from == "parent":
        notes += _inner_splits(found.values())
    elif "all" in found:
        notes += _same_folders(found["all"])
    return FoundFolders(root, label_from, found, notes)


def _check_folder(folder: Path) -> None:
    try:
        with os.scandir(folder):
            return
    except FileNotFoundError:
        raise DataError(f"{folder} does not exist", _LAYOUT) from None
    except NotADirectoryError:
        packed = folder.suffix.lower() in _ARCHIVES
        hint = "unpack it and give the folder" if packed else _LAYOUT
        raise DataError(f"{folder} is a file, not a folder", hint) from None
    except OSError as error:
        raise unreadable(folder, error) from None


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted((entry for entry in found if not is_ignored(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise unreadable(folder, error) from None


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 (Path is slower, and this runs once per file)
    except PermissionError as error:
        raise unreadable(path, error) from None
    except OSError:
        return 0  # a link to nowhere stays listed, so that the check of the images can name it


def _layout(root: Path) -> tuple[dict[str, str], list[FolderNote]]:
    """Folder name by split, {"all": ""} when flat, and a note on folders that are part of neither."""
    names = [entry.name for entry in _entries(root) if is_folder(entry)]
    named: dict[str, str] = {}
    doubles: list[str] = []
    for name in names:
        split = split_of(name)
        if split and named.setdefault(split, name) != name:
            doubles.append(f"{named[split]}/ and {name}/")
    others = [name for name in names if split_of(name) is None]
    if not named or (others and not any(_has_folders(root / name) for name in named.values())):
        return {"all": ""}, []
    if doubles:
        raise DataError(f"{root} has both {doubles[0]}, which mean the same split", "keep one of them")
    if others and "train" not in named:
        raise DataError(f"{root} mixes {_folders_text(named)} with class folders such as {others[0]!r}", _LAYOUT)
    order = sorted(named, key=["train", "val", "test"].index)
    layout = {split: named[split] for split in order}
    if others:
        text = f"left out what lies beside {layout['train']}/: {names_text(others)}"
        return layout, [FolderNote("beside-splits", "", text)]
    return layout, []


def _has_folders(folder: Path) -> bool:
    return any(is_folder(entry) for entry in _entries(folder))


def _read_classes(root: Path, name: str, label_from: LabelFrom) -> _Found:
    found = _read_loose(root, name)
    for entry in _entries(root / name):
        if not is_folder(entry):
            continue
        if label_from == "top":
            found.add_class(root, found.prefix + entry.name)
        for place in walk_folder(entry.path):
            path = f"{found.prefix}{entry.name}{place[len(entry.path) :].replace(os.sep, '/')}"
            if is_image(path):
                folder = found.prefix + entry.name if label_from == "top" else path.rpartition("/")[0]
                found.add_class(root, folder).append((path, _size(place)))
            else:
                found.strangers.append(path)
    return found


def _read_loose(root: Path, name: str = "") -> _Found:
    found = _Found(f"{name}/" if name else "")
    for entry in _entries(root / name):
        if not is_folder(entry):
            (found.loose if is_image(entry.name) else found.strangers).append(found.prefix + entry.name)
    return found


def _own_labels(root: Path, found: _Found, *, empty_classes: bool) -> list[str]:
    """The class names a data folder defines; raises DataError unless there are two, none of them empty."""
    if found.is_empty:
        raise _no_images(root, found)
    for name, files in found.classes.items():
        if not files and not empty_classes:
            others = [path for path in found.strangers if path.startswith(f"{found.folders[name]}/")]
            instead = f", only files such as {others[0]!r}" if others else ""
            raise DataError(
                f"the class folder {root / found.folders[name]} has no images{instead}",
                "add images or remove the folder; images are jpg, jpeg, png, webp, heic, avif, bmp, tif, tiff or gif",
            )
    if len(found.classes) == 1:
        only = root / next(iter(found.folders.values()))
        deeper = _has_folders(only) and not any(is_image(entry.name) for entry in _entries(only))
        raise DataError(
            f"{root / found.prefix} has one class folder, {only.name!r}; a classifier needs at least two",
            f"did you mean {only}?" if deeper else _LAYOUT,
        )
    return sorted(found.classes)


def _no_images(root: Path, found: _Found) -> DataError:
    place = root / found.prefix
    if found.loose:
        return DataError(f"{place} has {count_text(found.loose, 'image')} but no class folders", _LAYOUT)
    if found.classes:
        return DataError(f"no class folder in {place} has images: {names_text(sorted(found.classes))}", _LAYOUT)
    return DataError(f"{place} has no class folders" if found.strangers else f"{place} is empty", _LAYOUT)


def _align(root: Path, found: _Found, labels: Sequence[str]) -> tuple[Sample, ...]:
    # A model of before may have labels as folders spell them.
    index = {composed(label): number for number, label in enumerate(labels)}
    numbers = {name: index.get(name) for name in found.classes}
    unknown = sorted(name for name, files in found.classes.items() if files and numbers[name] is None)
    if unknown:
        raise DataError(
            f"{root / found.prefix} has unknown classes: {names_text(unknown)}",
            f"the known ones are {names_text(labels)}; rename or remove the others",
        )
    samples = [
        Sample(path, number)
        for name, files in found.classes.items()
        if (number := numbers[name]) is not None
        for path, _ in files
    ]
    return tuple(sorted(samples, key=lambda sample: (sample.label, sample.path)))


def _empty(found: _Found, samples: Iterable[Sample], labels: Sequence[str]) -> list[FolderNote]:
    present = {sample.label for sample in samples}
    missing = {composed(label) for number, label in enumerate(labels) if number not in present}
    empty = sorted(name for name, files in found.classes.items() if not files and name not in missing)
    where = found.prefix or "the folder"
    text = f"left out empty folders in {where}: {names_text(empty)}"
    return [FolderNote("empty-class", found.prefix, text)] if empty else []


def _inner_splits(found: Iterable[_Found]) -> list[FolderNote]:
    inner = {
        folder
        for each in found
        for files in each.classes.values()
        for path, _ in files
        for folder in path.removeprefix(each.prefix).split("/")[:-2]
        if split_of(folder)
    }
    text = f"folders called {names_text(sorted(inner))} below others are no splits: those are read at the top alone"
    return [FolderNote("inner-split", "", text)] if inner else []


def _same_folders(found: _Found) -> list[FolderNote]:
    """A note where all class folders hold folders of the same names: often those are the classes."""
    inner: set[str] = set()
    for files in found.classes.values():
        own = _folders_in([path.split("/")[1:] for path, _ in files])
        if len(own) < 2 or own != (inner or own):
            return []
        inner = own
    if len(found.classes) < 2:
        return []
    text = f"each of the class folders {names_text(sorted(found.classes))} holds {names_text(sorted(inner))}: "
    text += "if those are the classes, put them below train/ and test/, or take `label_from` parent"
    words = [[word for word in re.split(r"[-_ .]", name) if word] for name in found.classes]
    named = all(any(map(split_of, each)) for each in words)
    return [FolderNote("splits-as-classes" if named else "same-folders", "", text)]


def _folders_in(paths: Sequence[Sequence[str]]) -> set[str]:
    """The first folders of `paths`, below those that hold nothing but one folder; none where images lie beside them."""
    while paths and all(len(path) > 1 for path in paths):
        if len(names := {path[0] for path in paths}) > 1:
            return names
        paths = [path[1:] for path in paths]
    return set()


def _leftovers(found: _Found) -> list[FolderNote]:
    notes = []
    if found.loose:
        images = count_text(found.loose, "image")
        text = f"left out {images} beside the class folders, for example {found.loose[0]!r}"
        notes.append(FolderNote("loose-images", found.prefix, text))
    if found.strangers:
        suffixes = sorted({Path(path).suffix.lower() or "no suffix" for path in found.strangers})
        types = ", ".join(suffixes[:NAMES_SHOWN])
        files = count_text(found.strangers, "file")
        text = f"ignored {files} of other types ({types}), for example {found.strangers[0]!r}"
        notes.append(FolderNote("other-files", found.prefix, text))
    return notes


def _fingerprint(found: Iterable[_Found], label_from: LabelFrom) -> str:
    files = sorted(file for each in found for files in each.classes.values() for file in files)
    digest = hashlib.sha256(b"" if label_from == "top" else f"label from {label_from}\n".encode())
    for path, size_bytes in files:
        digest.update(f"{path}\t{size_bytes}\n".encode("utf-8", "surrogatepass"))
    return f"sha256:{digest.hexdigest()}"


def _folders_text(named: Mapping[str, str]) -> str:
    return " and ".join(f"{name}/" for name in named.values())
