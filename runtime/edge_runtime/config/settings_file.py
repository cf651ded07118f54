"""Settings read from a TOML or JSON file, each checked against its field; an error names file, line and key."""

from __future__ import annotations

import difflib
import json
import math
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from edge_runtime.errors import UsageError
from edge_runtime.settings import SettingField, setting_fields

# What an editor finds the schema of a JSON file by.
_SCHEMA_KEY = "$schema"
_TEXT = "text in quotes"
_NEEDED = {bool: "true or false", int: "a whole number", float: "a number", str: _TEXT, Path: _TEXT}


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file as it stands: its values by key, not yet checked, and the text that lines are counted in."""

    path: Path
    values: Mapping[str, Any]
    text: str

    def checked(self, *settings: type[Any], listed_by: str) -> dict[str, Any]:
        """The file's values as the dataclasses `settings` take them; `listed_by` is what lists the keys there are.

        Raises:
            UsageError: a key that is no setting, or a value of another type or out of range.
        """
        fields = {field.name: field for kind in settings for field in setting_fields(kind)}
        found: dict[str, Any] = {}
        for key, value in self.values.items():
            if key == _SCHEMA_KEY:
                continue
            if key not in fields:
                raise UsageError(
                    f"{self._place(key)}: there is no setting {key}", _meant(key, value, fields, listed_by)
                )
            found[key] = self._fitted(fields[key], value)
        return found

    def _fitted(self, field: SettingField, value: Any) -> Any:
        name = f"{self._place(field.name)}: {field.name}"
        if value is None and field.default is None:
            return None
        for text in value if isinstance(value, list) else (value,):
            # A null character, or half a character of UTF-16: no file's name has one, and no flag takes one.
            if isinstance(text, str) and re.search("[\0\ud800-\udc7f\udd00-\udfff]", text):
                raise UsageError(f"{name} = {_shown(value)}: no text of a command has such a character", "leave it out")
        try:
            fitted = _fit(field.kind, value)
        except TypeError:
            needed = " or ".join(dict.fromkeys(_needed(field.kind)))
            raise UsageError(f"{name} = {_shown(value)}: {needed} is needed", self._example(field)) from None
        field.check(fitted, name)
        return fitted

    def _place(self, key: str) -> str:
        """The file, and the line that sets `key` where just one looks so."""
        bare = re.escape(key)
        written = rf'^\s*(?:{bare}|"{bare}"|\'{bare}\')\s*=' if _is_toml(self.path) else rf'"{bare}"\s*:'
        lines = [at for at, line in enumerate(self.text.splitlines(), start=1) if re.search(written, line)]
        return f"{self.path}, line {lines[0]}" if len(lines) == 1 else str(self.path)

    def _example(self, field: SettingField) -> str:
        if field.choices:
            return f"choose {', '.join(json.dumps(choice) for choice in field.choices)}"
        if field.default is None:
            return "leave it out for what it is without"
        default = str(field.default) if isinstance(field.default, Path) else field.default
        equals = " = " if _is_toml(self.path) else ": "
        return f"write {field.name}{equals}{json.dumps(default)}, for example"


def read_settings_file(path: Path, *, folder_file: str = "") -> SettingsFile:
    """The TOML or JSON file `path`, by its suffix; of a folder its `folder_file`, where one is named.

    Raises:
        UsageError: it is not there, cannot be read, or is not what its suffix says.
    """
    try:
        path = path / folder_file if folder_file and path.is_dir() else path
        path.stat()
        if path.suffix.lower() not in (".toml", ".json"):
            raise UsageError(f"{path} is neither .toml nor .json", "settings are read from a file of either kind")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", "name a file with settings") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8 text", "save it as UTF-8") from None
    kind, load = ("TOML", tomllib.loads) if _is_toml(path) else ("JSON", _load_json)
    try:
        values = load(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not {kind}: {error}", "mend it there") from None
    if not isinstance(values, dict):
        raise UsageError(f"{path} is not a JSON object", 'write {"epochs": 5, …}')
    return SettingsFile(path, values, text)


@contextmanager
def said_of_file(path: Path, keys: Collection[str]) -> Iterator[None]:
    """Let a UsageError that names one of `keys`, the settings that are from the file `path`, name the file as well."""
    try:
        yield
    except UsageError as error:
        named = re.sub(r"`(\w+)`", lambda found: found[1] if found[1] in keys else found[0], error.message)
        if named != error.message:
            error.message = f"{path}: {named}"
        raise


def _is_toml(path: Path) -> bool:
    return path.suffix.lower() == ".toml"


def _load_json(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ValueError(f"{key} is there twice")
            found[key] = value
        return found

    return json.loads(text, object_pairs_hook=unique)


def _fit(kind: Any, value: Any) -> Any:
    """`value`, read from a file, as a field of type `kind` holds it. Raises TypeError where it is of another type."""
    if get_origin(kind) is Literal:
        return _fit(type(get_args(kind)[0]), value)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_fit(get_args(kind)[0], part) for part in value)
    for each in get_args(kind) if get_origin(kind) is not tuple else ():
        try:
            return _fit(each, value)
        except TypeError:
            continue
    convert = _PLAIN.get(kind, {}).get(type(value))
    if convert is None:
        raise TypeError
    return convert(value)


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _as_path(value: str) -> Path:
    try:
        return Path(value).expanduser()
    except RuntimeError:  # the home folder of a user there is none of
        return Path(value)


# How a value of one type becomes one of the field's; a bool is no number here.
_PLAIN: dict[Any, dict[type, Callable[[Any], Any]]] = {
    bool: {bool: bool},
    int: {int: int},
    float: {float: float, int: _as_float},
    str: {str: str},
    Path: {str: _as_path},
    NoneType: {NoneType: lambda _: None},
}


def _needed(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from _needed(type(get_args(kind)[0]))
    elif get_origin(kind) is tuple:
        yield "a list"
    elif get_args(kind):
        for each in get_args(kind):
            yield from _needed(each)
    elif kind in _NEEDED:
        yield _NEEDED[kind]


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _meant(key: str, value: Any, fields: Mapping[str, SettingField], listed_by: str) -> str:
    """What to do about a key that is no setting."""
    if isinstance(value, dict):
        return "settings stand at the top of the file, in no table"
    known = dict.fromkeys(fields, "") | {field.flag[2:].replace("-", "_"): name for name, field in fields.items()}
    close = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"did you mean {known[close[0]] or close[0]}?" if close else f"{listed_by} lists them"
