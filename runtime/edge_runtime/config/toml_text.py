"""Settings as a TOML file that explains itself: each with its help above it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from edge_runtime.errors import UsageError
from edge_runtime.settings import SettingField, setting_fields

_WIDTH = 100


def to_toml(settings: Any, *, title: str, without: Collection[str] = ()) -> str:
    """`settings`, a dataclass, as TOML text; a comment above each says what it does, and which values it takes.

    What is None, which TOML has no word for, stands there as a comment. `title` is the first comment, where
    there is one.

    Raises:
        UsageError: a value that TOML cannot hold: a path that is not UTF-8.
    """
    blocks = [
        f"{_comment(_said(field))}\n{_line(field, getattr(settings, field.name))}"
        for field in setting_fields(type(settings))
        if field.name not in without
    ]
    return "\n\n".join([*([_comment(title)] if title else []), *blocks]) + "\n"


def _line(field: SettingField, value: Any) -> str:
    if value is None:
        return f"# {field.name} = {field.setting.metavar or ''}".rstrip()
    try:
        return f"{field.name} = {_toml(value)}"
    except UnicodeEncodeError:
        raise UsageError(f"`{field.name}` {value} is not UTF-8, which TOML cannot hold", "rename it") from None


def _said(field: SettingField) -> str:
    setting = field.setting
    parts = [setting.help]
    if field.choices:
        parts.append(f"One of {', '.join(map(str, field.choices))}.")
    if bounds := ", ".join(_bounds(field)):
        parts.append(f"{bounds[0].upper()}{bounds[1:]}.")
    if field.default is None:
        parts.append(f"Left out: {setting.shown_default or 'none'}.")
    return " ".join(parts)


def _bounds(field: SettingField) -> Iterator[str]:
    setting = field.setting
    if setting.at_least is not None:
        yield f"at least {setting.at_least:g}"
    if setting.above is not None:
        yield f"more than {setting.above:g}"
    if setting.at_most is not None:
        yield f"at most {_number(setting.at_most)}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _comment(text: str) -> str:
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, _WIDTH - 2, break_on_hyphens=False)]
    return "\n".join(f"# {line}" for line in lines)


def _toml(value: Any) -> str:
    """A value in TOML's notation. Raises UnicodeEncodeError for text that is no Unicode."""
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(part) for part in value)}]"
    if isinstance(value, str | Path):
        return _quoted(str(value))
    # Numbers and truth as JSON writes them, which is as TOML does.
    return json.dumps(value)


def _quoted(text: str) -> str:
    text.encode()
    if "\\" in text and "'" not in text and text.isprintable():
        return f"'{text}'"  # as it is: a regular expression stays readable
    # JSON's escapes are TOML's, but for one character that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
