"""The code that a user named as a network: where it is, what it holds, and whether it may be run.

Code that its user names is run, as `python FILE` would. A checkpoint from elsewhere may name code, too, and is not to
run any: what was named on this machine leaves a mark, by the hash of what the file holds.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from edge_runtime import UsageError, cache_folder

_SHA256 = re.compile("[0-9a-f]{64}")


# What was named where no mark could be kept: known for as long as the process lives.
_UNMARKED: set[str] = set()


def mark_as_named(sha256: str) -> None:
    """Note that the user named code of that hash; where no mark can be kept, this process alone knows it."""
    mark = _mark(sha256)
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        _UNMARKED.discard(sha256)
    except OSError:
        _UNMARKED.add(sha256)


def note_on_mark(sha256: str) -> str:
    """What to say of code that was named, but not for good; else nothing."""
    if sha256 not in _UNMARKED:
        return ""
    return (
        f"{_marks()} cannot be written: no other command will know that this network was named, "
        "and its runs are refused; choose a folder for it with EDGE_CACHE"
    )


def was_named(sha256: str) -> bool:
    """Whether the user named code of that hash on this machine before; what is no hash was not."""
    if _SHA256.fullmatch(sha256) is None:
        return False
    with suppress(OSError):  # a folder that may not be looked into
        return sha256 in _UNMARKED or _mark(sha256).is_file()
    return False


def require_named(spec: str) -> None:
    """Raise UsageError where `spec` is no code that its user named on this machine; nothing is run to find that out."""
    place, _, function = spec.strip().rpartition(":")
    try:
        path = Path(place).expanduser().resolve() if place.endswith(".py") else find_unseen(place)
    except (RuntimeError, ValueError):  # a home of nobody, or a name of a package that says so
        path = None
    if path is None or not path.is_file():
        raise UsageError(
            f"`backbone` {spec}: there is no such code here", "name it with `backbone` as it is called here"
        )
    if not was_named(hash_of(path)):
        raise UsageError(
            f"`backbone` {spec} is code that was never named to edge on this machine, as it is now",
            how_to_trust(f"{path if place.endswith('.py') else place}:{function}"),
        )


def find_unseen(module: str) -> Path | None:
    """The file of a module, None where there is none: `find_spec` would run the packages that it lies in."""
    name, folders, origin = "", None, None
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        specs = (finder.find_spec(name, folders) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        if (found := next(filter(None, specs), None)) is None:
            return None
        folders, origin = found.submodule_search_locations or (), found.origin if found.has_location else None
    return Path(origin) if origin else None


def how_to_trust(spec: str) -> str:
    """What to do about a network that would be run, but was not named by its user."""
    return f"it would be run; where you trust it: edge backbones {spec} (which leaves a mark in {_marks()})"


def _marks() -> Path:
    return cache_folder() / "networks"


def _mark(sha256: str) -> Path:
    return _marks() / sha256


def find_origin(module: str, spec: str) -> Path:
    """The file of an importable module. Raises UsageError where there is none."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        found = None
    except Exception as error:  # whatever the package that it lies in raises
        raise UsageError(f"`backbone` {spec} cannot be imported: {said_in_one_line(error)}", "mend it") from error
    if found is None:
        raise UsageError(
            f"`backbone` {spec}: there is no module {module!r}",
            "name timm:NAME, an installed package.module:FUNCTION, or FILE.py:FUNCTION",
        )
    if not (found.has_location and found.origin):
        raise UsageError(f"`backbone` {spec}: the module {module} has no file", "name one of your own")
    return Path(found.origin)


def hash_of(path: Path) -> str:
    """The SHA-256 of what the file holds, in hex. Raises UsageError where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name another file") from error


def said_in_one_line(error: BaseException) -> str:
    """An error of the user's code in one line, with the line of theirs that raised it."""
    last = next(iter(str(error).splitlines()), "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "edge_train" not in frame.filename]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}{': ' * bool(last)}{last}{where}"
