"""Where pictures lie that are no files of this machine: buckets and other file systems, by their URI."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from edge_runtime import DataError, ImageError, UsageError, one_line

MAX_FILE_BYTES = 500_000_000
_HINT = "check the address, and that this machine may read there"
_OPTIONS = re.compile(r"\?(?=\w+=)")
# Of these what stands behind the question mark says which picture it is.
_ADDRESSES = ("http", "https")
# What stands before the first slash of these is a bucket, which has no port.
_BUCKETS = ("s3", "s3a", "gs", "gcs")
# What pyarrow says of these is what is wrong with them; the others, Azure's too, fsspec may read nevertheless.
_OF_PYARROW = ("s3", "gs", "gcs", "hdfs", "viewfs")
_LONGEST_REASON = 200
_RETRY_S = 20


class Stored(NamedTuple):
    """One file in a store: its URI without secrets, and its size in bytes, None where the store does not say."""

    path: str
    size_bytes: int | None


class _Parts(NamedTuple):
    """A URI taken apart: `root` is what a file system is opened by, with its secrets, `place` the same without."""

    root: str
    place: str
    key: str


def is_uri(name: str) -> bool:
    """Whether the name says a file system of its own: `s3://bucket/photos`."""
    return re.match(r"[A-Za-z][\w+.-]*://", name) is not None


def without_secrets(uri: str) -> str:
    """The URI as it may be printed and kept: no user, no password and no options; of http the whole address.

    Raises UsageError where its secret has a slash, so that nobody can tell where it ends.
    """
    parts = _split(uri)
    return parts.place + parts.key


def _split(uri: str) -> _Parts:
    # As the stores' own tools do: what stands behind the bucket is a key as it is, not percent-encoded.
    scheme, _, rest = uri.partition("://")
    plain, *options = [rest] if scheme.lower() in _ADDRESSES else _OPTIONS.split(rest, maxsplit=1)
    where, slash, key = plain.partition("/")
    user, colon, secret = where.partition(":")
    is_port = scheme.lower() not in _BUCKETS and (secret.isdigit() or user.startswith("["))
    if colon and "@" not in where and "@" in key and not is_port:
        raise UsageError(
            f"the secret in the URI {scheme}://… has a slash: write it %2F", "the key of AWS may have some"
        )
    told = f"?{options[0]}" if options else ""
    return _Parts(f"{scheme}://{where}{told}", f"{scheme}://{where.rpartition('@')[2]}", f"{slash}{key}")


def beside(uri: str, name: str) -> str:
    """The URI of what a list at `uri` names by a path relative to its folder.

    Raises DataError where that is outside of the bucket or absolute, as a path of one machine is.
    """
    parts = _split(uri)
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:/", name):
        raise DataError(f"{name!r} is a path of one machine, in a list of a bucket", "name it relative to the list")
    path, question, query = name.partition("?") if uri.startswith(_ADDRESSES) else (name, "", "")
    # Keys are compared letter by letter: a store makes nothing of `.` and `..`.
    folders = parts.key.split("/")[1:-1]
    for part in path.split("/"):
        if part == ".." and not folders:
            raise DataError(f"{name!r} leaves {parts.place}", "name it relative to the list")
        if part == "..":
            folders.pop()
        elif part not in ("", "."):
            folders.append(part)
    return "/".join((parts.place, *folders)) + question + query


class Locations:
    """The file systems of some URIs, each opened once in a process; another process opens them anew.

    The first URI of a bucket says how all in it are reached: `s3://KEY:SECRET@bucket/photos?region=eu-west-1`.
    """

    def __init__(self, uris: Sequence[str]) -> None:
        self._uris = {parts.place: parts.root for parts in reversed([_split(uri) for uri in uris])}
        self._opened: dict[str, tuple[Any, str]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Locations, (list(self._uris.values()),)

    def learn(self, uri: str) -> str:
        """Remember how the bucket of a URI is reached, where none said it before; gives the URI without secrets."""
        parts = _split(uri)
        if self._uris.get(parts.place, parts.place) == parts.place:
            self._uris[parts.place] = parts.root
        return parts.place + parts.key

    def find(self, uri: str) -> tuple[Any, str]:
        """The pyarrow file system of a URI, and the path in it. Raises DataError where there is none."""
        parts = _split(uri)
        if parts.place not in self._opened:
            self._opened[parts.place] = _open(self._uris.get(parts.place, parts.root), parts.place)
        filesystem, base = self._opened[parts.place]
        return filesystem, base + parts.key

    def read(self, uri: str) -> bytes:
        """The bytes of one file. Raises ImageError where they cannot be had, or are more than any picture has."""
        try:
            filesystem, path = self.find(uri)
            with filesystem.open_input_stream(path) as file:
                data: bytes = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            raise ImageError(f"{uri} does not exist", "check the path", "missing") from None
        except DataError as error:
            raise ImageError(error.message, error.hint, "unreadable") from None
        except Exception as error:  # the stores' libraries have errors of their own
            raise ImageError(f"{uri} cannot be read: {reason_of(error)}", _HINT, "unreadable") from None
        if len(data) > MAX_FILE_BYTES:
            limit = f"{MAX_FILE_BYTES / 1e6:,.0f} MB"
            raise ImageError(f"{uri} has more than {limit}", "is it an image at all?", "oversized")
        return data

    def has(self, uri: str) -> bool:
        """Whether something is there by that very name; False as well where the store cannot be asked."""
        from pyarrow.fs import FileType

        try:
            filesystem, path = self.find(uri)
            found: bool = filesystem.get_file_info(path.rstrip("/") or path).type != FileType.NotFound
        except Exception:  # the stores' libraries have errors of their own; listing it will tell
            return False
        return found

    def walk(self, uri: str) -> Iterator[Stored]:
        """Every file at or below a URI. Raises DataError where nothing is there, or the store cannot be reached."""
        from pyarrow.fs import FileSelector, FileType

        shown = without_secrets(uri).rstrip("/")
        try:
            filesystem, path = self.find(uri)
            path = path.rstrip("/") or path
            there = filesystem.get_file_info(path)
            if there.type == FileType.NotFound:
                raise DataError(f"{shown} does not exist", _HINT)
            if there.type == FileType.File:
                found = [there]
            else:
                found = filesystem.get_file_info(FileSelector(path, recursive=True))
        except DataError:
            raise
        except Exception as error:
            raise DataError(f"{shown} cannot be listed: {reason_of(error)}", _HINT) from None
        for info in found:
            if info.type == FileType.File:
                yield Stored(shown + info.path[len(path) :], info.size)


def _open(root: str, place: str) -> tuple[Any, str]:
    """The file system of `root`, and what stands before the keys in its paths."""
    from pyarrow.fs import FileSystem

    if root.startswith(("gs://", "gcs://")) and "retry_limit_seconds=" not in root:
        # Google's client tries for a quarter of an hour.
        root += f"{'&' if '?' in root else '?'}retry_limit_seconds={_RETRY_S}"
    try:
        filesystem, base = FileSystem.from_uri(root)
    except ValueError as error:
        if place.partition("://")[0] not in _OF_PYARROW:
            return _open_other(root, place)
        hint = "check the address and its options, which are pyarrow's: region, scheme, endpoint_override and more"
        raise DataError(f"{place} cannot be reached: {_reason_without_secrets(error, root, place)}", hint) from None
    except Exception as error:
        raise DataError(f"{place} cannot be reached: {_reason_without_secrets(error, root, place)}", _HINT) from None
    return filesystem, base.rstrip("/")


def _open_other(root: str, place: str) -> tuple[Any, str]:
    """The same, by fsspec, which knows some that pyarrow does not."""
    from fsspec.core import url_to_fs
    from pyarrow.fs import FSSpecHandler, PyFileSystem

    try:
        filesystem, base = url_to_fs(root)
    except ImportError as error:
        reason = _reason_without_secrets(error, root, place)
        raise DataError(f"{place} needs a package: {reason}", "pip install it on every machine") from None
    except Exception as error:
        hint = "there are s3://, gs:// and those that fsspec knows"
        raise DataError(f"{place} cannot be reached: {_reason_without_secrets(error, root, place)}", hint) from None
    return PyFileSystem(FSSpecHandler(filesystem)), base.rstrip("/")


def _reason_without_secrets(error: BaseException, root: str, place: str) -> str:
    """What a library says of `root`, which it may repeat, its user and its password."""
    text = _text_of(error).replace(root, place)
    given = root.partition("://")[2].partition("?")[0].rpartition("@")[0]
    user, _, secret = given.partition(":")
    for hidden in sorted({given, secret, unquote(secret), user if len(user) > 3 else ""}, key=len, reverse=True):
        text = text.replace(hidden, "…") if hidden else text
    return _short(text)


def reason_of(error: BaseException) -> str:
    """What a store's library says, on one line and not without end."""
    return _short(_text_of(error))


def _text_of(error: BaseException) -> str:
    known = isinstance(error, OSError) and error.errno is not None and error.filename is not None
    text = os.strerror(error.errno) if known else str(error)  # type: ignore[attr-defined]
    return one_line(" ".join(text.split())) or type(error).__name__


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
