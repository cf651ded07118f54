"""Writes docs/reference.md from the docstrings of what `edge_vision` hands out: python python/reference.py"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import edge_vision
from edge_runtime import setting_fields

PAGE = Path(__file__).parents[1] / "docs" / "reference.md"
HEAD = """# Reference

Made by `python python/reference.py` from the docstrings; [python.md](python.md) has the examples and the promise.
"""


def reference() -> str:
    """The whole page, Markdown."""
    names = sorted(edge_vision.__all__, key=str.lower)
    text = "\n".join([HEAD, *(line for name in names for line in _entry(name, getattr(edge_vision, name)))])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"## {name}\n"
    if not inspect.isclass(value):
        yield f"```python\n{_signature(name, value)}\n```\n"
        yield from _prose(value)
        return
    bases = [base.__name__ for base in value.__bases__ if base.__name__ in (*edge_vision.__all__, "ImportError")]
    if bases:
        yield f"A leaf of `{'`, `'.join(bases)}`.\n"
    yield from _prose(value)
    if name.endswith(("Settings", "Limits")):
        yield "| setting | default | what it does |\n|---|---|---|"
        for field in setting_fields(value):
            choices = f" One of {', '.join(map(str, field.choices))}." if field.choices else ""
            default = field.setting.shown_default or _plain(field.default)
            yield f"| `{field.name}` | {default} | {field.setting.help.replace('|', '&#124;')}{choices} |"
        yield ""
    elif is_dataclass(value):
        yield f"Fields: {', '.join(f'`{each}`' for each in value.__dataclass_fields__ if not each.startswith('_'))}.\n"
    yield from _members(value)


def _plain(default: object) -> str:
    return str(default) if isinstance(default, int | float | str | Path) else repr(default)


def _members(value: type) -> Iterator[str]:
    for name, member in vars(value).items():
        inner = getattr(member, "__func__", getattr(member, "func", member))
        if name.startswith("_") or not getattr(inner, "__doc__", None):
            continue
        if isinstance(member, property) or hasattr(member, "func"):
            yield f"- `{name}`: {_flat(inner)}"
        elif inspect.isfunction(inner):
            yield f"- `{_signature(name, inner)}`: {_flat(inner)}"
    yield ""


def _signature(name: str, function: Any) -> str:
    # As they are written: annotations are text, and Python shows them in quotes.
    text = re.sub(r"""(: |-> )(['"])(.*?)\2(?=,|\)| = |$)""", r"\1\3", str(inspect.signature(function)))
    # A function that stands as a default shows its address, and a path its kind.
    text = re.sub(r"<function .*? at 0x\w+>|<object object at 0x\w+>", "…", text).replace("PosixPath", "Path")
    return name + re.sub(r"^\((self|cls)(, )?", "(", text)


def _flat(documented: Any) -> str:
    return " ".join((inspect.getdoc(documented) or "").split())


def _prose(documented: Any) -> Iterator[str]:
    """The docstring, what it raises as a list."""
    text, _, raises = (inspect.getdoc(documented) or "").partition("\nRaises:\n")
    # An example stands in the same four columns as Markdown's code.
    yield text.strip() + "\n"
    if raises:
        yield "Raises:\n"
        for error, why in re.findall(r"(?ms)^    (\w+): (.*?)(?=^    \w+: |\Z)", raises):
            yield f"- `{error}`: {' '.join(why.split())}"
        yield ""


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
