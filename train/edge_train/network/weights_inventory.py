"""The weights files on this machine: where they are looked for, whose they are, and whether they are undamaged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from edge_runtime import MissingExtraError, WeightsError, require_extra
from edge_train.network.backbones import BACKBONES
from edge_train.network.hub_weights import SCHEME, find_here, hub_cache_folder, parse_hub_file
from edge_train.network.lookup import TIMM, find_backbone
from edge_train.network.state_file import require_file, sha256_of
from edge_train.network.weights_folder import (
    FOLDER_VARIABLE,
    SUFFIXES,
    KnownHash,
    find_weights,
    hub_cache,
    known_hashes,
    names_of,
    require_undamaged,
    torchvision_weights,
    weights_folder,
)

HashState: TypeAlias = Literal["ok", "damaged", "unknown"]
_TIMM_OWNER = "timm"


@dataclass(frozen=True, slots=True)
class WeightsPlace:
    """A folder that weights are looked for in, in the order of the search; None where it is not set or not there."""

    name: str
    folder: Path | None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {"name": self.name, "folder": None if self.folder is None else str(self.folder)}


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """A file in one of the places: its hash, what it must be, and by whom; `used_for` is the backbone, or `hf:…`.

    `known_by` is empty where nobody says what the hash must be.
    """

    path: Path
    place: str
    used_for: str
    size_bytes: int
    sha256: str
    expected: str
    known_by: str

    @property
    def state(self) -> HashState:
        """Whether the hash is what it must be."""
        if not self.known_by:
            return "unknown"
        return "ok" if self.sha256.startswith(self.expected) else "damaged"

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "path": str(self.path),
            "place": self.place,
            "used_for": self.used_for or None,
            "size_bytes": self.size_bytes,
            "sha256": self.sha256,
            "expected_sha256": self.expected or None,
            "known_by": self.known_by or None,
            "state": self.state,
        }


def weights_places() -> tuple[WeightsPlace, ...]:
    """Where weights are looked for, first to last. Raises UsageError where EDGE_WEIGHTS_DIR is no folder."""
    require_extra("train")
    try:
        hub: Path | None = hub_cache_folder()
    except MissingExtraError:
        hub = None
    return (
        WeightsPlace(FOLDER_VARIABLE, weights_folder()),
        WeightsPlace("torch hub's cache", hub_cache()),
        WeightsPlace("Hugging Face cache", hub),
    )


def list_weights() -> tuple[WeightsFile, ...]:
    """All weights files in the places, hashed. Raises UsageError, and WeightsError where one cannot be read."""
    own, cache, hub = weights_places()
    files = {torchvision_weights(name).file: name for name in BACKBONES}
    found = []
    if own.folder is not None:
        paths = sorted(path for path in own.folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        found += [_look(path, own.name, _use_in_folder(path.relative_to(own.folder), files)) for path in paths]
    if cache.folder is not None and cache.folder.is_dir():
        found += [_look(path, cache.name, files.get(path.name, "")) for path in sorted(cache.folder.glob("*.pth"))]
    if hub.folder is not None and hub.folder.is_dir():
        found += [_look(path, hub.name, use) for path, use in _in_hub(hub.folder)]
    return tuple(found)


def look_at(path: Path) -> WeightsFile:
    """One file, hashed. Raises UsageError where it is not there."""
    require_file(path, "edge weights list shows those that are found")
    return _look(path, "", "")


def weights_path(name: str) -> Path:
    """The file that training takes for a backbone, or for `hf:…`, without a network.

    Raises:
        UsageError: there is no such backbone, or it is one of the user's own.
        WeightsError: there is none here, or it is damaged.
    """
    require_extra("train")
    if (wanted := parse_hub_file(name)) is not None:
        if (found := find_here(wanted)) is None:
            raise _not_here(name, f"{wanted.repository}/{wanted.file or 'model.safetensors'}")
        return found
    backbone = find_backbone(name)
    if backbone.name.startswith(TIMM):
        from edge_train.network.timm_network import find_weights_here

        path, called = find_weights_here(backbone.name[len(TIMM) :])
        if path is None:
            raise _not_here(backbone.name, called)
        return path
    if backbone.maker is not None:
        raise WeightsError(f"{backbone.name} is your own: it loads its own weights", "give `weights` FILE")
    file = torchvision_weights(backbone.name).file
    own, cached = find_weights(names_of(backbone.name, file)), hub_cache() / file
    if own is None and not cached.is_file():
        raise _not_here(backbone.name, file)
    require_undamaged(own or cached)
    return own or cached


def _not_here(name: str, file: str) -> WeightsError:
    places = ", ".join(str(place.folder) for place in weights_places() if place.folder is not None)
    return WeightsError(
        f"no weights of {name} are here: {file} is not in {places}",
        f"put it into the folder that {FOLDER_VARIABLE} names, or let edge train download it",
    )


def _look(path: Path, place: str, used_for: str) -> WeightsFile:
    found, known = sha256_of(path), known_hashes(path)
    # What contradicts says more than what agrees.
    told = next((each for each in known if not found.startswith(each.sha256)), known[0] if known else KnownHash("", ""))
    return WeightsFile(path, place, used_for, path.stat().st_size, found, told.sha256, told.source)


def _use_in_folder(path: Path, files: dict[str, str]) -> str:
    if len(path.parts) == 1:
        return files.get(path.name, path.stem if path.stem in BACKBONES else "")
    return _use_of(*path.parts[:2]) if len(path.parts) == 3 else ""


def _use_of(owner: str, name: str) -> str:
    """What a repository's weights are for."""
    return f"{TIMM}{name}" if owner == _TIMM_OWNER else f"{SCHEME}{owner}/{name}"


def _in_hub(folder: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob("models--*--*/snapshots/*/**/*.safetensors")):
        _, owner, name = path.relative_to(folder).parts[0].split("--", 2)
        yield path, _use_of(owner, name)
