"""The JSON Schema of a settings dataclass, by which editors complete and check a file of settings."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from edge_runtime.settings import Setting, SettingField, setting_fields

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES: dict[Any, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", Path: "string", NoneType: "null",
}  # fmt: skip


def to_schema(settings: type[Any], *, title: str) -> dict[str, Any]:
    """The schema, plain data, of a file with settings of the dataclass `settings`.

    It says what each does, its type, choices, bounds and default. What several settings say of each other it does not.
    """
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": {
            "$schema": {"type": "string", "description": "Where this schema is, for editors."},
            **{field.name: _property(field) for field in setting_fields(settings)},
        },
        "additionalProperties": False,
    }


def _property(field: SettingField) -> dict[str, Any]:
    setting, default = field.setting, field.default
    kind = field.kind if default is not None else field.kind | None
    said = setting.help if default is not None else f"{setting.help} Left out: {setting.shown_default or 'none'}."
    found = {"description": said, **_schema(kind, setting)}
    if default is not None:
        found["default"] = str(default) if isinstance(default, Path) else default
    return found


def _schema(kind: Any, setting: Setting) -> dict[str, Any]:
    if get_origin(kind) is Literal:
        return {"enum": list(get_args(kind))}
    if get_origin(kind) is tuple:
        return {"type": "array", "items": _schema(get_args(kind)[0], setting)}
    if get_args(kind):
        return {"anyOf": [_schema(each, setting) for each in get_args(kind)]}
    found: dict[str, Any] = {"type": _TYPES[kind]}
    if kind in (int, float):
        bounds = {"minimum": setting.at_least, "exclusiveMinimum": setting.above, "maximum": setting.at_most}
        found |= {name: bound for name, bound in bounds.items() if bound is not None}
    return found
