"""Image files on disk: which files are images, and which class and split a data folder puts them in.

Two layouts are read, the same ones torchvision's `ImageFolder` users have:

    DIR/train/CLASS/…  DIR/val/CLASS/…  [DIR/test/CLASS/…]
    DIR/CLASS/…

Split folders may be spelt in any letter case and as `training`, `valid`, `validation` or `testing`. A folder
with such a name is a class, not a split, when it stands among other class folders and has no folders of its
own: photos of trains do not split a data set.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edge_runtime.errors import DataError
from edge_runtime.files.walk import is_folder, is_ignored, is_image, unreadable, walk_folder

_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_LAYOUT = (
    "expected DIR/train/CLASS/*.jpg and DIR/val/CLASS/*.jpg, or DIR/CLASS/*.jpg to have it split; "
    "images are jpg, jpeg, png, webp, heic, heif, avif, bmp, tif, tiff or gif"
)
_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".7z", ".rar"})
_NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled image: `path` is posix and relative to the data root, `label` indexes the labels."""

    path: str
    label: int


@dataclass(frozen=True, slots=True)
class FolderNote:
    """What a person must be told of a data folder: `text` is a sentence, `path` posix and relative, "" for the root.

    Kinds: `beside-splits`, folders beside train/; `loose-images` beside class folders; `other-files` that are no
    images; `no-split`, a split folder without images; `no-images` of a class; `empty-class`, a folder of no known one.
    """

    kind: Literal["beside-splits", "loose-images", "other-files", "no-split", "no-images", "empty-class"]
    path: str
    text: str


@dataclass(frozen=True)
class ClassFolders:
    """A data folder, listed but not opened.

    `splits` has keys among "train", "val", "test", or the single key "all" for flat class folders; samples
    are ordered by label, then path. `fingerprint` is "sha256:"
    and the hex digest over the sorted lines "path TAB size in bytes".
    """

    root: Path
    labels: tuple[str, ...]
    splits: Mapping[str, tuple[Sample, ...]]
    notes: tuple[FolderNote, ...]
    fingerprint: str


@dataclass
class _Found:
    """What one split folder holds; `prefix` is its posix path below the root, "" or ending in "/"."""

    prefix: str
    classes: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    strangers: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not any(self.classes.values())


def find_images(folder: Path) -> list[Path]:
    """Every image below `folder`, at any depth, in natural order: `2.jpg` comes before `10.jpg`.

    Dot-entries are ignored, links are followed, link loops are not. A link to nowhere is listed, for whoever
    opens it to name. Raises DataError when `folder` is missing, not a folder or cannot be read.
    """
    _check_folder(folder)
    return [Path(path) for path in walk_folder(os.fspath(folder)) if is_image(path)]


def scan(root: str | Path, *, labels: Sequence[str] | None = None) -> ClassFolders:
    """List a data folder's images by split and class, without opening any.

    Classes are the folders of train (or of the root, when flat), sorted by name; other splits are aligned to
    them by name. With `labels`, a model's, every split is aligned to those instead, and a folder may hold val
    or test alone. Raises DataError when the folder is missing, unreadable or not laid out as above, when a
    class is unknown, when a training class is empty, and when there are fewer than two.
    """
    root = Path(root)
    _check_folder(root)
    layout, notes = _layout(root)
    if labels is None and not layout.keys() & {"train", "all"}:
        raise DataError(f"{root} has {_folders_text(layout)} but no train/", _LAYOUT)
    found = {split: _read_classes(root, name) for split, name in layout.items()}
    beside = [] if "all" in found else [_read_loose(root)]
    for each in [*beside, *found.values()]:
        notes += _leftovers(each)

    if labels is None:
        labels = _own_labels(root, found.get("train") or found["all"])
        required = {"train", "val", "all"}
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
        notes += _missing(each, splits[split], labels)
    return ClassFolders(root, tuple(labels), splits, tuple(notes), _fingerprint(found.values()))


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
        split = _SPLIT_OF.get(name.lower())
        if split and named.setdefault(split, name) != name:
            doubles.append(f"{named[split]}/ and {name}/")
    others = [name for name in names if name.lower() not in _SPLIT_OF]
    if not named or (others and not any(_has_folders(root / name) for name in named.values())):
        return {"all": ""}, []
    if doubles:
        raise DataError(f"{root} has both {doubles[0]}, which mean the same split", "keep one of them")
    if others and "train" not in named:
        raise DataError(f"{root} mixes {_folders_text(named)} with class folders such as {others[0]!r}", _LAYOUT)
    order = sorted(named, key=["train", "val", "test"].index)
    layout = {split: named[split] for split in order}
    if others:
        text = f"left out what lies beside {layout['train']}/: {_list(others)}"
        return layout, [FolderNote("beside-splits", "", text)]
    return layout, []


def _has_folders(folder: Path) -> bool:
    return any(is_folder(entry) for entry in _entries(folder))


def _read_classes(root: Path, name: str) -> _Found:
    found = _read_loose(root, name)
    for entry in _entries(root / name):
        if not is_folder(entry):
            continue
        if _has_surrogates(entry.name):
            raise DataError(f"the class folder {entry.name!r} in {root / name} is not valid UTF-8", "rename it")
        files = found.classes.setdefault(entry.name, [])
        for place in walk_folder(entry.path):
            path = f"{found.prefix}{entry.name}{place[len(entry.path) :].replace(os.sep, '/')}"
            if is_image(path):
                files.append((path, _size(place)))
            else:
                found.strangers.append(path)
    return found


def _read_loose(root: Path, name: str = "") -> _Found:
    found = _Found(f"{name}/" if name else "")
    for entry in _entries(root / name):
        if not is_folder(entry):
            (found.loose if is_image(entry.name) else found.strangers).append(found.prefix + entry.name)
    return found


def _has_surrogates(name: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in name)


def _own_labels(root: Path, found: _Found) -> list[str]:
    """The class names a data folder defines; raises DataError unless there are two, none of them empty."""
    if found.is_empty:
        raise _no_images(root, found)
    for name, files in found.classes.items():
        if not files:
            raise DataError(
                f"the class folder {root / found.prefix / name} has no images{_instead(found, name)}",
                "add images or remove the folder; images are jpg, jpeg, png, webp, heic, avif, bmp, tif, tiff or gif",
            )
    if len(found.classes) == 1:
        only = root / found.prefix / next(iter(found.classes))
        deeper = _has_folders(only) and not any(is_image(entry.name) for entry in _entries(only))
        raise DataError(
            f"{root / found.prefix} has one class folder, {only.name!r}; a classifier needs at least two",
            f"did you mean {only}?" if deeper else _LAYOUT,
        )
    return sorted(found.classes)


def _instead(found: _Found, name: str) -> str:
    others = [path for path in found.strangers if path.startswith(f"{found.prefix}{name}/")]
    return f", only files such as {others[0]!r}" if others else ""


def _no_images(root: Path, found: _Found) -> DataError:
    place = root / found.prefix
    if found.loose:
        return DataError(f"{place} has {_count(found.loose, 'image')} but no class folders", _LAYOUT)
    if found.classes:
        return DataError(f"no class folder in {place} has images: {_list(sorted(found.classes))}", _LAYOUT)
    return DataError(f"{place} has no class folders" if found.strangers else f"{place} is empty", _LAYOUT)


def _align(root: Path, found: _Found, labels: Sequence[str]) -> tuple[Sample, ...]:
    # A folder copied from macOS may spell é as two code points; to a person it is the same name.
    index = {unicodedata.normalize("NFC", label): number for number, label in enumerate(labels)}
    index |= {label: number for number, label in enumerate(labels)}
    numbers = {name: index.get(name, index.get(unicodedata.normalize("NFC", name))) for name in found.classes}
    unknown = sorted(name for name, files in found.classes.items() if files and numbers[name] is None)
    if unknown:
        raise DataError(
            f"{root / found.prefix} has unknown classes: {_list(unknown)}",
            f"the known ones are {_list(labels)}; rename or remove the others",
        )
    samples = [
        Sample(path, number)
        for name, files in found.classes.items()
        if (number := numbers[name]) is not None
        for path, _ in files
    ]
    return tuple(sorted(samples, key=lambda sample: (sample.label, sample.path)))


def _missing(found: _Found, samples: Iterable[Sample], labels: Sequence[str]) -> list[FolderNote]:
    notes = []
    present = {sample.label for sample in samples}
    missing = [label for number, label in enumerate(labels) if number not in present]
    where = found.prefix or "the folder"
    if missing:
        text = f"{where} has no images of {_count(missing, 'class')}: {_list(missing)}"
        notes.append(FolderNote("no-images", found.prefix, text))
    empty = sorted(name for name, files in found.classes.items() if not files and name not in missing)
    if empty:
        notes.append(FolderNote("empty-class", found.prefix, f"left out empty folders in {where}: {_list(empty)}"))
    return notes


def _leftovers(found: _Found) -> list[FolderNote]:
    notes = []
    if found.loose:
        images = _count(found.loose, "image")
        text = f"left out {images} beside the class folders, for example {found.loose[0]!r}"
        notes.append(FolderNote("loose-images", found.prefix, text))
    if found.strangers:
        suffixes = sorted({Path(path).suffix.lower() or "no suffix" for path in found.strangers})
        types = ", ".join(suffixes[:_NAMES_SHOWN])
        files = _count(found.strangers, "file")
        text = f"ignored {files} of other types ({types}), for example {found.strangers[0]!r}"
        notes.append(FolderNote("other-files", found.prefix, text))
    return notes


def _fingerprint(found: Iterable[_Found]) -> str:
    files = sorted(file for each in found for files in each.classes.values() for file in files)
    digest = hashlib.sha256()
    for path, size_bytes in files:
        digest.update(f"{path}\t{size_bytes}\n".encode("utf-8", "surrogatepass"))
    return f"sha256:{digest.hexdigest()}"


def _count(things: Sequence[str], noun: str) -> str:
    plural = "classes" if noun == "class" else f"{noun}s"
    return f"{len(things)} {noun if len(things) == 1 else plural}"


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(map(repr, names[:_NAMES_SHOWN])) + more


def _folders_text(named: Mapping[str, str]) -> str:
    return " and ".join(f"{name}/" for name in named.values())
