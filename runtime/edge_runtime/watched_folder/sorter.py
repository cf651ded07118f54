"""Sorting pictures into folders by label: never over another file, and to an end after a kill at any moment."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from edge_runtime.errors import OutputError, UsageError
from edge_runtime.files.atomic import sync_folder
from edge_runtime.model.prediction import UNKNOWN

LABEL = "{label}"
# What a card's FAT or Windows does not have in names (characters, spaces and dots at the ends, names of devices), what
# would lead into another folder, and what reads as an escape already.
_UNFIT = (
    r"""[\x00-\x1f\x7f/\\:*?"<>|] | \A\x20 | [\x20.]\Z | %(?=[0-9a-f]{2}) |"""
    r"""\A(con|prn|aux|nul|(com|lpt)[0-9])(?=\.|\Z)"""
)
_MUST_GO = re.compile(_UNFIT, re.VERBOSE | re.IGNORECASE)
# Beside that, what a file system may take for another letter.
_MAY_FOLD = re.compile(rf"{_UNFIT} | (?-i:[A-Z]) | [^\x00-\x7f]", re.VERBOSE | re.IGNORECASE)
# The escape of "_", which no label has.
_NAMELESS = "%5F"
_NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP})


# What stands in the way of one picture and not of the next, unless it is the folder that may not be written to.
_OF_ONE = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG})
# The most that a name has on nearly all file systems.
_NAME_BYTES = 255


class StuckError(OutputError):
    """This one picture cannot be moved, and stays where it is; others can."""


class Sorter:
    """Knows the folder of each label by a template such as `sorted/{label}`; no two labels have one.

    What has no label goes to `unknown`, or where a label is called so, to `%5Funknown`.

    Of `labels`, the model's, those are told apart that some file systems take for the same: `Bee` and `bee`.

    Raises UsageError where the template has another placeholder than `{label}`.
    """

    def __init__(self, template: str, labels: Sequence[str] = ()) -> None:
        if "{" in template.replace(LABEL, "") or "}" in template.replace(LABEL, "") or not template:
            raise UsageError(f"`move_to` {template}: the only placeholder is {LABEL}", "`move_to` 'sorted/{label}'")
        self._template = template
        above = Path(template.partition(LABEL)[0] + "x").parent if LABEL in template else Path(template)
        self.root = above.absolute()
        times = Counter(map(_folded, labels))
        self._unknown = _NAMELESS + UNKNOWN if UNKNOWN in times else UNKNOWN
        self._alike = frozenset(label for label in labels if times[_folded(label)] > 1)

    def folder(self, label: str | None) -> Path:
        """The absolute path of the folder of a label, or of what has none.

        What the folder's name cannot hold is percent-encoded (RFC 3986), `%2F`.
        """
        unfit = _MAY_FOLD if label in self._alike else _MUST_GO
        name = self._unknown if label is None else unfit.sub(_escaped, label) or _NAMELESS
        return Path(self._template.replace(LABEL, name)).absolute()


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def _folded(label: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).casefold())


def free_name(folder: Path, name: str) -> Path:
    """A path in `folder`, which is made where it is not there, that no file has: `name`, or `name` with a number.

    A stem that leaves no room for the number is cut. Raises OutputError where the folder cannot be made, StuckError
    where its name is too long.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        kind = StuckError if error.errno == errno.ENAMETOOLONG else OutputError
        raise kind(f"cannot make the folder {folder}: {error.strerror}", _hint(error, folder)) from None
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    path, number = folder / name, 1
    while os.path.lexists(path):
        number += 1
        ending = f"-{number}{suffix}"
        while stem and len(os.fsencode(stem + ending)) > _NAME_BYTES:
            stem = stem[:-1]
        path = folder / f"{stem}{ending}"
    return path


def bring(  # noqa: PLR0911 (a table of what can be found, read from the top)
    source: Path, target: Path, *, size_bytes: int, changed_ns: int, again: bool = False
) -> bool:
    """Move the file of that size and time of change to `target`, or finish moving it; False where another has the name.

    `target` must have been free when it was chosen. With `again`, a process may have been killed on the way: linked
    and not yet unlinked, copied and not yet unlinked, or the name reserved by an empty file. Where its owner took the
    file away or replaced it meanwhile, there is nothing to move and nothing is.

    Raises OutputError where it cannot be moved, StuckError where others can; it is then where it was.
    """
    origin = None
    try:
        origin = _status(source)
        if origin is None or (origin.st_size, origin.st_mtime_ns) != (size_bytes, changed_ns):
            return True  # brought before, or taken away or replaced by its owner
        there = _status(target)
        if there is None:
            return _place(source, target, origin)
        if os.path.samestat(origin, there):
            _drop(source, origin, target)
            return True
        if not again:
            return False
        if there.st_size == 0 and size_bytes:
            source.replace(target)
            return True
        if there.st_size == size_bytes and filecmp.cmp(source, target, shallow=False):
            _drop(source, origin)
            return True
        return False
    except OSError as error:
        with suppress(OSError):
            if origin is not None and not _is_still(source, origin):
                return True
        kind = StuckError if _is_of_one(error, target.parent) else OutputError
        text = f"cannot move {source} to {target}: {error.strerror or error}"
        raise kind(text, _hint(error, target.parent, source if kind is StuckError else None)) from None


def _is_of_one(error: OSError, folder: Path) -> bool:
    if error.errno == errno.ENAMETOOLONG:
        return True
    return error.errno in _OF_ONE and os.access(folder, os.W_OK | os.X_OK)


def _hint(error: OSError, folder: Path, stays: Path | None = None) -> str:
    """What to do where nothing can be moved to `folder`, or the one picture `stays` where it is."""
    if error.errno == errno.ENAMETOOLONG:
        return "a name is too long there: shorten it, or choose another folder with `move_to`"
    if stays is not None:
        return f"it stays there: check its permissions and those of {stays.parent}"
    first = "make room" if error.errno == errno.ENOSPC else f"check the disk of {folder}"
    if error.errno in _OF_ONE:
        first = f"check the permissions of {folder}"
    return f"{first}, or choose another folder with `move_to`"


def _status(path: Path) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_still(path: Path, origin: os.stat_result) -> bool:
    """Whether the file at `path` is the one that `origin` was, unchanged."""
    now = _status(path)
    if now is None or not os.path.samestat(now, origin):
        return False
    return (now.st_size, now.st_mtime_ns) == (origin.st_size, origin.st_mtime_ns)


def _drop(source: Path, origin: os.stat_result, new: Path | None = None) -> None:
    """Remove the file's old name, or where that may not be, its `new` one."""
    # A camera that writes one name again and again may have put its next picture there by now: that one stays.
    if not _is_still(source, origin):
        return
    try:
        source.unlink()
    except OSError:
        with suppress(OSError):
            if new is not None and _is_still(source, origin):
                new.unlink()
        raise


def _place(source: Path, target: Path, origin: os.stat_result) -> bool:
    """Give the file its new name; a hard link is refused where the name is taken, as rename would not."""
    try:
        os.link(source, target)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno == errno.EXDEV:
            return _copy(source, target, origin)
        if error.errno in _NO_LINKS:
            return _reserve(source, target, origin)
        raise
    if not _is_still(target, origin):
        target.unlink()
        return True
    # The new name must be on the disk before the old one goes.
    sync_folder(target.parent)
    _drop(source, origin, target)
    return True


def _reserve(source: Path, target: Path, origin: os.stat_result) -> bool:
    """The same where there are no hard links (FAT): an empty file of ours takes the name first."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    try:
        source.replace(target)
    except OSError as error:
        target.unlink()
        if error.errno == errno.EXDEV:
            return _copy(source, target, origin)
        raise
    return True


def _copy(source: Path, target: Path, origin: os.stat_result) -> bool:
    """The same onto another file system: whole and on the disk under a temporary name, then named, then unlinked."""
    # Named after the target, so that the next process takes up what a killed one left.
    digest = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    part = target.with_name(f".edge-{digest}.part")
    try:
        shutil.copyfile(source, part)
        with suppress(OSError):
            shutil.copystat(source, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        if not _is_still(source, origin):
            return True
        if not _place(part, target, os.lstat(part)):
            return False
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
    _drop(source, origin, target)
    return True
